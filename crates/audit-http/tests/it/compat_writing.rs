//! Producers of replaced systems, with the bodies they really send.

use audit_store::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::rig::{Answer, Options, Rig, open_to_loopback, send};

/// A worker whose loopback senders write for the organisation `pake`.
async fn open() -> Rig {
    Rig::with(Options {
        settings: open_to_loopback("pake", 100_000),
        ..Options::default()
    })
    .await
}

/// A request without any key.
async fn post(rig: &Rig, path: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = rig.client.post(format!("{}{path}", rig.base));
    send(
        request
            .header("content-type", "application/json")
            .body(body.into()),
    )
    .await
}

/// What the Python client sends: every optional member as null, `metadata` always, no fraction when there is none.
fn python(id: &str, action: &str) -> String {
    format!(
        r#"{{"id": "{id}", "timestamp": "2026-03-01T10:00:00Z", "actor": {{"id": "user-123", "type": "user", "ip": null, "session": null, "userAgent": null, "service": null, "metadata": {{}}}}, "action": {{"type": "{action}", "resource": "authentication", "resourceId": null, "result": "success", "details": null, "metadata": {{}}, "duration": null, "error": null}}, "context": {{"requestId": null, "parentId": null, "traceId": null, "environment": "development", "application": "python-api", "version": "1.0.0", "metadata": {{}}}}, "version": "1.0.0"}}"#
    )
}

const ID: &str = "0d9f6f2e-8f38-4a55-9d0e-3a6a3f1f0c11";

async fn stored(rig: &Rig, id: &str) -> Value {
    let answer = rig.get(&format!("/v1/events/{id}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_clients_bodies_give_201_and_a_stored_event() {
    let rig = open().await;
    let answer = post(&rig, "/api/audit/events", python(ID, "login")).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let body = answer.json();
    let found = stored(&rig, ID).await;
    assert_eq!(
        body,
        json!({"success": true, "eventId": ID, "signature": found["leafHash"], "stored": true, "streamed": false, "status": "accepted"})
    );
    let event = &found["event"];
    assert_eq!(event["organizationId"], "pake");
    assert_eq!(event["annotations"], json!({"authenticated": false}));
    assert_eq!(
        event["details"]["actor"],
        json!({"metadata": {}, "service": null})
    );

    for (fraction, id) in [
        (".5Z", "11111111-1111-4111-8111-111111111111"),
        (".123456Z", "22222222-2222-4222-8222-222222222222"),
        ("", "33333333-3333-4333-8333-333333333333"),
    ] {
        let body = python(id, "read").replace(":00Z\"", &format!(":00{fraction}\""));
        let answer = post(&rig, "/api/audit/events", body).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["stored"]),
            (201, &json!(true))
        );
    }
    // The sample of its README has no UUID; an address that is unknown, and a signature.
    let odd = python("evt-123", "export").replace(r#""ip": null"#, r#""ip": "unknown""#);
    let answer = post(&rig, "/api/audit/events", odd.clone()).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["stored"]),
        (201, &json!(true))
    );
    let id = answer.json()["eventId"].as_str().expect("an id").to_owned();
    let event = stored(&rig, &id).await["event"].clone();
    assert_eq!(event["externalId"], "evt-123");
    assert_eq!(event["sessionContext"]["ipAddress"], "unknown");
    let again = post(&rig, "/api/audit/events", odd).await.json();
    assert_eq!(
        (&again["status"], &again["eventId"]),
        (&json!("duplicate"), &json!(id))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_flat_items_of_the_auth_middleware_are_events() {
    let rig = open().await;
    let item = r#"{"userId": "user-1", "action": "access", "resource": "/api/notes", "resourceId": null, "success": false, "ipAddress": "10.0.0.9", "userAgent": null, "error": "HTTP 403", "metadata": {"method": "GET", "status_code": 403}, "timestamp": "2026-03-01T10:00:00.123456"}"#;
    let answer = post(&rig, "/api/audit/log", item).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let id = answer.json()["eventId"].as_str().expect("an id").to_owned();
    let event = stored(&rig, &id).await["event"].clone();
    assert_eq!(event["timestamp"], "2026-03-01T10:00:00.123456Z");
    assert_eq!(
        (&event["status"], &event["action"]),
        (&json!("failure"), &json!("access"))
    );
    assert_eq!(event["details"]["metadata"]["status_code"], 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_again_is_fine_and_other_content_is_kept_as_evidence() {
    let rig = open().await;
    post(&rig, "/api/audit/events", python(ID, "login")).await;
    let same = post(&rig, "/api/audit/events", python(ID, "login")).await;
    assert_eq!(same.status, 201);
    let same = same.json();
    assert_eq!(
        (&same["success"], &same["stored"], &same["status"]),
        (&json!(true), &json!(true), &json!("duplicate"))
    );
    assert!(same["signature"].is_string());

    let other = post(&rig, "/api/audit/events", python(ID, "delete")).await;
    assert_eq!(
        other.status, 201,
        "the client would count anything else as lost"
    );
    let other = other.json();
    assert_eq!(
        (&other["stored"], &other["status"], &other["signature"]),
        (&json!(false), &json!("conflict"), &Value::Null)
    );
    assert!(
        other["error"]
            .as_str()
            .expect("said")
            .contains("dead letter")
    );
    let kept = rig.get("/v1/dead-letters?reason=conflict").await.json();
    assert_eq!(
        kept["deadLetters"].as_array().map(Vec::len),
        Some(1),
        "{kept}"
    );
    assert_eq!(stored(&rig, ID).await["event"]["action"], "login");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_a_result_for_each_and_a_checksum_when_all_are_stored() {
    let rig = open().await;
    let ids = ["evt-1", "evt-2", "evt-3"];
    let events: Vec<String> = ids.iter().map(|id| python(id, "read")).collect();
    let body = format!(r#"{{"batchId": "b-7", "events": [{}]}}"#, events.join(","));
    let answer = post(&rig, "/api/audit/events/batch", body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let answer = answer.json();
    assert_eq!(
        (
            &answer["success"],
            &answer["batchId"],
            &answer["eventsProcessed"]
        ),
        (&json!(true), &json!("b-7"), &json!(3))
    );
    let leaves: String = answer["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|result| format!("{}\n", result["signature"].as_str().expect("a leaf hash")))
        .collect();
    let sum = ring::digest::digest(&ring::digest::SHA256, leaves.as_bytes());
    assert_eq!(answer["checksum"], hex::encode(sum));

    let mixed = format!(
        r#"{{"events": [{}, {{"id": "evt-5"}}]}}"#,
        python("evt-4", "read")
    );
    let answer = post(&rig, "/api/audit/events/batch", mixed).await;
    assert_eq!(answer.status, 207, "{}", answer.text);
    let answer = answer.json();
    assert_eq!(
        (
            &answer["success"],
            &answer["eventsProcessed"],
            &answer["checksum"]
        ),
        (&json!(false), &json!(1), &Value::Null)
    );
    assert_eq!(answer["results"][0]["stored"], true);
    assert_eq!(answer["results"][1]["errors"][0]["path"], "/timestamp");

    let none = post(
        &rig,
        "/api/audit/events/batch",
        r#"{"events": [{"id": "x"}]}"#,
    )
    .await;
    assert_eq!(none.status, 400);
    let empty = post(&rig, "/api/audit/events/batch", r#"{"events": []}"#).await;
    assert_eq!(empty.problem(400), "empty");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_event_is_told_in_the_words_of_its_system() {
    let rig = open().await;
    let answer = post(
        &rig,
        "/api/audit/events",
        r#"{"id": "x", "action": {"type": "read", "result": "maybe"}}"#,
    )
    .await;
    assert_eq!(answer.status, 400);
    let body = answer.json();
    assert_eq!(
        (&body["success"], &body["stored"]),
        (&json!(false), &json!(false))
    );
    let paths: Vec<_> = body["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| error["path"].clone())
        .collect();
    assert!(
        paths.contains(&json!("/timestamp")) && paths.contains(&json!("/action/result")),
        "{paths:?}"
    );

    let answer = post(&rig, "/events", r#"{"action": "x"}"#).await;
    assert_eq!(answer.status, 400);
    let body = answer.json();
    assert_eq!(
        (&body["code"], &body["path"]),
        (&json!("VALIDATION_ERROR"), &json!("/events"))
    );
    assert_eq!(body["details"]["issues"][0]["path"], "/timestamp");
    assert_eq!(body["requestId"], answer.header("x-request-id"));

    for path in ["/events", "/api/audit/events", "/api/audit/log"] {
        let answer = post(&rig, path, "nonsense").await;
        assert_eq!(answer.status, 400, "{path}");
        let list = post(&rig, path, "[]").await;
        assert_eq!(list.status, 400, "{path}: these take one event");
    }
    let lines = rig
        .client
        .post(format!("{}/events", rig.base))
        .header("content-type", "application/x-ndjson")
        .body("{}");
    assert_eq!(send(lines).await.problem(415), "unsupported_media_type");
}

const SMART: &str =
    r#"{"timestamp":"2026-03-01T10:00:00.000Z","action":"data.read","status":"success"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_only_the_addresses_rate_and_organisation_named_may_send() {
    let closed = Rig::start().await;
    for path in [
        "/events",
        "/api/audit/events",
        "/api/audit/events/batch",
        "/api/audit/log",
    ] {
        assert_eq!(
            post(&closed, path, SMART).await.problem(401),
            "unauthenticated"
        );
    }

    let rig = Rig::with(Options {
        settings: open_to_loopback("shop", 3),
        ..Options::default()
    })
    .await;
    // Nothing but these paths is open, and these are for writing only.
    assert_eq!(
        post(&rig, "/v1/events", SMART).await.problem(401),
        "unauthenticated"
    );
    let read = rig.client.get(format!("{}/api/audit/events", rig.base));
    assert_eq!(send(read).await.problem(401), "unauthenticated");
    // A key that is none is refused, wherever it comes from.
    let wrong = rig
        .client
        .post(format!("{}/events", rig.base))
        .bearer_auth("a-session")
        .body(SMART);
    assert_eq!(send(wrong).await.problem(401), "unauthenticated");
    // Pages that a browser on a good machine shows are not that machine.
    let page = rig
        .client
        .post(format!("{}/events", rig.base))
        .header("origin", "https://elsewhere.example")
        .body(SMART);
    assert_eq!(send(page).await.problem(401), "unauthenticated");
    // Another organisation is not theirs.
    let other = SMART.replace("\"action\"", "\"organizationId\":\"bank\",\"action\"");
    let refused = post(&rig, "/events", other).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["details"]["issues"][0]["code"], "forbidden");
    // What a header says about the address changes nothing: one rate for all of these.
    let mut codes = Vec::new();
    for number in 0..6 {
        let request = rig.client.post(format!("{}/events", rig.base));
        let request = request
            .header("x-forwarded-for", format!("10.0.0.{number}"))
            .body(SMART);
        codes.push(send(request).await.status.as_u16());
    }
    assert_eq!(codes[0], 201, "{codes:?}");
    assert!(codes.contains(&429), "{codes:?}");
    // A key has a rate of its own and its own organisation, and its events are not marked.
    let key = rig.key_of(Role::Writer, "bank").await;
    let request = rig.request_as(&key, Method::POST, "/events").body(SMART);
    let answer = send(request).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    let event = stored(&rig, &id).await["event"].clone();
    assert_eq!(event["organizationId"], "bank");
    assert!(
        event["annotations"].get("authenticated").is_none(),
        "{event}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_not_stored_in_time_is_taken_all_the_same() {
    let rig = Rig::with(Options {
        settings: open_to_loopback("pake", 100),
        lanes: false,
        ..Options::default()
    })
    .await;
    let started = std::time::Instant::now();
    let answer = post(&rig, "/api/audit/events", python(ID, "login")).await;
    let took = started.elapsed().as_secs_f64();
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(
        answer.json(),
        json!({"success": true, "eventId": ID, "signature": null, "stored": false, "streamed": false, "status": "accepted"})
    );
    // The client gives up after five seconds.
    assert!((3.9..4.9).contains(&took), "{took}");
    let status = rig.get("/v1/status").await.json();
    assert_eq!(
        (&status["accepted"], &status["queued"]),
        (&json!(1), &json!(1))
    );
}
