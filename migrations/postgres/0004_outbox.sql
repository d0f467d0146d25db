-- Commands to the outside, committed with the result that asks for them, carried out afterwards.
CREATE TABLE outbox (
    -- the order within a lane
    seq         bigserial    PRIMARY KEY,
    id          text         NOT NULL UNIQUE,
    event_key   text,
    tenant      text         NOT NULL,
    kind        text         NOT NULL CHECK (kind IN ('message', 'copy_dead_letter', 'requeue')),
    lane        text         COLLATE "C" NOT NULL,
    state       text         NOT NULL CHECK (state IN ('planned', 'sending', 'sent', 'refused', 'unknown', 'dropped')),
    tries       integer      NOT NULL DEFAULT 0,
    not_before  timestamptz  NOT NULL,
    expires_at  timestamptz,
    lease_until timestamptz,
    -- of a message, taken out of the body for the checks before it is sent: opt-out, the tenant's switch
    channel     text,
    recipient   text,
    automatic   boolean      NOT NULL DEFAULT false,
    -- the whole command
    body        json         NOT NULL,
    vendor_id   text,
    detail      text,
    created_at  timestamptz  NOT NULL,
    updated_at  timestamptz  NOT NULL
);
CREATE INDEX outbox_due ON outbox (state, not_before);
CREATE INDEX outbox_lane ON outbox (lane, seq) WHERE state IN ('planned', 'sending');
CREATE INDEX outbox_sending ON outbox (lane) WHERE state = 'sending';
-- what may be taken, in order: without it the planner walks all that was ever sent
CREATE INDEX outbox_planned ON outbox (seq) WHERE state = 'planned';
CREATE INDEX outbox_event ON outbox (event_key) WHERE event_key IS NOT NULL;
