-- Views for those who read the tables of the replaced systems with SQL. Made on request only (`auditctl migrate up --compat-views`),
-- again and again without harm, in a schema of their own: old tables of these names may still be in `public`. No value of an
-- event can make a view fail for the others, whatever a producer wrote into it.

CREATE SCHEMA IF NOT EXISTS audit_compat;
ALTER SCHEMA audit_compat OWNER TO audit_owner;

-- smart-logs. `id` was a number drawn from a sequence; here it is the position, a number that is unique and never reused.
-- `archived_at` was taken from what the producer wrote; nothing is archived here, and what it wrote stands in `details`.
CREATE OR REPLACE VIEW audit_compat.audit_log AS
SELECT e.position AS id,
    e.timestamp,
    s.details ->> 'ttl' AS ttl,
    e.principal_id::varchar AS principal_id,
    nullif(e.organization_id, '')::varchar AS organization_id,
    e.action::varchar AS action,
    e.target_resource_type::varchar AS target_resource_type,
    e.target_resource_id::varchar AS target_resource_id,
    (s.said ->> 'status')::varchar AS status,
    s.said ->> 'outcomeDescription' AS outcome_description,
    (s.said #>> '{producerProof,hash}')::varchar AS hash,
    coalesce(s.details ->> 'hashAlgorithm', 'SHA-256')::varchar AS hash_algorithm,
    coalesce(s.said ->> 'eventVersion', '1.0')::varchar AS event_version,
    e.correlation_id::varchar AS correlation_id,
    coalesce(s.said ->> 'dataClassification', 'INTERNAL')::varchar AS data_classification,
    e.retention_policy::varchar AS retention_policy,
    CASE jsonb_typeof(s.details -> 'processingLatency') WHEN 'number' THEN
        CASE WHEN (s.details ->> 'processingLatency')::numeric BETWEEN 0 AND 2147483647
            THEN floor((s.details ->> 'processingLatency')::numeric)::integer END
    END AS processing_latency,
    NULL::timestamptz AS archived_at,
    nullif(
        (s.details - '{ttl,hashAlgorithm,processingLatency}'::text[])
        || CASE WHEN s.said ? 'sessionContext' THEN jsonb_build_object('sessionContext',
                CASE jsonb_typeof(s.details -> 'sessionContext') WHEN 'object' THEN s.details -> 'sessionContext' ELSE '{}' END
                || (s.said -> 'sessionContext')) ELSE '{}' END
        || jsonb_strip_nulls(jsonb_build_object(
            'signature', s.said #> '{producerProof,signature}', 'algorithm', s.said #> '{producerProof,algorithm}')),
        '{}'::jsonb) AS details
FROM audit.audit_event AS e
CROSS JOIN LATERAL (SELECT j.said, coalesce(j.said -> 'details', '{}') AS details
    FROM (SELECT e.canonical::jsonb AS said) AS j) AS s
WHERE e.canonical IS NOT NULL;

-- The list worker.
CREATE OR REPLACE VIEW audit_compat.audit_logs AS
SELECT e.id,
    e.principal_id AS user_id,
    e.target_resource_type AS resource_type,
    e.target_resource_id AS resource_id,
    e.action AS event_type,
    coalesce(s.said ->> 'severity', s.said #>> '{details,event_category}', 'info') AS event_category,
    s.said ->> 'outcomeDescription' AS description,
    coalesce(s.said #> '{details,metadata}', '{}') AS metadata,
    s.said #>> '{sessionContext,ipAddress}' AS ip_address,
    s.said #>> '{sessionContext,userAgent}' AS user_agent,
    e.timestamp AS created_at
FROM audit.audit_event AS e
CROSS JOIN LATERAL (SELECT e.canonical::jsonb AS said) AS s
WHERE e.canonical IS NOT NULL;

ALTER VIEW audit_compat.audit_log OWNER TO audit_owner;
ALTER VIEW audit_compat.audit_logs OWNER TO audit_owner;
GRANT USAGE ON SCHEMA audit_compat TO audit_reader;
GRANT SELECT ON audit_compat.audit_log, audit_compat.audit_logs TO audit_reader;
