-- What could not be processed, whole, with its reason: the record; the DLQ holds a copy.
CREATE TABLE dead_letters (
    -- KEY@revision of an event, the content hash of a message, or a command id
    id         text        COLLATE "C" NOT NULL PRIMARY KEY,
    kind       text        NOT NULL CHECK (kind IN ('event', 'delivery', 'command')),
    state      text        NOT NULL CHECK (state IN ('open', 'replayed')),
    source     text,
    event_key  text,
    reason     text        NOT NULL,
    detail     text        NOT NULL,
    seen       integer     NOT NULL DEFAULT 1,
    first_at   timestamptz NOT NULL,
    last_at    timestamptz NOT NULL,
    body       text        NOT NULL,
    attributes json        NOT NULL,
    -- the bad item alone, or the model's raw text
    extra      json
);
CREATE INDEX dead_letters_last ON dead_letters (last_at);
CREATE INDEX dead_letters_reason ON dead_letters (state, reason);

-- Who gave which dead letter a fresh start, and when.
CREATE TABLE replays (
    id          bigserial   PRIMARY KEY,
    dead_letter text        NOT NULL,
    at          timestamptz NOT NULL,
    actor       text        NOT NULL,
    event_key   text,
    -- the revision that it opened
    revision    integer
);
CREATE INDEX replays_dead_letter ON replays (dead_letter);
