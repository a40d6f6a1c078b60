//! Bodies of lines that break off, or never end.

use async_compression::tokio::bufread::GzipEncoder;
use reqwest::Method;
use serde_json::json;
use tokio::io::AsyncReadExt as _;

use crate::rig::{Answer, Options, Rig, event, send};

async fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut encoder = GzipEncoder::new(bytes);
    encoder.read_to_end(&mut packed).await.expect("packed");
    packed
}

async fn post_packed_lines(rig: &Rig, body: Vec<u8>) -> Answer {
    let request = rig
        .request(Method::POST, "/v1/events?ack=stored&timeoutMs=60000")
        .header("content-type", "application/x-ndjson")
        .header("content-encoding", "gzip");
    send(request.body(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_before_a_break_is_answered_and_nothing_else_was_taken() {
    let rig = Rig::start().await;
    let lines: String = (0..20_000)
        .map(|number| format!("{}\n", event(number)))
        .collect();
    let mut packed = gzip(lines.as_bytes()).await;
    packed.truncate(packed.len() / 4 * 3);
    let answer = post_packed_lines(&rig, packed).await;
    assert_eq!(answer.status, 207, "{}", answer.text);
    let body = answer.json();
    let results = body["results"].as_array().expect("results");
    let (last, before) = results.split_last().expect("the break is told");
    assert!(before.len() >= 1_000, "{}", before.len());
    assert!(before.iter().all(|result| result["status"] == "accepted"));
    assert_eq!(last["index"], before.len());
    assert_eq!(
        (&last["status"], &last["errors"][0]["code"]),
        (&json!("rejected"), &json!("body_unreadable"))
    );
    assert_eq!(rig.at_rest().await["stored"], body["accepted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_of_lines_stops_at_the_bound() {
    let mut options = Options::default();
    options.settings.body_bytes_max = 1 << 20;
    let rig = Rig::with(options).await;
    for filling in [b'\n', b' '] {
        let bomb = gzip(&vec![filling; 32 << 20]).await;
        let answer = post_packed_lines(&rig, bomb).await;
        assert_eq!(answer.problem(413), "body_too_large");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_too_long_is_refused_alone() {
    let rig = Rig::start().await;
    let long = format!("{{\"x\":\"{}\"}}", "y".repeat(3 << 20));
    let body = format!("{}\n{long}\n{}\n", event(1), event(2));
    let answer = post_packed_lines(&rig, gzip(body.as_bytes()).await).await;
    assert_eq!(answer.status, 207, "{}", answer.text);
    let body = answer.json();
    let statuses = [0, 1, 2].map(|place| body["results"][place]["status"].clone());
    assert_eq!(statuses, ["accepted", "rejected", "accepted"]);
    assert_eq!(body["results"][1]["errors"][0]["code"], "too_large");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_do_not_fit_in_memory_together_are_told_to_come_back() {
    let mut options = Options::default();
    // Four bodies of the largest size fit; a body of lines alone needs 2 MiB.
    options.settings.body_bytes_max = 256 << 10;
    let rig = Rig::with(options).await;
    let answer = post_packed_lines(&rig, gzip(b"{}").await).await;
    assert_eq!(answer.problem(503), "unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(rig.post("/v1/events", &event(1)).await.status, 202);
}
