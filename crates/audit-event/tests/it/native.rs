//! The native form: what is taken, what is refused, and that canonical bytes come back.

use audit_event::timestamp::TimestampForm;
use audit_event::validate::check_skew;
use audit_event::{AuditEvent, EventDraft, EventId, Form, Timestamp, Value};

use crate::support::shown;

fn accept(text: &str) -> Result<String, Vec<String>> {
    shown(Form::Native, text)
}

#[test]
fn every_member_has_its_place() {
    let text = r#"{
        "timestamp":"2024-01-01T12:00:04.5+01:00","action":"record.read","status":"success","id":"order-1",
        "organizationId":"acme","producer":{"id":"p","epoch":1,"seq":2,"host":"h"},"eventVersion":"1.0",
        "principalId":"u","principalType":"user","sessionContext":{"sessionId":"s","ipAddress":"::1","x":null},
        "targetResourceType":"Patient","targetResourceId":"p1","outcomeDescription":"","durationMs":1.50,
        "severity":"info","dataClassification":"PHI","retentionPolicy":"r","correlationId":"c",
        "traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","source":{"application":"a","z":[]},
        "producerProof":{"scheme":"mine","hash":"h","preimage":"p"},"details":{"a":1},"empty":"","none":null,"obj":{}}"#;
    assert_eq!(
        accept(text).unwrap(),
        concat!(
            r#"{"action":"record.read","correlationId":"c","dataClassification":"PHI","#,
            r#""details":{"details":{"a":1},"empty":"","none":null,"obj":{},"producer":{"host":"h"},"#,
            r#""sessionContext":{"x":null},"source":{"z":[]}},"durationMs":1.5,"eventVersion":"1.0","#,
            r#""externalId":"order-1","id":"8093b176-1f1a-5c10-a4fe-0ed64f0ca381","organizationId":"acme","#,
            r#""outcomeDescription":"","principalId":"u","principalType":"user","producer":{"epoch":1,"id":"p","seq":2},"#,
            r#""producerProof":{"hash":"h","preimage":"p","scheme":"mine"},"receivedAt":"2023-11-14T22:13:20.000001Z","#,
            r#""retentionPolicy":"r","sessionContext":{"ipAddress":"::1","sessionId":"s"},"severity":"info","#,
            r#""source":{"application":"a"},"status":"success","targetResourceId":"p1","targetResourceType":"Patient","#,
            r#""timestamp":"2024-01-01T11:00:04.500000Z","timestampText":"2024-01-01T12:00:04.5+01:00","#,
            r#""traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}"#,
        )
    );
}

/// A valid event with members replaced or added, as JSON text.
fn with(members: &str) -> String {
    let mut event: serde_json::Map<String, serde_json::Value> = serde_json::from_str(
        r#"{"timestamp":"2024-01-01T00:00:00Z","action":"a","status":"success"}"#,
    )
    .unwrap();
    let changed: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&format!("{{{members}}}")).unwrap();
    event.extend(changed);
    serde_json::to_string(&event).unwrap()
}

fn check(members: &str, problems: &[&str]) {
    let expected: Vec<String> = problems
        .iter()
        .map(|problem| (*problem).to_owned())
        .collect();
    assert_eq!(
        accept(&with(members)).err().unwrap_or_default(),
        expected,
        "{members}"
    );
}

#[test]
fn every_broken_rule_is_named_with_its_path() {
    check("", &[]);
    for reserved in [
        "annotations",
        "externalId",
        "receivedAt",
        "timestampDigits",
        "timestampText",
    ] {
        check(
            &format!(r#""{reserved}":null"#),
            &[&format!("reserved /{reserved}")],
        );
    }
    check(
        r#""producerProof":{"scheme":"s","verdict":"verified","verifiedWith":"k","reason":"r"}"#,
        &[
            "reserved /producerProof/reason",
            "reserved /producerProof/verdict",
            "reserved /producerProof/verifiedWith",
        ],
    );
    check(
        r#""producerProof":{"hash":"h"}"#,
        &["missing /producerProof/scheme"],
    );
    check(
        r#""timestamp":null,"action":null,"status":null"#,
        &["missing /timestamp", "missing /action", "missing /status"],
    );
    check(
        r#""timestamp":7,"action":[],"status":true"#,
        &[
            "wrong_type /action",
            "wrong_type /status",
            "wrong_type /timestamp",
        ],
    );
    check(
        r#""timestamp":"2024-01-01T00:00:00""#,
        &["bad_format /timestamp"],
    );
    check(
        r#""timestamp":"2024-01-01T00:00:60Z""#,
        &["bad_format /timestamp"],
    );
    check(
        r#""status":"SUCCESS","severity":"fatal","dataClassification":"phi""#,
        &[
            "unknown_value /dataClassification",
            "unknown_value /severity",
            "unknown_value /status",
        ],
    );
    check(
        r#""action":"","retentionPolicy":"","id":"""#,
        &["empty /action", "empty /retentionPolicy", "empty /id"],
    );
    check(r#""durationMs":-1"#, &["bad_format /durationMs"]);
    check(r#""durationMs":"1""#, &["wrong_type /durationMs"]);
    check(
        r#""organizationId":"a\nb""#,
        &["bad_format /organizationId"],
    );
    check(
        r#""organizationId":"","principalId":null,"sessionContext":null,"source":{},"details":null"#,
        &[],
    );
    check(
        r#""producer":{"id":"p","epoch":1.5,"seq":-1}"#,
        &["bad_format /producer/epoch", "bad_format /producer/seq"],
    );
    check(
        r#""producer":{"id":"","epoch":9007199254740992}"#,
        &["missing /producer/seq"],
    );
    check(
        r#""producer":{"id":"","epoch":9007199254740992,"seq":0}"#,
        &["empty /producer/id", "too_large /producer/epoch"],
    );
    check(
        r#""sessionContext":{"ipAddress":7},"source":[]"#,
        &["wrong_type /sessionContext/ipAddress", "wrong_type /source"],
    );
    for traceparent in [
        "",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
    ] {
        check(
            &format!(r#""traceparent":"{traceparent}""#),
            &["bad_format /traceparent"],
        );
    }
}

#[test]
fn every_text_has_its_limit_in_bytes() {
    let at_limit = |member: &str, bytes_max: usize| {
        let nested = |text: &str| match member.split_once('.') {
            Some((outer, inner)) => format!(r#""{outer}":{{"{inner}":"{text}"}}"#),
            None => format!(r#""{member}":"{text}""#),
        };
        let path = format!("too_large /{}", member.replace('.', "/"));
        // Two bytes a character: the limit is bytes, not characters.
        check(&nested(&"é".repeat(bytes_max / 2)), &[]);
        check(&nested(&"é".repeat(bytes_max / 2 + 1)), &[&path]);
    };
    let members = [
        ("id", 512),
        ("eventVersion", 32),
        ("principalId", 512),
        ("principalType", 64),
        ("organizationId", 512),
        ("action", 512),
        ("targetResourceType", 512),
        ("targetResourceId", 512),
        ("outcomeDescription", 10_000),
        ("retentionPolicy", 64),
        ("correlationId", 512),
        ("sessionContext.sessionId", 512),
        ("sessionContext.ipAddress", 64),
        ("sessionContext.userAgent", 2_048),
        ("sessionContext.geolocation", 512),
        ("source.application", 256),
        ("source.environment", 256),
        ("source.version", 64),
    ];
    for (member, bytes_max) in members {
        at_limit(member, bytes_max);
    }
    check(
        &format!(r#""organizationId":"{}""#, r#"\""#.repeat(256)),
        &[],
    );
    check(
        &format!(r#""organizationId":"{}""#, r#"\""#.repeat(257)),
        &["too_large /organizationId"],
    );
}

#[test]
fn the_whole_event_has_its_limit_too() {
    let empty = accept(&with(r#""x":"""#)).unwrap().len();
    check(&format!(r#""x":"{}""#, "a".repeat(65_535 - empty)), &[]);
    check(
        &format!(r#""x":"{}""#, "a".repeat(65_536 - empty)),
        &["too_large "],
    );
    // 200 numbers of some bytes each, but of 300 digits when they are written out.
    let numbers = vec!["1e300"; 250].join(",");
    let event = format!(
        r#"{{"timestamp":"2024-01-01T00:00:00Z","action":"a","status":"success","x":[{numbers}]}}"#
    );
    assert_eq!(accept(&event), Err(vec!["too_large ".to_owned()]));
    assert!(accept(&event.replace("1e300", "1e30")).is_ok());
}

#[test]
fn nesting_is_counted_in_the_canonical_event() {
    let nested = |levels: usize| format!(r#""x":{}{}"#, "[".repeat(levels), "]".repeat(levels));
    check(&nested(30), &[]);
    let path = format!("too_deep /x{}", "/0".repeat(30));
    check(&nested(31), &[&path]);
}

#[test]
fn an_event_built_in_code_is_checked_as_one_that_was_read() {
    let mut event = accept_event(&with(r#""x":1"#));
    event.statement.principal_id = Some("a\0".to_owned());
    event
        .statement
        .details
        .insert("n", Value::Array(vec![Value::from("\0")]));
    event.statement.details.insert("k\0", Value::Null);
    event.annotations.insert(
        "deep",
        (0..40).fold(Value::Null, |value, _| Value::Array(vec![value])),
    );
    let problems = EventDraft::new(event).unwrap_err();
    let shown: Vec<String> = problems
        .iter()
        .map(|p| format!("{} {}", p.code.as_str(), p.path))
        .collect();
    let deep = format!("too_deep /annotations/deep{}", "/0".repeat(30));
    assert_eq!(
        shown,
        [
            "nul_character /principalId",
            &deep,
            "nul_character /details/k\0",
            "nul_character /details/n/0"
        ]
    );

    for in_arrays in [true, false] {
        let nest = |value, _| match in_arrays {
            true => Value::Array(vec![value]),
            false => Value::Object([("0", value)].into_iter().collect()),
        };
        let mut event = accept_event(&with(r#""x":1"#));
        event
            .statement
            .details
            .insert("deep", (0..31).fold(Value::Null, nest));
        let problems = EventDraft::new(event).unwrap_err();
        assert_eq!(
            problems[0].path.as_str(),
            format!("/details/deep{}", "/0".repeat(30))
        );
    }

    let mut event = accept_event(&with(r#""id":"order-1""#));
    event.id = EventId::from_bytes([1; 16]);
    event.statement.timestamp_form = TimestampForm::Text("2024-01-01T00:00:01+00:00".to_owned());
    let problems = EventDraft::new(event).unwrap_err();
    let paths: Vec<&str> = problems
        .iter()
        .map(|problem| problem.path.as_str())
        .collect();
    assert_eq!(paths, ["/timestamp", "/id"]);
}

fn accept_event(text: &str) -> AuditEvent {
    let draft = crate::support::accept(Form::Native, text).unwrap();
    draft.event().clone()
}

#[test]
fn a_time_too_far_ahead_of_its_arrival_is_named() {
    let at = |micros| Timestamp::from_micros(micros).unwrap();
    assert_eq!(check_skew(at(1_000_100), at(1_000_000), 100), None);
    assert_eq!(check_skew(at(0), at(1_000_000), 0), None);
    let problem = check_skew(at(1_000_101), at(1_000_000), 100).unwrap();
    assert_eq!(
        (problem.code.as_str(), problem.path.as_str()),
        ("in_future", "/timestamp")
    );
}

#[test]
fn what_is_stored_is_read_by_the_letter() {
    let good = accept(&with(r#""id":"order-1","x":1"#)).unwrap();
    assert!(AuditEvent::from_canonical(good.as_bytes()).is_ok());
    let check = |from: &str, to: &str, problems: &[&str]| {
        assert!(good.contains(from), "{from}");
        let shown: Vec<String> = AuditEvent::from_canonical(good.replacen(from, to, 1).as_bytes())
            .unwrap_err()
            .iter()
            .map(|problem| format!("{} {}", problem.code.as_str(), problem.path))
            .collect();
        assert_eq!(shown, problems, "{to}");
    };
    check("{\"x\":1}", "{\"x\":1.0}", &["bad_format "]);
    check("{\"x\":1}", "{}", &["bad_format "]);
    check("\"a\"", "\"\\u0061\"", &["bad_format "]);
    check(
        "{\"x\":1}",
        "{\"x\":1},\"extra\":1",
        &["unknown_value /extra"],
    );
    check(
        "\"externalId\":\"order-1\"",
        "\"externalId\":\"order-2\"",
        &["bad_format /id"],
    );
    check(
        "\"timestampDigits\":0",
        "\"timestampDigits\":6",
        &["unknown_value /timestampDigits"],
    );
    check(
        "\"receivedAt\":\"2023-11-14T22:13:20.000001Z\",",
        "",
        &["missing /receivedAt"],
    );
    check(
        "00:00:00.000000Z",
        "00:00:00.000001Z",
        &["bad_format /timestamp"],
    );
    check("00:00:00.000000Z", "00:00:00.0000000Z", &["bad_format "]);
}
