//! Commands that work on the servers of a deployment directly, by its configuration file.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use audit_queue::{Budget, Consumer};
use audit_queue_redis::list::{RedisList, Settings};
use audit_runtime::SystemRandom;
use audit_testkit::postgres::PostgresServer;
use audit_testkit::redis::RedisServer;
use serde_json::json;

fn auditctl(config: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auditctl"));
    command
        .args(["-o", "json"])
        .args(words)
        .arg("--config")
        .arg(config);
    command.output().expect("it runs")
}

fn write(dir: &Path, postgres: &str, redis: &str) -> std::path::PathBuf {
    let config = json!({
        "store": { "backend": "postgres", "url": postgres },
        "queue": { "backend": "redis", "url": redis },
        "sources": [{ "kind": "redisList" }],
    });
    let file = dir.join("config.json");
    std::fs::write(&file, config.to_string()).expect("written");
    file
}

#[test]
fn a_deployment_s_schema_is_migrated_and_gets_its_views_on_request() {
    let postgres = PostgresServer::start();
    let database = postgres.create_database();
    let dir = tempfile::tempdir().expect("a directory");
    let config = write(dir.path(), &postgres.url(&database), "redis://127.0.0.1:1");
    let missing = auditctl(&config, &["migrate", "status"]);
    assert_eq!(missing.status.code(), Some(1), "{missing:?}");
    let up = auditctl(&config, &["migrate", "up"]);
    assert_eq!(up.status.code(), Some(0), "{up:?}");
    let views = "SELECT count(*) FROM pg_views WHERE schemaname = 'audit_compat'";
    assert_eq!(postgres.sql(&database, views), "0", "only on request");
    let up = auditctl(&config, &["migrate", "up", "--compat-views"]);
    assert_eq!(up.status.code(), Some(0), "{up:?}");
    assert_eq!(postgres.sql(&database, views), "2");
    let down = auditctl(&config, &["migrate", "down", "--to", "0"]);
    assert_eq!(down.status.code(), Some(0), "{down:?}");
    assert_eq!(postgres.sql(&database, views), "0");
    drop(postgres);
    let away = auditctl(&config, &["migrate", "status"]);
    assert_eq!(away.status.code(), Some(3), "{away:?}");
}

#[test]
fn what_failed_in_a_list_goes_back_to_its_queue() {
    let redis = RedisServer::start_durable();
    let dir = tempfile::tempdir().expect("a directory");
    let config = write(dir.path(), "postgres://127.0.0.1:1/d", &redis.url());
    let _length = redis.command(&["RPUSH", "audit:failed", "three", "two", "one"]);
    let moved = auditctl(&config, &["list-source", "retry-failed", "--items", "2"]);
    assert_eq!(moved.status.code(), Some(0), "{moved:?}");
    let said: serde_json::Value = serde_json::from_slice(&moved.stdout).expect("JSON");
    assert_eq!(
        (&said["waiting"], &said["failed"]),
        (&json!(2), &json!(1)),
        "{said}"
    );
    let shown = auditctl(&config, &["list-source", "status"]);
    assert_eq!(shown.stdout, moved.stdout, "{shown:?}");
    drop(redis);
    let away = auditctl(&config, &["list-source", "status"]);
    assert_eq!(away.status.code(), Some(3), "{away:?}");
}

#[tokio::test]
async fn handing_back_what_is_still_held_is_a_finding() {
    let redis = RedisServer::start(&[]);
    let dir = tempfile::tempdir().expect("a directory");
    let config = write(dir.path(), "postgres://127.0.0.1:1/d", &redis.url());
    let _length = redis.command(&["LPUSH", "audit:queue", "one", "two", "three"]);
    let address = redis.url().parse().expect("an address");
    let worker = RedisList::new(Settings::at(address), Arc::new(SystemRandom)).expect("a list");
    let budget = Budget {
        deliveries: 2,
        bytes: 1 << 20,
        wait: Duration::from_secs(5),
    };
    let batch = worker.receive(budget).await.expect("a batch");
    assert_eq!(batch.deliveries.len(), 2);
    let early = auditctl(&config, &["list-source", "hand-back"]);
    assert_eq!(early.status.code(), Some(1), "{early:?}");
    let said: serde_json::Value = serde_json::from_slice(&early.stdout).expect("JSON");
    assert_eq!(said["held"], json!(2), "{said}");
    let words = ["list-source", "hand-back", "-o", "table", "--config"];
    let mut told = Command::new(env!("CARGO_BIN_EXE_auditctl"));
    let told = told.args(words).arg(&config).output().expect("it runs");
    let remarks = String::from_utf8_lossy(&told.stdout);
    assert!(
        remarks.contains("2 items are still held; wait"),
        "{remarks}"
    );
    worker.close().await;
    let back = auditctl(&config, &["list-source", "hand-back"]);
    assert_eq!(back.status.code(), Some(0), "{back:?}");
    let said: serde_json::Value = serde_json::from_slice(&back.stdout).expect("JSON");
    assert_eq!(
        (&said["waiting"], &said["held"]),
        (&json!(3), &json!(0)),
        "{said}"
    );
}
