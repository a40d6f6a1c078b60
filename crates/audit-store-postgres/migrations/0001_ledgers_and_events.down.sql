-- Takes migration 1 back. The roles stay: they belong to the server, and other databases may use them.
DROP SCHEMA IF EXISTS audit_compat CASCADE;
DROP TABLE audit.audit_event, audit.ledger_head, audit.ledger_chunk, audit.ledger_tile, audit.ledger_control, audit.ledger,
    audit.checkpoint, audit.receipt, audit.receipt_total, audit.dead_letter, audit.lease, audit.api_key, audit.cursor,
    audit.verification_run, audit.config_version, audit.config_report, audit.alert_delivery, audit.alert_group, audit.alert, audit.probe, audit.meta;
DROP FUNCTION audit.ensure_partition(timestamptz);
