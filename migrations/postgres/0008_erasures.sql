-- What an event is about, as a hash, and when it happened by the sender's clock (null: not told). Neither column
-- changes while an event is worked: the updates of its row stay within its page.
ALTER TABLE inbox ADD COLUMN subject text, ADD COLUMN occurred_at timestamptz;
CREATE INDEX inbox_subject ON inbox (tenant, subject) WHERE subject IS NOT NULL;
CREATE INDEX inbox_first ON inbox (first_at);

-- Orders to erase: whatever happened to that subject until then is not taken in any more.
CREATE TABLE erasures (
    tenant  text        NOT NULL,
    subject text        NOT NULL,
    at      timestamptz NOT NULL,
    PRIMARY KEY (tenant, subject)
);

-- Hashes of keys that left the inbox although their duplicates cannot be told by their age.
CREATE TABLE forgotten (
    hash text NOT NULL PRIMARY KEY
);

-- `queued` is a state of a delivery, too.
ALTER TABLE deliveries DROP CONSTRAINT deliveries_state_check,
    ADD CONSTRAINT deliveries_state_check CHECK (state IN ('queued', 'sent', 'failed', 'delivered', 'read'));

-- `erased` is a state of a dead letter, too: its content is gone, and it cannot be replayed.
ALTER TABLE dead_letters DROP CONSTRAINT dead_letters_state_check,
    ADD CONSTRAINT dead_letters_state_check CHECK (state IN ('open', 'replayed', 'erased'));
CREATE INDEX dead_letters_event ON dead_letters (event_key) WHERE event_key IS NOT NULL;
CREATE INDEX messages_event ON messages (event_key) WHERE event_key IS NOT NULL;
