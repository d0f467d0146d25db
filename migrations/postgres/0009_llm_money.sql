-- Calls are `reserved` before they are `sent`, where something has to be waited for first, and every call has its money
-- set aside in the budgets of its tenant.
ALTER TABLE llm_journal DROP CONSTRAINT llm_journal_state_check,
    ADD CONSTRAINT llm_journal_state_check
        CHECK (state IN ('reserved', 'sent', 'answered', 'failed', 'ambiguous')),
    -- how long it may stay `reserved`; meanwhile `sent_at` says since when it is
    ADD COLUMN reserve_us bigint,
    -- what is set aside for it, in the windows of its tenant's budgets that begin then (null: no such budget)
    ADD COLUMN hold bigint,
    ADD COLUMN day_from timestamptz,
    ADD COLUMN month_from timestamptz;
-- the few that are under way
CREATE INDEX llm_journal_pending ON llm_journal (sent_at) WHERE state IN ('reserved', 'sent');
CREATE INDEX llm_journal_recent ON llm_journal (tenant, step, input_hash, ended_at) WHERE state = 'answered';

-- `cached` is a status, too: an equal question was answered a short while ago.
ALTER TABLE llm_ledger DROP CONSTRAINT llm_ledger_status_check,
    ADD CONSTRAINT llm_ledger_status_check
        CHECK (status IN ('answered', 'failed', 'ambiguous', 'reported', 'partial', 'cached')),
    ADD COLUMN cache_write_1h bigint NOT NULL DEFAULT 0,
    -- name and version, and the hash of the prompt's file
    ADD COLUMN prompt text,
    ADD COLUMN prompt_hash text,
    ADD COLUMN requested_tier text,
    ADD COLUMN served_tier text;
CREATE INDEX llm_ledger_unpriced ON llm_ledger (at) WHERE cost IS NULL;

-- Which prompt made a result, and what our own checks say about it.
ALTER TABLE results ADD COLUMN prompt_hash text, ADD COLUMN quality double precision, ADD COLUMN identical boolean,
    ADD COLUMN truncated boolean NOT NULL DEFAULT false;

-- `webhook` is a kind of command, too.
ALTER TABLE outbox DROP CONSTRAINT outbox_kind_check,
    ADD CONSTRAINT outbox_kind_check CHECK (kind IN ('message', 'copy_dead_letter', 'requeue', 'webhook'));

-- What a tenant may spend on models in a day or a month of its time zone.
CREATE TABLE budgets (
    tenant     text        COLLATE "C" NOT NULL,
    period     text        COLLATE "C" NOT NULL CHECK (period IN ('day', 'month')),
    amount     bigint      NOT NULL CHECK (amount >= 0),
    mode       text        NOT NULL CHECK (mode IN ('strict', 'soft')),
    time_zone  text        NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, period)
);

-- What of it is spent, and set aside for calls that have not ended, changed only together with the calls themselves.
-- Every call of a tenant changes the same rows: room in the pages keeps the changes there.
CREATE TABLE budget_windows (
    tenant   text        COLLATE "C" NOT NULL,
    period   text        COLLATE "C" NOT NULL CHECK (period IN ('day', 'month')),
    from_at  timestamptz NOT NULL,
    until_at timestamptz NOT NULL,
    spent    bigint      NOT NULL DEFAULT 0 CHECK (spent >= 0),
    held     bigint      NOT NULL DEFAULT 0 CHECK (held >= 0),
    -- the highest share, in percent, that somebody was told of
    alerted  integer     NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, period, from_at)
) WITH (fillfactor = 50);
CREATE INDEX budget_windows_until ON budget_windows (until_at);

-- How many requests and tokens of one credential and model are left, in sixty-millionths, as of `at`.
CREATE TABLE rate_buckets (
    bucket   text        COLLATE "C" NOT NULL PRIMARY KEY,
    requests bigint      NOT NULL,
    tokens   bigint      NOT NULL,
    at       timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Texts by their meaning: `vector` holds `dimension` 32-bit floats, little-endian.
CREATE TABLE embeddings (
    tenant    text        COLLATE "C" NOT NULL,
    kind      text        COLLATE "C" NOT NULL,
    model     text        COLLATE "C" NOT NULL,
    item      text        COLLATE "C" NOT NULL,
    text      text        NOT NULL,
    vector    bytea       NOT NULL,
    dimension integer     NOT NULL,
    -- what made it: erased with it
    event_key text        NOT NULL,
    at        timestamptz NOT NULL,
    PRIMARY KEY (tenant, kind, model, item)
);
CREATE INDEX embeddings_newest ON embeddings (tenant, kind, model, dimension, at);
CREATE INDEX embeddings_event ON embeddings (event_key);
