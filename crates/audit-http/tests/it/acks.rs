//! What each `ack` promises, and what is told when it cannot be kept in time.

use audit_integrity::proof::Proof;
use audit_testkit::wait::wait_until_async;
use serde_json::{Value, json};

use crate::rig::{Options, PATIENCE, Rig, event};

#[tokio::test(flavor = "multi_thread")]
async fn queued_says_only_what_the_queue_knows_and_the_frame_says_the_rest() {
    let rig = Rig::start().await;
    let answer = rig.post("/v1/events", &json!([event(1), event(2)])).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let body = answer.json();
    assert_eq!(
        (&body["accepted"], &body["rejected"], &body["durability"]),
        (&json!(2), &json!(0), &json!("fsynced"))
    );
    for result in body["results"].as_array().expect("results") {
        assert_eq!(result["status"], "accepted");
        assert!(
            result["id"].is_string()
                && result["receivedAt"].is_string()
                && result["leafIndex"].is_null(),
            "{result}"
        );
    }
    let frame = format!("/v1/frames/{}", body["frame"].as_str().expect("a frame"));
    let settled = wait_until_async("the frame is settled", PATIENCE, || async {
        let told = rig.get(&frame).await.json();
        (told["state"] == "settled").then_some(told)
    })
    .await;
    assert_eq!(
        (
            &settled["events"],
            &settled["stored"],
            &settled["deadLettered"]
        ),
        (&json!(2), &json!(2), &json!(0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_says_where_and_sealed_gives_a_proof() {
    let rig = Rig::start().await;
    let stored = rig
        .post(
            "/v1/events?ack=stored&timeoutMs=60000",
            &json!([event(1), event(2)]),
        )
        .await;
    assert_eq!(stored.status, 201, "{}", stored.text);
    let stored = stored.json();
    let results = stored["results"].as_array().expect("results");
    // A commit is in order of identity, and ids drawn in the same millisecond have none of their own.
    let mut leaves: Vec<_> = results.iter().map(|r| r["leafIndex"].as_u64()).collect();
    leaves.sort_unstable();
    assert_eq!(leaves, [Some(0), Some(1)], "{stored}");
    for result in results {
        assert_eq!(result["ledger"], 0, "{result}");
        assert_eq!(
            result["leafHash"].as_str().map(str::len),
            Some(64),
            "{result}"
        );
        assert!(
            result["proof"].is_null(),
            "nothing is signed for `stored`: {result}"
        );
    }
    let sealed = rig
        .post("/v1/events?ack=sealed&timeoutMs=60000", &event(3))
        .await;
    assert_eq!(sealed.status, 201, "{}", sealed.text);
    let result = &sealed.json()["results"][0];
    let address = result["proof"].as_str().expect("an address");
    let proof: Proof = rig.get(address).await.text.parse().expect("a proof");
    assert_eq!(Some(proof.index.0), result["leafIndex"].as_u64());
    let entry = rig
        .get(address.strip_suffix("/proof").expect("an entry"))
        .await
        .json();
    assert_eq!(
        (&entry["event"]["id"], &entry["leafHash"]),
        (&result["id"], &result["leafHash"])
    );
}

/// The status of every result.
fn statuses(body: &Value) -> Vec<&str> {
    body["results"]
        .as_array()
        .expect("results")
        .iter()
        .filter_map(|result| result["status"].as_str())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_and_conflicts_are_told_where_they_are_known() {
    let rig = Rig::start().await;
    let mut one = event(1);
    one["id"] = "019c9c9e-0000-7000-8000-000000000001".into();
    let mut other = one.clone();
    other["number"] = 2.into();
    let first = rig.store(&one).await.json();
    for ack in ["stored", "sealed"] {
        let path = format!("/v1/events?ack={ack}&timeoutMs=60000");
        let answer = rig.post(&path, &json!([one, event(7), other])).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        let body = answer.json();
        assert_eq!(
            statuses(&body),
            ["duplicate", "accepted", "conflict"],
            "{body}"
        );
        assert_eq!(
            (&body["accepted"], &body["rejected"]),
            (&json!(3), &json!(0))
        );
        // A duplicate is where it was stored at first.
        assert_eq!(
            body["results"][0]["leafIndex"], first["results"][0]["leafIndex"],
            "{body}"
        );
        assert_eq!(
            body["results"][0]["leafHash"], first["results"][0]["leafHash"],
            "{body}"
        );
    }
    // Twice in one request.
    let mut twin = event(9);
    twin["id"] = "019c9c9e-0000-7000-8000-000000000009".into();
    let body = rig
        .post(
            "/v1/events?ack=stored&timeoutMs=60000",
            &json!([twin, twin]),
        )
        .await
        .json();
    assert_eq!(statuses(&body), ["accepted", "duplicate"], "{body}");
    let letters = rig.get("/v1/dead-letters?reason=conflict").await.json();
    assert_eq!(
        letters["deadLetters"].as_array().map(Vec::len),
        Some(2),
        "{letters}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_processor_refuses_is_a_dead_letter_and_its_neighbours_are_stored() {
    let mut options = Options::default();
    options.registry.processor_fn("rule", |event| {
        if event.statement.action == "forbidden" {
            Err(audit_pipeline::Refusal::because("the rule says no"))
        } else {
            Ok(audit_event::Object::new())
        }
    });
    let rig = Rig::with(options).await;
    let mut bad = event(2);
    bad["action"] = "forbidden".into();
    let body = rig
        .post(
            "/v1/events?ack=stored&timeoutMs=60000",
            &json!([event(1), bad, event(3)]),
        )
        .await
        .json();
    assert_eq!(
        statuses(&body),
        ["accepted", "deadLettered", "accepted"],
        "{body}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_that_cannot_be_kept_in_time_is_a_202_with_what_is_known() {
    let asleep = Rig::with(Options {
        lanes: false,
        ..Options::default()
    })
    .await;
    let answer = asleep
        .post("/v1/events?ack=stored&timeoutMs=50", &event(1))
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let body = answer.json();
    assert_eq!(
        (&body["results"][0]["status"], &body["durability"]),
        (&json!("accepted"), &json!("fsynced"))
    );
    assert!(body["results"][0]["leafIndex"].is_null());
    let frame = asleep
        .get(&format!(
            "/v1/frames/{}",
            body["frame"].as_str().expect("a frame")
        ))
        .await
        .json();
    assert_eq!(frame["state"], "queued", "{frame}");
    let status = asleep.get("/v1/status").await.json();
    assert_eq!(
        (&status["accepted"], &status["queued"], &status["stored"]),
        (&json!(1), &json!(1), &json!(0))
    );

    let unsigned = Rig::with(Options {
        signer: false,
        ..Options::default()
    })
    .await;
    let answer = unsigned
        .post("/v1/events?ack=sealed&timeoutMs=2000", &event(1))
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let result = &answer.json()["results"][0];
    assert!(result["proof"].is_null(), "{result}");
    let stored = unsigned.store(&event(2)).await.json();
    let path = format!(
        "/v1/ledgers/0/entries/{}/proof",
        stored["results"][0]["leafIndex"]
    );
    let early = unsigned.get(&path).await;
    assert_eq!(early.problem(409), "not_sealed_yet");
    assert_eq!(early.header("retry-after"), "1");
}
