//! A producer of a replaced system: its address and the configuration are all there is, no key.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::worker::{Client, Worker, free_port};

const ID: &str = "0d9f6f2e-8f38-4a55-9d0e-3a6a3f1f0c11";

/// Signed with `test-signing-key-for-testing-purposes-only`.
const EVENT: &str = r#"{"id":"noversion","timestamp":"2024-01-01T12:00:05.000Z","actor":{"id":"system","type":"system"},"action":{"type":"create","resource":"system","result":"success"},"context":{"environment":"e","application":"a"},"signature":"1a1de1b457f25c574d94536321f1cea4e3edb5ee8a0f77ffeb31ddc2544e248e"}"#;

async fn post(worker: &Worker, path: &str, body: String) -> (u16, Value) {
    let request = reqwest::Client::new()
        .post(format!("{}{path}", worker.url()))
        .header("content-type", "application/json")
        .body(body);
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    (status, response.json().await.expect("JSON"))
}

fn start(dir: &Path, config: &Value) -> Worker {
    let file = dir.join("config.json");
    std::fs::write(&file, config.to_string()).expect("written");
    let file = file.to_str().expect("UTF-8");
    Worker::start_at(&dir.join("data"), free_port(), &["--config", file])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn producers_without_a_key_are_served_when_an_organisation_is_named_and_not_before() {
    let dir = tempfile::tempdir().expect("a directory");
    let worker = start(dir.path(), &json!({}));
    let (status, _) = post(&worker, "/api/audit/events", EVENT.to_owned()).await;
    assert_eq!(status, 401);
    assert_eq!(worker.terminate(), Some(0));

    // The secret is put there while nobody looks at it.
    let secrets = dir.path().join("data/keys/producers/pake-v1");
    std::fs::create_dir_all(&secrets).expect("made");
    let secret = secrets.join("default");
    std::fs::write(&secret, "test-signing-key-for-testing-purposes-only\n").expect("written");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).expect("private");
    let worker = start(dir.path(), &json!({"compat": {"organizationId": "pake"}}));
    let (status, answer) = post(&worker, "/api/audit/events", EVENT.to_owned()).await;
    assert_eq!((status, &answer["stored"]), (201, &json!(true)), "{answer}");
    let client = Client::new(&worker);
    let id = answer["eventId"].as_str().expect("an id");
    let (_, found) = client
        .get(&format!("/v1/events/{id}"))
        .await
        .expect("found");
    let event = &found["event"];
    assert_eq!(event["organizationId"], "pake");
    assert_eq!(event["annotations"]["authenticated"], false);
    assert_eq!(event["producerProof"]["verdict"], "verified", "{event}");

    let (status, _) = post(&worker, "/api/audit/log", format!(r#"{{"action":"access","success":true,"timestamp":"2024-01-01T12:00:05.1","metadata":{{}},"error":null,"id":"{ID}"}}"#)).await;
    assert_eq!(status, 201);
    let (status, page) = client
        .get("/api/audit/events?actionType=create")
        .await
        .expect("an answer");
    assert_eq!((status, &page["total"]), (200, &json!(1)));
    assert_eq!(page["events"][0]["id"], "noversion");

    let (status, health) = client
        .get("/api/v1/monitoring/audit-metrics")
        .await
        .expect("an answer");
    assert_eq!(
        (status, &health["health"]["status"]),
        (200, &json!("healthy")),
        "{health}"
    );
    let metrics = &health["metrics"];
    assert!(
        metrics["total_overflow_events"] == 0.0 && metrics["worker_id"].is_string(),
        "{metrics}"
    );
    for path in [
        "/health",
        "/health/detailed",
        "/health/database",
        "/health/dependencies",
    ] {
        let (status, health) = client.get(path).await.expect("an answer");
        assert_eq!(
            (status, &health["status"]),
            (200, &json!("healthy")),
            "{path}"
        );
    }
    assert_eq!(worker.terminate(), Some(0));
}
