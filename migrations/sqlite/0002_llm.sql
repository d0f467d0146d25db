-- One row for each call to a model, durable before the socket is written. Guards against buying twice.
-- Money is whole pico-US-dollars.
CREATE TABLE llm_journal (
    event_key  TEXT    NOT NULL,
    step       TEXT    NOT NULL,
    input_hash TEXT    NOT NULL,
    attempt    INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    tenant     TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('sent', 'answered', 'failed', 'ambiguous')),
    provider   TEXT    NOT NULL,
    model      TEXT    NOT NULL,
    worst_cost INTEGER,
    sent_at    INTEGER NOT NULL,
    timeout_us INTEGER NOT NULL,
    ended_at   INTEGER,
    text       TEXT,
    rejected   INTEGER NOT NULL DEFAULT 0 CHECK (rejected IN (0, 1)),
    detail     TEXT,
    -- the ledger row of this call, once it is known to be billed
    ledger_id  TEXT,
    PRIMARY KEY (event_key, step, input_hash, attempt)
) STRICT, WITHOUT ROWID;

-- One row for each billed call, ours or reported by another system.
CREATE TABLE llm_ledger (
    id              TEXT    NOT NULL PRIMARY KEY,
    at              INTEGER NOT NULL,
    tenant          TEXT    NOT NULL,
    event_key       TEXT    NOT NULL,
    step            TEXT    NOT NULL,
    status          TEXT    NOT NULL CHECK (status IN ('answered', 'failed', 'ambiguous', 'reported', 'partial')),
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
    request_id      TEXT
) STRICT;
CREATE INDEX llm_ledger_event ON llm_ledger (event_key);
CREATE INDEX llm_ledger_at ON llm_ledger (at);
