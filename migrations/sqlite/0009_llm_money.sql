-- Calls are `reserved` before they are `sent`, where something has to be waited for first, and every call has its money
-- set aside in the budgets of its tenant. SQLite changes a check only with the whole table.
CREATE TABLE llm_journal_new (
    event_key  TEXT    NOT NULL,
    step       TEXT    NOT NULL,
    input_hash TEXT    NOT NULL,
    attempt    INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    tenant     TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('reserved', 'sent', 'answered', 'failed', 'ambiguous')),
    provider   TEXT    NOT NULL,
    model      TEXT    NOT NULL,
    worst_cost INTEGER,
    -- when it was sent; while it is `reserved`, since when
    sent_at    INTEGER NOT NULL,
    timeout_us INTEGER NOT NULL,
    ended_at   INTEGER,
    text       TEXT,
    rejected   INTEGER NOT NULL DEFAULT 0 CHECK (rejected IN (0, 1)),
    detail     TEXT,
    -- the ledger row of this call, once it is known to be billed
    ledger_id  TEXT,
    -- how long it may stay `reserved`
    reserve_us INTEGER,
    -- what is set aside for it, in the windows of its tenant's budgets that begin then (null: no such budget)
    hold       INTEGER,
    day_from   INTEGER,
    month_from INTEGER,
    PRIMARY KEY (event_key, step, input_hash, attempt)
) STRICT, WITHOUT ROWID;
INSERT INTO llm_journal_new (event_key, step, input_hash, attempt, revision, tenant, state, provider, model, worst_cost,
                             sent_at, timeout_us, ended_at, text, rejected, detail, ledger_id)
SELECT event_key, step, input_hash, attempt, revision, tenant, state, provider, model, worst_cost,
       sent_at, timeout_us, ended_at, text, rejected, detail, ledger_id
FROM llm_journal;
DROP TABLE llm_journal;
ALTER TABLE llm_journal_new RENAME TO llm_journal;
-- the few that are under way
CREATE INDEX llm_journal_pending ON llm_journal (sent_at) WHERE state IN ('reserved', 'sent');
CREATE INDEX llm_journal_recent ON llm_journal (tenant, step, input_hash, ended_at) WHERE state = 'answered';

-- `cached` is a status, too: an equal question was answered a short while ago.
CREATE TABLE llm_ledger_new (
    id              TEXT    NOT NULL PRIMARY KEY,
    at              INTEGER NOT NULL,
    tenant          TEXT    NOT NULL,
    event_key       TEXT    NOT NULL,
    step            TEXT    NOT NULL,
    status          TEXT    NOT NULL
                    CHECK (status IN ('answered', 'failed', 'ambiguous', 'reported', 'partial', 'cached')),
    provider        TEXT    NOT NULL,
    requested_model TEXT    NOT NULL,
    served_model    TEXT,
    uncached_input  INTEGER NOT NULL,
    cache_read      INTEGER NOT NULL,
    cache_write     INTEGER NOT NULL,
    output          INTEGER NOT NULL,
    reasoning       INTEGER NOT NULL,
    usage_source    TEXT    NOT NULL CHECK (usage_source IN ('provider', 'estimated', 'none')),
    -- null: the price is not known, never "free"
    cost            INTEGER,
    price_version   TEXT,
    latency_ms      INTEGER NOT NULL,
    chat_user       TEXT,
    specialist      TEXT,
    request_id      TEXT,
    cache_write_1h  INTEGER NOT NULL DEFAULT 0,
    -- name and version, and the hash of the prompt's file
    prompt          TEXT,
    prompt_hash     TEXT,
    requested_tier  TEXT,
    served_tier     TEXT
) STRICT;
INSERT INTO llm_ledger_new (id, at, tenant, event_key, step, status, provider, requested_model, served_model,
                            uncached_input, cache_read, cache_write, output, reasoning, usage_source, cost,
                            price_version, latency_ms, chat_user, specialist, request_id)
SELECT id, at, tenant, event_key, step, status, provider, requested_model, served_model,
       uncached_input, cache_read, cache_write, output, reasoning, usage_source, cost,
       price_version, latency_ms, chat_user, specialist, request_id
FROM llm_ledger ORDER BY rowid;
DROP TABLE llm_ledger;
ALTER TABLE llm_ledger_new RENAME TO llm_ledger;
CREATE INDEX llm_ledger_event ON llm_ledger (event_key);
CREATE INDEX llm_ledger_at ON llm_ledger (at, id);
CREATE INDEX llm_ledger_unpriced ON llm_ledger (at, id) WHERE cost IS NULL;

-- Which prompt made a result, and what our own checks say about it.
ALTER TABLE results ADD COLUMN prompt_hash TEXT;
ALTER TABLE results ADD COLUMN quality REAL;
ALTER TABLE results ADD COLUMN identical INTEGER CHECK (identical IN (0, 1));
ALTER TABLE results ADD COLUMN truncated INTEGER NOT NULL DEFAULT 0 CHECK (truncated IN (0, 1));

-- `webhook` is a kind of command, too.
CREATE TABLE outbox_new (
    -- the order within a lane
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT    NOT NULL UNIQUE,
    event_key   TEXT,
    tenant      TEXT    NOT NULL,
    kind        TEXT    NOT NULL CHECK (kind IN ('message', 'copy_dead_letter', 'requeue', 'webhook')),
    lane        TEXT    NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('planned', 'sending', 'sent', 'refused', 'unknown', 'dropped')),
    tries       INTEGER NOT NULL DEFAULT 0,
    not_before  INTEGER NOT NULL,
    expires_at  INTEGER,
    lease_until INTEGER,
    -- of a message, taken out of the body for the checks before it is sent: opt-out, the tenant's switch
    channel     TEXT,
    recipient   TEXT,
    automatic   INTEGER NOT NULL DEFAULT 0 CHECK (automatic IN (0, 1)),
    -- the whole command
    body        TEXT    NOT NULL CHECK (json_valid(body)),
    vendor_id   TEXT,
    detail      TEXT,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;
INSERT INTO outbox_new SELECT * FROM outbox ORDER BY seq;
DROP TABLE outbox;
ALTER TABLE outbox_new RENAME TO outbox;
CREATE INDEX outbox_due ON outbox (state, not_before);
CREATE INDEX outbox_lane ON outbox (lane, seq) WHERE state IN ('planned', 'sending');
CREATE INDEX outbox_sending ON outbox (lane) WHERE state = 'sending';
CREATE INDEX outbox_event ON outbox (event_key) WHERE event_key IS NOT NULL;

-- What a tenant may spend on models in a day or a month of its time zone.
CREATE TABLE budgets (
    tenant     TEXT    NOT NULL,
    period     TEXT    NOT NULL CHECK (period IN ('day', 'month')),
    amount     INTEGER NOT NULL CHECK (amount >= 0),
    mode       TEXT    NOT NULL CHECK (mode IN ('strict', 'soft')),
    time_zone  TEXT    NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, period)
) STRICT, WITHOUT ROWID;

-- What of it is spent, and set aside for calls that have not ended, changed only together with the calls themselves.
CREATE TABLE budget_windows (
    tenant   TEXT    NOT NULL,
    period   TEXT    NOT NULL CHECK (period IN ('day', 'month')),
    from_at  INTEGER NOT NULL,
    until_at INTEGER NOT NULL,
    spent    INTEGER NOT NULL DEFAULT 0 CHECK (spent >= 0),
    held     INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),
    -- the highest share, in percent, that somebody was told of
    alerted  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, period, from_at)
) STRICT, WITHOUT ROWID;
CREATE INDEX budget_windows_until ON budget_windows (until_at);

-- How many requests and tokens of one credential and model are left, in sixty-millionths, as of `at`.
CREATE TABLE rate_buckets (
    bucket   TEXT    NOT NULL PRIMARY KEY,
    requests INTEGER NOT NULL,
    tokens   INTEGER NOT NULL,
    at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Texts by their meaning: `vector` holds `dimension` 32-bit floats, little-endian.
CREATE TABLE embeddings (
    tenant    TEXT    NOT NULL,
    kind      TEXT    NOT NULL,
    model     TEXT    NOT NULL,
    item      TEXT    NOT NULL,
    text      TEXT    NOT NULL,
    vector    BLOB    NOT NULL,
    dimension INTEGER NOT NULL,
    -- what made it: erased with it
    event_key TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (tenant, kind, model, item)
) STRICT;
CREATE INDEX embeddings_newest ON embeddings (tenant, kind, model, dimension, at);
CREATE INDEX embeddings_event ON embeddings (event_key);
