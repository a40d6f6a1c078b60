//! The configuration file of a replaced worker, as it is.

use std::path::PathBuf;

use audit_testkit::postgres::PostgresServer;
use audit_testkit::redis::Reply;
use serde_json::{Value, json};

use crate::site::Site;

/// Their example, which is not in this repository: beside the test data (`AUDIT_TEST_DATA`), else beside the workspace.
fn example() -> Value {
    let shared = std::env::var_os("AUDIT_TEST_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        |data| PathBuf::from(data).join(".."),
    );
    let file = shared.join("compat/examples/worker-config.json");
    let text = std::fs::read_to_string(&file);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_of_a_replaced_worker_starts_ours_with_other_hosts() {
    let postgres = PostgresServer::start();
    postgres.sql(
        "postgres",
        "CREATE ROLE \"user\" LOGIN SUPERUSER PASSWORD 'pass'",
    );
    postgres.sql("postgres", "CREATE DATABASE audit_db OWNER \"user\"");
    let mut site = Site::over(postgres, "audit_db".to_owned(), &json!({}));
    let mut config = example();
    // Hosts, and the ports that a test may have.
    let url = &mut config["enhancedClient"]["connectionString"];
    let theirs = url.as_str().expect("an address");
    let ours = theirs.replace(
        "localhost:5432",
        &format!("127.0.0.1:{}", site.postgres.port()),
    );
    assert_ne!(theirs, ours);
    *url = json!(ours);
    config["redis"]["host"] = json!(site.redis.address().ip().to_string());
    config["redis"]["port"] = json!(site.redis.address().port());
    site.put_back(&config);
    // It names no key directory: that is in the worker's own data directory then.
    site.keys_are_in("one");
    let worker = site.worker("one");
    let sent = site.send_all(&worker, 71, 400).await;
    let status = site.check(&worker, &sent).await;
    assert_eq!(
        status["leases"].as_array().map(Vec::len),
        Some(5),
        "four ledgers and the directory: {status}"
    );
    let stream = site.redis.command(&["KEYS", "*audit-events*"]);
    assert_ne!(stream, Reply::List(Vec::new()), "the queue has their name");
}
