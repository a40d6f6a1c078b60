-- Migration 1: ledgers, events, and what operating them needs. See README.md, "Schema".
--
-- `position` is ledger * 2^48 + leaf index; the directory ledger is -1. Times are microseconds since 1970, UTC.
-- Nothing here is ever deleted from or updated but: ledger_head, lease, receipt_total, dead_letter, api_key, cursor,
-- verification_run, and those of configurations and of alerts.

CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger (
    ledger INTEGER NOT NULL PRIMARY KEY,
    origin TEXT    NOT NULL UNIQUE
) STRICT;

-- The only row of a ledger that is ever updated. roots: the compact range, 32 bytes each, largest subtree first.
CREATE TABLE ledger_head (
    ledger INTEGER NOT NULL PRIMARY KEY REFERENCES ledger (ledger),
    size   INTEGER NOT NULL,
    epoch  INTEGER NOT NULL,
    state  INTEGER NOT NULL,
    roots  BLOB    NOT NULL,
    mac    BLOB    NOT NULL
) STRICT;

-- One row a commit. position is that of the first leaf.
CREATE TABLE ledger_chunk (
    position    INTEGER NOT NULL PRIMARY KEY,
    count       INTEGER NOT NULL,
    entries     BLOB    NOT NULL,
    leaf_hashes BLOB    NOT NULL
) STRICT;

-- Full tiles only.
CREATE TABLE ledger_tile (
    ledger INTEGER NOT NULL REFERENCES ledger (ledger),
    level  INTEGER NOT NULL,
    tile   INTEGER NOT NULL,
    hashes BLOB    NOT NULL,
    PRIMARY KEY (ledger, level, tile)
) STRICT;

-- Control documents of the directory ledger.
CREATE TABLE ledger_control (
    leaf_index INTEGER NOT NULL PRIMARY KEY,
    salt       BLOB    NOT NULL,
    document   TEXT    NOT NULL
) STRICT;

CREATE TABLE audit_event (
    position             INTEGER NOT NULL PRIMARY KEY,
    id                   BLOB    NOT NULL,
    organization_id      TEXT    NOT NULL,
    timestamp            INTEGER NOT NULL,
    received_at          INTEGER NOT NULL,
    sealed_at            INTEGER NOT NULL,
    principal_id         TEXT,
    action               TEXT    NOT NULL,
    target_resource_type TEXT,
    target_resource_id   TEXT,
    status               INTEGER NOT NULL,
    severity             INTEGER NOT NULL,
    data_classification  INTEGER NOT NULL,
    retention_policy     TEXT    NOT NULL,
    correlation_id       TEXT,
    leaf_hash            BLOB    NOT NULL,
    claim                BLOB    NOT NULL,
    salt                 BLOB,
    canonical            TEXT
) STRICT;

CREATE UNIQUE INDEX event_identity ON audit_event (id, organization_id, timestamp);
CREATE INDEX event_by_time ON audit_event (organization_id, timestamp, id);
CREATE INDEX event_by_principal ON audit_event (organization_id, principal_id, timestamp);
CREATE INDEX event_by_action ON audit_event (organization_id, action, timestamp);
CREATE INDEX event_by_target ON audit_event (organization_id, target_resource_type, target_resource_id, timestamp);
CREATE INDEX event_by_correlation ON audit_event (correlation_id) WHERE correlation_id IS NOT NULL;

-- position is ledger * 2^48 + size.
CREATE TABLE checkpoint (
    position INTEGER NOT NULL PRIMARY KEY,
    note     TEXT    NOT NULL
) STRICT;

CREATE TABLE receipt (
    frame_id      BLOB    NOT NULL PRIMARY KEY,
    source        TEXT    NOT NULL,
    via           INTEGER NOT NULL,
    events        INTEGER NOT NULL,
    stored        INTEGER NOT NULL,
    duplicate     INTEGER NOT NULL,
    conflict      INTEGER NOT NULL,
    dead_lettered INTEGER NOT NULL,
    committed_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Sums over receipt, moved in the transaction that inserts them.
CREATE TABLE receipt_total (
    via           INTEGER NOT NULL PRIMARY KEY,
    events        INTEGER NOT NULL,
    stored        INTEGER NOT NULL,
    duplicate     INTEGER NOT NULL,
    conflict      INTEGER NOT NULL,
    dead_lettered INTEGER NOT NULL
) STRICT;
INSERT INTO receipt_total VALUES (0, 0, 0, 0, 0, 0), (1, 0, 0, 0, 0, 0), (2, 0, 0, 0, 0, 0);

CREATE TABLE dead_letter (
    id              BLOB    NOT NULL PRIMARY KEY,
    frame_id        BLOB    NOT NULL,
    frame_index     INTEGER NOT NULL,
    event_id        BLOB,
    organization_id TEXT    NOT NULL,
    reason          TEXT    NOT NULL,
    detail          TEXT    NOT NULL,
    payload         BLOB    NOT NULL,
    received_at     INTEGER,
    dead_at         INTEGER NOT NULL,
    replayed_at     INTEGER,
    replayed_as     BLOB
) STRICT;
CREATE INDEX dead_letter_waiting ON dead_letter (id) WHERE replayed_at IS NULL;

-- owner is NULL when it was given back; the row stays, so that no epoch is given twice.
CREATE TABLE lease (
    ledger     INTEGER NOT NULL PRIMARY KEY,
    epoch      INTEGER NOT NULL,
    owner      TEXT,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE api_key (
    id                   TEXT    NOT NULL PRIMARY KEY,
    name                 TEXT    NOT NULL,
    secret_hash          BLOB    NOT NULL,
    role                 TEXT    NOT NULL,
    all_organizations    INTEGER NOT NULL,
    default_organization TEXT    NOT NULL,
    created_at           INTEGER NOT NULL,
    expires_at           INTEGER,
    revoked_at           INTEGER
) STRICT;

CREATE TABLE api_key_organization (
    api_key         TEXT    NOT NULL REFERENCES api_key (id),
    ordinal         INTEGER NOT NULL,
    organization_id TEXT    NOT NULL,
    PRIMARY KEY (api_key, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE cursor (
    follower TEXT    NOT NULL,
    ledger   INTEGER NOT NULL,
    next     INTEGER NOT NULL,
    PRIMARY KEY (follower, ledger)
) STRICT, WITHOUT ROWID;

CREATE TABLE verification_run (
    id     TEXT    NOT NULL PRIMARY KEY,
    at     INTEGER NOT NULL,
    report TEXT    NOT NULL
) STRICT;
CREATE INDEX verification_run_by_time ON verification_run (at, id);

-- What the process was to run with; the documents themselves are never here. state: 0 watched, 1 in force, 2 rolled back.
CREATE TABLE config_version (
    config         TEXT    NOT NULL,
    number         INTEGER NOT NULL,
    sha256         BLOB    NOT NULL,
    source         TEXT    NOT NULL,
    source_version TEXT,
    by_whom        TEXT    NOT NULL,
    restores       INTEGER,
    changes        TEXT    NOT NULL,
    published_at   INTEGER NOT NULL,
    watch_until    INTEGER NOT NULL,
    state          INTEGER NOT NULL,
    concluded_at   INTEGER,
    reason         TEXT,
    PRIMARY KEY (config, number)
) STRICT, WITHOUT ROWID;

-- taken: 0 applied, 1 waiting, 2 failed.
CREATE TABLE config_report (
    config  TEXT    NOT NULL,
    number  INTEGER NOT NULL,
    process TEXT    NOT NULL,
    taken   INTEGER NOT NULL,
    detail  TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (config, number, process)
) STRICT, WITHOUT ROWID;

-- level: 0 informational, 1 low, 2 medium, 3 high, 4 critical. state: 0 open, 1 acknowledged, 2 resolved.
CREATE TABLE alert (
    id              BLOB    NOT NULL PRIMARY KEY,
    group_digest    BLOB    NOT NULL,
    organization_id TEXT    NOT NULL,
    rule            TEXT    NOT NULL,
    level           INTEGER NOT NULL,
    state           INTEGER NOT NULL,
    raised_at       INTEGER NOT NULL,
    escalation      INTEGER NOT NULL,
    escalate_at     INTEGER,
    notified        INTEGER NOT NULL,
    version         INTEGER NOT NULL,
    facts           TEXT    NOT NULL
) STRICT;
CREATE INDEX alert_by_time ON alert (raised_at, id);
CREATE INDEX alert_by_organization ON alert (organization_id, raised_at, id);
CREATE INDEX alert_by_group ON alert (group_digest, raised_at, id);
CREATE INDEX alert_due ON alert (escalate_at, id) WHERE state = 0 AND escalate_at IS NOT NULL;
CREATE INDEX alert_resolved ON alert (raised_at, id) WHERE state = 2;

-- When the raising of one of a group's alerts was told last: what a cooldown is measured from.
CREATE TABLE alert_group (
    group_digest BLOB    NOT NULL PRIMARY KEY,
    notified_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX alert_group_by_time ON alert_group (notified_at);

-- The outbox. state: 0 waits, 1 given up, 2 told; what was told keeps its key only. held_until: not offered before. A number is
-- never used twice, or one who comes late with an old one would settle another delivery.
CREATE TABLE alert_delivery (
    number       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    handler      TEXT    NOT NULL,
    key          TEXT    NOT NULL,
    alert        BLOB    NOT NULL REFERENCES alert (id),
    group_digest BLOB    NOT NULL,
    payload      TEXT    NOT NULL,
    written_at   INTEGER NOT NULL,
    held_until   INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    state        INTEGER NOT NULL,
    error        TEXT    NOT NULL,
    UNIQUE (handler, key)
) STRICT;
CREATE INDEX alert_delivery_waiting ON alert_delivery (handler, number) WHERE state = 0;
CREATE INDEX alert_delivery_in_group ON alert_delivery (handler, group_digest, number) WHERE state = 0;
CREATE INDEX alert_delivery_given_up ON alert_delivery (handler, number) WHERE state = 1;
CREATE INDEX alert_delivery_of_alert ON alert_delivery (alert, state);
