-- A tenant without a row has every switch at its default.
CREATE TABLE tenants (
    id           TEXT    NOT NULL PRIMARY KEY,
    auto_replies INTEGER NOT NULL DEFAULT 1 CHECK (auto_replies IN (0, 1)),
    updated_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What happened, and by whose order. Never changed.
CREATE TABLE audit_log (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    actor   TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    -- an event key, a command id, a dead letter id or a tenant
    subject TEXT    NOT NULL,
    tenant  TEXT,
    detail  TEXT    NOT NULL
) STRICT;
CREATE INDEX audit_log_subject ON audit_log (subject);
