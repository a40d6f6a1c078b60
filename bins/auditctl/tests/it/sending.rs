//! `send`: every event is told apart, repeated until it is acknowledged, and never sent as another one.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::fake::{Answer, Fake, results};
use crate::run::{Bench, finish};

fn events(count: usize) -> String {
    (0..count)
        .map(|n| format!("{{\"action\":\"a\",\"n\":{n}}}\n"))
        .collect()
}

#[test]
fn every_way_to_write_events_down_arrives_unchanged() {
    let fake = Fake::start(|seen, _| Answer::Now(201, &[], results(seen, |_| "accepted")));
    let bench = Bench::new(&fake.url);
    bench.file("1.json", r#"[{"n":1.10},{"n":12345678901234567890}]"#);
    bench.file("2.json", r#"{"events":[{"n":3}]}"#);
    bench.file("3.json", r#"{"Records":[{"n":4},{"n":5}]}"#);
    bench.file("4.json", "{\"n\":6}\n{\"n\":7}\n");
    bench.file("5.json", "{\n  \"n\": 8\n}");
    let pattern = bench.path("*.json").display().to_string();
    let finished = bench
        .run(&[
            "send",
            &pattern,
            "--format",
            "cloudtrail",
            "--ack",
            "sealed",
            "-o",
            "json",
        ])
        .expect_code(0);
    assert_eq!(finished.json()["sent"], 8);
    assert_eq!(finished.json()["accepted"], 8);
    let bodies: Vec<_> = fake
        .seen()
        .iter()
        .map(|seen| String::from_utf8(seen.body.clone()).expect("text"))
        .collect();
    assert_eq!(
        bodies,
        [
            r#"[{"n":1.10},{"n":12345678901234567890}]"#,
            r#"[{"n":3}]"#,
            r#"[{"n":4},{"n":5}]"#,
            r#"[{"n":6},{"n":7}]"#,
            "[{\n  \"n\": 8\n}]"
        ]
    );
    assert!(
        fake.seen()
            .iter()
            .all(|seen| seen.uri == "/v1/events?ack=sealed&form=cloudtrail"),
        "{:?}",
        fake.seen()
    );
}

#[test]
fn what_is_refused_is_listed_with_its_place_and_the_exit_code_is_1() {
    let fake = Fake::start(|seen, _| {
        Answer::Now(
            207,
            &[],
            results(
                seen,
                |index| if index == 1 { "rejected" } else { "duplicate" },
            ),
        )
    });
    let bench = Bench::new(&fake.url);
    let file = bench.file(
        "in.ndjson",
        "{\"n\":0}\n{\"n\":1,\"n\":1}\n{\"n\":2}\n{\"n\":3}\n",
    );
    let finished = bench.run(&["send", &file, "-o", "json"]).expect_code(1);
    let summary = finished.json();
    let sums = [
        "sent",
        "accepted",
        "duplicates",
        "conflicts",
        "deadLettered",
        "rejected",
    ]
    .map(|name| summary[name].as_u64());
    assert_eq!(sums, [4, 0, 2, 0, 0, 2].map(Some));
    assert_eq!(
        summary["rejections"][0]["item"], 1,
        "refused here, because it is no JSON"
    );
    assert_eq!(summary["rejections"][1]["item"], 2, "refused by the server");
    assert_eq!(summary["rejections"][1]["path"], "/status");
    assert_eq!(summary["rejections"][1]["message"], "is required");
    assert_eq!(summary["rejections"][1]["file"], file);
    let table = bench.run(&["send", &file]).expect_code(1).stdout;
    assert!(
        table.contains("/status") && table.contains("is required"),
        "{table}"
    );
}

#[test]
fn a_refused_batch_comes_again_after_the_time_asked_for_with_the_same_key() {
    let fake = Fake::start(|seen, before| match before {
        0 => Answer::Now(503, &[("retry-after", "1")], "{}".to_owned()),
        1 => Answer::Now(
            207,
            &[],
            results(seen, |index| if index == 0 { "retry" } else { "accepted" }),
        ),
        _ => Answer::Now(
            201,
            &[],
            results(
                seen,
                |index| if index == 0 { "accepted" } else { "duplicate" },
            ),
        ),
    });
    let bench = Bench::new(&fake.url);
    let file = bench.file("in.ndjson", events(2));
    let began = Instant::now();
    let summary = bench
        .run(&["send", &file, "-o", "json"])
        .expect_code(0)
        .json();
    assert!(
        began.elapsed() >= Duration::from_secs(1),
        "Retry-After is obeyed"
    );
    assert_eq!(
        (summary["accepted"].as_u64(), summary["duplicates"].as_u64()),
        (Some(2), Some(0)),
        "the first answer counts"
    );
    let batches: Vec<_> = fake.seen().iter().map(crate::fake::Seen::batch).collect();
    assert_eq!(batches.len(), 3);
    assert!(
        batches.iter().all(|batch| *batch == batches[0]) && !batches[0].0.is_empty(),
        "{batches:?}"
    );
}

#[test]
fn it_gives_up_with_3_when_nothing_succeeds_and_a_refused_request_is_not_repeated() {
    let away = Fake::start(|_, _| Answer::Now(503, &[], "{}".to_owned()));
    let bench = Bench::new(&away.url);
    let file = bench.file("in.ndjson", events(1));
    bench
        .run(&["send", &file, "--patience", "0"])
        .expect_code(3);
    let refusing = Fake::start(|_, _| Answer::Now(415, &[], r#"{"title":"no"}"#.to_owned()));
    let bench = Bench::new(&refusing.url);
    let file = bench.file("in.ndjson", events(1));
    bench.run(&["send", &file]).expect_code(2);
    assert_eq!(refusing.seen().len(), 1);
}

#[test]
fn a_killed_send_goes_on_where_it_was_with_the_keys_it_would_have_used() {
    let complete = Fake::start(|seen, _| Answer::Now(201, &[], results(seen, |_| "accepted")));
    let bench = Bench::new(&complete.url);
    let file = bench.file("in.ndjson", events(100));
    bench.run(&["send", &file, "--batch", "10"]).expect_code(0);
    let mut expected: Vec<_> = complete
        .seen()
        .iter()
        .map(crate::fake::Seen::batch)
        .collect();
    expected.sort();

    // Takes the first 40 events, and nothing more until the sender is gone.
    let gone = Arc::new(AtomicBool::new(false));
    let stalled = {
        let gone = Arc::clone(&gone);
        Fake::start(move |seen, _| {
            if gone.load(Ordering::SeqCst) || seen.json()[0]["n"].as_u64() < Some(40) {
                Answer::Now(201, &[], results(seen, |_| "accepted"))
            } else {
                Answer::Never
            }
        })
    };
    let bench = Bench {
        url: stalled.url.clone(),
        ..bench
    };
    let state = bench.path("state.json").display().to_string();
    let arguments = [
        "send", &file, "--batch", "10", "--state", &state, "-o", "json",
    ];
    let mut child = bench
        .command(&arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let deadline = Instant::now() + Duration::from_secs(20);
    while stalled.seen().len() < 8 {
        assert!(
            Instant::now() < deadline,
            "it does not send: {:?}",
            stalled.seen().len()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("killable");
    child.wait().expect("reaped");
    gone.store(true, Ordering::SeqCst);

    let finished = finish(bench.command(&arguments).stdin(Stdio::null()).output()).expect_code(0);
    let summary = finished.json();
    assert_eq!(
        summary["sent"], 100,
        "what was sent before the kill is counted, too"
    );
    assert!(
        !bench.path("state.json").exists(),
        "all is sent: the next run sends everything again"
    );
    let mut batches: Vec<_> = stalled
        .seen()
        .iter()
        .map(crate::fake::Seen::batch)
        .collect();
    batches.sort();
    batches.dedup();
    assert_eq!(
        batches, expected,
        "every batch, and never another cut of the same events"
    );
}

#[test]
fn a_file_that_was_replaced_is_sent_from_its_beginning() {
    let fake = Fake::start(|seen, _| Answer::Now(201, &[], results(seen, |_| "accepted")));
    let bench = Bench::new(&fake.url);
    let file = bench.file("in.ndjson", events(4));
    let state = bench.path("state.json").display().to_string();
    let kept = |digest: &str| {
        serde_json::json!({"url": fake.url, "format": "native", "batch": 2, "summary": {"sent": 2, "accepted": 2},
            "inputs": [{"name": file, "events": 2, "digest": digest, "done": false}]})
    };
    bench.file("state.json", kept("00").to_string());
    bench
        .run(&["send", &file, "--state", &state])
        .expect_code(0);
    assert_eq!(
        fake.seen().len(),
        2,
        "both batches of two: the noted digest is of other events"
    );
}

#[test]
fn standard_input_is_sent_as_it_comes() {
    let fake = Fake::start(|seen, _| Answer::Now(201, &[], results(seen, |_| "accepted")));
    let bench = Bench::new(&fake.url);
    let file = bench.file("in.ndjson", events(3));
    let stdin = std::fs::File::open(file).expect("readable");
    let finished = finish(
        bench
            .command(&["send", "-", "-o", "json"])
            .stdin(stdin)
            .output(),
    )
    .expect_code(0);
    assert_eq!(finished.json()["accepted"], 3);
}
