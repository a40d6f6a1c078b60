//! The flags around a configuration: what they print and how they end; nothing is started.

use std::process::{Command, Output};

fn worker(arguments: &[&str]) -> (Option<i32>, String) {
    let run = Command::new(env!("CARGO_BIN_EXE_worker"))
        .args(arguments)
        .env("DB_PASSWORD", "hunter2")
        .output();
    let Output { status, stdout, .. } = run.expect("it runs");
    let printed = String::from_utf8(stdout).expect("UTF-8");
    assert!(!printed.contains("hunter2"), "{printed}");
    (status.code(), printed)
}

#[test]
fn a_checked_file_ends_with_0_or_1_and_says_why() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let secret = file("secret", "hunter2\n");
    let good = file(
        "good.toml",
        &format!(
            "[store]\nbackend = \"postgres\"\nurl = \"postgresql://u:${{DB_PASSWORD}}@db/audit\"\n\
             [queue]\nbackend = \"redis\"\nurl = \"redis://:${{file:{secret}}}@cache\"\n"
        ),
    );
    let (code, printed) = worker(&["--check-config", &good]);
    assert_eq!(code, Some(0), "{printed}");
    assert!(
        printed.contains("queue.url = \"redis://***@cache\""),
        "{printed}"
    );
    assert!(!printed.contains("warning"), "{printed}");

    let bad = file(
        "bad.json",
        "{\"ledgers\": 0,\n \"redis\": {\"password\": \"hunter2\"}}",
    );
    let (code, printed) = worker(&["--check-config", &bad]);
    assert_eq!(code, Some(1), "{printed}");
    assert!(
        printed.contains("bad.json:1:13: ledgers: must be a whole number from 1 to 256, not 0\n"),
        "{printed}"
    );
    let (code, printed) = worker(&["--check-config", &bad, "-o", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(
        (code, &answer["problems"][0]["key"]),
        (Some(1), &"ledgers".into())
    );
    assert_eq!(answer["warnings"][0]["key"], "redis.password");

    let (code, printed) = worker(&["--check-config", "/none/such.json"]);
    assert_eq!(code, Some(1), "{printed}");
    assert!(
        printed.contains("problem: /none/such.json: does not exist"),
        "{printed}"
    );
    // Started with it, the process ends before it opens anything.
    let data = dir.path().join("data").display().to_string();
    let (code, _) = worker(&["--config", &bad, "--data-dir", &data]);
    assert_eq!(
        (code, std::path::Path::new(&data).exists()),
        (Some(2), false)
    );
}

#[test]
fn what_only_its_users_can_judge_is_a_problem_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("bad.json");
    for (text, expected) in [
        (
            "{\"logFilter\": \"audit=loudly\"}",
            "bad.json:1:15: logFilter: the log filter cannot be read",
        ),
        (
            "{\"detection\": {\n\"timeZone\": \"Mars/Olympus\"}}",
            "bad.json:2:13: detection.timeZone: ",
        ),
        (
            "{\"alerts\": {\"suppressions\": [{\"name\": \"nights\", \"starts\": \"at night\", \"lastsMs\": 3600000}]}}",
            "bad.json:1:29: alerts.suppressions: ",
        ),
    ] {
        std::fs::write(&path, text).expect("written");
        let path = path.display().to_string();
        let (code, printed) = worker(&["--check-config", &path]);
        assert_eq!(code, Some(1), "{printed}");
        assert!(printed.contains(expected), "{printed}");
        // Nor does a process start with it.
        let data = dir.path().join("data").display().to_string();
        let (code, printed) = worker(&["--config", &path, "--data-dir", &data]);
        assert_eq!(code, Some(2), "{printed}");
    }
}

#[test]
fn the_printed_defaults_are_a_file_that_is_taken() {
    let dir = tempfile::tempdir().expect("a directory");
    let (code, printed) = worker(&["--print-default-config"]);
    assert_eq!(code, Some(0));
    let file = dir.path().join("defaults.json");
    std::fs::write(&file, printed).expect("written");
    let (code, printed) = worker(&["--check-config", &file.display().to_string()]);
    assert_eq!(code, Some(0), "{printed}");
    let (code, printed) = worker(&["--print-config-schema"]);
    let schema: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(
        (code, &schema["additionalProperties"]),
        (Some(0), &false.into())
    );
}
