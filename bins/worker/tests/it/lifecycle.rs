//! Start, greeting, files and their modes, orderly end, restart.

use std::os::unix::fs::PermissionsExt;

use crate::worker::{Client, Worker, number};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_start_says_where_everything_is_and_a_restart_resumes() {
    let dir = tempfile::tempdir().expect("a directory");
    let worker = Worker::start(dir.path());
    let greeting = worker.greeting.join("\n");
    for part in [
        dir.path().to_str().expect("UTF-8"),
        &worker.url(),
        "admin.key",
        "auditctl",
    ] {
        assert!(
            greeting.contains(part),
            "the greeting names {part}: {greeting}"
        );
    }
    let mode = std::fs::metadata(dir.path().join("admin.key"))
        .expect("the key file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(
        !greeting.contains(&worker.admin_key()),
        "the key itself is not printed"
    );

    let client = Client::new(&worker);
    let event = r#"{"timestamp":"2026-01-01T00:00:00Z","action":"a","status":"success"}"#;
    let (code, answer) = client
        .post("/v1/events?ack=sealed", event.to_owned(), "one")
        .await
        .expect("an answer");
    assert_eq!(code, 201, "{answer}");
    assert_eq!(worker.terminate(), Some(0));

    let worker = Worker::start(dir.path());
    let client = Client::new(&worker);
    assert_eq!(number(&client.settled_status().await, "stored"), 1);
    assert_eq!(client.verify().await["result"], "pass");
    assert_eq!(worker.terminate(), Some(0));
}

#[test]
fn a_second_worker_on_the_same_data_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = Worker::start(dir.path());
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_worker"))
        .args([
            "--data-dir",
            dir.path().to_str().expect("UTF-8"),
            "--listen",
            "127.0.0.1:0",
        ])
        .output()
        .expect("it runs");
    assert_eq!(second.status.code(), Some(1));
    let text = String::from_utf8_lossy(&second.stderr);
    assert!(text.contains("lock") || text.contains("in use"), "{text}");
    assert_eq!(first.terminate(), Some(0));
}
