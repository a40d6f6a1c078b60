//! 0 fine, 1 a finding, 2 usage, 3 cannot reach; and every error says what to do next.

use crate::fake::{Answer, Fake};
use crate::run::{Bench, run_in};

fn unused_url() -> String {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}", socket.local_addr().expect("an address"))
}

#[test]
fn nobody_there_is_3_and_names_the_address_and_the_flag() {
    let bench = Bench::new(&unused_url());
    let finished = bench.run(&["status"]).expect_code(3);
    assert!(
        finished.stderr.contains(&bench.url) && finished.stderr.contains("--url"),
        "{}",
        finished.stderr
    );
    assert!(finished.stdout.is_empty(), "{}", finished.stdout);
}

#[test]
fn a_wrong_argument_is_2() {
    let bench = Bench::new(&unused_url());
    for wrong in [
        &["send"][..],
        &["send", "x", "--format", "xml"],
        &["send", "x", "--batch", "0"],
        &["show", "no-id"],
        &["query", "--detail", "x"],
        &["verify-proof", "x"],
        &["verify-proof", "x", "--key", "k", "--pin", "p"],
        &[
            "dead-letters",
            "purge",
            "0193a5c0-0000-7000-8000-000000000001",
        ],
        &["nothing"],
    ] {
        let finished = bench.run(wrong);
        assert_eq!(finished.code, 2, "{wrong:?}: {}", finished.stderr);
    }
}

#[test]
fn a_missing_key_file_is_2_and_a_refused_key_names_its_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let finished = run_in(dir.path(), &["status"]).expect_code(2);
    assert!(
        finished.stderr.contains("./data/admin.key"),
        "{}",
        finished.stderr
    );

    let fake = Fake::start(|_, _| {
        Answer::Now(
            401,
            &[],
            r#"{"title":"Unauthorized","detail":"no such key"}"#.to_owned(),
        )
    });
    let bench = Bench::new(&fake.url);
    let finished = bench.run(&["query"]).expect_code(2);
    assert!(
        finished
            .stderr
            .contains(&bench.path("key").display().to_string()),
        "{}",
        finished.stderr
    );
    assert!(
        finished.stderr.contains("no such key"),
        "{}",
        finished.stderr
    );
    assert_eq!(
        fake.seen()[0].authorization,
        "Bearer ak_test_secret",
        "the comment is no key"
    );
}

#[test]
fn a_worker_that_cannot_is_3_and_one_that_is_none_too() {
    let away = Fake::start(|_, _| Answer::Now(503, &[], r#"{"title":"Unavailable"}"#.to_owned()));
    let finished = Bench::new(&away.url).run(&["query"]).expect_code(3);
    assert!(
        finished.stderr.contains("Unavailable"),
        "{}",
        finished.stderr
    );
    let other = Fake::start(|_, _| Answer::Now(200, &[], "<html>".to_owned()));
    Bench::new(&other.url).run(&["query"]).expect_code(3);
}

#[test]
fn what_is_not_there_is_1() {
    let fake = Fake::start(|_, _| {
        Answer::Now(
            404,
            &[],
            r#"{"title":"Not found","detail":"no such event"}"#.to_owned(),
        )
    });
    let finished = Bench::new(&fake.url).run(&["show", "0/7"]).expect_code(1);
    assert!(
        finished.stderr.contains("no such event"),
        "{}",
        finished.stderr
    );
    assert_eq!(fake.seen()[0].uri, "/v1/ledgers/0/entries/7");
}

#[test]
fn verification_is_0_only_when_it_passes() {
    for (result, code) in [("pass", 0), ("fail", 1), ("inconclusive", 1)] {
        let fake = Fake::start(move |seen, _| {
            let report = serde_json::json!({"state": "done", "result": result, "checked": 2, "findings": [
                {"outcome": "tampered", "kind": "edited", "ledger": 0, "leafIndex": 1, "eventId": "e-1", "detail": "action"}]});
            match (seen.method.as_str(), seen.uri.as_str()) {
                ("POST", _) => Answer::Now(202, &[], r#"{"run":"r1"}"#.to_owned()),
                (_, "/v1/verify/r1") => Answer::Now(200, &[], report.to_string()),
                _ => Answer::Now(200, &[], r#"{"ledgers":[]}"#.to_owned()),
            }
        });
        let bench = Bench::new(&fake.url);
        let finished = bench.run(&["verify"]).expect_code(code);
        for word in ["tampered", "edited", "e-1", "action", result] {
            assert!(
                finished.stdout.contains(word),
                "{word} in {}",
                finished.stdout
            );
        }
        assert_eq!(
            bench
                .run(&["verify", "-o", "json"])
                .expect_code(code)
                .json()["result"],
            result
        );
        let lines = bench.run(&["verify", "-o", "csv"]).expect_code(code).stdout;
        assert_eq!(
            lines,
            "outcome,kind,ledger,leafIndex,eventId,detail\ntampered,edited,0,1,e-1,action\n"
        );
    }
}

#[test]
fn a_request_for_part_of_a_ledger_says_which() {
    let fake = Fake::start(|_, _| Answer::Now(400, &[], "{}".to_owned()));
    let bench = Bench::new(&fake.url);
    let note = bench.file("note", "the note\n");
    let arguments = [
        "verify",
        "--ledger",
        "3",
        "--since",
        "2026-01-01T00:00:00Z",
        "--checkpoint",
        &note,
    ];
    bench.run(&arguments).expect_code(2);
    let expected = serde_json::json!({"ledger": 3, "since": "2026-01-01T00:00:00Z", "checkpoints": ["the note\n"]});
    assert_eq!(fake.seen()[0].json(), expected);
}
