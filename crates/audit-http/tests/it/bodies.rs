//! The forms a body may take, and sending it twice.

use std::io::Cursor;

use async_compression::tokio::bufread::{GzipEncoder, ZstdEncoder};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::rig::{Answer, Rig, event, send};

async fn post(rig: &Rig, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Answer {
    let mut request = rig
        .request(Method::POST, "/v1/events?ack=stored&timeoutMs=60000")
        .body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(request).await
}

fn ids(answer: &Answer) -> Vec<String> {
    let body = answer.json();
    let results = body["results"].as_array().expect("results").iter();
    results
        .map(|result| result["id"].as_str().expect("an id").to_owned())
        .collect()
}

/// Headers, body, and how many events are in it.
type Case = (Vec<(&'static str, &'static str)>, Vec<u8>, usize);

#[tokio::test(flavor = "multi_thread")]
async fn objects_arrays_envelopes_lines_and_packed_bodies_are_all_taken() {
    let rig = Rig::start().await;
    let three = |from: u64| vec![event(from), event(from + 1), event(from + 2)];
    let lines = |from: u64| {
        three(from)
            .iter()
            .map(|event| format!("{event}\n"))
            .collect::<String>()
    };
    let (mut gzipped, mut zstded, mut gzipped_lines) = (Vec::new(), Vec::new(), Vec::new());
    GzipEncoder::new(Cursor::new(json!(three(20)).to_string()))
        .read_to_end(&mut gzipped)
        .await
        .expect("packed");
    ZstdEncoder::new(Cursor::new(json!(three(30)).to_string()))
        .read_to_end(&mut zstded)
        .await
        .expect("packed");
    GzipEncoder::new(Cursor::new(lines(40)))
        .read_to_end(&mut gzipped_lines)
        .await
        .expect("packed");
    let (json_type, nd) = (
        ("content-type", "application/json; charset=utf-8"),
        ("content-type", "application/x-ndjson"),
    );
    let cases: Vec<Case> = vec![
        (vec![], event(0).to_string().into(), 1),
        (vec![json_type], json!(three(1)).to_string().into(), 3),
        (
            vec![json_type],
            json!({ "events": three(4) }).to_string().into(),
            3,
        ),
        (vec![nd], lines(10).into(), 3),
        // Blank lines, carriage returns, and no end of line at the end.
        (
            vec![nd],
            format!("\r\n{}\r\n\n{}", event(13), event(14)).into(),
            2,
        ),
        (vec![json_type, ("content-encoding", "gzip")], gzipped, 3),
        (vec![json_type, ("content-encoding", "zstd")], zstded, 3),
        (vec![nd, ("content-encoding", "gzip")], gzipped_lines, 3),
    ];
    let mut stored = 0;
    for (headers, body, count) in cases {
        let answer = post(&rig, &headers, body).await;
        assert_eq!(answer.status, 201, "{headers:?} {}", answer.text);
        assert_eq!(answer.json()["accepted"], count, "{headers:?}");
        assert_eq!(ids(&answer).len(), count);
        stored += count;
    }
    assert_eq!(rig.at_rest().await["stored"], stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_has_its_own_result_in_its_own_place() {
    let rig = Rig::start().await;
    // More lines than one group, so that places run on from group to group.
    let mut text = String::new();
    for number in 0..2_500 {
        let bad = number % 500 == 7;
        text.push_str(&if bad {
            "{oops\n".to_owned()
        } else {
            format!("{}\n", event(number))
        });
    }
    let answer = post(&rig, &[("content-type", "application/x-ndjson")], text).await;
    assert_eq!(answer.status, 207, "{}", answer.text);
    let body = answer.json();
    let results = body["results"].as_array().expect("results");
    assert_eq!(
        (results.len(), &body["accepted"], &body["rejected"]),
        (2_500, &json!(2_495), &json!(5))
    );
    for (place, result) in results.iter().enumerate() {
        assert_eq!(result["index"], place);
        let expected = if place % 500 == 7 {
            "rejected"
        } else {
            "accepted"
        };
        assert_eq!(result["status"], expected, "{place}: {result}");
    }
    assert_eq!(rig.at_rest().await["stored"], 2_495);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_under_the_same_idempotency_key_stores_nothing_again() {
    let rig = Rig::start().await;
    // 1,500 lines: the key must tell the groups of one body apart, too.
    let lines: String = (0..1_500)
        .map(|number| format!("{}\n", event(number)))
        .collect();
    let array = json!([event(1), event(2), event(3)]).to_string();
    for (key, media, body, count) in [
        ("one", "application/json", array.clone(), 3),
        ("two", "application/x-ndjson", lines, 1_500),
    ] {
        let headers = [("content-type", media), ("idempotency-key", key)];
        let first = post(&rig, &headers, body.clone()).await;
        assert_eq!(first.status, 201, "{}", first.text);
        let again = post(&rig, &headers, body).await;
        assert_eq!(again.status, 201, "{}", again.text);
        assert_eq!(ids(&first), ids(&again));
        let mut distinct = ids(&first);
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), count);
        let (first, again) = (first.json(), again.json());
        for (one, two) in first["results"]
            .as_array()
            .expect("results")
            .iter()
            .zip(again["results"].as_array().expect("results"))
        {
            assert_eq!(
                (&one["status"], &two["status"]),
                (&json!("accepted"), &json!("duplicate"))
            );
            assert_eq!(
                (&one["leafIndex"], &one["leafHash"]),
                (&two["leafIndex"], &two["leafHash"])
            );
        }
    }
    // Another key, or none, is another event: the retry of a request without id and key is stored twice.
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", "three"),
    ];
    assert_eq!(
        post(&rig, &headers, array.clone()).await.json()["results"][0]["status"],
        "accepted"
    );
    assert_eq!(
        post(&rig, &headers[..1], array.clone()).await.json()["results"][0]["status"],
        "accepted"
    );
    assert_eq!(
        post(&rig, &headers[..1], array).await.json()["results"][0]["status"],
        "accepted"
    );
    let status = rig.at_rest().await;
    assert_eq!(
        (&status["stored"], &status["duplicate"]),
        (&json!(1_503 + 9), &json!(1_503)),
        "{status}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_of_the_producer_makes_a_retry_harmless() {
    let rig = Rig::start().await;
    let mut sent = event(1);
    sent["id"] = "019c9c9e-1111-7000-8000-000000000001".into();
    let first = rig.store(&sent).await.json();
    assert_eq!(first["results"][0]["id"], sent["id"]);
    let again = rig.store(&sent).await.json();
    assert_eq!(again["results"][0]["status"], "duplicate");
    let found = rig
        .get("/v1/events/019c9c9e-1111-7000-8000-000000000001")
        .await
        .json();
    assert_eq!(found["event"]["id"], sent["id"]);
    let listed: Value = rig.get("/v1/events?principalId=user-1").await.json();
    assert_eq!(listed["events"].as_array().expect("events").len(), 1);
}
