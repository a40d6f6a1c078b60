//! `alerts`: what is asked of the server, and what of its answers is shown.

use serde_json::{Value, json};

use crate::fake::{Answer, Fake, Seen};
use crate::run::Bench;

fn id(digit: &str) -> String {
    digit.repeat(64)
}

fn alert(id: &str, state: &str) -> Value {
    json!({
        "id": id, "organizationId": "acme", "rule": "failed-authentication", "ruleHash": "cd", "title": "Failed logins",
        "level": "high", "raisedLevel": "high", "source": "rule", "state": state, "ended": true,
        "group": [{ "field": "principalId", "value": "eve\u{1b}[2J" }],
        "raisedAt": "2024-03-05T10:00:30.000000Z", "firstAt": "2024-03-05T09:59:00.000000Z", "lastAt": "2024-03-05T10:00:00.000000Z",
        "events": 7, "value": 7.0, "late": false, "escalation": 0, "escalateAt": null, "notified": true, "muted": null,
        "evidence": [{ "eventId": "e-1", "at": "2024-03-05T09:59:00.000000Z", "ledger": 0, "leafIndex": 41 }],
        "history": [{ "state": "open", "by": "system", "at": "2024-03-05T10:00:30.000000Z", "note": null },
            { "state": "acknowledged", "by": "k-1", "at": "2024-03-05T10:01:00.000000Z", "note": "on it" }],
        "version": 2,
    })
}

/// Two alerts, of which one is resolved already.
fn server(seen: &Seen) -> Answer {
    let now = |status, body: Value| Answer::Now(status, &[], body.to_string());
    let problem = |status| {
        now(
            status,
            json!({ "title": "No", "detail": "resolved already" }),
        )
    };
    let (one, two) = (id("a"), id("b"));
    let (path, _) = seen.uri.split_once('?').unwrap_or((&seen.uri, ""));
    match path {
        "/v1/alerts" if seen.uri.contains("cursor=next") => {
            now(200, json!({ "alerts": [alert(&two, "resolved")] }))
        }
        "/v1/alerts" => now(
            200,
            json!({ "alerts": [alert(&one, "open")], "nextCursor": "next" }),
        ),
        "/v1/alerts/statistics" => now(
            200,
            json!({ "total": 2, "byState": { "open": 1, "resolved": 1 }, "byLevel": { "high": 2 }, "byRule": { "x": 2 } }),
        ),
        "/v1/alerts/outbox" => now(
            200,
            json!({ "handlers": [{ "handler": "phone", "waiting": 3, "dead": 1, "oldest": "2024-03-05T10:00:30.000000Z" }] }),
        ),
        "/v1/alerts/outbox/a%2Fb/revive" => now(200, json!({ "handler": "a/b", "revived": 1 })),
        path if path == format!("/v1/alerts/{one}/acknowledge") => {
            now(200, alert(&one, "acknowledged"))
        }
        path if path == format!("/v1/alerts/{one}/resolve") => now(200, alert(&one, "resolved")),
        path if path == format!("/v1/alerts/{one}") => now(200, alert(&one, "acknowledged")),
        path if path.starts_with(&format!("/v1/alerts/{two}/")) => problem(409),
        _ => problem(404),
    }
}

#[test]
fn alerts_are_listed_and_shown() {
    let fake = Fake::start(|seen, _| server(seen));
    let bench = Bench::new(&fake.url);
    let listed = bench
        .run(&[
            "alerts",
            "list",
            "--state",
            "open,acknowledged",
            "--at-least",
            "medium",
            "--rule",
            "r",
            "--organization",
            "acme",
            "--since",
            "s",
            "--until",
            "u",
            "--limit",
            "1",
        ])
        .expect_code(0)
        .stdout;
    for word in [
        "aaaaaaaaaaaa ",
        "failed-authentication",
        "principalId=eve\u{fffd}[2J",
        "2024-03-05T10:00:30",
        "1 alerts; more with --cursor next",
    ] {
        assert!(listed.contains(word), "{word} in {listed}");
    }
    assert_eq!(
        fake.seen()[0].uri,
        "/v1/alerts?state=open%2Cacknowledged&atLeast=medium&rule=r&organizationId=acme&since=s&until=u&limit=1"
    );
    let csv = bench.run(&["alerts", "list", "-o", "csv"]).expect_code(0);
    assert!(csv.stdout.contains(&id("a")), "{}", csv.stdout);
    let json = bench.run(&["alerts", "list", "-o", "json"]).expect_code(0);
    assert_eq!(json.json()["alerts"][0], alert(&id("a"), "open"));

    let shown = bench
        .run(&["alerts", "show", "AAAAAAAA"])
        .expect_code(0)
        .stdout;
    for word in ["e-1 (0/41)", "acknowledged by k-1: on it", "Failed logins"] {
        assert!(shown.contains(word), "{word} in {shown}");
    }
    let unknown = bench.run(&["alerts", "show", "cccccccc"]).expect_code(1);
    assert!(
        unknown.stderr.contains("no alert begins with cccccccc"),
        "{}",
        unknown.stderr
    );
    bench.run(&["alerts", "show", "aaaa"]).expect_code(2);

    let statistics = bench.run(&["alerts", "statistics"]).expect_code(0).stdout;
    assert!(statistics.contains("2 alerts"), "{statistics}");
}

#[test]
fn what_is_done_to_alerts_is_told_for_each() {
    let fake = Fake::start(|seen, _| server(seen));
    let bench = Bench::new(&fake.url);
    let arguments = [
        "alerts",
        "acknowledge",
        &id("a"),
        "--note",
        "on it",
        "-o",
        "json",
    ];
    let done = bench.run(&arguments).expect_code(0).json();
    assert_eq!(done[0]["result"], "acknowledged");
    let seen = fake.seen();
    assert_eq!(
        (seen.len(), seen[0].method.as_str()),
        (1, "POST"),
        "a whole id is not looked for"
    );
    assert_eq!(seen[0].json(), json!({ "note": "on it" }));

    // What is done with already costs only itself.
    let done = bench
        .run(&["alerts", "resolve", "bbbbbbbb", "aaaaaaaa", "-o", "json"])
        .expect_code(1)
        .json();
    assert!(
        done[0]["result"]
            .as_str()
            .expect("a text")
            .contains("resolved already"),
        "{done}"
    );
    assert_eq!(done[1]["result"], "resolved");
    assert_eq!(fake.seen().last().expect("a request").json(), json!({}));
}

#[test]
fn the_outbox_is_shown_and_revived() {
    let fake = Fake::start(|seen, _| server(seen));
    let bench = Bench::new(&fake.url);
    let outbox = bench.run(&["alerts", "outbox"]).expect_code(0).stdout;
    assert!(
        outbox.contains("phone") && outbox.contains("waiting"),
        "{outbox}"
    );
    let revived = bench
        .run(&["alerts", "revive", "a/b", "-o", "json"])
        .expect_code(0);
    assert_eq!(revived.json()[0]["revived"], 1);
    bench.run(&["alerts", "revive"]).expect_code(2);
    bench.run(&["alerts", "revive", "nobody"]).expect_code(1);
}
