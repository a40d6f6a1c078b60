//! What operators and auditors do, against a real worker.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::worker::Site;

fn event(n: usize, action: &str) -> String {
    format!(
        r#"{{"id":"0193a5c0-0000-7000-8000-{n:012x}","timestamp":"2026-01-01T00:00:00.{n:06}Z","action":"{action}","status":"success","organizationId":"org-{}"}}"#,
        n % 3
    )
}

/// The commands of the README's second terminal, as they stand there.
fn readme_commands() -> Vec<String> {
    let readme = std::fs::read_to_string(audit_testkit::data::workspace_root().join("README.md"))
        .expect("a README");
    let lines = readme
        .lines()
        .filter(|line| line.starts_with("auditctl ") || line.starts_with("sqlite3 "));
    lines.map(str::to_owned).collect()
}

#[test]
fn the_five_commands_of_the_readme_do_what_it_says() {
    let site = Site::start();
    let examples = site.dir.path().join("examples");
    std::fs::create_dir(&examples).expect("made");
    let sample = audit_testkit::data::workspace_root().join("examples/events.ndjson");
    std::fs::copy(sample, examples.join("events.ndjson")).expect("copied");
    let commands = readme_commands();
    assert_eq!(commands.len(), 5, "{commands:?}");
    let path = std::env::join_paths(
        std::iter::once(
            std::path::Path::new(env!("CARGO_BIN_EXE_auditctl"))
                .parent()
                .expect("a directory")
                .to_owned(),
        )
        .chain(std::env::split_paths(
            &std::env::var_os("PATH").expect("a path"),
        )),
    )
    .expect("a path");
    let said: Vec<_> = commands
        .iter()
        .map(|line| {
            let mut shell = Command::new("sh");
            shell
                .args(["-c", line])
                .env("PATH", &path)
                .env("AUDITCTL_URL", &site.url)
                .current_dir(site.dir.path());
            shell.env("XDG_STATE_HOME", site.dir.path().join("state"));
            crate::run::finish(shell.output())
        })
        .collect();
    let codes: Vec<_> = said.iter().map(|finished| finished.code).collect();
    assert_eq!(
        codes,
        [0, 0, 0, 0, 1],
        "{} {}",
        said[3].stderr,
        said[4].stderr
    );
    assert!(said[0].stdout.contains("12"), "{}", said[0].stdout);
    assert!(
        said[1].stdout.contains("patient.record.delete"),
        "{}",
        said[1].stdout
    );
    assert!(said[2].stdout.contains(": pass;"), "{}", said[2].stdout);
    for word in [
        "tampered",
        "edited",
        "0193a5c0-0000-7000-8000-000000000008",
        "action",
    ] {
        assert!(
            said[4].stdout.contains(word),
            "{word} in {}",
            said[4].stdout
        );
    }
}

#[test]
fn what_is_refused_and_what_contradicts_is_told_kept_and_can_be_operated_on() {
    let site = Site::start();
    let file = site.file(
        "in.ndjson",
        format!(
            "{}\n{{\"id\":1}}\n{{\"a\":\n{}\n",
            event(1, "a"),
            event(2, "b")
        ),
    );
    let summary = site
        .run(&["send", &file, "-o", "json"])
        .expect_code(1)
        .json();
    assert_eq!(
        (summary["accepted"].as_u64(), summary["rejected"].as_u64()),
        (Some(2), Some(2)),
        "{summary}"
    );
    let items: Vec<_> = summary["rejections"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|r| r["item"].as_u64())
        .collect();
    assert_eq!(
        items
            .iter()
            .flatten()
            .copied()
            .collect::<std::collections::BTreeSet<_>>(),
        [1, 2].into()
    );

    let other = site.file("other.ndjson", event(1, "something else"));
    let summary = site
        .run(&["send", &other, "-o", "json"])
        .expect_code(1)
        .json();
    assert_eq!(summary["conflicts"], 1, "{summary}");
    let letters = site.json(&["dead-letters", "list", "--reason", "conflict"]);
    let id = letters["deadLetters"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let shown = site.json(&["dead-letters", "show", &id]);
    assert!(
        shown["payloadText"]
            .as_str()
            .expect("text")
            .contains("something else"),
        "{shown}"
    );
    site.run(&["dead-letters", "replay", &id]).expect_code(0);
    site.run(&["dead-letters", "replay", &id]).expect_code(1);
    site.run(&["dead-letters", "purge", &id, "--yes"])
        .expect_code(0);
    site.run(&["dead-letters", "show", &id]).expect_code(1);

    let status = site.run(&["status"]).expect_code(0).stdout;
    assert!(status.contains("the books balance"), "{status}");
}

#[test]
fn a_key_works_until_it_is_revoked_and_no_further_than_its_role() {
    let mut site = Site::start();
    let made = site.json(&["keys", "create", "--name", "reader", "--role", "viewer"]);
    let id = made["id"].as_str().expect("an id").to_owned();
    let file = site.file("reader.key", made["key"].as_str().expect("the key"));
    site.run(&["query", "--key-file", &file]).expect_code(0);
    let refused = site
        .run(&["keys", "list", "--key-file", &file])
        .expect_code(2);
    assert!(refused.stderr.contains("reader.key"), "{}", refused.stderr);
    site.run(&["keys", "revoke", &id]).expect_code(0);
    site.run(&["query", "--key-file", &file]).expect_code(2);
    let direct = site
        .run(&["keys", "list", "--data-dir", "data"])
        .expect_code(2);
    assert!(
        direct.stderr.contains("in use by process"),
        "{}",
        direct.stderr
    );

    site.stop_worker();
    let keys = site.json(&["keys", "list", "--data-dir", "data"]);
    let listed = keys["keys"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|key| key["id"] == id.as_str())
        .expect("the key");
    assert!(listed["revokedAt"].is_string(), "{listed}");
    let made = site.json(&[
        "keys",
        "create",
        "--name",
        "late",
        "--role",
        "admin",
        "--data-dir",
        "data",
    ]);
    let file = site.file("late.key", made["key"].as_str().expect("the key"));
    site.start_worker();
    site.run(&["keys", "list", "--key-file", &file])
        .expect_code(0);
}

#[test]
fn a_proof_stands_alone_and_the_store_can_be_asked_without_its_worker() {
    let mut site = Site::start();
    let file = site.file(
        "in.ndjson",
        (0..300).map(|n| event(n, "a") + "\n").collect::<String>(),
    );
    assert_eq!(site.json(&["send", &file])["accepted"], 300);
    let id = "0193a5c0-0000-7000-8000-00000000000c";
    site.run(&["prove", id, "--out", "proof.json"])
        .expect_code(0);
    let place = site.json(&["show", id]);
    let address = format!("{}/{}", place["ledger"], place["leafIndex"]);
    site.run(&["prove", &address, "--out", "proof", "--proof-only"])
        .expect_code(0);
    let missing = "0193a5c0-0000-7000-8000-00000000ffff";
    site.run(&["prove", missing, "--out", "none"])
        .expect_code(1);

    site.stop_worker();
    let proven = site.json(&["verify-proof", "proof.json", "--key", "data/verifier.key"]);
    assert_eq!(proven["eventId"], id);
    let status = site.json(&["status", "--data-dir", "data"]);
    assert_eq!(
        (status["stored"].as_u64(), status["settled"].as_u64()),
        (Some(300), Some(300)),
        "{status}"
    );
    assert_eq!(
        site.json(&["migrate", "status", "--data-dir", "data"])["migrations"][0]["number"],
        1
    );
    let kept = site
        .run(&["migrate", "down", "--to", "0", "--data-dir", "data"])
        .expect_code(2);
    assert!(kept.stderr.contains("--destroy"), "{}", kept.stderr);
    site.run(&[
        "migrate",
        "down",
        "--to",
        "0",
        "--destroy",
        "--data-dir",
        "data",
    ])
    .expect_code(0);
    site.run(&["migrate", "status", "--data-dir", "data"])
        .expect_code(1);
    site.run(&["migrate", "up", "--data-dir", "data"])
        .expect_code(0);
}

#[test]
fn a_send_killed_half_way_stores_every_event_once() {
    const EVENTS: usize = 20_000;
    let site = Site::start();
    // Without ids: only the idempotency keys tell a repetition.
    let line = |n: usize| {
        format!(
            "{{\"timestamp\":\"2026-01-01T00:00:00Z\",\"action\":\"a\",\"status\":\"success\",\"n\":{n}}}\n"
        )
    };
    let file = site.file("in.ndjson", (0..EVENTS).map(line).collect::<String>());
    let arguments = ["send", &file, "--batch", "50", "--state", "send.json"];
    let mut child = site
        .command(&arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let deadline = Instant::now() + Duration::from_secs(60);
    while site.json(&["status"])["accepted"].as_u64() < Some(2_000) {
        assert!(Instant::now() < deadline, "it does not send");
        assert!(
            child.try_wait().expect("waitable").is_none(),
            "it ended before it could be killed"
        );
    }
    child.kill().expect("killable");
    child.wait().expect("reaped");
    site.run(&arguments).expect_code(0);
    let status = site.json(&["status"]);
    assert_eq!(status["stored"], EVENTS, "{status}");
    assert!(
        status["accepted"].as_u64() < Some(2 * EVENTS as u64),
        "the resumed run did not begin again: {status}"
    );
}

#[test]
fn a_tail_prints_each_new_event_once() {
    let site = Site::start();
    let file = site.file(
        "1.ndjson",
        (0..5).map(|n| event(n, "a") + "\n").collect::<String>(),
    );
    let tail = site
        .command(&[
            "tail",
            "--since",
            "2026-01-01T00:00:00Z",
            "--action",
            "a",
            "--count",
            "10",
            "-o",
            "json",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    site.json(&["send", &file]);
    site.json(&["send", &file]);
    let file = site.file(
        "2.ndjson",
        (5..10).map(|n| event(n, "a") + "\n").collect::<String>(),
    );
    site.json(&["send", &file]);
    let finished = crate::run::finish(tail.wait_with_output()).expect_code(0);
    let ids: Vec<_> = finished
        .stdout
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).expect("JSON")["event"]["id"].clone()
        })
        .collect();
    let expected: Vec<_> = (0..10)
        .map(|n| json!(format!("0193a5c0-0000-7000-8000-{n:012x}")))
        .collect();
    assert_eq!(ids, expected);
}

#[test]
fn the_bench_measures_both_sides_of_every_comparison() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path().display().to_string();
    let worker = crate::worker::program().display().to_string();
    let arguments = [
        "bench",
        "embedded",
        "--events",
        "2000",
        "--singles",
        "200",
        "--seconds",
        "1",
        "--dir",
        &dir,
        "--worker",
        &worker,
        "-o",
        "json",
    ];
    let report = crate::run::finish(crate::run::command(&arguments).output())
        .expect_code(0)
        .json();
    for path in [
        "/fsyncMs",
        "/batches/checkpointedPerS",
        "/batches/bareInsertPerS",
        "/singles/perS",
        "/singles/p99Ms",
        "/singlesReference/perS",
        "/sealed/p99Ms",
        "/verification/perS",
        "/verification/bareReadPerS",
        "/peakMemoryBytes",
    ] {
        assert!(
            report.pointer(path).and_then(serde_json::Value::as_f64) > Some(0.0),
            "{path} in {report}"
        );
    }
    assert_eq!(report["verification"]["result"], "pass");
}
