-- One row for each call to a model, durable before the socket is written. Guards against buying twice,
-- so it is not partitioned. Money is whole pico-US-dollars.
CREATE TABLE llm_journal (
    event_key  text        NOT NULL,
    step       text        NOT NULL,
    input_hash text        NOT NULL,
    attempt    integer     NOT NULL,
    revision   integer     NOT NULL,
    tenant     text        NOT NULL,
    state      text        NOT NULL CHECK (state IN ('sent', 'answered', 'failed', 'ambiguous')),
    provider   text        NOT NULL,
    model      text        NOT NULL,
    worst_cost bigint,
    sent_at    timestamptz NOT NULL,
    timeout_us bigint      NOT NULL,
    ended_at   timestamptz,
    text       text,
    rejected   boolean     NOT NULL DEFAULT false,
    detail     text,
    -- the ledger row of this call, once it is known to be billed
    ledger_id  text,
    PRIMARY KEY (event_key, step, input_hash, attempt)
);

-- One row for each billed call, ours or reported by another system. The key holds the partition column;
-- that an id comes only once is guarded by `llm_journal` and by the claim's fence.
CREATE TABLE llm_ledger (
    id              text        NOT NULL,
    at              timestamptz NOT NULL,
    tenant          text        NOT NULL,
    event_key       text        NOT NULL,
    step            text        NOT NULL,
    status          text        NOT NULL CHECK (status IN ('answered', 'failed', 'ambiguous', 'reported', 'partial')),
    provider        text        NOT NULL,
    requested_model text        NOT NULL,
    served_model    text,
    uncached_input  bigint      NOT NULL,
    cache_read      bigint      NOT NULL,
    cache_write     bigint      NOT NULL,
    output          bigint      NOT NULL,
    reasoning       bigint      NOT NULL,
    usage_source    text        NOT NULL CHECK (usage_source IN ('provider', 'estimated', 'none')),
    -- null: the price is not known, never "free"
    cost            bigint,
    price_version   text,
    latency_ms      bigint      NOT NULL,
    chat_user       text,
    specialist      text,
    request_id      text,
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE INDEX llm_ledger_event ON llm_ledger (event_key);
CREATE INDEX llm_ledger_at ON llm_ledger (at);
CREATE TABLE llm_ledger_default PARTITION OF llm_ledger DEFAULT;

SELECT make_month_partitions('llm_ledger', 2);
