//! Dead letters, keys, status, verification runs, and our own events about all of it.

use audit_testkit::wait::wait_until_async;
use reqwest::Method;
use serde_json::{Value, json};

use crate::rig::{Options, PATIENCE, Rig, event, send};

/// Stores an event under an id, and another claim under the same.
async fn with_conflict(rig: &Rig) -> Value {
    let mut one = event(1);
    one["id"] = "019c9c9e-0000-7000-8000-000000000001".into();
    let mut other = one.clone();
    other["number"] = 2.into();
    rig.store(&json!([one, other])).await;
    let letters = rig.get("/v1/dead-letters").await.json();
    assert_eq!(
        letters["deadLetters"].as_array().map(Vec::len),
        Some(1),
        "{letters}"
    );
    letters["deadLetters"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_listed_shown_sent_again_and_removed() {
    let rig = Rig::start().await;
    let letter = with_conflict(&rig).await;
    assert_eq!(
        (&letter["reason"], &letter["eventId"]),
        (
            &json!("conflict"),
            &json!("019c9c9e-0000-7000-8000-000000000001")
        )
    );
    assert!(letter["payload"].is_null(), "a list shows no content");
    let path = format!("/v1/dead-letters/{}", letter["id"].as_str().expect("an id"));
    let shown = rig.get(&path).await.json();
    let text: Value =
        serde_json::from_str(shown["payloadText"].as_str().expect("text")).expect("JSON");
    assert_eq!(text["details"]["number"], 2, "{shown}");
    for (query, count) in [
        ("?reason=conflict", 1),
        ("?reason=poison", 0),
        ("?limit=1", 1),
    ] {
        let listed = rig.get(&format!("/v1/dead-letters{query}")).await.json();
        assert_eq!(
            listed["deadLetters"].as_array().map(Vec::len),
            Some(count),
            "{query}"
        );
    }
    assert_eq!(
        rig.get("/v1/dead-letters?reason=boredom")
            .await
            .problem(400),
        "bad_parameter"
    );
    assert_eq!(rig.get("/v1/status").await.json()["deadLettersWaiting"], 1);

    let replay = send(rig.request(Method::POST, &format!("{path}/replay"))).await;
    assert_eq!(replay.status, 202, "{}", replay.text);
    let again = send(rig.request(Method::POST, &format!("{path}/replay"))).await;
    assert_eq!(again.problem(409), "already_replayed");
    let status = rig.at_rest().await;
    let sum: u64 = ["stored", "duplicate", "conflict", "deadLettered", "queued"]
        .iter()
        .filter_map(|name| status[name].as_u64())
        .sum();
    assert_eq!(status["accepted"].as_u64(), Some(sum), "{status}");
    let all = rig
        .get("/v1/dead-letters?includeReplayed=true")
        .await
        .json();
    let replayed = all["deadLetters"]
        .as_array()
        .expect("letters")
        .iter()
        .filter(|letter| letter["replayedAt"].is_string())
        .count();
    assert_eq!(replayed, 1, "{all}");

    let purge = || send(rig.request(Method::DELETE, &path));
    assert_eq!(purge().await.status, 204);
    assert_eq!(purge().await.problem(404), "not_found");
    assert_eq!(rig.get(&path).await.problem(404), "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_dead_letters_has_pages() {
    let rig = Rig::start().await;
    let mut batch = Vec::new();
    for number in 0..7 {
        let mut event = event(1);
        event["id"] = "019c9c9e-0000-7000-8000-000000000001".into();
        event["number"] = number.into();
        batch.push(event);
    }
    rig.store(&json!(batch)).await;
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = rig
            .get(&format!("/v1/dead-letters?limit=2{after}"))
            .await
            .json();
        seen.extend(
            page["deadLetters"]
                .as_array()
                .expect("letters")
                .iter()
                .map(|letter| letter["id"].to_string()),
        );
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    let listed = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!((listed, seen.len()), (6, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_works_from_its_creation_to_its_revocation() {
    let rig = Rig::start().await;
    let body = json!({ "name": "till 7", "role": "writer", "organizations": ["org-a", "org-b"], "defaultOrganization": "org-b" });
    let created = rig.post("/v1/keys", &body).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let created = created.json();
    let (id, key) = (
        created["id"].as_str().expect("an id"),
        created["key"].as_str().expect("a key"),
    );
    assert_eq!(
        (&created["role"], &created["defaultOrganization"]),
        (&json!("writer"), &json!("org-b"))
    );
    let listed = rig.get("/v1/keys").await;
    let secret = key.rsplit_once('_').expect("a key").1;
    assert!(
        listed.text.contains(id) && !listed.text.contains(secret),
        "a list shows ids, never a secret"
    );

    let sent = rig
        .post_as(key, "/v1/events?ack=stored&timeoutMs=60000", &event(1))
        .await
        .json();
    let entry = rig
        .get(&format!(
            "/v1/ledgers/0/entries/{}",
            sent["results"][0]["leafIndex"]
        ))
        .await
        .json();
    assert_eq!(
        (
            &entry["event"]["organizationId"],
            &entry["event"]["apiKeyId"]
        ),
        (&json!("org-b"), &Value::Null)
    );

    let revoke = || send(rig.request(Method::DELETE, &format!("/v1/keys/{id}")));
    assert_eq!(revoke().await.status, 204);
    assert_eq!(
        rig.post_as(key, "/v1/events", &event(2)).await.problem(401),
        "unauthenticated"
    );
    assert_eq!(revoke().await.problem(404), "not_found");
    let listed = rig.get("/v1/keys").await.json();
    let known = listed["keys"]
        .as_array()
        .expect("keys")
        .iter()
        .find(|key| key["id"] == id)
        .expect("listed")
        .clone();
    assert!(known["revokedAt"].is_string(), "{known}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_adds_up() {
    let rig = Rig::start().await;
    with_conflict(&rig).await;
    rig.store(&json!((10..60).map(event).collect::<Vec<_>>()))
        .await;
    rig.post("/v1/events", &json!([event(70), { "bad": true }]))
        .await;
    let mut twin = event(1);
    twin["id"] = "019c9c9e-0000-7000-8000-000000000001".into();
    rig.store(&twin).await;
    let status = rig.at_rest().await;
    let numbers = |names: &[&str]| {
        names
            .iter()
            .map(|name| status[name].as_u64().expect("a number"))
            .collect::<Vec<_>>()
    };
    let names = [
        "accepted",
        "stored",
        "duplicate",
        "conflict",
        "deadLettered",
        "queued",
        "rejected",
    ];
    assert_eq!(numbers(&names), [54, 52, 1, 1, 0, 0, 1], "{status}");
    let internal = &status["internal"];
    assert_eq!(internal["accepted"], internal["stored"], "{status}");
    let ledger = status["ledgers"]
        .as_array()
        .expect("ledgers")
        .iter()
        .find(|ledger| ledger["id"] == 0)
        .expect("ledger 0")
        .clone();
    assert_eq!(
        ledger["size"].as_u64(),
        Some(52 + internal["stored"].as_u64().expect("a number")),
        "{status}"
    );
    assert!(
        status["leases"]
            .as_array()
            .is_some_and(|leases| leases.iter().any(|lease| lease["ledger"] == 0)),
        "{status}"
    );
    assert_eq!(
        status["components"],
        json!([{ "component": "store", "status": "ok" }])
    );
}

/// Our own events with an action, as (action, principal, target).
async fn own(rig: &Rig, action: &str) -> Vec<(Value, Value)> {
    rig.at_rest().await;
    let page = rig
        .get(&format!(
            "/v1/events?organizationId=_audit&action={action}&limit=1000&order=oldest"
        ))
        .await
        .json();
    let events = page["events"].as_array().expect("events").iter();
    events
        .map(|stored| {
            (
                stored["event"]["principalId"].clone(),
                stored["event"]["targetResourceId"].clone(),
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_and_administration_become_events_of_our_own() {
    let rig = Rig::start().await;
    let stored = rig.store(&event(1)).await.json();
    let admin = rig.admin.get(3..19).expect("an id").to_owned();
    let id = stored["results"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    rig.get("/v1/events").await;
    rig.get(&format!("/v1/events/{id}")).await;
    rig.get("/v1/ledgers/0/entries/0").await;
    let told = wait_until_async("the reads are told", PATIENCE, || async {
        let told = own(&rig, "audit.read").await;
        (told.len() >= 3).then_some(told)
    })
    .await;
    for route in [
        "GET /v1/events",
        "GET /v1/events/{id}",
        "GET /v1/ledgers/{ledger}/entries/{index}",
    ] {
        assert!(
            told.contains(&(json!(admin), json!(route))),
            "{route} in {told:?}"
        );
    }
    let created = rig
        .post("/v1/keys", &json!({ "name": "x", "role": "viewer" }))
        .await
        .json();
    let key = created["id"].as_str().expect("an id").to_owned();
    send(rig.request(Method::DELETE, &format!("/v1/keys/{key}"))).await;
    let run = rig.post("/v1/verify", &json!({})).await.json();
    for (action, target) in [
        ("api-key.create", json!(key)),
        ("api-key.revoke", json!(key)),
        ("ledger.verify", run["run"].clone()),
    ] {
        let told = wait_until_async(action, PATIENCE, || async {
            let told = own(&rig, action).await;
            (!told.is_empty()).then_some(told)
        })
        .await;
        assert_eq!(told, [(json!(admin), target)], "{action}");
    }
    // They never count among the producers'.
    assert_eq!(rig.at_rest().await["accepted"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_run_is_begun_and_reports() {
    let rig = Rig::start().await;
    rig.post(
        "/v1/events?ack=sealed&timeoutMs=60000",
        &json!((0..20).map(event).collect::<Vec<_>>()),
    )
    .await;
    let begun = rig.post("/v1/verify", &json!({ "ledger": 0 })).await;
    assert_eq!(begun.status, 202, "{}", begun.text);
    let path = format!(
        "/v1/verify/{}",
        begun.json()["run"].as_str().expect("a run")
    );
    let report = wait_until_async("the run is done", PATIENCE, || async {
        let report = rig.get(&path).await.json();
        (report["state"] != "running").then_some(report)
    })
    .await;
    assert_eq!(
        (&report["state"], &report["result"], &report["findings"]),
        (&json!("done"), &json!("pass"), &json!([])),
        "{report}"
    );
    assert!(
        report["checked"]
            .as_u64()
            .is_some_and(|checked| checked >= 20),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn health_says_which_component_fails() {
    struct Broken;
    impl audit_pipeline::HealthCheck for Broken {
        fn name(&self) -> &str {
            "printer"
        }
        fn check(&self) -> Result<(), String> {
            Err("out of paper".to_owned())
        }
    }
    let mut options = Options::default();
    options.registry.health_check(Broken);
    let rig = Rig::with(options).await;
    assert_eq!(rig.get("/healthz").await.status, 200);
    let ready = rig.get("/readyz").await;
    assert_eq!(
        (ready.status.as_u16(), &ready.json()["ready"]),
        (503, &json!(false))
    );
    assert_eq!(rig.get("/health/store").await.status, 200);
    let printer = rig.get("/health/printer").await;
    assert_eq!(
        (printer.status.as_u16(), &printer.json()["reason"]),
        (503, &json!("out of paper"))
    );
    assert_eq!(
        rig.get("/metrics").await.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
}
