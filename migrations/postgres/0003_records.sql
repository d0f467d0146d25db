-- What was made of an event; a replay (a new revision) adds, it never overwrites.
CREATE TABLE results (
    event_key  text              NOT NULL,
    revision   integer           NOT NULL,
    kind       text              NOT NULL,
    tenant     text              NOT NULL,
    body       json              NOT NULL,
    confidence double precision,
    model      text              NOT NULL,
    prompt     text              NOT NULL,
    -- ledger ids of the calls behind it
    calls      json              NOT NULL,
    created_at timestamptz       NOT NULL,
    PRIMARY KEY (event_key, revision, kind)
);

-- A person as one system knows them.
CREATE TABLE contacts (
    tenant      text        NOT NULL,
    system      text        NOT NULL,
    external_id text        NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant, system, external_id)
);

-- Each property has a version of its own: a write wins only when (version_at, version_tie) is greater.
-- A null value is a tombstone. Ties compare byte by byte, as in SQLite.
CREATE TABLE contact_properties (
    tenant      text        NOT NULL,
    system      text        NOT NULL,
    external_id text        NOT NULL,
    name        text        NOT NULL,
    value       text,
    version_at  timestamptz NOT NULL,
    version_tie text        COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, system, external_id, name),
    FOREIGN KEY (tenant, system, external_id) REFERENCES contacts (tenant, system, external_id)
);

-- One person, one business number, one channel. A write with an older `last_inbound_at` changes nothing.
CREATE TABLE conversations (
    id              text              NOT NULL PRIMARY KEY,
    tenant          text              NOT NULL,
    channel         text              NOT NULL,
    business_id     text              NOT NULL,
    contact         text              NOT NULL,
    last_inbound_at timestamptz       NOT NULL,
    intent          text,
    lead_stage      text,
    sentiment       text,
    language        text,
    confidence      double precision,
    created_at      timestamptz       NOT NULL,
    updated_at      timestamptz       NOT NULL
);

CREATE TABLE messages (
    channel      text        NOT NULL,
    vendor_id    text        NOT NULL,
    tenant       text        NOT NULL,
    direction    text        NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    conversation text        NOT NULL,
    message_type text        NOT NULL,
    text         text,
    raw          json        NOT NULL,
    sent_at      timestamptz NOT NULL,
    event_key    text,
    PRIMARY KEY (channel, vendor_id)
);
CREATE INDEX messages_conversation ON messages (conversation, sent_at);

-- How far a message of ours got. `rank` (see DeliveryState) only grows. A status that comes before our own
-- commit is kept by the vendor's id and linked to its command later.
CREATE TABLE deliveries (
    channel    text        NOT NULL,
    vendor_id  text        NOT NULL,
    state      text        NOT NULL CHECK (state IN ('sent', 'failed', 'delivered', 'read')),
    rank       integer     NOT NULL,
    at         timestamptz NOT NULL,
    error_code text,
    command_id text,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (channel, vendor_id)
);
CREATE INDEX deliveries_command ON deliveries (command_id) WHERE command_id IS NOT NULL;
