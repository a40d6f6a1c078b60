//! Search: every filter, pages that hold still, cursors that cannot be forged.

use audit_testkit::wait::wait_until_async;
use serde_json::{Value, json};

use crate::rig::{PATIENCE, Rig, event};

fn numbers(page: &Value) -> Vec<u64> {
    let events = page["events"].as_array().expect("events").iter();
    events
        .filter_map(|stored| stored["event"]["details"]["number"].as_u64())
        .collect()
}

/// Three events that differ in every member there is a filter for.
fn scene() -> Value {
    json!([
        {
            "timestamp": "2026-03-01T10:00:01Z", "action": "patient.read", "status": "success", "principalId": "ann", "number": 1,
            "organizationId": "org-a", "targetResourceType": "Patient", "targetResourceId": "p-1", "severity": "info",
            "dataClassification": "PHI", "correlationId": "c-1", "details": { "ward": { "name": "north" } }, "note": "morning round",
        },
        {
            "timestamp": "2026-03-01T10:00:02Z", "action": "patient.update", "status": "failure", "principalId": "ben", "number": 2,
            "organizationId": "org-b", "targetResourceType": "Patient", "targetResourceId": "p-2", "severity": "warning",
            "dataClassification": "INTERNAL", "correlationId": "c-2", "note": "evening round", "flag": true,
        },
        {
            "timestamp": "2026-03-01T10:00:03Z", "action": "report.export", "status": "attempt", "principalId": "ann", "number": 3,
            "organizationId": "org-a", "targetResourceType": "Report", "targetResourceId": "p-1", "severity": "critical",
            "dataClassification": "PUBLIC", "correlationId": "c-1", "note": "quarterly figures",
        },
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_finds_exactly_what_it_names() {
    let rig = Rig::start().await;
    rig.store(&scene()).await;
    for (query, expected) in [
        ("", vec![3, 2, 1]),
        ("order=oldest", vec![1, 2, 3]),
        ("order=newest", vec![3, 2, 1]),
        ("limit=2&until=2026-04-01T00:00:00Z", vec![3, 2]),
        ("since=2026-03-01T10:00:02Z", vec![3, 2]),
        ("until=2026-03-01T10:00:02Z", vec![1]),
        (
            "since=2026-03-01T12:00:02%2B02:00&until=2026-03-01T10:00:03Z",
            vec![2],
        ),
        ("principalId=ann", vec![3, 1]),
        ("principalId=AN", vec![]),
        ("organizationId=org-a", vec![3, 1]),
        ("organizationId=org-c", vec![]),
        ("action=patient.read", vec![1]),
        ("action=patient.*", vec![2, 1]),
        ("action=patient", vec![]),
        ("action=p*&order=oldest", vec![1, 2]),
        ("targetResourceType=Patient", vec![2, 1]),
        ("targetResourceId=p-1", vec![3, 1]),
        ("targetResourceType=Patient&targetResourceId=p-1", vec![1]),
        ("status=failure", vec![2]),
        ("severity=critical", vec![3]),
        ("dataClassification=PHI", vec![1]),
        ("correlationId=c-1", vec![3, 1]),
        ("details.number=2", vec![2]),
        ("details.flag=true", vec![2]),
        ("details.note=morning%20round", vec![1]),
        ("details.note=morning+round", vec![1]),
        ("principalId=ann&status=attempt", vec![3]),
    ] {
        let page = rig.get(&format!("/v1/events?{query}")).await;
        assert_eq!(page.status, 200, "{query} {}", page.text);
        assert_eq!(numbers(&page.json()), expected, "{query} {}", page.text);
    }
    // Text is found once the index has read the event.
    for (query, expected) in [
        ("text=round", vec![2, 1]),
        ("text=morning%20round", vec![1]),
        ("text=nowhere", vec![]),
    ] {
        wait_until_async(query, PATIENCE, || async {
            let page = rig.get(&format!("/v1/events?{query}")).await;
            assert_eq!(page.status, 200, "{query} {}", page.text);
            (numbers(&page.json()) == expected).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_event_looks_the_same_everywhere() {
    let rig = Rig::start().await;
    let told = rig.store(&event(1)).await.json();
    let result = &told["results"][0];
    let by_id = rig
        .get(&format!(
            "/v1/events/{}",
            result["id"].as_str().expect("an id")
        ))
        .await
        .json();
    let by_address = rig
        .get(&format!("/v1/ledgers/0/entries/{}", result["leafIndex"]))
        .await
        .json();
    let listed = rig.get("/v1/events?principalId=user-1").await.json()["events"][0].clone();
    assert_eq!((&by_id, &by_id), (&by_address, &listed));
    for member in ["ledger", "leafIndex", "leafHash"] {
        assert_eq!(by_id[member], result[member], "{member}");
    }
    assert_eq!(by_id["event"]["receivedAt"], result["receivedAt"]);
    assert!(by_id["sealedAt"].is_string());
    let later = format!(
        "/v1/events/{}?timestamp=2026-03-01T10:00:02Z",
        result["id"].as_str().expect("an id")
    );
    assert_eq!(rig.get(&later).await.problem(404), "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_hold_still_while_events_arrive() {
    let rig = Rig::start().await;
    for order in ["newest", "oldest"] {
        let organization = format!("org-{order}");
        // All of one second, so that the id must tell them apart.
        let batch = |from: u64| -> Value {
            (from..from + 25)
                .map(|number| {
                    let mut event = event(7);
                    event["number"] = number.into();
                    event["organizationId"] = organization.as_str().into();
                    event
                })
                .collect()
        };
        rig.store(&batch(0)).await;
        let query = format!("/v1/events?organizationId={organization}&order={order}&limit=4");
        let (mut seen, mut cursor, mut arrived) = (Vec::new(), String::new(), 100);
        loop {
            let page = rig.get(&format!("{query}{cursor}")).await.json();
            seen.extend(numbers(&page));
            rig.store(&batch(arrived)).await;
            arrived += 100;
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let count = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), count, "{order}: nothing twice");
        let first: Vec<u64> = seen.iter().copied().filter(|number| *number < 25).collect();
        assert_eq!(
            first,
            (0..25).collect::<Vec<_>>(),
            "{order}: nothing left out"
        );
        assert_eq!(
            count, 25,
            "{order}: what arrived after the first page is not mixed in"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_question_is_told_member_by_member() {
    let rig = Rig::start().await;
    rig.store(&json!([event(1), event(2), event(3)])).await;
    for (query, path, code) in [
        ("since=yesterday", "/since", "bad_format"),
        ("until=2026-03-01T10:00:00", "/until", "bad_format"),
        ("status=maybe", "/status", "unknown_value"),
        ("severity=SEVERE", "/severity", "unknown_value"),
        (
            "dataClassification=secret",
            "/dataClassification",
            "unknown_value",
        ),
        ("order=random", "/order", "unknown_value"),
        ("limit=0", "/limit", "bad_format"),
        ("limit=1001", "/limit", "bad_format"),
        ("limit=many", "/limit", "bad_format"),
        ("limit=5&limit=6", "/limit", "duplicate_key"),
        ("colour=red", "/colour", "unknown_parameter"),
        ("details.=x", "/details.", "too_large"),
    ] {
        let answer = rig.get(&format!("/v1/events?{query}")).await;
        assert_eq!(answer.problem(400), "bad_parameter", "{query}");
        let body = answer.json();
        assert_eq!(
            (&body["errors"][0]["path"], &body["errors"][0]["code"]),
            (&json!(path), &json!(code)),
            "{query}"
        );
    }
    let page = rig.get("/v1/events?limit=1&status=success").await.json();
    let cursor = page["nextCursor"].as_str().expect("a cursor").to_owned();
    let mut forged = cursor.clone();
    forged.replace_range(
        10..11,
        if cursor.as_bytes()[10] == b'A' {
            "B"
        } else {
            "A"
        },
    );
    for query in [
        "limit=1&cursor=x".to_owned(),
        "limit=1&cursor=".to_owned(),
        format!("limit=1&status=success&cursor={forged}"),
        format!("limit=1&status=failure&cursor={cursor}"),
        format!("limit=1&status=success&order=oldest&cursor={cursor}"),
    ] {
        assert_eq!(
            rig.get(&format!("/v1/events?{query}")).await.problem(400),
            "bad_cursor",
            "{query}"
        );
    }
    // The size of a page may change on the way.
    let rest = rig
        .get(&format!(
            "/v1/events?limit=10&status=success&cursor={cursor}"
        ))
        .await
        .json();
    assert_eq!(numbers(&rest), [2, 1]);
}
