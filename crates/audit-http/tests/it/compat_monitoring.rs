//! What replaced systems' dashboards and load balancers ask: the numbers are right and the status code follows the state.

use audit_pipeline::Health;
use serde_json::{Value, json};

use crate::rig::{Answer, Options, Rig, event, send};

/// Asked without a key, as they do.
async fn ask(rig: &Rig, path: &str) -> Answer {
    send(rig.client.get(format!("{}{path}", rig.base))).await
}

const METRICS: &str = "/api/v1/monitoring/audit-metrics";
const HEALTH: [&str; 4] = [
    "/health",
    "/health/detailed",
    "/health/database",
    "/health/dependencies",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_works_is_healthy_everywhere_and_counts_what_it_stores() {
    let rig = Rig::start().await;
    let before = ask(&rig, METRICS).await;
    assert_eq!(before.status, 200, "{}", before.text);
    rig.store(&Value::from((0..7).map(event).collect::<Vec<_>>()))
        .await;
    let answer = ask(&rig, METRICS).await.json();
    assert_eq!(answer["health"], json!({"status": "healthy", "issues": []}));
    let metrics = &answer["metrics"];
    assert_eq!(
        (
            &metrics["inserts_last_minute"],
            &metrics["failures_last_minute"]
        ),
        (&json!(7), &json!(0))
    );
    assert_eq!(
        (&metrics["queue_length"], &metrics["total_dropped_events"]),
        (&json!(0), &json!(0))
    );
    for member in [
        "queue_length",
        "current_batch_size",
        "inserts_last_minute",
        "failures_last_minute",
        "avg_batch_time_ms",
        "total_dropped_events",
        "total_overflow_events",
        "worker_id",
        "last_updated",
    ] {
        assert!(metrics.get(member).is_some(), "{member} is missing");
    }
    assert_eq!(answer["recommendations"][0]["severity"], "info");

    // The same id with other content is an event that could not be stored.
    let twice = |action: &str| json!({"id": "0190a1b2-c3d4-7e5f-8a6b-000000000001", "timestamp": "2026-03-01T10:00:00Z", "action": action, "status": "success"});
    rig.store(&twice("a")).await;
    rig.post("/v1/events?ack=stored", &twice("b")).await;
    let metrics = ask(&rig, METRICS).await.json()["metrics"].clone();
    assert_eq!(
        (
            &metrics["inserts_last_minute"],
            &metrics["failures_last_minute"]
        ),
        (&json!(8), &json!(1))
    );

    let health = ask(&rig, "/api/v1/monitoring/health").await;
    assert_eq!(health.status, 200);
    let health = health.json();
    assert_eq!(
        health["services"],
        json!({"redis": "connected", "audit_worker": "running"})
    );
    for path in HEALTH {
        let answer = ask(&rig, path).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["status"]),
            (200, &json!("healthy")),
            "{path}"
        );
    }
    let detailed = ask(&rig, "/health/detailed").await.json();
    assert_eq!(detailed["components"]["store"]["status"], "healthy");
    let parts = ask(&rig, "/health/dependencies").await.json()["dependencies"].clone();
    assert!(
        parts["database"]["responseTime"].is_u64() && parts["queue"]["responseTime"].is_u64(),
        "{parts}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_nobody_empties_is_critical_and_503() {
    let rig = Rig::with(Options {
        lanes: false,
        ..Options::default()
    })
    .await;
    let health = ask(&rig, "/api/v1/monitoring/health").await;
    assert_eq!(health.status, 503);
    assert_eq!(
        health.json()["services"],
        json!({"redis": "connected", "audit_worker": "stale_or_stopped"})
    );

    let events: Vec<Value> = (0..8_001).map(event).collect();
    assert_eq!(
        rig.post("/v1/events", &Value::from(events)).await.status,
        202
    );
    let answer = ask(&rig, METRICS).await;
    assert_eq!(answer.status, 503);
    let answer = answer.json();
    assert_eq!(
        answer["health"],
        json!({"status": "critical", "issues": ["Queue severely backed up (>8K)", "No worker is running"]})
    );
    assert_eq!(answer["metrics"]["queue_length"], 8_001);
    assert_eq!(answer["recommendations"][0]["severity"], "high");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_for_a_part_is_told_and_is_no_failure() {
    let rig = Rig::with(Options {
        readiness: || {
            vec![(
                "queue".to_owned(),
                Health::Degraded("the spool takes over".to_owned()),
            )]
        },
        ..Options::default()
    })
    .await;
    let answer = ask(&rig, METRICS).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["health"]["status"]),
        (200, &json!("degraded"))
    );
    for path in ["/health", "/health/detailed"] {
        let answer = ask(&rig, path).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["status"]),
            (200, &json!("degraded")),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_fails_is_503_and_named() {
    let rig = Rig::with(Options {
        readiness: || {
            vec![
                ("queue".to_owned(), Health::Degraded("slow".to_owned())),
                (
                    "store".to_owned(),
                    Health::Failing("the breaker is open".to_owned()),
                ),
            ]
        },
        ..Options::default()
    })
    .await;
    for path in ["/health", "/health/detailed"] {
        let answer = ask(&rig, path).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["status"]),
            (503, &json!("failed")),
            "{path}"
        );
    }
    let answer = ask(&rig, METRICS).await;
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.json()["health"]["issues"],
        json!(["queue: slow", "store: the breaker is open"])
    );
    let health = ask(&rig, "/api/v1/monitoring/health").await;
    assert_eq!(
        (health.status.as_u16(), &health.json()["status"]),
        (503, &json!("critical"))
    );
}
