//! The views for readers of the replaced systems' tables, as such a reader sees them.

use audit_event::forms::read_statement;
use audit_event::{AuditEvent, EventDraft, Form, OrganizationId, Stamps};
use audit_store::conformance::TestStore;
use audit_store::conformance::sample;
use audit_store::conformance::scene::{LEDGER, Lane};

use crate::place::Place;

fn draft(n: u64, form: Form, text: &str) -> EventDraft {
    let stamps = Stamps {
        fallback_id: sample::id(n),
        received_at: sample::at(1),
        default_organization: OrganizationId::new("acme"),
    };
    let statement = read_statement(form, text.as_bytes()).unwrap();
    EventDraft::new(AuditEvent::stamp(statement, &stamps)).unwrap()
}

async fn with(events: Vec<EventDraft>) -> Place {
    let place = Place::new().await;
    let mut lane = Lane::open(&place.store(), LEDGER).await;
    lane.commit(&place.store(), events).await;
    place.open.make_compat_views().await.unwrap();
    place.open.make_compat_views().await.unwrap();
    place
}

#[tokio::test]
async fn audit_log_has_the_columns_of_smart_logs_and_every_other_key_in_details() {
    let full = r#"{"timestamp":"2024-01-01T12:00:00.000Z","ttl":"30d","principalId":"u-1","action":"data.read",
        "targetResourceType":"Patient","targetResourceId":"p-1","status":"failure","outcomeDescription":"no","hash":"00","hashAlgorithm":"SHA-256",
        "signature":"11","algorithm":"HMAC-SHA256","eventVersion":"1.1","correlationId":"c-1","dataClassification":"PHI","retentionPolicy":"long",
        "processingLatency":12.7,"archivedAt":"never","queueDepth":3,
        "sessionContext":{"sessionId":"s-1","ipAddress":"10.0.0.1","userAgent":"curl","device":"d-1"},"details":{"a":null}}"#;
    let bare = r#"{"timestamp":"2024-01-01T12:00:01.000Z","action":"x","status":"success","processingLatency":1e300}"#;
    let place = with(vec![
        draft(1, Form::SmartLogs, full),
        draft(2, Form::SmartLogs, bare),
    ])
    .await;
    let read = |columns: &str, action: &str| {
        place.sql(&format!(
            "SET TIME ZONE 'UTC'; SET ROLE audit_reader; SELECT {columns} FROM audit_compat.audit_log WHERE action = '{action}'"
        ))
    };
    let columns = "concat_ws('|', timestamp, ttl, principal_id, organization_id, action, target_resource_type, target_resource_id, status,
        outcome_description, hash, hash_algorithm, event_version, correlation_id, data_classification, retention_policy, processing_latency)";
    assert_eq!(
        read(columns, "data.read").lines().last().unwrap(),
        "2024-01-01 12:00:00+00|30d|u-1|acme|data.read|Patient|p-1|failure|no|00|SHA-256|1.1|c-1|PHI|long|12"
    );
    let expected = r#"{"algorithm": "HMAC-SHA256", "archivedAt": "never", "details": {"a": null}, "queueDepth": 3,
        "sessionContext": {"device": "d-1", "ipAddress": "10.0.0.1", "sessionId": "s-1", "userAgent": "curl"}, "signature": "11"}"#;
    let same = read(&format!("details = '{expected}'::jsonb"), "data.read");
    assert_eq!(
        same.lines().last().unwrap(),
        "t",
        "{}",
        read("details", "data.read")
    );
    assert_eq!(
        read(columns, "x").lines().last().unwrap(),
        "2024-01-01 12:00:01+00|acme|x|success|SHA-256|1.0|INTERNAL|standard",
        "a number that no column holds fails nobody"
    );
    assert_eq!(read("details IS NULL", "x").lines().last().unwrap(), "t");
    let ids = "count(DISTINCT id) = 2 AND min(id) IS NOT NULL";
    let all = place.sql(&format!("SELECT {ids} FROM audit_compat.audit_log"));
    assert_eq!(all.trim(), "t");
}

#[tokio::test]
async fn audit_logs_has_the_columns_of_the_list_worker() {
    let warning = r#"{"user_id":"u-1","resource_type":"account","resource_id":"r-1","event_type":"ban_expired","event_category":"warning",
        "description":"over","metadata":{"tier":"free"},"ip_address":"10.0.0.1","user_agent":"curl","created_at":"2024-01-01T12:00:00.000Z"}"#;
    let odd = r#"{"event_type":"usage_reset","event_category":"notice","created_at":"2024-01-01T12:00:01.000Z"}"#;
    let place = with(vec![
        draft(1, Form::ListWorker, warning),
        draft(2, Form::ListWorker, odd),
    ])
    .await;
    let columns = "user_id, resource_type, resource_id, event_type, event_category, description, metadata, ip_address, user_agent, created_at";
    let rows = place.sql(&format!(
        "SET TIME ZONE 'UTC'; SET ROLE audit_reader; SELECT concat_ws('|', {columns}) FROM audit_compat.audit_logs ORDER BY created_at"
    ));
    let rows: Vec<_> = rows.lines().rev().take(2).collect();
    assert_eq!(
        rows,
        [
            "usage_reset|notice|{}|2024-01-01 12:00:01+00",
            r#"u-1|account|r-1|ban_expired|warning|over|{"tier": "free"}|10.0.0.1|curl|2024-01-01 12:00:00+00"#,
        ]
    );
}
