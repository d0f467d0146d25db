-- What an event is about, as a hash, and when it happened by the sender's clock (null: not told).
ALTER TABLE inbox ADD COLUMN subject TEXT;
ALTER TABLE inbox ADD COLUMN occurred_at INTEGER;
CREATE INDEX inbox_subject ON inbox (tenant, subject) WHERE subject IS NOT NULL;
CREATE INDEX inbox_first ON inbox (first_at);

-- Orders to erase: whatever happened to that subject until then is not taken in any more.
CREATE TABLE erasures (
    tenant  TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (tenant, subject)
) STRICT, WITHOUT ROWID;

-- Hashes of keys that left the inbox although their duplicates cannot be told by their age.
CREATE TABLE forgotten (
    hash TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- `queued` is a state of a delivery, too. SQLite changes a check only with the whole table.
CREATE TABLE deliveries_new (
    channel    TEXT    NOT NULL,
    vendor_id  TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('queued', 'sent', 'failed', 'delivered', 'read')),
    rank       INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    error_code TEXT,
    command_id TEXT,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (channel, vendor_id)
) STRICT, WITHOUT ROWID;
INSERT INTO deliveries_new SELECT * FROM deliveries;
DROP TABLE deliveries;
ALTER TABLE deliveries_new RENAME TO deliveries;
CREATE INDEX deliveries_command ON deliveries (command_id) WHERE command_id IS NOT NULL;

-- `erased` is a state of a dead letter, too: its content is gone, and it cannot be replayed.
CREATE TABLE dead_letters_new (
    -- KEY@revision of an event, the content hash of a message, or a command id
    id         TEXT    NOT NULL PRIMARY KEY,
    kind       TEXT    NOT NULL CHECK (kind IN ('event', 'delivery', 'command')),
    state      TEXT    NOT NULL CHECK (state IN ('open', 'replayed', 'erased')),
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
INSERT INTO dead_letters_new SELECT * FROM dead_letters ORDER BY rowid;
DROP TABLE dead_letters;
ALTER TABLE dead_letters_new RENAME TO dead_letters;
CREATE INDEX dead_letters_last ON dead_letters (last_at);
CREATE INDEX dead_letters_reason ON dead_letters (state, reason);
CREATE INDEX dead_letters_event ON dead_letters (event_key) WHERE event_key IS NOT NULL;
CREATE INDEX messages_event ON messages (event_key) WHERE event_key IS NOT NULL;
