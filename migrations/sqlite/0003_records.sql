-- What was made of an event; a replay (a new revision) adds, it never overwrites.
CREATE TABLE results (
    event_key  TEXT    NOT NULL,
    revision   INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    tenant     TEXT    NOT NULL,
    body       TEXT    NOT NULL CHECK (json_valid(body)),
    confidence REAL,
    model      TEXT    NOT NULL,
    prompt     TEXT    NOT NULL,
    -- ledger ids of the calls behind it
    calls      TEXT    NOT NULL CHECK (json_valid(calls)),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (event_key, revision, kind)
) STRICT, WITHOUT ROWID;

-- A person as one system knows them.
CREATE TABLE contacts (
    tenant      TEXT    NOT NULL,
    system      TEXT    NOT NULL,
    external_id TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant, system, external_id)
) STRICT, WITHOUT ROWID;

-- Each property has a version of its own: a write wins only when (version_at, version_tie) is greater.
-- A null value is a tombstone.
CREATE TABLE contact_properties (
    tenant      TEXT    NOT NULL,
    system      TEXT    NOT NULL,
    external_id TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    value       TEXT,
    version_at  INTEGER NOT NULL,
    version_tie TEXT    NOT NULL,
    PRIMARY KEY (tenant, system, external_id, name),
    FOREIGN KEY (tenant, system, external_id) REFERENCES contacts (tenant, system, external_id)
) STRICT, WITHOUT ROWID;

-- One person, one business number, one channel. A write with an older `last_inbound_at` changes nothing.
CREATE TABLE conversations (
    id              TEXT    NOT NULL PRIMARY KEY,
    tenant          TEXT    NOT NULL,
    channel         TEXT    NOT NULL,
    business_id     TEXT    NOT NULL,
    contact         TEXT    NOT NULL,
    last_inbound_at INTEGER NOT NULL,
    intent          TEXT,
    lead_stage      TEXT,
    sentiment       TEXT,
    language        TEXT,
    confidence      REAL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE messages (
    channel      TEXT    NOT NULL,
    vendor_id    TEXT    NOT NULL,
    tenant       TEXT    NOT NULL,
    direction    TEXT    NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    conversation TEXT    NOT NULL,
    message_type TEXT    NOT NULL,
    text         TEXT,
    raw          TEXT    NOT NULL CHECK (json_valid(raw)),
    sent_at      INTEGER NOT NULL,
    event_key    TEXT,
    PRIMARY KEY (channel, vendor_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX messages_conversation ON messages (conversation, sent_at);

-- How far a message of ours got. `rank` (see DeliveryState) only grows. A status that comes before our own
-- commit is kept by the vendor's id and linked to its command later.
CREATE TABLE deliveries (
    channel    TEXT    NOT NULL,
    vendor_id  TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('sent', 'failed', 'delivered', 'read')),
    rank       INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    error_code TEXT,
    command_id TEXT,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (channel, vendor_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_command ON deliveries (command_id) WHERE command_id IS NOT NULL;
