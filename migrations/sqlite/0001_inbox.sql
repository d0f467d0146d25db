-- Every event that was ever claimed. Guards uniqueness: one row for each event key.
-- Times are microseconds since the epoch, UTC, by the database's clock.
CREATE TABLE inbox (
    key         TEXT    NOT NULL PRIMARY KEY,
    source      TEXT    NOT NULL,
    account     TEXT    NOT NULL,
    tenant      TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    -- open: claimed, `lease_until` says how long; waiting: claimable from `retry_at` on
    state       TEXT    NOT NULL CHECK (state IN ('open', 'waiting', 'parked', 'done', 'buried')),
    revision    INTEGER NOT NULL DEFAULT 0,
    ticket      INTEGER NOT NULL DEFAULT 1,
    lease_until INTEGER,
    retry_at    INTEGER,
    failures    INTEGER NOT NULL DEFAULT 0,
    deferrals   INTEGER NOT NULL DEFAULT 0,
    panics      INTEGER NOT NULL DEFAULT 0,
    -- 0 not started, 1 started, 2 started alone; cleared by every settlement
    started     INTEGER NOT NULL DEFAULT 0 CHECK (started IN (0, 1, 2)),
    lone_deaths INTEGER NOT NULL DEFAULT 0,
    reason      TEXT,
    detail      TEXT,
    -- hash of the sealed message that brought it: a redriven copy is recognised by it
    seal        TEXT,
    first_at    INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX inbox_seal ON inbox (seal) WHERE seal IS NOT NULL;

-- The verified events themselves, written once, together with their inbox row.
CREATE TABLE events (
    key         TEXT    NOT NULL,
    received_at INTEGER NOT NULL,
    body        TEXT    NOT NULL CHECK (json_valid(body))
) STRICT;
CREATE INDEX events_key ON events (key);

-- Events that wait for the scheduler's wake. The row is deleted only by the claim.
CREATE TABLE parked (
    key      TEXT    NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    due_at   INTEGER NOT NULL,
    woken_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX parked_due ON parked (due_at);
