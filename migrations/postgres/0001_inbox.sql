-- Every event that was ever claimed. Guards uniqueness: one row for each event key, so it is not
-- partitioned (a unique key would have to hold the partition column).
CREATE TABLE inbox (
    key         text        NOT NULL PRIMARY KEY,
    source      text        NOT NULL,
    account     text        NOT NULL,
    tenant      text        NOT NULL,
    kind        text        NOT NULL,
    -- open: claimed, `lease_until` says how long; waiting: claimable from `retry_at` on
    state       text        NOT NULL CHECK (state IN ('open', 'waiting', 'parked', 'done', 'buried')),
    revision    integer     NOT NULL DEFAULT 0,
    ticket      bigint      NOT NULL DEFAULT 1,
    lease_until timestamptz,
    retry_at    timestamptz,
    failures    integer     NOT NULL DEFAULT 0,
    deferrals   integer     NOT NULL DEFAULT 0,
    panics      integer     NOT NULL DEFAULT 0,
    -- 0 not started, 1 started, 2 started alone; cleared by every settlement
    started     smallint    NOT NULL DEFAULT 0 CHECK (started IN (0, 1, 2)),
    lone_deaths integer     NOT NULL DEFAULT 0,
    reason      text,
    detail      text,
    -- hash of the sealed message that brought it: a redriven copy is recognised by it
    seal        text,
    first_at    timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL
);
CREATE INDEX inbox_seal ON inbox (seal) WHERE seal IS NOT NULL;

-- The verified events themselves, written once, together with their inbox row. `json`, not `jsonb`:
-- the text is kept as it is, and an escaped NUL in it, which `jsonb` refuses, cannot block a claim.
CREATE TABLE events (
    key         text        NOT NULL,
    received_at timestamptz NOT NULL,
    body        json        NOT NULL
) PARTITION BY RANGE (received_at);
CREATE INDEX events_key ON events (key);
CREATE TABLE events_default PARTITION OF events DEFAULT;

-- Events that wait for the scheduler's wake. The row is deleted only by the claim.
CREATE TABLE parked (
    key      text        NOT NULL PRIMARY KEY,
    revision integer     NOT NULL,
    due_at   timestamptz NOT NULL,
    woken_at timestamptz
);
CREATE INDEX parked_due ON parked (due_at);

-- Makes the monthly (UTC) partitions of a table for this month and `ahead` further ones, named
-- `TABLE_yYYYYmMM`; answers how many it made. A month of which rows lie in the default partition already
-- stays there: a partition for it could not be attached. Two callers at once make each partition once.
CREATE FUNCTION make_month_partitions(parent text, ahead integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    first  timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    month  timestamp;
    name   text;
    col    text;
    busy   boolean;
    made   integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('longshore partitions'), hashtext(current_schema() || '.' || parent));
    col := CASE parent WHEN 'events' THEN 'received_at' ELSE 'at' END;
    FOR i IN 0..ahead LOOP
        month := first + make_interval(months => i);
        name := format('%s_y%sm%s', parent, to_char(month, 'YYYY'), to_char(month, 'MM'));
        CONTINUE WHEN to_regclass(quote_ident(name)) IS NOT NULL;
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I WHERE %I >= $1 AND %I < $2)',
            parent || '_default', col, col)
            INTO busy
            USING month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC';
        CONTINUE WHEN busy;
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', name, parent,
            month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC');
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

SELECT make_month_partitions('events', 2);
