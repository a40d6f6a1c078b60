//! Rules over HTTP: those in use, and trying them on an event.

use audit_store::Role;
use serde_json::{Value, json};

use crate::desk::privilege_change;
use crate::rig::{Options, Rig, event_of};

const OWN: &str = "title: reads of VIPs
name: vip
logsource:
    product: audit
detection:
    read:
        action: record.read
        principalId|startswith: user-
    condition: read
---
title: many reads
name: many
correlation:
    type: event_count
    rules: [vip]
    group-by: [principalId]
    timespan: 5m
    condition:
        gte: 3
---
title: broken
name: broken
logsource:
    product: audit
detection:
    read:
        action|nonsense: x
    condition: read
";

async fn watching() -> Rig {
    Rig::with(Options {
        detection: true,
        ..Options::default()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_in_use_are_listed_with_their_places() {
    let rig = watching().await;
    let listed = rig.get("/v1/rules").await.json();
    assert_eq!(listed["problems"], json!([]));
    let rules = listed["rules"].as_array().expect("rules");
    assert!(rules.len() > 9, "the built-in ones: {}", rules.len());
    let kind = |key: &str| {
        let rule = rules.iter().find(|rule| rule["key"] == key);
        let rule = rule.unwrap_or_else(|| panic!("{key} in {listed}"));
        assert!(rule["line"].as_u64() >= Some(1), "{rule}");
        assert_eq!(rule["hash"].as_str().map(str::len), Some(64), "{rule}");
        (
            rule["kind"].clone(),
            rule["level"].clone(),
            rule["enabled"].clone(),
        )
    };
    assert_eq!(
        kind("privilege-change"),
        (json!("detection"), json!("high"), json!(true))
    );
    assert_eq!(
        kind("failed-authentication"),
        (json!("correlation"), json!("high"), json!(true))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_tried_on_the_rules_in_use_and_on_others_and_is_stored_nowhere() {
    let rig = watching().await;
    let key = rig.key_of(Role::Analyst, "org-a").await;
    let before = rig.at_rest().await["accepted"].clone();

    let mut event = privilege_change("org-a", 1);
    event
        .as_object_mut()
        .expect("members")
        .remove("organizationId");
    let tried = rig
        .post_as(&key, "/v1/rules/test", &json!({ "event": event }))
        .await;
    assert_eq!(tried.status, 200, "{}", tried.text);
    let tried = tried.json();
    assert_eq!(tried["organizationId"], "org-a", "the key's");
    assert!(tried["problems"].is_null(), "{tried}");
    let found = tried["matches"].as_array().expect("matches");
    let keys: Vec<_> = found.iter().map(|one| &one["key"]).collect();
    assert_eq!(keys, ["data-velocity-event", "privilege-change"], "{tried}");
    assert_eq!(found[0]["counts"][0]["key"], "data-velocity", "{tried}");
    let found = &found[1];
    assert_eq!(
        (&found["raises"], &found["selections"], &found["counts"]),
        (&json!(true), &json!(["selection"]), &json!([]))
    );
    let fields = found["fields"].as_array().expect("fields");
    let values: Vec<_> = fields
        .iter()
        .map(|field| (&field["field"], &field["value"]))
        .collect();
    assert!(
        values.contains(&(&json!("action"), &json!("configure"))),
        "{values:?}"
    );

    let body = json!({ "event": event_of("org-a", 7), "rules": OWN });
    let tried = rig.post_as(&key, "/v1/rules/test", &body).await.json();
    let found: Vec<&Value> = tried["matches"]
        .as_array()
        .expect("matches")
        .iter()
        .collect();
    let [found] = found[..] else {
        panic!("{tried}")
    };
    assert_eq!(
        (&found["key"], &found["raises"]),
        (&json!("vip"), &json!(false))
    );
    assert_eq!(found["counts"][0]["key"], "many", "{found}");
    assert_eq!(
        found["counts"][0]["group"],
        json!([{ "field": "principalId", "value": "user-7" }])
    );
    let problems = tried["problems"].as_array().expect("problems");
    assert_eq!(problems.len(), 1, "{tried}");
    assert!(problems[0]["line"].as_u64() > Some(19), "{tried}");
    assert!(
        problems[0]["reason"]
            .as_str()
            .expect("a reason")
            .contains("nonsense"),
        "{tried}"
    );

    let record = json!({ "eventTime": "2024-01-05T12:00:00Z", "eventName": "StopLogging", "eventSource": "cloudtrail.amazonaws.com",
        "eventID": "0193a5c0-0000-7000-8000-000000000001", "recipientAccountId": "org-a" });
    let rule = "title: t\nlogsource:\n    product: aws\ndetection:\n    s:\n        eventName: StopLogging\n    condition: s\n";
    let body = json!({ "event": record, "form": "cloudtrail", "rules": rule });
    let tried = rig.post_as(&key, "/v1/rules/test", &body).await.json();
    assert_eq!(tried["matches"][0]["key"], "t", "{tried}");

    assert_eq!(rig.at_rest().await["accepted"], before);
    let alerts = rig.get("/v1/alerts").await.json();
    assert_eq!(alerts["alerts"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_that_cannot_be_made_is_refused() {
    let rig = watching().await;
    let key = rig.key_of(Role::Analyst, "org-a").await;
    let large = "#".repeat((256 << 10) + 1);
    for (body, status, code) in [
        (json!({}), 400, "bad_body"),
        (
            json!({ "event": event_of("org-a", 1), "colour": "red" }),
            400,
            "bad_body",
        ),
        (json!({ "event": { "action": 7 } }), 400, "bad_event"),
        (json!({ "event": [] }), 400, "bad_event"),
        (
            json!({ "event": event_of("org-a", 1), "form": "fax" }),
            400,
            "unknown_form",
        ),
        (json!({ "event": event_of("org-b", 1) }), 403, "forbidden"),
        (
            json!({ "event": event_of("org-a", 1), "rules": large }),
            400,
            "bad_body",
        ),
    ] {
        let answer = rig.post_as(&key, "/v1/rules/test", &body).await;
        assert_eq!(answer.problem(status), code, "{}", answer.text);
    }
    let nothing = json!({ "event": event_of("org-a", 1), "rules": "" });
    let answer = rig.post_as(&key, "/v1/rules/test", &nothing).await.json();
    assert_eq!(
        (&answer["matches"], &answer["problems"]),
        (&json!([]), &json!([]))
    );
}
