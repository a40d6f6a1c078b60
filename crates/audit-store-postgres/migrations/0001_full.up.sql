-- Index profile `full`: what `lean` leaves out. On the expression, so that no column exists which nothing protects.
CREATE INDEX event_by_target ON audit.audit_event (organization_id, target_resource_type, target_resource_id, timestamp);
CREATE INDEX event_by_details ON audit.audit_event USING gin ((canonical::jsonb -> 'details') jsonb_path_ops);
