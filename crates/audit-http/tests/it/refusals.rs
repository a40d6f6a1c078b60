//! Whatever is sent, the answer is a precise 4xx, and nothing else in the batch is lost.

use std::io::Cursor;

use async_compression::tokio::bufread::{GzipEncoder, ZstdEncoder};
use audit_store::Role;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::rig::{Rig, event, event_of, send};

async fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    GzipEncoder::new(Cursor::new(bytes))
        .read_to_end(&mut packed)
        .await
        .expect("packed");
    packed
}

async fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    ZstdEncoder::new(Cursor::new(bytes))
        .read_to_end(&mut packed)
        .await
        .expect("packed");
    packed
}

struct Whole {
    name: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
    status: u16,
    code: &'static str,
}

fn whole(
    name: &'static str,
    headers: &[(&'static str, &'static str)],
    body: impl Into<Vec<u8>>,
    status: u16,
    code: &'static str,
) -> Whole {
    Whole {
        name,
        headers: headers.to_vec(),
        body: body.into(),
        status,
        code,
    }
}

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// Bodies that are refused whole for what they hold.
fn unreadable() -> Vec<Whole> {
    let good = event(1).to_string();
    let many = format!("[{}]", vec![good.as_str(); 10_001].join(","));
    let lines = [("content-type", "application/x-ndjson")];
    vec![
        whole("nothing", &JSON, "", 400, "syntax"),
        whole("an empty array", &JSON, "[]", 400, "empty"),
        whole("an empty envelope", &JSON, r#"{"events":[]}"#, 400, "empty"),
        whole("cut JSON", &JSON, "[{\"action\":", 400, "syntax"),
        whole("text after the value", &JSON, "{} {}", 400, "syntax"),
        whole("a number", &JSON, "7", 400, "syntax"),
        whole("a string", &JSON, "\"event\"", 400, "syntax"),
        whole(
            "not UTF-8 outside of strings",
            &JSON,
            b"\xff\xfe[]".as_slice(),
            400,
            "syntax",
        ),
        whole("10,001 events", &JSON, many, 413, "too_large"),
        whole("17 MiB", &JSON, vec![b' '; 17 << 20], 413, "body_too_large"),
        whole("no lines", &lines, "\n \n", 400, "empty"),
    ]
}

/// Bodies that are refused whole for how they are packed or announced.
async fn unpackable() -> Vec<Whole> {
    let (good, bomb) = (event(1).to_string(), vec![b' '; 64 << 20]);
    let half = |packed: Vec<u8>| packed.get(..packed.len() / 2).expect("half").to_vec();
    let (cut_gzip, cut_zstd) = (
        half(gzip(good.as_bytes()).await),
        half(zstd(good.as_bytes()).await),
    );
    let gz = [("content-encoding", "gzip")];
    let zst = [("content-encoding", "zstd")];
    let text = [("content-type", "text/plain")];
    let latin = [("content-type", "application/json; charset=latin1")];
    vec![
        whole("cut gzip", &gz, cut_gzip, 400, "body_unreadable"),
        whole("no gzip", &gz, good.clone(), 400, "body_unreadable"),
        whole("cut zstd", &zst, cut_zstd, 400, "body_unreadable"),
        whole("no zstd", &zst, good.clone(), 400, "body_unreadable"),
        whole("gzip bomb", &gz, gzip(&bomb).await, 413, "body_too_large"),
        whole("zstd bomb", &zst, zstd(&bomb).await, 413, "body_too_large"),
        whole("text", &text, good.clone(), 415, "unsupported_media_type"),
        whole(
            "another character set",
            &latin,
            good.clone(),
            415,
            "unsupported_media_type",
        ),
        whole(
            "brotli",
            &[("content-encoding", "br")],
            good.clone(),
            415,
            "unsupported_encoding",
        ),
        whole(
            "an empty idempotency key",
            &[("idempotency-key", "")],
            good,
            400,
            "bad_idempotency_key",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_cannot_be_taken_is_refused_whole_and_precisely() {
    let rig = Rig::start().await;
    for case in unreadable().into_iter().chain(unpackable().await) {
        let mut request = rig.request(Method::POST, "/v1/events").body(case.body);
        for (name, value) in case.headers {
            request = request.header(name, value);
        }
        let answer = send(request).await;
        assert_eq!(answer.problem(case.status), case.code, "{}", case.name);
    }
    for (query, code) in [
        ("?ack=never", "unknown_ack"),
        ("?form=morse", "unknown_form"),
        ("?colour=red", "bad_parameter"),
        ("?timeoutMs=soon", "bad_parameter"),
    ] {
        let answer = rig.post(&format!("/v1/events{query}"), &event(1)).await;
        assert_eq!(answer.problem(400), code, "{query}");
    }
    let status = rig.at_rest().await;
    assert_eq!(
        (&status["accepted"], &status["stored"]),
        (&json!(0), &json!(0)),
        "nothing of all this was taken"
    );
}

/// Items that are refused alone: name, text, path, code. `{T}` stands for the good members.
const ITEMS: &[(&str, &str, &str, &str)] = &[
    ("no JSON inside", r#"{"a":tru}"#, "/a", "syntax"),
    ("a number", "7", "", "wrong_type"),
    ("an array", "[]", "", "wrong_type"),
    ("null", "null", "", "wrong_type"),
    (
        "a string for an action",
        r#"{"timestamp":"2026-03-01T10:00:00Z","status":"success","action":7}"#,
        "/action",
        "wrong_type",
    ),
    (
        "an object for a status",
        r#"{"timestamp":"2026-03-01T10:00:00Z","status":{},"action":"a"}"#,
        "/status",
        "wrong_type",
    ),
    (
        "a session that is a string",
        r#"{T,"sessionContext":"s"}"#,
        "/sessionContext",
        "wrong_type",
    ),
    (
        "NUL in a value",
        r#"{T,"note":"a\u0000b"}"#,
        "/note",
        "nul_character",
    ),
    (
        "NUL deep in a value",
        r#"{T,"a":[{"b":"\u0000"}]}"#,
        "/a/0/b",
        "nul_character",
    ),
    (
        "half a pair",
        r#"{T,"note":"\ud800"}"#,
        "/note",
        "lone_surrogate",
    ),
    (
        "the other half",
        r#"{T,"note":"\udc00x"}"#,
        "/note",
        "lone_surrogate",
    ),
    (
        "a member twice",
        r#"{T,"action":"b"}"#,
        "/action",
        "duplicate_key",
    ),
    (
        "a member twice, deep",
        r#"{T,"a":{"b":1,"b":2}}"#,
        "/a/b",
        "duplicate_key",
    ),
    (
        "1e400",
        r#"{T,"amount":1e400}"#,
        "/amount",
        "number_out_of_range",
    ),
    (
        "-1e400",
        r#"{T,"amount":-1e400}"#,
        "/amount",
        "number_out_of_range",
    ),
    (
        "no timestamp",
        r#"{"action":"a","status":"success"}"#,
        "/timestamp",
        "missing",
    ),
    (
        "a null timestamp",
        r#"{"timestamp":null,"action":"a","status":"success"}"#,
        "/timestamp",
        "missing",
    ),
    (
        "no time at all",
        r#"{"timestamp":"yesterday","action":"a","status":"success"}"#,
        "/timestamp",
        "bad_format",
    ),
    (
        "the 30th of February",
        r#"{"timestamp":"2026-02-30T00:00:00Z","action":"a","status":"success"}"#,
        "/timestamp",
        "bad_format",
    ),
    (
        "a time without a zone",
        r#"{"timestamp":"2026-03-01T10:00:00","action":"a","status":"success"}"#,
        "/timestamp",
        "bad_format",
    ),
    (
        "a number for a time",
        r#"{"timestamp":1772359200,"action":"a","status":"success"}"#,
        "/timestamp",
        "wrong_type",
    ),
    (
        "far in the future",
        r#"{"timestamp":"2999-01-01T00:00:00Z","action":"a","status":"success"}"#,
        "/timestamp",
        "in_future",
    ),
    (
        "no action",
        r#"{"timestamp":"2026-03-01T10:00:00Z","status":"success"}"#,
        "/action",
        "missing",
    ),
    (
        "an empty action",
        r#"{"timestamp":"2026-03-01T10:00:00Z","action":"","status":"success"}"#,
        "/action",
        "empty",
    ),
    (
        "an unknown status",
        r#"{"timestamp":"2026-03-01T10:00:00Z","action":"a","status":"maybe"}"#,
        "/status",
        "unknown_value",
    ),
    (
        "no status",
        r#"{"timestamp":"2026-03-01T10:00:00Z","action":"a"}"#,
        "/status",
        "missing",
    ),
    (
        "an unknown severity",
        r#"{T,"severity":"dreadful"}"#,
        "/severity",
        "unknown_value",
    ),
    (
        "an unknown class",
        r#"{T,"dataClassification":"SECRET"}"#,
        "/dataClassification",
        "unknown_value",
    ),
    (
        "a member of the system's",
        r#"{T,"receivedAt":"2026-03-01T10:00:00Z"}"#,
        "/receivedAt",
        "reserved",
    ),
    (
        "another organisation's",
        r#"{T,"organizationId":"org-b"}"#,
        "/organizationId",
        "forbidden",
    ),
];

fn items() -> Vec<(String, String, String, String)> {
    let good = r#""timestamp":"2026-03-01T10:00:00Z","action":"a","status":"success""#;
    let mut items: Vec<(String, String, String, String)> = ITEMS
        .iter()
        .map(|(name, text, path, code)| {
            (
                (*name).to_owned(),
                text.replace("{T,", &format!("{{{good},")),
                (*path).to_owned(),
                (*code).to_owned(),
            )
        })
        .collect();
    let deep = format!(r#"{{{good},"a":{}{}}}"#, "[".repeat(999), "]".repeat(999));
    items.push((
        "depth 1,000".to_owned(),
        deep,
        format!("/a{}", "/0".repeat(30)),
        "too_deep".to_owned(),
    ));
    let long = format!(r#"{{{good},"note":"{}"}}"#, "x".repeat(1 << 20));
    items.push((
        "a string of 1 MiB".to_owned(),
        long,
        String::new(),
        "too_large".to_owned(),
    ));
    let too_long = format!(r#"{{{good},"note":"{}"}}"#, "x".repeat(70_000));
    items.push((
        "an event of 70,000 bytes".to_owned(),
        too_long,
        String::new(),
        "too_large".to_owned(),
    ));
    let action = format!(
        r#"{{"timestamp":"2026-03-01T10:00:00Z","status":"success","action":"{}"}}"#,
        "x".repeat(600)
    );
    items.push((
        "an action of 600 bytes".to_owned(),
        action,
        "/action".to_owned(),
        "too_large".to_owned(),
    ));
    items
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_event_is_named_and_its_neighbours_are_stored() {
    let rig = Rig::start().await;
    let key = rig.key_of(Role::Writer, "org-a").await;
    let mut wrong = Vec::new();
    let items = items();
    for (number, (name, text, path, code)) in (0_u64..).zip(&items) {
        let (before, after) = (event_of("org-a", 2 * number), event(2 * number + 1));
        let body = format!("[{before},{text},{after}]");
        let request = rig.request_as(&key, Method::POST, "/v1/events?ack=stored&timeoutMs=60000");
        let answer = send(
            request
                .header("content-type", "application/json")
                .body(body),
        )
        .await;
        assert_eq!(answer.status, 207, "{name}: {}", answer.text);
        let body = answer.json();
        let told = &body["results"][1];
        let statuses: Vec<&Value> = (0..3).map(|at| &body["results"][at]["status"]).collect();
        assert_eq!(
            statuses,
            ["accepted", "rejected", "accepted"],
            "{name}: {body}"
        );
        assert!(
            body["results"][0]["leafIndex"].is_number()
                && body["results"][2]["leafIndex"].is_number(),
            "{name}: {body}"
        );
        assert_eq!(
            (&body["accepted"], &body["rejected"]),
            (&json!(2), &json!(1)),
            "{name}"
        );
        assert!(told["id"].is_null() && told["index"] == 1, "{name}: {told}");
        if told["errors"][0]["path"] != path.as_str() || told["errors"][0]["code"] != code.as_str()
        {
            wrong.push(format!(
                "{name}: wanted {code} at {path:?}, got {}",
                told["errors"]
            ));
        }
        // Alone it is a 400 that says the same.
        let request = rig
            .request_as(&key, Method::POST, "/v1/events")
            .header("content-type", "application/json");
        let alone = send(request.body(format!("[{text}]"))).await;
        assert_eq!(alone.status, 400, "{name}: {}", alone.text);
        assert_eq!(
            alone.json()["results"][0]["errors"],
            told["errors"],
            "{name}"
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let status = rig.at_rest().await;
    assert_eq!(status["stored"], 2 * items.len(), "{status}");
    assert_eq!(status["rejected"], 2 * items.len(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_of_an_event_is_told_at_once() {
    let rig = Rig::start().await;
    let answer = rig
        .post(
            "/v1/events",
            &json!({ "status": "maybe", "severity": "dreadful", "action": 7 }),
        )
        .await;
    assert_eq!(answer.status, 400);
    let body = answer.json();
    let mut told: Vec<&str> = body["results"][0]["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .filter_map(|error| error["path"].as_str())
        .collect();
    told.sort_unstable();
    assert_eq!(told, ["/action", "/severity", "/status", "/timestamp"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn small_bodies_are_judged_as_strictly() {
    let rig = Rig::start().await;
    for (path, body) in [
        ("/v1/keys", "{"),
        ("/v1/keys", r#"{"name":"x"}"#),
        ("/v1/keys", r#"{"name":"x","role":"king"}"#),
        ("/v1/keys", r#"{"name":"","role":"viewer"}"#),
        (
            "/v1/keys",
            r#"{"name":"x","role":"viewer","organizations":[]}"#,
        ),
        (
            "/v1/keys",
            r#"{"name":"x","role":"viewer","organizations":["a"],"defaultOrganization":"b"}"#,
        ),
        (
            "/v1/keys",
            r#"{"name":"x","role":"viewer","expiresAt":"soon"}"#,
        ),
        ("/v1/keys", r#"{"name":"x","role":"viewer","colour":"red"}"#),
        ("/v1/verify", "[7]"),
        ("/v1/verify", r#"{"ledger":"first"}"#),
        ("/v1/verify", r#"{"since":"soon"}"#),
        ("/v1/verify", r#"{"until":"2026-03-01T10:00:00"}"#),
        ("/v1/verify", r#"{"colour":"red"}"#),
    ] {
        let request = rig
            .request(Method::POST, path)
            .header("content-type", "application/json");
        assert_eq!(
            send(request.body(body)).await.problem(400),
            "bad_body",
            "{path} {body}"
        );
    }
    let request = rig
        .request(Method::POST, "/v1/keys")
        .header("content-type", "application/json");
    assert_eq!(
        send(request.body(vec![b' '; 2 << 20])).await.problem(413),
        "body_too_large"
    );
}
