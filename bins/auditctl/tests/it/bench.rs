//! `bench deployed` over real servers, with so few events that only its shape says something.

use audit_testkit::postgres::PostgresServer;
use audit_testkit::redis::RedisServer;

use crate::run::{command, finish, run_in};
use crate::worker::sibling;

#[test]
fn a_small_run_reports_every_number_and_leaves_nothing_behind() {
    sibling("worker");
    sibling("audit-ingest");
    let (postgres, redis) = (PostgresServer::start(), RedisServer::start_durable());
    let dir = tempfile::tempdir().expect("a directory");
    let arguments = [
        "bench",
        "deployed",
        "--runs",
        "1",
        "--events",
        "2000",
        "--seconds",
        "1",
        "--rate",
        "500",
        "-o",
        "json",
        "--dir",
    ];
    let mut bench = command(&arguments);
    bench.arg(dir.path());
    bench.env("AUDITCTL_POSTGRES", postgres.url("postgres"));
    bench.env("AUDITCTL_REDIS", redis.url());
    let report = finish(bench.output()).expect_code(0).json();

    assert_eq!(report["durability"], "fsynced", "{report}");
    assert_eq!(report["runs"].as_array().expect("runs").len(), 1);
    for number in [
        "referencePerS",
        "ingestPerS",
        "drainPerS",
        "drainCheckpointedPerS",
        "drainRatio",
        "detectingPerS",
        "detectingRatio",
        "httpPerS",
        "httpCheckpointedPerS",
        "httpRatio",
        "latencyEventsPerS",
        "latencyP50Ms",
        "latencyP95Ms",
    ] {
        let found = report["median"][number].as_f64();
        assert!(found.is_some_and(|found| found > 0.0), "{number}: {report}");
    }
    let run = &report["runs"][0];
    for (stage, who) in [
        ("reference", &["postgres", "sender"][..]),
        ("ingest", &["ingest", "redis", "sender"]),
        ("drain", &["worker", "postgres", "redis", "sender"]),
        ("detecting", &["worker", "postgres", "redis", "sender"]),
        ("http", &["worker", "ingest", "postgres", "redis", "sender"]),
    ] {
        let costs = run[stage]["costs"].as_object().expect("costs");
        let known: std::collections::BTreeSet<_> = costs.keys().map(String::as_str).collect();
        let wanted = who.iter().map(|who| format!("{who}Us")).collect::<Vec<_>>();
        assert_eq!(
            known,
            wanted.iter().map(String::as_str).collect(),
            "{stage}"
        );
    }
    for peak in ["workerPeakBytes", "ingestPeakBytes"] {
        assert!(
            run[peak].as_u64().is_some_and(|bytes| bytes > 1 << 20),
            "{peak}: {run}"
        );
    }

    let databases = postgres.sql(
        "postgres",
        "SELECT datname FROM pg_database WHERE datname LIKE 'audit_bench%'",
    );
    assert_eq!(databases, "");
    assert!(redis.command(&["KEYS", "*"]).list().is_empty());
    let left: Vec<_> = std::fs::read_dir(dir.path())
        .expect("it is there")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn nothing_is_measured_without_addresses_and_a_wrong_one_does_not_show_its_password() {
    let dir = tempfile::tempdir().expect("a directory");
    let finished = run_in(dir.path(), &["bench", "deployed"]).expect_code(2);
    assert!(
        finished.stderr.contains("--postgres"),
        "{}",
        finished.stderr
    );
    for (postgres, redis) in [
        (
            "postgres://me:s3cret@127.0.0.1:notaport/x",
            "redis://127.0.0.1:1",
        ),
        (
            "postgres://me:s3cret@127.0.0.1:1/x",
            "http://:s3cret@127.0.0.1:1",
        ),
        (
            "postgres://me:s3cret@127.0.0.1:1/x",
            "redis://:s3cret@127.0.0.1:1",
        ),
    ] {
        let arguments = [
            "bench",
            "deployed",
            "--postgres",
            postgres,
            "--redis",
            redis,
        ];
        let finished = run_in(dir.path(), &arguments).expect_code(2);
        assert!(!finished.stderr.contains("s3cret"), "{}", finished.stderr);
        assert!(!finished.stderr.is_empty());
    }
}
