-- A tenant without a row has every switch at its default.
CREATE TABLE tenants (
    id           text        NOT NULL PRIMARY KEY,
    auto_replies boolean     NOT NULL DEFAULT true,
    updated_at   timestamptz NOT NULL
);

-- What happened, and by whose order. Never changed.
CREATE TABLE audit_log (
    id      bigserial   NOT NULL,
    at      timestamptz NOT NULL,
    actor   text        NOT NULL,
    action  text        NOT NULL,
    -- an event key, a command id, a dead letter id or a tenant
    subject text        NOT NULL,
    tenant  text,
    detail  text        NOT NULL,
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE INDEX audit_log_subject ON audit_log (subject);
CREATE TABLE audit_log_default PARTITION OF audit_log DEFAULT;

SELECT make_month_partitions('audit_log', 2);
