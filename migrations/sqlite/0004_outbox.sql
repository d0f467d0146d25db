-- Commands to the outside, committed with the result that asks for them, carried out afterwards.
CREATE TABLE outbox (
    -- the order within a lane
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT    NOT NULL UNIQUE,
    event_key   TEXT,
    tenant      TEXT    NOT NULL,
    kind        TEXT    NOT NULL CHECK (kind IN ('message', 'copy_dead_letter', 'requeue')),
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
CREATE INDEX outbox_due ON outbox (state, not_before);
CREATE INDEX outbox_lane ON outbox (lane, seq) WHERE state IN ('planned', 'sending');
CREATE INDEX outbox_sending ON outbox (lane) WHERE state = 'sending';
CREATE INDEX outbox_event ON outbox (event_key) WHERE event_key IS NOT NULL;
