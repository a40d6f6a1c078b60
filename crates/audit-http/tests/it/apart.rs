//! Organisations see nothing of each other, whatever they ask.

use audit_event::OrganizationId;
use audit_store::Role;
use audit_store::query::OrganizationScope;
use reqwest::Method;
use serde_json::{Value, json};

use crate::rig::{Rig, event, event_of, send};

/// An event with an id both organisations use.
fn shared(organization: &str, number: u64) -> Value {
    let mut event = event_of(organization, number);
    event["id"] = "019c9c9e-0000-7000-8000-00000000000a".into();
    event
}

fn numbers(page: &Value) -> Vec<u64> {
    let events = page["events"].as_array().expect("events").iter();
    let mut numbers: Vec<u64> = events
        .filter_map(|stored| stored["event"]["details"]["number"].as_u64())
        .collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn search_and_lookups_stay_within_the_keys_organisations() {
    let rig = Rig::start().await;
    let events = json!([
        event_of("org-a", 1),
        event_of("org-b", 2),
        shared("org-a", 3),
        shared("org-b", 4),
        event(5)
    ]);
    let stored = rig.store(&events).await.json();
    let (a, b) = (
        rig.key_of(Role::ComplianceOfficer, "org-a").await,
        rig.key_of(Role::ComplianceOfficer, "org-b").await,
    );
    let both = OrganizationScope::Only(vec![
        OrganizationId::new("org-a"),
        OrganizationId::new("org-b"),
    ]);
    let both = rig.key(Role::ComplianceOfficer, both).await;
    for (key, query, expected) in [
        (&a, "", vec![1, 3]),
        (&b, "", vec![2, 4]),
        (&both, "", vec![1, 2, 3, 4]),
        (&rig.admin, "", vec![1, 2, 3, 4, 5]),
        (&a, "?organizationId=org-a", vec![1, 3]),
        (&a, "?organizationId=org-b", vec![]),
        (&a, "?organizationId=_audit", vec![]),
        (&a, "?details.number=2", vec![]),
        (&both, "?organizationId=org-b", vec![2, 4]),
    ] {
        let page = rig.get_as(key, &format!("/v1/events{query}")).await;
        assert_eq!(numbers(&page.json()), expected, "{query} {}", page.text);
    }
    // By id: each its own, and who sees both must say which.
    let path = "/v1/events/019c9c9e-0000-7000-8000-00000000000a";
    assert_eq!(
        rig.get_as(&a, path).await.json()["event"]["details"]["number"],
        3
    );
    assert_eq!(
        rig.get_as(&b, path).await.json()["event"]["details"]["number"],
        4
    );
    assert_eq!(
        rig.get_as(&a, &format!("{path}?organizationId=org-b"))
            .await
            .problem(404),
        "not_found"
    );
    let ambiguous = rig.get_as(&both, path).await;
    assert_eq!(ambiguous.problem(409), "ambiguous_id");
    let body = ambiguous.json();
    let addresses = body["addresses"].as_array().expect("addresses");
    assert_eq!(addresses.len(), 2, "{body}");
    for address in addresses {
        let one = format!(
            "{path}?organizationId={}&timestamp={}",
            address["organizationId"].as_str().expect("text"),
            address["timestamp"].as_str().expect("text")
        );
        assert_eq!(
            rig.get_as(&both, &one).await.json()["leafIndex"],
            address["leafIndex"],
            "{one}"
        );
    }
    // By address.
    for (place, organization) in [(0, "a"), (1, "b"), (2, "a"), (3, "b"), (4, "none")] {
        let entry = format!(
            "/v1/ledgers/0/entries/{}",
            stored["results"][place]["leafIndex"]
        );
        for (key, owner) in [(&a, "a"), (&b, "b")] {
            for view in ["", "/canonical"] {
                let answer = rig.get_as(key, &format!("{entry}{view}")).await;
                if owner == organization {
                    assert_eq!(answer.status, 200, "{entry}{view} {}", answer.text);
                } else {
                    assert_eq!(answer.problem(404), "not_found", "{entry}{view}");
                }
            }
            if owner != organization {
                assert_eq!(
                    rig.get_as(key, &format!("{entry}/proof"))
                        .await
                        .problem(404),
                    "not_found"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_one_organisation_is_no_cursor_of_another() {
    let rig = Rig::start().await;
    rig.store(&json!([
        event_of("org-a", 1),
        event_of("org-a", 2),
        event_of("org-b", 3),
        event_of("org-b", 4)
    ]))
    .await;
    let (a, b) = (
        rig.key_of(Role::Viewer, "org-a").await,
        rig.key_of(Role::Viewer, "org-b").await,
    );
    let page = rig.get_as(&a, "/v1/events?limit=1").await.json();
    let next = format!(
        "/v1/events?limit=1&cursor={}",
        page["nextCursor"].as_str().expect("a cursor")
    );
    assert_eq!(rig.get_as(&b, &next).await.problem(400), "bad_cursor");
    assert_eq!(numbers(&rig.get_as(&a, &next).await.json()), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_without_an_organisation_get_the_keys_own() {
    let rig = Rig::start().await;
    let writer = rig.key_of(Role::Writer, "org-a").await;
    let answer = rig
        .post_as(&writer, "/v1/events?ack=stored&timeoutMs=60000", &event(1))
        .await
        .json();
    let entry = rig
        .get(&format!(
            "/v1/ledgers/0/entries/{}",
            answer["results"][0]["leafIndex"]
        ))
        .await
        .json();
    assert_eq!(entry["event"]["organizationId"], "org-a");
    let own = rig
        .post_as(&writer, "/v1/events", &event_of("_audit", 1))
        .await;
    assert_eq!(
        (
            own.status.as_u16(),
            &own.json()["results"][0]["errors"][0]["code"]
        ),
        (400, &json!("forbidden"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_frames_and_keys_stay_apart() {
    let rig = Rig::start().await;
    let mut conflict = shared("org-a", 3);
    conflict["number"] = 99.into();
    rig.store(&json!([shared("org-a", 3), conflict])).await;
    let (a, b) = (
        rig.key_of(Role::Admin, "org-a").await,
        rig.key_of(Role::Admin, "org-b").await,
    );
    let letters = rig.get_as(&a, "/v1/dead-letters").await.json();
    assert_eq!(
        letters["deadLetters"].as_array().map(Vec::len),
        Some(1),
        "{letters}"
    );
    assert_eq!(
        rig.get_as(&b, "/v1/dead-letters").await.json()["deadLetters"],
        json!([])
    );
    let path = format!(
        "/v1/dead-letters/{}",
        letters["deadLetters"][0]["id"].as_str().expect("an id")
    );
    assert_eq!(rig.get_as(&a, &path).await.status, 200);
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::POST, format!("{path}/replay")),
    ] {
        assert_eq!(
            send(rig.request_as(&b, method, &path)).await.problem(404),
            "not_found",
            "{path}"
        );
    }
    // A frame's id is told to its sender alone, and it tells numbers alone.
    let sent = rig.post_as(&a, "/v1/events", &event(8)).await.json();
    let frame = rig
        .get_as(
            &a,
            &format!("/v1/frames/{}", sent["frame"].as_str().expect("a frame")),
        )
        .await
        .json();
    assert!(
        frame.get("organizationId").is_none() && frame.get("results").is_none(),
        "{frame}"
    );
    // An organisation's admin neither sees nor makes keys of others.
    let keys = rig.get_as(&a, "/v1/keys").await.json();
    let organizations: Vec<&Value> = keys["keys"]
        .as_array()
        .expect("keys")
        .iter()
        .map(|key| &key["organizations"])
        .collect();
    assert_eq!(organizations, [&json!(["org-a"])], "{keys}");
    for body in [
        json!({"name": "x", "role": "viewer"}),
        json!({"name": "x", "role": "viewer", "organizations": ["org-a", "org-b"]}),
    ] {
        assert_eq!(
            rig.post_as(&a, "/v1/keys", &body).await.problem(403),
            "forbidden"
        );
    }
    let others = rig.get_as(&b, "/v1/keys").await.json();
    let other = others["keys"][0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(
        send(rig.request_as(&a, Method::DELETE, &format!("/v1/keys/{other}")))
            .await
            .problem(404),
        "not_found"
    );
    assert_eq!(rig.get_as(&b, "/v1/keys").await.status, 200);
}
