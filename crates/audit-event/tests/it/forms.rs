//! Foreign forms: what lands where, that nothing is lost, and the way back.

use audit_event::canonical::to_canonical;
use audit_event::forms::to_form;
use audit_event::read::{LoneSurrogates, ReadLimits, read_value};
use audit_event::{Form, Status};

use crate::support::{accept, shown};

/// The event comes back in its foreign form as it was written, but for member order.
fn comes_back(form: Form, text: &str) {
    let limits = ReadLimits {
        bytes_max: 1 << 20,
        depth_max: 32,
        lone_surrogates: LoneSurrogates::Refuse,
    };
    let original = read_value(text.as_bytes(), &limits).unwrap().value;
    let draft = accept(form, text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
    let restored = to_form(form, draft.event()).unwrap();
    let show = |value| String::from_utf8(to_canonical(value)).unwrap();
    assert_eq!(show(&restored), show(&original));
}

const STAMPS: &str = r#""id":"07070707-0707-0707-0707-070707070707""#;
const RECEIVED: &str = r#""receivedAt":"2023-11-14T22:13:20.000001Z""#;

#[test]
fn a_smart_logs_event_has_its_typed_members() {
    let text = r#"{"timestamp":"2024-01-01T12:00:00.000","action":"data.read","status":"success","principalId":"u",
        "organizationId":"o","targetResourceType":"P","targetResourceId":"1","outcomeDescription":"d","eventVersion":"1.0",
        "hashAlgorithm":"SHA-256","hash":"h","signature":"s","algorithm":"HMAC-SHA256","correlationId":"c",
        "sessionContext":{"sessionId":"s","ipAddress":"::1","userAgent":"ua","geolocation":"g","x":1},"id":"own",
        "dataClassification":"phi","retentionPolicy":2555,"processingLatency":5,"queueDepth":1,"details":{"a":null}}"#;
    let expected = [
        r#"{"action":"data.read","correlationId":"c","dataClassification":"PHI","#,
        r#""details":{"dataClassification":"phi","details":{"a":null},"hashAlgorithm":"SHA-256","id":"own","#,
        r#""processingLatency":5,"queueDepth":1,"retentionPolicy":2555,"sessionContext":{"x":1}},"eventVersion":"1.0","#,
        STAMPS,
        r#","organizationId":"o","outcomeDescription":"d","principalId":"u","#,
        r#""producerProof":{"algorithm":"HMAC-SHA256","hash":"h","scheme":"smart-logs","signature":"s"},"#,
        RECEIVED,
        r#","retentionPolicy":"2555","sessionContext":{"geolocation":"g","ipAddress":"::1","sessionId":"s","#,
        r#""userAgent":"ua"},"status":"success","targetResourceId":"1","targetResourceType":"P","#,
        r#""timestamp":"2024-01-01T12:00:00.000000Z","timestampText":"2024-01-01T12:00:00.000"}"#,
    ];
    assert_eq!(shown(Form::SmartLogs, text), Ok(expected.concat()));
    comes_back(Form::SmartLogs, text);
}

#[test]
fn a_nested_pake_event_has_its_typed_members() {
    let text = r#"{"id":"evt-1","timestamp":"2024-01-01T12:00:01Z","version":"1.0.0","actor":{"id":"a","type":"user",
        "ip":"unknown","session":"s","userAgent":"ua","service":"svc","metadata":{"roles":["admin"]}},"action":{"type":"delete",
        "resource":"card","resourceId":"42","result":"denied","details":"blocked","duration":17,"error":"HTTP 403","metadata":{}},
        "context":{"requestId":"r","traceId":"t","environment":"production","application":"pay","version":"3"},"extra":""}"#;
    let expected = [
        r#"{"action":"delete","correlationId":"r","details":{"action":{"error":"HTTP 403","metadata":{},"result":"denied"},"#,
        r#""actor":{"metadata":{"roles":["admin"]},"service":"svc"},"context":{"traceId":"t"},"extra":""},"#,
        r#""durationMs":17,"eventVersion":"1.0.0","externalId":"evt-1","id":"64943fb9-dc40-50cd-8f3c-f8863f6f5ed1","#,
        r#""outcomeDescription":"blocked","principalId":"a","principalType":"user","#,
        RECEIVED,
        r#","sessionContext":{"ipAddress":"unknown","sessionId":"s","userAgent":"ua"},"#,
        r#""source":{"application":"pay","environment":"production","version":"3"},"status":"failure","#,
        r#""targetResourceId":"42","targetResourceType":"card","timestamp":"2024-01-01T12:00:01.000000Z","timestampDigits":0}"#,
    ];
    assert_eq!(shown(Form::Pake, text), Ok(expected.concat()));
    comes_back(Form::Pake, text);
    comes_back(
        Form::Pake,
        &text.replace(r#""result":"denied""#, r#""result":"partial""#),
    );
}

#[test]
fn explicit_nulls_of_a_python_producer_are_absent() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("vectors/pake-v1.json")).unwrap();
    let python = vectors
        .as_array()
        .unwrap()
        .iter()
        .find(|vector| vector["id"] == "V5")
        .unwrap();
    let draft = accept(Form::Pake, python["event_json"].as_str().unwrap()).unwrap();
    let said = &draft.event().statement;
    assert_eq!(
        (
            &said.session_context,
            &said.duration_ms,
            &said.outcome_description
        ),
        (&None, &None, &None)
    );
    assert_eq!(
        said.details
            .get("actor")
            .unwrap()
            .as_object()
            .unwrap()
            .len(),
        2,
        "service and metadata are kept"
    );
}

#[test]
fn a_flat_pake_item_has_its_typed_members() {
    let text = r#"{"userId":null,"action":"access","resource":"/vault","resourceId":null,"success":false,"ipAddress":"10.0.0.1",
        "userAgent":"ua","error":"no","metadata":{"method":"GET"},"timestamp":"2024-01-01T12:00:00.123456"}"#;
    let expected = [
        r#"{"action":"access","details":{"metadata":{"method":"GET"}},"#,
        STAMPS,
        r#","outcomeDescription":"no","#,
        RECEIVED,
        r#","sessionContext":{"ipAddress":"10.0.0.1","userAgent":"ua"},"status":"failure","targetResourceType":"/vault","#,
        r#""timestamp":"2024-01-01T12:00:00.123456Z","timestampText":"2024-01-01T12:00:00.123456"}"#,
    ];
    assert_eq!(shown(Form::Pake, text), Ok(expected.concat()));
}

#[test]
fn a_list_item_has_its_typed_members() {
    let text = r#"{"user_id":"u","resource_type":"api_key","resource_id":"k","event_type":"rate_limit_exceeded",
        "event_category":"warning","description":"d","metadata":{"tier":"free"},"ip_address":"10.0.0.1","user_agent":"ua",
        "created_at":"2024-01-01T12:00:00.000Z"}"#;
    let expected = [
        r#"{"action":"rate_limit_exceeded","details":{"metadata":{"tier":"free"}},"#,
        STAMPS,
        r#","outcomeDescription":"d","principalId":"u","principalType":"user","#,
        RECEIVED,
        r#","sessionContext":{"ipAddress":"10.0.0.1","userAgent":"ua"},"severity":"warning","status":"failure","#,
        r#""targetResourceId":"k","targetResourceType":"api_key","timestamp":"2024-01-01T12:00:00.000000Z","timestampDigits":3}"#,
    ];
    assert_eq!(shown(Form::ListWorker, text), Ok(expected.concat()));
    comes_back(Form::ListWorker, text);
    comes_back(
        Form::ListWorker,
        &text
            .replace("\"u\"", "7")
            .replace("\"warning\"", "\"debug\""),
    );
    let status = |event_type: &str| {
        let draft = accept(
            Form::ListWorker,
            &text.replace("rate_limit_exceeded", event_type),
        )
        .unwrap();
        draft.event().statement.status
    };
    assert_eq!(status("rate_limit_ban_expired"), Status::Success);
    assert_eq!(status("permanent_ban_applied"), Status::Failure);
    assert_eq!(status("api_key_created"), Status::Success);
}

#[test]
fn what_is_too_long_or_of_another_type_is_kept_whole() {
    let long = "ä".repeat(600);
    let smart_logs = format!(
        r#"{{"timestamp":"2024-01-01T12:00:00.000Z","action":"{long}","status":"success","principalId":"{long}",
        "organizationId":"{long}","targetResourceId":7,"sessionContext":{{"ipAddress":"{long}","sessionId":{{}}}},
        "eventVersion":"{long}","retentionPolicy":"","_whole":{{"action":"own"}},"hash":"h"}}"#
    );
    comes_back(Form::SmartLogs, &smart_logs);
    let draft = accept(Form::SmartLogs, &smart_logs).unwrap();
    let said = &draft.event().statement;
    assert!(
        said.action.starts_with("ää")
            && said.action.contains("~uuid5:")
            && said.action.len() <= 512
    );
    assert_eq!(
        said.principal_id.as_ref(),
        Some(&said.action),
        "equal values stay equal"
    );
    let whole = said.details.get("_whole").unwrap().as_object().unwrap();
    assert_eq!(
        whole.get("principalId").and_then(|text| text.as_str()),
        Some(long.as_str())
    );

    let pake = format!(
        r#"{{"id":"6F1C2A34-0D5E-4B7A-9C11-2B3D4E5F6A7B","timestamp":"2024-01-01T12:00:01.5Z","actor":{{"id":7,"ip":"{long}"}},
        "action":{{"type":"read","result":"error","duration":-1}},"context":{{}},"version":"{long}","signature":"{long}"}}"#
    );
    comes_back(Form::Pake, &pake);
}

#[test]
fn what_cannot_be_understood_is_refused_under_the_producers_own_names() {
    let check = |form: Form, text: &str, problems: &[&str]| {
        let expected: Vec<String> = problems
            .iter()
            .map(|problem| (*problem).to_owned())
            .collect();
        assert_eq!(shown(form, text), Err(expected), "{text}");
    };
    check(
        Form::SmartLogs,
        "{}",
        &["missing /timestamp", "missing /action", "missing /status"],
    );
    check(
        Form::SmartLogs,
        r#"{"timestamp":"2023-10-26 10:30:00+00","action":"","status":"ok","dataClassification":"SECRET"}"#,
        &[
            "unknown_value /dataClassification",
            "unknown_value /status",
            "bad_format /timestamp",
            "empty /action",
        ],
    );
    check(
        Form::Pake,
        "{}",
        &[
            "missing /timestamp",
            "missing /action/type",
            "missing /action/result",
        ],
    );
    check(
        Form::Pake,
        r#"{"timestamp":1,"actor":"me","action":{"type":7,"result":"maybe"}}"#,
        &[
            "unknown_value /action/result",
            "wrong_type /action/type",
            "wrong_type /actor",
            "wrong_type /timestamp",
        ],
    );
    check(
        Form::Pake,
        r#"{"action":"x","success":"yes"}"#,
        &["wrong_type /success", "missing /timestamp"],
    );
    check(
        Form::ListWorker,
        "{}",
        &["missing /created_at", "missing /event_type"],
    );
    check(
        Form::CloudTrail,
        r#"{"eventTime":"2023-07-10T12:20:00"}"#,
        &["bad_format /eventTime", "missing /eventName"],
    );
    for form in Form::ALL {
        check(form, "[]", &["wrong_type "]);
        check(form, "{", &["syntax "]);
        check(form, r#"{"a":{"a":"\u0000"}}"#, &["nul_character /a/a"]);
        check(form, r#"{"x":"\ud800"}"#, &["lone_surrogate /x"]);
    }
}
