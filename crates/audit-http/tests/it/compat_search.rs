//! `GET /api/audit/events`: PAKE's filters, order, pages and totals.

use audit_store::Role;
use serde_json::{Value, json};

use crate::rig::{Rig, event};

/// An event in PAKE's form.
fn pake(number: u64, actor_type: &str, result: &str) -> Value {
    json!({
        "id": format!("evt-{number}"), "timestamp": format!("2026-03-01T10:{:02}:{:02}.000Z", number / 60, number % 60),
        "version": "1.0.0", "actor": { "id": format!("user-{}", number % 3), "type": actor_type, "metadata": { "roles": ["a"] } },
        "action": { "type": if number.is_multiple_of(2) { "read" } else { "delete" }, "resource": "vault", "resourceId": format!("v-{number}"), "result": result },
        "context": { "environment": "e", "application": "a", "version": "1.0.0" },
    })
}

const RESULTS: [&str; 5] = ["success", "failure", "denied", "error", "partial"];

/// Asked by somebody who does not see the events that are made of asking.
async fn of_one_organisation() -> Rig {
    let mut rig = Rig::start().await;
    rig.admin = rig.key_of(Role::Admin, "pake").await;
    rig
}

/// 20 events, of two kinds of actors and each result four times.
async fn filled() -> Rig {
    let rig = of_one_organisation().await;
    let events: Vec<Value> = (0..20)
        .map(|number| {
            let actor = if number < 5 { "service" } else { "user" };
            pake(
                number,
                actor,
                RESULTS[usize::try_from(number % 5).expect("small")],
            )
        })
        .collect();
    let answer = rig
        .post("/api/audit/events/batch", &json!({ "events": events }))
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    rig
}

async fn search(rig: &Rig, query: &str) -> Value {
    let answer = rig.get(&format!("/api/audit/events?{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_of_pake_finds_what_it_should_and_counts_it() {
    let rig = filled().await;
    let table = [
        ("actorId=user-1", 7),
        ("actorType=service", 5),
        ("actorType=nobody", 0),
        ("actionType=delete", 10),
        ("resource=vault", 20),
        ("resource=note", 0),
        ("resourceId=v-7", 1),
        ("result=success", 4),
        ("result=failure", 4),
        ("result=denied", 4),
        ("result=error", 4),
        ("result=partial", 4),
        ("result=denied&actorType=service", 1),
        // Both ends belong to the range, with a zone or without.
        (
            "startTime=2026-03-01T10:00:05Z&endTime=2026-03-01T10:00:09Z",
            5,
        ),
        ("startTime=2026-03-01T10:00:19.000", 1),
    ];
    for (query, expected) in table {
        let found = search(&rig, query).await;
        assert_eq!(found["total"], expected, "{query}");
        assert_eq!(
            found["events"].as_array().map(Vec::len),
            Some(expected),
            "{query}"
        );
        assert_eq!(
            (&found["hasMore"], &found["page"]),
            (&json!(false), &json!(1)),
            "{query}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_comes_back_as_its_producer_wrote_it() {
    let rig = filled().await;
    for (number, actor, result) in [(2, "service", "denied"), (10, "user", "success")] {
        let found = search(&rig, &format!("resourceId=v-{number}")).await;
        assert_eq!(found["events"], json!([pake(number, actor, result)]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_one_another_in_either_order() {
    let rig = filled().await;
    let ids = |found: &Value| -> Vec<String> {
        let events = found["events"].as_array().expect("events");
        events
            .iter()
            .map(|event| event["id"].as_str().expect("an id").to_owned())
            .collect()
    };
    let newest = search(&rig, "limit=3").await;
    assert_eq!(ids(&newest), ["evt-19", "evt-18", "evt-17"]);
    assert_eq!(
        (&newest["total"], &newest["hasMore"]),
        (&json!(20), &json!(true))
    );
    let third = search(
        &rig,
        "limit=3&offset=6&orderDirection=asc&orderBy=timestamp",
    )
    .await;
    assert_eq!(ids(&third), ["evt-6", "evt-7", "evt-8"]);
    assert_eq!(third["page"], 3);
    assert_eq!(
        third,
        search(&rig, "limit=3&page=3&orderDirection=asc").await
    );
    let last = search(&rig, "limit=7&page=3").await;
    assert_eq!(
        (ids(&last).len(), &last["hasMore"], &last["total"]),
        (6, &json!(false), &json!(20))
    );
    let filtered = search(&rig, "result=denied&limit=2&page=2").await;
    assert_eq!(
        (ids(&filtered), &filtered["total"]),
        (vec!["evt-7".to_owned(), "evt-2".to_owned()], &json!(4))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_meant_is_refused_and_others_events_are_not_shown() {
    let rig = filled().await;
    for query in [
        "orderBy=actor_id;drop",
        "orderDirection=up",
        "limit=0",
        "limit=1001",
        "limit=x",
        "offset=9990",
        "page=0",
        "offset=1&page=1",
        "result=maybe",
        "startTime=yesterday",
        "colour=red",
    ] {
        let answer = rig.get(&format!("/api/audit/events?{query}")).await;
        assert_eq!(answer.problem(400), "bad_parameter", "{query}");
    }
    let other = rig.key_of(Role::Viewer, "other").await;
    let answer = rig.get_as(&other, "/api/audit/events").await.json();
    assert_eq!(
        (&answer["total"], &answer["events"]),
        (&json!(0), &json!([]))
    );
    // An event of another form is shown in this one.
    rig.store(&event(1)).await;
    let found = search(&rig, "actionType=record.read").await;
    assert_eq!(found["events"][0]["action"]["type"], "record.read");
    assert_eq!(found["events"][0]["action"]["result"], "success");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_total_is_exact_or_absent() {
    let rig = of_one_organisation().await;
    let many: Vec<Value> = (0..10_000).map(event).collect();
    rig.store(&Value::from(many)).await;
    let all = search(&rig, "limit=1").await;
    assert_eq!(
        (&all["total"], &all["hasMore"]),
        (&json!(10_000), &json!(true))
    );
    rig.store(&Value::from(vec![event(10_001), event(10_002)]))
        .await;
    let more = search(&rig, "limit=1").await;
    assert_eq!((more.get("total"), &more["hasMore"]), (None, &json!(true)));
    // The one page that might be among those not looked at is not answered as if it were empty.
    let answer = rig.get("/api/audit/events?actorType=robot").await;
    assert_eq!(answer.problem(422), "search_too_broad");
}
