-- What could not be processed, whole, with its reason: the record; the DLQ holds a copy.
CREATE TABLE dead_letters (
    -- KEY@revision of an event, the content hash of a message, or a command id
    id         TEXT    NOT NULL PRIMARY KEY,
    kind       TEXT    NOT NULL CHECK (kind IN ('event', 'delivery', 'command')),
    state      TEXT    NOT NULL CHECK (state IN ('open', 'replayed')),
    source     TEXT,
    event_key  TEXT,
    reason     TEXT    NOT NULL,
    detail     TEXT    NOT NULL,
    seen       INTEGER NOT NULL DEFAULT 1,
    first_at   INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    body       TEXT    NOT NULL,
    attributes TEXT    NOT NULL CHECK (json_valid(attributes)),
    -- the bad item alone, or the model's raw text
    extra      TEXT    CHECK (extra IS NULL OR json_valid(extra))
) STRICT;
CREATE INDEX dead_letters_last ON dead_letters (last_at);
CREATE INDEX dead_letters_reason ON dead_letters (state, reason);

-- Who gave which dead letter a fresh start, and when.
CREATE TABLE replays (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    dead_letter TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    actor       TEXT    NOT NULL,
    event_key   TEXT,
    -- the revision that it opened
    revision    INTEGER
) STRICT;
CREATE INDEX replays_dead_letter ON replays (dead_letter);
