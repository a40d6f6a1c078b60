//! Alerts: found, shown, counted, acknowledged, resolved; and the outbox.

use std::time::Duration;

use audit_alert::SystemFinding;
use audit_store::query::OrganizationScope;
use audit_store::{AlertLevel, Role};
use audit_testkit::wait::wait_until_async;
use reqwest::Method;
use serde_json::{Value, json};

use crate::desk::{PHONE, note};
use crate::rig::{Options, PATIENCE, Rig, send};

async fn watching() -> Rig {
    Rig::with(Options {
        detection: true,
        ..Options::default()
    })
    .await
}

/// The ids in a list.
fn ids(page: &Value) -> Vec<String> {
    let alerts = page["alerts"].as_array().expect("alerts");
    let id = |alert: &Value| alert["id"].as_str().expect("an id").to_owned();
    alerts.iter().map(id).collect()
}

/// Our own events about an alert: action and principal, oldest first.
async fn trail(rig: &Rig, alert: &str) -> Vec<(String, String, Value)> {
    let path = format!("/v1/events?organizationId=_audit&targetResourceId={alert}&order=oldest");
    let found = rig.get(&path).await.json();
    let events = found["events"].as_array().expect("events").iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    events
        .map(|stored| {
            let event = &stored["event"];
            (
                text(&event["action"]),
                text(&event["principalId"]),
                event["details"]["details"]["note"].clone(),
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_listed_shown_acknowledged_and_resolved_and_each_step_is_in_the_trail() {
    let rig = watching().await;
    let key = rig.key_of(Role::Analyst, "org-a").await;
    let key_id = key.split('_').nth(1).expect("an id").to_owned();
    let alert = rig.alert("org-a", 1).await;

    let listed = rig.get_as(&key, "/v1/alerts").await.json();
    assert_eq!(ids(&listed), std::slice::from_ref(&alert), "{listed}");
    assert!(listed["nextCursor"].is_null(), "{listed}");
    let path = format!("/v1/alerts/{alert}");
    let shown = rig.get_as(&key, &path).await.json();
    assert_eq!(shown, listed["alerts"][0]);
    assert_eq!(
        (&shown["rule"], &shown["state"], &shown["level"]),
        (&json!("privilege-change"), &json!("open"), &json!("high"))
    );

    let said = "I look".to_owned();
    let acknowledged = rig
        .post_as(&key, &format!("{path}/acknowledge"), &note(&said))
        .await;
    assert_eq!(acknowledged.status, 200, "{}", acknowledged.text);
    let acknowledged = acknowledged.json();
    assert_eq!(acknowledged["state"], "acknowledged");
    let last = acknowledged["history"].as_array().expect("steps").last();
    let last = last.expect("a step");
    assert_eq!((&last["by"], &last["note"]), (&json!(key_id), &json!(said)));
    // Again is fine, and no step of its own; a body is not needed.
    let again = send(rig.request_as(&key, Method::POST, &format!("{path}/acknowledge"))).await;
    assert_eq!(again.json(), acknowledged);

    let resolve = format!("{path}/resolve");
    let resolved = send(rig.request_as(&key, Method::POST, &resolve)).await;
    assert_eq!(resolved.json()["state"], "resolved", "{}", resolved.text);
    for act in ["acknowledge", "resolve"] {
        let late = rig
            .post_as(&key, &format!("{path}/{act}"), &note("x"))
            .await;
        assert_eq!(late.problem(409), "already_resolved");
    }
    let kept = rig.get_as(&key, &path).await.json();
    assert_eq!(kept, resolved.json());

    let steps = wait_until_async("the steps are in the trail", PATIENCE, || async {
        let steps = trail(&rig, &alert).await;
        (steps.len() >= 3).then_some(steps)
    })
    .await;
    let step = |action: &str, by: &str, note: Value| (action.to_owned(), by.to_owned(), note);
    assert_eq!(
        steps,
        [
            step("alert.raised", "system", Value::Null),
            step("alert.acknowledged", &key_id, json!("I look")),
            step("alert.resolved", &key_id, Value::Null),
        ]
    );
    // Reads of alerts are reads: one of our events for each principal, route and minute.
    let reads = wait_until_async("the reads are told", PATIENCE, || async {
        let path =
            format!("/v1/events?organizationId=_audit&action=audit.read&principalId={key_id}");
        let found = rig.get(&path).await.json();
        let found = found["events"].as_array().expect("events").clone();
        (found.len() >= 2).then_some(found)
    })
    .await;
    let routes: Vec<_> = reads
        .iter()
        .map(|stored| {
            stored["event"]["targetResourceId"]
                .as_str()
                .expect("a route")
        })
        .collect();
    assert!(
        routes.contains(&"GET /v1/alerts") && routes.contains(&"GET /v1/alerts/{id}"),
        "{routes:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_another_organisations_or_the_systems_is_not_there() {
    let rig = watching().await;
    let (of_a, of_b) = (rig.alert("org-a", 1).await, rig.alert("org-b", 2).await);
    let desk = &rig.state.detection.as_ref().expect("on").desk;
    let finding = SystemFinding {
        kind: "queue-depth".to_owned(),
        subject: "queue".to_owned(),
        level: AlertLevel::High,
        title: "The queue is long".to_owned(),
        detail: "9 frames".to_owned(),
        active: true,
    };
    desk.system(&finding).await.expect("raised");
    let key = rig.key_of(Role::Admin, "org-b").await;

    let own = rig.get_as(&key, "/v1/alerts").await.json();
    assert_eq!(ids(&own), std::slice::from_ref(&of_b), "{own}");
    for query in [
        "organizationId=org-a",
        "organizationId=_audit",
        "rule=system/queue-depth",
    ] {
        let nothing = rig.get_as(&key, &format!("/v1/alerts?{query}")).await;
        assert_eq!(ids(&nothing.json()), [""; 0], "{query}");
    }
    let statistics = rig.get_as(&key, "/v1/alerts/statistics").await.json();
    assert_eq!(statistics["total"], 1, "{statistics}");
    let of_system = rig.get("/v1/alerts?rule=system/queue-depth").await.json();
    let of_system = ids(&of_system).pop().expect("the system's alert");
    for hidden in [&of_a, &of_system] {
        let path = format!("/v1/alerts/{hidden}");
        assert_eq!(rig.get_as(&key, &path).await.problem(404), "not_found");
        for act in ["acknowledge", "resolve"] {
            let acted = rig
                .post_as(&key, &format!("{path}/{act}"), &json!({}))
                .await;
            assert_eq!(acted.problem(404), "not_found");
        }
        assert_eq!(rig.get(&path).await.json()["state"], "open", "untouched");
    }

    let all = rig.get("/v1/alerts/statistics").await.json();
    assert_eq!(
        all,
        json!({
            "total": 3,
            "byState": { "open": 3, "acknowledged": 0, "resolved": 0 },
            "byLevel": { "informational": 0, "low": 0, "medium": 0, "high": 3, "critical": 0 },
            "byRule": { "privilege-change": 2, "system/queue-depth": 1 },
        })
    );
    let of_one = rig
        .get("/v1/alerts/statistics?organizationId=org-a&state=open,acknowledged&atLeast=high")
        .await;
    assert_eq!(of_one.json()["total"], 1);
    let none = rig.get("/v1/alerts/statistics?atLeast=critical").await;
    assert_eq!(none.json()["total"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_show_every_alert_once_newest_first() {
    let rig = watching().await;
    let mut raised = Vec::new();
    for number in 0..5 {
        raised.push(rig.alert("org-a", number).await);
    }
    rig.alert("org-b", 9).await;
    let key = rig.key_of(Role::Analyst, "org-a").await;
    let whole = rig.get_as(&key, "/v1/alerts").await.json();
    let times: Vec<_> = whole["alerts"]
        .as_array()
        .expect("alerts")
        .iter()
        .map(|alert| alert["raisedAt"].as_str().expect("a time").to_owned())
        .collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    let (mut seen, mut cursor, mut first) = (Vec::new(), String::new(), String::new());
    loop {
        let path = format!("/v1/alerts?limit=2{cursor}");
        let page = rig.get_as(&key, &path).await.json();
        seen.extend(ids(&page));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
        if first.is_empty() {
            first = cursor.clone();
        }
    }
    assert_eq!(seen, ids(&whole));
    seen.sort();
    raised.sort();
    assert_eq!(seen, raised);

    // A cursor is of one search and one scope, and of alerts.
    let narrower = format!("/v1/alerts?limit=2&state=open{first}");
    let another = rig.get_as(&key, &narrower).await;
    assert_eq!(another.problem(400), "bad_cursor");
    let wider = rig.get(&format!("/v1/alerts?limit=2{first}")).await;
    assert_eq!(wider.problem(400), "bad_cursor");
    let events = rig
        .get_as(&key, &format!("/v1/events?limit=2{first}"))
        .await;
    assert_eq!(events.problem(400), "bad_cursor");
    let larger = rig
        .get_as(&key, &format!("/v1/alerts?limit=1000{first}"))
        .await;
    assert_eq!(ids(&larger.json()).len(), 3, "{}", larger.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_named_and_changes_nothing() {
    let rig = watching().await;
    let alert = rig.alert("org-a", 1).await;
    let wrong =
        "/v1/alerts?state=ajar&atLeast=loud&since=soon&until=2026-03-01T10:00:00&limit=1001";
    let answer = rig.get(wrong).await;
    assert_eq!(answer.problem(400), "bad_parameter");
    let body = answer.json();
    let paths: Vec<_> = body["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| error["path"].as_str().expect("a path"))
        .collect();
    assert_eq!(paths, ["/state", "/atLeast", "/since", "/until", "/limit"]);
    for query in ["limit=0", "colour=red", "rule=a&rule=b", "state=open,"] {
        let answer = rig.get(&format!("/v1/alerts?{query}")).await;
        assert_eq!(answer.problem(400), "bad_parameter", "{query}");
    }
    for query in ["limit=1", "cursor=x"] {
        let answer = rig.get(&format!("/v1/alerts/statistics?{query}")).await;
        assert_eq!(answer.problem(400), "bad_parameter", "{query}");
    }
    let nul = rig.get("/v1/alerts?rule=%00").await;
    assert_eq!(nul.problem(400), "refused");
    for id in ["7", &alert[1..], &format!("{alert}00")] {
        let path = format!("/v1/alerts/{id}");
        assert_eq!(rig.get(&path).await.problem(400), "bad_id", "{id}");
    }
    let unknown = format!("/v1/alerts/{}", "0".repeat(64));
    assert_eq!(rig.get(&unknown).await.problem(404), "not_found");

    let long = json!({ "note": "x".repeat(4_097) });
    for act in ["acknowledge", "resolve"] {
        let path = format!("/v1/alerts/{alert}/{act}");
        for body in [
            json!({ "note": 7 }),
            json!({ "notes": "x" }),
            json!([]),
            long.clone(),
        ] {
            let answer = rig.post(&path, &body).await;
            assert_eq!(answer.problem(400), "bad_body", "{body}");
        }
        let text = rig.request(Method::POST, &path).body("{");
        assert_eq!(send(text).await.problem(400), "bad_body");
    }
    let kept = rig.get(&format!("/v1/alerts/{alert}")).await.json();
    assert_eq!(
        (&kept["state"], &kept["version"]),
        (&json!("open"), &json!(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outbox_is_shown_and_what_was_given_up_is_told_again() {
    let rig = watching().await;
    let empty = rig.get("/v1/alerts/outbox").await.json();
    assert_eq!(empty, json!({ "handlers": [] }));
    rig.alert("org-a", 1).await;
    rig.alert("org-a", 2).await;
    let line = |outbox: &Value| {
        let lines = outbox["handlers"].as_array().expect("handlers");
        let line = lines.iter().find(|line| line["handler"] == PHONE);
        line.expect("the phone's line").clone()
    };
    let waiting = line(&rig.get("/v1/alerts/outbox").await.json());
    assert_eq!(
        (&waiting["waiting"], &waiting["dead"]),
        (&json!(2), &json!(0))
    );
    assert!(waiting["oldest"].is_string(), "{waiting}");

    let alerts = &rig.state.detection.as_ref().expect("on").alerts;
    let taken = alerts.take(PHONE, Duration::from_secs(60), 10).await;
    let taken = taken.expect("taken");
    for delivery in &taken {
        alerts
            .give_up(delivery, "nobody answers")
            .await
            .expect("given up");
    }
    let dead = line(&rig.get("/v1/alerts/outbox").await.json());
    assert_eq!(dead["dead"].as_u64(), u64::try_from(taken.len()).ok());

    let path = format!("/v1/alerts/outbox/{PHONE}/revive");
    for (role, organization) in [(Role::Admin, "org-a"), (Role::ComplianceOfficer, "org-a")] {
        let key = rig.key_of(role, organization).await;
        let refused = send(rig.request_as(&key, Method::POST, &path)).await;
        assert_eq!(refused.problem(403), "forbidden");
    }
    let revived = send(rig.request(Method::POST, &path)).await.json();
    assert_eq!(revived, json!({ "handler": PHONE, "revived": taken.len() }));
    let waiting = line(&rig.get("/v1/alerts/outbox").await.json());
    assert_eq!(
        (&waiting["waiting"], &waiting["dead"]),
        (&json!(2), &json!(0))
    );
    let nobody = send(rig.request(Method::POST, "/v1/alerts/outbox/nobody/revive")).await;
    assert_eq!(nobody.json()["revived"], 0);

    let recorded = wait_until_async("the act is recorded", PATIENCE, || async {
        let path = "/v1/events?organizationId=_audit&action=alert.outbox.revive";
        let found = rig.get(path).await.json();
        let found = found["events"].as_array().expect("events").clone();
        (!found.is_empty()).then_some(found)
    })
    .await;
    assert_eq!(recorded.len(), 1, "reviving nothing is no act");
    assert_eq!(recorded[0]["event"]["targetResourceId"], PHONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_detection_the_routes_say_so() {
    let rig = Rig::start().await;
    let id = "0".repeat(64);
    for path in [
        "/v1/alerts".to_owned(),
        "/v1/alerts/statistics".to_owned(),
        "/v1/alerts/outbox".to_owned(),
        format!("/v1/alerts/{id}"),
        "/v1/rules".to_owned(),
    ] {
        assert_eq!(rig.get(&path).await.problem(404), "detection_off", "{path}");
    }
    let event = crate::rig::event(1);
    for (path, body) in [
        (format!("/v1/alerts/{id}/acknowledge"), json!({})),
        (format!("/v1/alerts/{id}/resolve"), json!({})),
        ("/v1/alerts/outbox/phone/revive".to_owned(), json!({})),
        ("/v1/rules/test".to_owned(), json!({ "event": event })),
    ] {
        let answer = rig.post(&path, &body).await;
        assert_eq!(answer.problem(404), "detection_off", "{path}");
    }
    let viewer = rig.key(Role::Viewer, OrganizationScope::All).await;
    let refused = rig.get_as(&viewer, "/v1/alerts").await;
    assert_eq!(
        refused.problem(403),
        "forbidden",
        "who may not is told first"
    );
}
