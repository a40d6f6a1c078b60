//! Trying rules: SigmaHQ's on real records, offline and over what a real worker has stored.

use std::collections::{BTreeMap, BTreeSet};

use audit_testkit::data::{cloudtrail_files, shared_data};
use serde_json::Value;

use crate::fake::{Answer, Fake};
use crate::run::{Bench, run_in};
use crate::worker::Site;

/// Ids of events by rule file, as two other engines found them.
fn expected() -> BTreeMap<String, BTreeSet<String>> {
    let path = shared_data().join("sigma-cloudtrail/expected.json");
    let text = std::fs::read_to_string(path).expect("readable");
    let expected: Value = serde_json::from_str(&text).expect("JSON");
    let rules = expected["rules"].as_object().expect("rules");
    rules
        .iter()
        .map(|(file, ids)| {
            let ids = ids.as_array().expect("ids").iter();
            let ids = ids.map(|id| id.as_str().expect("an id").to_owned());
            (file.clone(), ids.collect::<BTreeSet<_>>())
        })
        .filter(|(_, ids)| !ids.is_empty())
        .collect()
}

fn sigma_rules() -> String {
    let rules = shared_data().join("sigma-cloudtrail/rules");
    rules.display().to_string()
}

fn records_glob() -> String {
    shared_data()
        .join("cloudtrail/*.json")
        .display()
        .to_string()
}

fn file_name(path: &str) -> String {
    let name = std::path::Path::new(path).file_name().expect("a name");
    name.to_string_lossy().into_owned()
}

#[test]
fn rules_on_real_records_match_what_two_other_engines_match() {
    let dir = tempfile::tempdir().expect("a directory");
    let (rules, records) = (sigma_rules(), records_glob());
    let arguments = [
        "rules",
        "test",
        &rules,
        "--event",
        &records,
        "--format",
        "cloudtrail",
        "-o",
        "json",
    ];
    // The one file with a placeholder is a problem, named with its line.
    let tried = run_in(dir.path(), &arguments).expect_code(1).json();
    assert_eq!(tried["events"], 2_900);
    let problems = tried["problems"].as_array().expect("problems");
    let [problem] = &problems[..] else {
        panic!("{problems:?}")
    };
    assert!(problem["line"].as_u64() > Some(1), "{problem}");
    assert!(
        problem["reason"].as_str().expect("a reason").contains('%'),
        "{problem}"
    );

    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for one in tried["matches"].as_array().expect("matches") {
        let file = file_name(one["file"].as_str().expect("a file"));
        let id = one["eventId"].as_str().expect("an id").to_owned();
        assert!(found.entry(file).or_default().insert(id), "twice: {one}");
        assert_eq!(one["raises"], true, "{one}");
    }
    assert_eq!(found, expected());
}

const OWN: &str = "title: denied
name: denied
logsource:
    product: aws
detection:
    denied:
        errorCode|contains:
            - AccessDenied
            - Unauthorized
    condition: denied
---
title: many denied
name: many-denied
correlation:
    type: event_count
    rules: [denied]
    group-by: [userIdentity.arn]
    timespan: 1m
    condition:
        gte: 3
";

/// How often somebody was denied 3 times in a minute: by a look at every pair of records.
fn runs_of_denials() -> usize {
    let mut denied: BTreeMap<String, Vec<(i64, String)>> = BTreeMap::new();
    for path in cloudtrail_files() {
        let text = std::fs::read_to_string(path).expect("readable");
        let document: Value = serde_json::from_str(&text).expect("JSON");
        for record in document["Records"].as_array().expect("records") {
            let code = record["errorCode"].as_str().unwrap_or_default();
            if code.contains("AccessDenied") || code.contains("Unauthorized") {
                let at = record["eventTime"].as_str().expect("a time");
                let id = record["eventID"].as_str().expect("an id").to_owned();
                let who = record["userIdentity"]["arn"].to_string();
                denied.entry(who).or_default().push((seconds(at), id));
            }
        }
    }
    let runs = denied.into_values().map(|mut events| {
        events.sort();
        let is_over = |at: usize| {
            let window = events[..=at]
                .iter()
                .filter(|one| one.0 >= events[at].0 - 60);
            window.count() >= 3
        };
        let begins = |at: &usize| {
            let goes_on = *at > 0 && is_over(at - 1) && events[*at].0 - events[at - 1].0 <= 60;
            is_over(*at) && !goes_on
        };
        (0..events.len()).filter(begins).count()
    });
    runs.sum()
}

/// Seconds of a time within the days of the records, by the day of its month: all are of one month.
fn seconds(time: &str) -> i64 {
    let part = |range: std::ops::Range<usize>| time[range].parse::<i64>().expect("a number");
    ((part(8..10) * 24 + part(11..13)) * 60 + part(14..16)) * 60 + part(17..19)
}

#[test]
fn a_backtest_over_stored_events_raises_what_the_rules_find_in_them() {
    let site = Site::start();
    let arguments = ["send", &records_glob(), "--format", "cloudtrail"];
    assert_eq!(site.json(&arguments)["accepted"], 2_900);
    let (rules, own) = (sigma_rules(), site.file("own.yml", OWN));
    let arguments = [
        "rules", "backtest", &rules, &own, "-o", "json", "--limit", "5",
    ];
    let tested = site.run(&arguments).expect_code(1).json();
    assert!(
        tested["events"].as_u64() >= Some(2_900),
        "{}",
        tested["events"]
    );
    assert_eq!(tested["boundsForced"], 0);

    // Each match of a rule by itself is an episode; rules are named by their ids.
    let mut counts: BTreeMap<String, usize> = expected()
        .into_iter()
        .map(|(file, ids)| {
            let text = std::fs::read_to_string(std::path::Path::new(&rules).join(file));
            let text = text.expect("readable");
            let id = text.lines().find_map(|line| line.strip_prefix("id: "));
            (id.expect("an id").trim().to_owned(), ids.len())
        })
        .collect();
    let runs = runs_of_denials();
    assert!(runs > 1, "{runs} says something");
    counts.insert("many-denied".to_owned(), runs);
    let found: BTreeMap<String, usize> =
        serde_json::from_value(tested["rules"].clone()).expect("counts");
    assert_eq!(found, counts);
    let total: usize = counts.values().sum();
    assert_eq!(tested["episodes"].as_array().map(Vec::len), Some(5));
    assert_eq!(tested["episodesLeftOut"], total - 5);

    // Part of the time, for people.
    let arguments = ["rules", "backtest", &own, "--until", "2001-01-01T00:00:00Z"];
    let nothing = site.run(&arguments).expect_code(0).stdout;
    assert!(nothing.starts_with("0 episodes in 0 events"), "{nothing}");
    let all = site.run(&["rules", "backtest", &own]).expect_code(0).stdout;
    assert!(
        all.contains("many-denied")
            && all.contains("userIdentity.arn=")
            && all.contains("as if of one ledger"),
        "{all}"
    );
}

#[test]
fn a_trial_names_what_is_wrong_and_why_what_matches() {
    let bench = Bench::new("http://127.0.0.1:9");
    let rules = bench.file(
        "rules.yml",
        format!("{OWN}---\ntitle: broken\nlogsource:\n    product: aws\ndetection:\n    s:\n        a|nonsense: x\n    condition: s\n"),
    );
    let events = bench.file(
        "events.ndjson",
        "{\"timestamp\":\"2026-01-01T00:00:00Z\",\"action\":\"x\",\"status\":\"failure\",\"errorCode\":\"AccessDeniedException\"}\n{\"action\":7}\n",
    );
    let arguments = ["rules", "test", &rules, "--event", &events];
    let told = bench.run(&arguments).expect_code(1).stdout;
    for word in [
        "denied",
        "many-denied",
        "errorCode=AccessDeniedException",
        "nonsense",
        "1 events, 1 matches, 2 problems",
        "/timestamp",
    ] {
        assert!(told.contains(word), "{word} in {told}");
    }
    let tried = bench
        .run(&[&arguments[..], &["-o", "json"]].concat())
        .expect_code(1)
        .json();
    let found = &tried["matches"][0];
    assert_eq!(
        (&found["rule"], &found["raises"]),
        (&"denied".into(), &false.into()),
        "{tried}"
    );
    assert_eq!(
        found["countedBy"][0]["group"][0]["field"],
        "userIdentity.arn"
    );
    let problems = tried["problems"].as_array().expect("problems");
    assert_eq!(
        (&problems[0]["line"], &problems[1]["line"]),
        (&27.into(), &2.into()),
        "{tried}"
    );

    let built_in = ["rules", "test", "--built-in", "--event", &events];
    let told = bench.run(&built_in).expect_code(1).stdout;
    assert!(told.contains("1 events, 0 matches, 1 problems"), "{told}");
    for wrong in [
        &["rules", "test", "--event", &events][..],
        &["rules", "test", &rules],
        &["rules", "test", "/nonexistent.yml", "--event", &events],
        &["rules", "test", &rules, "--event", "/nonexistent.json"],
    ] {
        bench.run(wrong).expect_code(2);
    }
    let empty = bench.path("empty");
    std::fs::create_dir(&empty).expect("made");
    let empty = empty.display().to_string();
    bench
        .run(&["rules", "test", &empty, "--event", &events])
        .expect_code(2);
}

#[test]
fn the_rules_in_use_are_listed_and_a_problem_is_a_finding() {
    let answer = |problems: &str| {
        format!(
            r#"{{"rules":[{{"key":"k","title":"t","level":"high","kind":"detection","enabled":true,"file":"f.yml","line":3,"hash":"00"}}],"problems":[{problems}]}}"#
        )
    };
    let fine = answer("");
    let fake = Fake::start(move |_, _| Answer::Now(200, &[], fine.clone()));
    let listed = Bench::new(&fake.url).run(&["rules", "list"]).expect_code(0);
    assert!(listed.stdout.contains("f.yml:3"), "{}", listed.stdout);
    assert_eq!(fake.seen()[0].uri, "/v1/rules");

    let bad = answer(r#"{"file":"g.yml","line":7,"reason":"no condition"}"#);
    let fake = Fake::start(move |_, _| Answer::Now(200, &[], bad.clone()));
    let bench = Bench::new(&fake.url);
    let listed = bench.run(&["rules", "list"]).expect_code(1).stdout;
    for word in ["1 problems", "g.yml", "7", "no condition"] {
        assert!(listed.contains(word), "{word} in {listed}");
    }
    let json = bench.run(&["rules", "list", "-o", "json"]).expect_code(1);
    assert_eq!(json.json()["problems"][0]["line"], 7);
}
