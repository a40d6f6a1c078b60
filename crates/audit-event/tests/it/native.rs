//! The native form: what is taken, what is refused, and that canonical bytes come back.

use audit_event::Form;

use crate::support::shown;

fn accept(text: &str) -> Result<String, Vec<String>> {
    shown(Form::Native, text)
}

#[test]
fn every_member_has_its_place() {
    let text = r#"{
        "timestamp":"2024-01-01T12:00:04.5+01:00","action":"record.read","status":"success","id":"order-1",
        "organizationId":"acme","producer":{"id":"p","epoch":1,"seq":2,"host":"h"},"eventVersion":"1.0",
        "principalId":"u","principalType":"user","sessionContext":{"sessionId":"s","ipAddress":"::1","x":null},
        "targetResourceType":"Patient","targetResourceId":"p1","outcomeDescription":"","durationMs":1.50,
        "severity":"info","dataClassification":"PHI","retentionPolicy":"r","correlationId":"c",
        "traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","source":{"application":"a","z":[]},
        "producerProof":{"scheme":"mine","hash":"h","preimage":"p"},"details":{"a":1},"empty":"","none":null,"obj":{}}"#;
    assert_eq!(
        accept(text).unwrap(),
        concat!(
            r#"{"action":"record.read","correlationId":"c","dataClassification":"PHI","#,
            r#""details":{"details":{"a":1},"empty":"","none":null,"obj":{},"producer":{"host":"h"},"#,
            r#""sessionContext":{"x":null},"source":{"z":[]}},"durationMs":1.5,"eventVersion":"1.0","#,
            r#""externalId":"order-1","id":"8093b176-1f1a-5c10-a4fe-0ed64f0ca381","organizationId":"acme","#,
            r#""outcomeDescription":"","principalId":"u","principalType":"user","producer":{"epoch":1,"id":"p","seq":2},"#,
            r#""producerProof":{"hash":"h","preimage":"p","scheme":"mine"},"receivedAt":"2023-11-14T22:13:20.000001Z","#,
            r#""retentionPolicy":"r","sessionContext":{"ipAddress":"::1","sessionId":"s"},"severity":"info","#,
            r#""source":{"application":"a"},"status":"success","targetResourceId":"p1","targetResourceType":"Patient","#,
            r#""timestamp":"2024-01-01T11:00:04.500000Z","timestampText":"2024-01-01T12:00:04.5+01:00","#,
            r#""traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}"#,
        )
    );
}
