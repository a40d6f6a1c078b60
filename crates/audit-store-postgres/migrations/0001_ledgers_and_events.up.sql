-- Migration 1: ledgers, events, and what operating them needs. See README.md, "Schema".
--
-- `position` is ledger * 2^48 + leaf index; the directory ledger is -1. The names are those of the SQLite store's schema.
-- Nothing here is ever deleted from or updated but: ledger_head, lease, receipt_total, dead_letter, api_key, cursor,
-- verification_run, config_version, config_report, probe.

-- Roles belong to the whole server: another database may be making them this moment.
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['audit_owner', 'audit_writer', 'audit_maintainer', 'audit_reader'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
    -- Whoever migrates gives everything to audit_owner, and must therefore be a member of it.
    IF NOT pg_has_role(current_user, 'audit_owner', 'MEMBER') THEN
        EXECUTE format('GRANT audit_owner TO %I', current_user);
    END IF;
END
$$;

CREATE TABLE audit.meta (
    key   text COLLATE "C" NOT NULL PRIMARY KEY,
    value text COLLATE "C" NOT NULL
);

CREATE TABLE audit.probe (
    one boolean     NOT NULL PRIMARY KEY DEFAULT true CHECK (one),
    at  timestamptz NOT NULL
);

CREATE TABLE audit.ledger (
    ledger smallint         NOT NULL PRIMARY KEY,
    origin text COLLATE "C" NOT NULL UNIQUE
);

-- The only row of a ledger that is ever updated. roots: the compact range, 32 bytes each, largest subtree first.
-- Half-empty pages: an update of a head stays on its page and touches no index.
CREATE TABLE audit.ledger_head (
    ledger smallint NOT NULL PRIMARY KEY REFERENCES audit.ledger (ledger),
    size   bigint   NOT NULL,
    epoch  bigint   NOT NULL,
    state  smallint NOT NULL,
    roots  bytea    NOT NULL,
    mac    bytea    NOT NULL
) WITH (fillfactor = 50);

-- One row a commit. position is that of the first leaf.
CREATE TABLE audit.ledger_chunk (
    position    bigint  NOT NULL PRIMARY KEY,
    count       integer NOT NULL,
    entries     bytea   NOT NULL,
    leaf_hashes bytea   NOT NULL
);
-- Compressed already, or noise: PostgreSQL need not try.
ALTER TABLE audit.ledger_chunk ALTER COLUMN entries SET STORAGE EXTERNAL, ALTER COLUMN leaf_hashes SET STORAGE EXTERNAL;

-- Full tiles only.
CREATE TABLE audit.ledger_tile (
    ledger smallint NOT NULL REFERENCES audit.ledger (ledger),
    level  smallint NOT NULL,
    tile   bigint   NOT NULL,
    hashes bytea    NOT NULL,
    PRIMARY KEY (ledger, level, tile)
);
ALTER TABLE audit.ledger_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

-- Control documents of the directory ledger.
CREATE TABLE audit.ledger_control (
    leaf_index bigint           NOT NULL PRIMARY KEY,
    salt       bytea            NOT NULL,
    document   text COLLATE "C" NOT NULL
);

-- No default partition: it would block attaching and detaching. audit.ensure_partition makes a month when it is first needed.
CREATE TABLE audit.audit_event (
    position             bigint           NOT NULL,
    id                   uuid             NOT NULL,
    organization_id      text COLLATE "C" NOT NULL,
    timestamp            timestamptz      NOT NULL,
    received_at          timestamptz      NOT NULL,
    sealed_at            timestamptz      NOT NULL,
    principal_id         text COLLATE "C",
    action               text COLLATE "C" NOT NULL,
    target_resource_type text COLLATE "C",
    target_resource_id   text COLLATE "C",
    status               smallint         NOT NULL,
    severity             smallint         NOT NULL,
    data_classification  smallint         NOT NULL,
    retention_policy     text COLLATE "C" NOT NULL,
    correlation_id       text COLLATE "C",
    leaf_hash            bytea            NOT NULL,
    claim                bytea            NOT NULL,
    salt                 bytea,
    canonical            text COLLATE "C",
    PRIMARY KEY (id, organization_id, timestamp)
) PARTITION BY RANGE (timestamp);

-- A b-tree, not BRIN: signer and followers read the newest leaves, which are those that no BRIN has summarised yet.
CREATE INDEX event_by_position ON audit.audit_event (position);
CREATE INDEX event_by_time ON audit.audit_event (organization_id, timestamp, id);
CREATE INDEX event_by_principal ON audit.audit_event (organization_id, principal_id, timestamp);
CREATE INDEX event_by_action ON audit.audit_event (organization_id, action, timestamp);
CREATE INDEX event_by_correlation ON audit.audit_event (correlation_id) WHERE correlation_id IS NOT NULL;

-- position is ledger * 2^48 + size.
CREATE TABLE audit.checkpoint (
    position bigint           NOT NULL PRIMARY KEY,
    note     text COLLATE "C" NOT NULL
);

CREATE TABLE audit.receipt (
    frame_id      uuid             NOT NULL PRIMARY KEY,
    source        text COLLATE "C" NOT NULL,
    via           smallint         NOT NULL,
    events        integer          NOT NULL,
    stored        integer          NOT NULL,
    duplicate     integer          NOT NULL,
    conflict      integer          NOT NULL,
    dead_lettered integer          NOT NULL,
    committed_at  timestamptz      NOT NULL
);

-- Sums over receipt, moved in the transaction that inserts them. A row for each ledger, so that lanes do not wait for each other.
CREATE TABLE audit.receipt_total (
    ledger        smallint NOT NULL,
    via           smallint NOT NULL,
    events        bigint   NOT NULL,
    stored        bigint   NOT NULL,
    duplicate     bigint   NOT NULL,
    conflict      bigint   NOT NULL,
    dead_lettered bigint   NOT NULL,
    PRIMARY KEY (ledger, via)
) WITH (fillfactor = 50);

CREATE TABLE audit.dead_letter (
    id              uuid             NOT NULL PRIMARY KEY,
    frame_id        uuid             NOT NULL,
    frame_index     integer          NOT NULL,
    event_id        uuid,
    organization_id text COLLATE "C" NOT NULL,
    reason          text COLLATE "C" NOT NULL,
    detail          text COLLATE "C" NOT NULL,
    payload         bytea            NOT NULL,
    received_at     timestamptz,
    dead_at         timestamptz      NOT NULL,
    replayed_at     timestamptz,
    replayed_as     uuid
);
CREATE INDEX dead_letter_waiting ON audit.dead_letter (id) WHERE replayed_at IS NULL;

-- owner is NULL when it was given back; the row stays, so that no epoch is given twice. session_*: the connection on which the
-- holder commits, as its last commit in its epoch wrote it down; a takeover ends it.
CREATE TABLE audit.lease (
    ledger        smallint         NOT NULL PRIMARY KEY,
    epoch         bigint           NOT NULL,
    owner         text COLLATE "C",
    expires_at    timestamptz      NOT NULL,
    session_pid   integer,
    session_start timestamptz
) WITH (fillfactor = 50);

CREATE TABLE audit.api_key (
    id                   text COLLATE "C" NOT NULL PRIMARY KEY,
    name                 text COLLATE "C" NOT NULL,
    secret_hash          bytea            NOT NULL,
    role                 text COLLATE "C" NOT NULL,
    all_organizations    boolean          NOT NULL,
    organizations        text[] COLLATE "C" NOT NULL,
    default_organization text COLLATE "C" NOT NULL,
    created_at           timestamptz      NOT NULL,
    expires_at           timestamptz,
    revoked_at           timestamptz
);

CREATE TABLE audit.cursor (
    follower text COLLATE "C" NOT NULL,
    ledger   smallint         NOT NULL,
    next     bigint           NOT NULL,
    PRIMARY KEY (follower, ledger)
) WITH (fillfactor = 50);

CREATE TABLE audit.verification_run (
    id     text COLLATE "C" NOT NULL PRIMARY KEY,
    at     timestamptz      NOT NULL,
    report text COLLATE "C" NOT NULL
);
CREATE INDEX verification_run_by_time ON audit.verification_run (at, id);

-- What processes were to run with; the documents themselves are never here. state: 0 watched, 1 in force, 2 rolled back.
CREATE TABLE audit.config_version (
    config         text COLLATE "C" NOT NULL,
    number         bigint           NOT NULL,
    sha256         bytea            NOT NULL,
    source         text COLLATE "C" NOT NULL,
    source_version text COLLATE "C",
    by_whom        text COLLATE "C" NOT NULL,
    restores       bigint,
    changes        text COLLATE "C" NOT NULL,
    published_at   timestamptz      NOT NULL,
    watch_until    timestamptz      NOT NULL,
    state          smallint         NOT NULL,
    concluded_at   timestamptz,
    reason         text COLLATE "C",
    PRIMARY KEY (config, number)
);

-- taken: 0 applied, 1 waiting, 2 failed.
CREATE TABLE audit.config_report (
    config  text COLLATE "C" NOT NULL,
    number  bigint           NOT NULL,
    process text COLLATE "C" NOT NULL,
    taken   smallint         NOT NULL,
    detail  text COLLATE "C" NOT NULL,
    at      timestamptz      NOT NULL,
    PRIMARY KEY (config, number, process)
);

-- level: 0 informational, 1 low, 2 medium, 3 high, 4 critical. state: 0 open, 1 acknowledged, 2 resolved. facts and payload are
-- text, not jsonb: jsonb refuses \u0000, which the event that raised an alert may contain.
CREATE TABLE audit.alert (
    id              bytea            NOT NULL PRIMARY KEY,
    group_digest    bytea            NOT NULL,
    organization_id text COLLATE "C" NOT NULL,
    rule            text COLLATE "C" NOT NULL,
    level           smallint         NOT NULL,
    state           smallint         NOT NULL,
    raised_at       timestamptz      NOT NULL,
    escalation      smallint         NOT NULL,
    escalate_at     timestamptz,
    notified        boolean          NOT NULL,
    version         bigint           NOT NULL,
    facts           text COLLATE "C" NOT NULL
);
CREATE INDEX alert_by_time ON audit.alert (raised_at, id);
CREATE INDEX alert_by_organization ON audit.alert (organization_id, raised_at, id);
CREATE INDEX alert_by_group ON audit.alert (group_digest, raised_at, id);
CREATE INDEX alert_due ON audit.alert (escalate_at, id) WHERE state = 0 AND escalate_at IS NOT NULL;
CREATE INDEX alert_resolved ON audit.alert (raised_at, id) WHERE state = 2;

-- When the raising of one of a group's alerts was told last: what a cooldown is measured from. Whoever writes deliveries of a
-- group holds its row, so that their numbers follow the order of the commits.
CREATE TABLE audit.alert_group (
    group_digest bytea       NOT NULL PRIMARY KEY,
    notified_at  timestamptz NOT NULL
);
CREATE INDEX alert_group_by_time ON audit.alert_group (notified_at);

-- The outbox. state: 0 waits, 1 given up, 2 told; what was told keeps its key only. held_until: not offered before.
CREATE TABLE audit.alert_delivery (
    number       bigint           NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    handler      text COLLATE "C" NOT NULL,
    key          text COLLATE "C" NOT NULL,
    alert        bytea            NOT NULL REFERENCES audit.alert (id),
    group_digest bytea            NOT NULL,
    payload      text COLLATE "C" NOT NULL,
    written_at   timestamptz      NOT NULL,
    held_until   timestamptz      NOT NULL,
    attempts     integer          NOT NULL,
    state        smallint         NOT NULL,
    error        text COLLATE "C" NOT NULL,
    UNIQUE (handler, key)
);
CREATE INDEX alert_delivery_waiting ON audit.alert_delivery (handler, number) WHERE state = 0;
CREATE INDEX alert_delivery_in_group ON audit.alert_delivery (handler, group_digest, number) WHERE state = 0;
CREATE INDEX alert_delivery_given_up ON audit.alert_delivery (handler, number) WHERE state = 1;
CREATE INDEX alert_delivery_of_alert ON audit.alert_delivery (alert, state);

-- Events older than this month share one partition.
INSERT INTO audit.meta (key, value)
VALUES ('oldest_month', to_char(date_trunc('month', now() AT TIME ZONE 'UTC') - interval '10 years', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'));
DO $$
BEGIN
    EXECUTE format('CREATE TABLE audit.audit_event_old PARTITION OF audit.audit_event FOR VALUES FROM (MINVALUE) TO (%L)',
        (SELECT value::timestamptz FROM audit.meta WHERE key = 'oldest_month'));
END
$$;

-- Makes the partition of the month that `at` is in; true when it was not there. For writers, who may not make tables themselves.
-- Its own transaction: attaching takes a lock that a commit must not hold. Months beyond now + 3 are refused (22008): no
-- partition may be made by a clock that is wrong. A month that was let go but not dropped yet keeps its name: the new one has
-- the next that is free. While it is being let go there can be no other (55P03: try again).
CREATE FUNCTION audit.ensure_partition(at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    first timestamp := date_trunc('month', at AT TIME ZONE 'UTC');
    begins timestamptz := first AT TIME ZONE 'UTC';
    ends timestamptz := (first + interval '1 month') AT TIME ZONE 'UTC';
    month text := 'audit_event_' || to_char(first, 'YYYY_MM');
    name text := month;
    leaving boolean;
BEGIN
    IF at < (SELECT value::timestamptz FROM audit.meta WHERE key = 'oldest_month') THEN
        RETURN false;
    END IF;
    IF begins > now() + interval '3 months' THEN
        RAISE EXCEPTION 'no partition is made for the month %: it is too far ahead', to_char(first, 'YYYY-MM')
            USING ERRCODE = 'datetime_field_overflow';
    END IF;
    -- Looked at again behind the lock: whoever held it may have made this month.
    FOR look IN 1..2 LOOP
        -- What counts is what is attached: a table of that name may be one that was let go.
        SELECT i.inhdetachpending INTO leaving FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = 'audit.audit_event'::regclass AND c.relname LIKE month || '%';
        IF leaving THEN
            RAISE EXCEPTION 'the partition of the month % is being detached; DETACH PARTITION ... FINALIZE when that was cut off',
                to_char(first, 'YYYY-MM') USING ERRCODE = 'lock_not_available';
        END IF;
        IF FOUND THEN
            RETURN false;
        END IF;
        PERFORM pg_advisory_xact_lock(hashtextextended('audit.ensure_partition', 0)) WHERE look = 1;
    END LOOP;
    -- Not to_regclass: it would remember what there was before the wait for the lock.
    FOR number IN 2..1000 LOOP
        EXIT WHEN NOT EXISTS (SELECT FROM pg_class WHERE relname = name AND relnamespace = 'audit'::regnamespace);
        name := month || '_' || number;
    END LOOP;
    -- With the bounds as a CHECK, attaching has nothing to look at; afterwards it would only cost a comparison a row. A CHECK
    -- that an operator gave the whole table is taken along: what lacks it is not attached.
    EXECUTE format(
        'CREATE TABLE audit.%I (LIKE audit.audit_event INCLUDING DEFAULTS INCLUDING STORAGE INCLUDING CONSTRAINTS,
            CONSTRAINT month CHECK (timestamp >= %L AND timestamp < %L))', name, begins, ends);
    EXECUTE format('ALTER TABLE audit.audit_event ATTACH PARTITION audit.%I FOR VALUES FROM (%L) TO (%L)', name, begins, ends);
    EXECUTE format('ALTER TABLE audit.%I DROP CONSTRAINT month', name);
    RETURN true;
END
$$;

-- Who may do what. Nobody but the owner may change or delete what was committed.
ALTER SCHEMA audit OWNER TO audit_owner;
DO $$
DECLARE
    made record;
BEGIN
    FOR made IN SELECT c.oid::regclass AS name FROM pg_catalog.pg_class c
        WHERE c.relnamespace = 'audit'::regnamespace AND c.relkind IN ('r', 'p') LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO audit_owner', made.name);
    END LOOP;
END
$$;
ALTER FUNCTION audit.ensure_partition(timestamptz) OWNER TO audit_owner;
REVOKE ALL ON FUNCTION audit.ensure_partition(timestamptz) FROM PUBLIC;

GRANT USAGE ON SCHEMA audit TO audit_writer, audit_maintainer, audit_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA audit TO audit_writer, audit_reader;
REVOKE SELECT ON audit.api_key FROM audit_reader;
GRANT INSERT ON audit.meta, audit.probe, audit.ledger, audit.ledger_head, audit.ledger_chunk, audit.ledger_tile,
    audit.ledger_control, audit.audit_event, audit.checkpoint, audit.receipt, audit.receipt_total, audit.dead_letter,
    audit.lease, audit.api_key, audit.cursor, audit.verification_run, audit.config_version, audit.config_report,
    audit.alert, audit.alert_group, audit.alert_delivery TO audit_writer;
GRANT UPDATE ON audit.probe, audit.ledger_head, audit.lease, audit.receipt_total, audit.cursor, audit.verification_run,
    audit.config_report, audit.alert, audit.alert_group, audit.alert_delivery TO audit_writer;
GRANT UPDATE (state, concluded_at, reason) ON audit.config_version TO audit_writer;
GRANT UPDATE (replayed_at, replayed_as) ON audit.dead_letter TO audit_writer;
GRANT UPDATE (revoked_at) ON audit.api_key TO audit_writer;
GRANT DELETE ON audit.dead_letter, audit.verification_run, audit.config_version, audit.config_report, audit.alert,
    audit.alert_group, audit.alert_delivery TO audit_writer;
GRANT EXECUTE ON FUNCTION audit.ensure_partition(timestamptz) TO audit_writer, audit_maintainer;
