//! Each built-in rule at its threshold, and just under it.

use std::sync::Arc;

use audit_event::{AuditEvent, Form};
use audit_monitor::{Customs, Level, Phase, RuleSet, Settings};
use serde_json::{Value, json};

use crate::made::{event, event_of, raised, time};

/// The keys of the rules that these events raise, each once and closed in the end.
fn fired(events: &[AuditEvent]) -> Vec<String> {
    fired_under(&Settings::default(), events)
}

fn fired_under(settings: &Settings, events: &[AuditEvent]) -> Vec<String> {
    let rules = Arc::new(RuleSet::built_in());
    let episodes = raised(&rules, settings, events);
    let closed = episodes
        .iter()
        .filter(|episode| episode.phase == Phase::Closed);
    let mut keys: Vec<String> = closed.map(|episode| episode.rule.clone()).collect();
    keys.sort();
    keys
}

/// So many events of a kind, so many seconds apart.
fn many(count: i64, apart: i64, of: impl Fn(i64) -> Value) -> Vec<AuditEvent> {
    let one = |number: i64| {
        let mut json = of(number);
        json["timestamp"] = json!(time(number * apart));
        event(&json, number.unsigned_abs())
    };
    (0..count).map(one).collect()
}

/// `at` events raise the rule and one less does not; nor do as many, when they come `apart` seconds apart.
fn check(rule: &str, at: i64, too_far_apart: i64, of: impl Fn(i64) -> Value) {
    assert_eq!(fired(&many(at, 0, &of)), [rule], "{at} at once");
    assert_eq!(fired(&many(at - 1, 0, &of)), [""; 0], "{} at once", at - 1);
    // The first and the last are one window apart: still within it.
    let close = too_far_apart - 1;
    assert_eq!(fired(&many(at, close, &of)), [rule], "{close} s apart");
    assert_eq!(
        fired(&many(at, too_far_apart, &of)),
        [""; 0],
        "{too_far_apart} s apart"
    );
}

#[test]
fn every_built_in_rule_loads() {
    let rules = RuleSet::built_in();
    assert_eq!(rules.problems(), []);
    let mut levels: Vec<(&str, Level)> = rules
        .rules()
        .iter()
        .filter(|rule| !rule.key().ends_with("-event"))
        .map(|rule| (rule.key(), rule.level()))
        .collect();
    levels.sort();
    assert_eq!(
        levels,
        [
            ("bulk-operation", Level::Medium),
            ("data-export", Level::High),
            ("data-velocity", Level::Medium),
            ("failed-authentication", Level::High),
            ("off-hours", Level::Low),
            ("privilege-change", Level::High),
            ("proof-mismatch-pake", Level::Critical),
            ("proof-mismatch-smart-logs", Level::Critical),
            ("rapid-failed-logins", Level::High),
            ("unauthorized-access", Level::Critical),
            ("unusual-volume", Level::Medium),
        ]
    );
}

#[test]
fn failed_authentication_is_five_in_five_minutes() {
    let login =
        |_| json!({"action": "auth.login.failure", "status": "failure", "principalId": "u"});
    // Four gaps of 75 s are the window; of 76 s they are more.
    check("failed-authentication", 5, 76, login);
    let from_an_address = |_| json!({"action": "auth.login.failure", "status": "failure", "sessionContext": {"ipAddress": "203.0.113.7"}});
    check("failed-authentication", 5, 76, from_an_address);
    let of_many = |number: i64| json!({"action": "auth.login.failure", "status": "failure", "principalId": format!("u{number}")});
    assert_eq!(fired(&many(20, 0, of_many)), [""; 0]);
}

#[test]
fn unauthorized_access_is_three_in_ten_minutes() {
    for said in ["Unauthorized", "error: access denied", "403 Forbidden"] {
        check(
            "unauthorized-access",
            3,
            301,
            |_| json!({"action": "a", "status": "failure", "outcomeDescription": said, "principalId": "u"}),
        );
    }
    let succeeded = |_| json!({"action": "a", "status": "success", "outcomeDescription": "forbidden", "principalId": "u"});
    assert_eq!(fired(&many(3, 0, succeeded)), [""; 0]);
}

#[test]
fn data_velocity_is_fifty_in_a_minute() {
    let of_kinds = [
        json!({"action": "data.read", "status": "success", "principalId": "u"}),
        json!({"action": "fhir.patient.read", "status": "success", "principalId": "u"}),
        json!({"action": "a", "status": "success", "principalId": "u", "targetResourceType": "Patient"}),
    ];
    for kind in of_kinds {
        check("data-velocity", 50, 2, |_| kind.clone());
    }
}

#[test]
fn bulk_operation_is_a_hundred_in_five_minutes() {
    let kinds = [
        json!({"action": "data.export", "status": "failure"}),
        json!({"action": "users.bulk", "status": "success"}),
        json!({"action": "a", "status": "success", "recordCount": 11}),
    ];
    for kind in kinds {
        check("bulk-operation", 100, 4, |_| kind.clone());
    }
    let small = |_| json!({"action": "a", "status": "success", "recordCount": 10});
    assert_eq!(fired(&many(100, 0, small)), [""; 0]);
}

#[test]
fn off_hours_are_the_organisations() {
    let at = |hour: &str| {
        let json = json!({"action": "fhir.patient.read", "status": "success", "timestamp": hour});
        [event(&json, 1)]
    };
    assert_eq!(fired(&at("2024-01-05T22:00:00Z")), ["off-hours"]);
    assert_eq!(fired(&at("2024-01-05T05:59:59Z")), ["off-hours"]);
    assert_eq!(fired(&at("2024-01-05T21:59:59Z")), [""; 0]);
    assert_eq!(fired(&at("2024-01-05T06:00:00Z")), [""; 0]);
    let everyone = Customs::default().in_zone("Asia/Tokyo").expect("a zone");
    let tokyo = Settings {
        everyone,
        ..Settings::default()
    };
    assert_eq!(
        fired_under(&tokyo, &at("2024-01-05T13:00:00Z")),
        ["off-hours"]
    );
    assert_eq!(fired_under(&tokyo, &at("2024-01-05T12:59:59Z")), [""; 0]);
}

/// An event as PAKE's clients send it.
fn pake(number: i64, action: &Value) -> AuditEvent {
    let json = json!({
        "id": format!("00000000-0000-4000-8000-{number:012}"),
        "timestamp": time(number),
        "actor": {"id": "u", "type": "user", "metadata": action["byActor"]},
        "action": {"type": action["type"], "resource": action["resource"], "result": action["result"], "metadata": action["metadata"]},
        "context": {"environment": "prod", "application": "x", "version": "1"},
        "version": "1.0.0",
    });
    event_of(Form::Pake, &json.to_string(), 0)
}

fn pakes(count: i64, action: &Value) -> Vec<AuditEvent> {
    (0..count).map(|number| pake(number, action)).collect()
}

#[test]
fn rapid_failed_logins_are_five_in_fifteen_minutes() {
    check(
        "rapid-failed-logins",
        5,
        226,
        |_| json!({"action": "login", "status": "failure", "principalId": "u"}),
    );
    let login = json!({"type": "login", "resource": "authentication", "result": "denied"});
    assert_eq!(fired(&pakes(5, &login)), ["rapid-failed-logins"]);
}

#[test]
fn unusual_volume_is_a_hundred_in_an_hour() {
    let read = json!({"type": "read", "resource": "sensitive_data", "result": "failure"});
    assert_eq!(fired(&pakes(100, &read)), ["unusual-volume"]);
    assert_eq!(fired(&pakes(99, &read)), [""; 0]);
    check(
        "unusual-volume",
        100,
        37,
        |_| json!({"action": "read", "status": "failure", "targetResourceType": "sensitive_data", "principalId": "u"}),
    );
}

#[test]
fn a_privilege_change_is_one_event() {
    let change = |action: &str, resource: &str| {
        let action = json!({"type": action, "resource": resource, "result": "success"});
        fired(&[pake(0, &action)])
    };
    assert_eq!(
        change("configure", "user_permissions"),
        ["privilege-change"]
    );
    assert_eq!(change("delete", "admin_console"), ["privilege-change"]);
    assert_eq!(change("read", "user_permissions"), [""; 0]);
    assert_eq!(change("configure", "printer"), [""; 0]);
}

#[test]
fn a_large_export_is_more_than_fifty_records() {
    let export = |place: &str, member: &str, count: i64| {
        let mut action = json!({"type": "export", "resource": "report", "result": "success"});
        action[place] = json!({ member: count });
        fired(&[pake(0, &action)])
    };
    for place in ["metadata", "byActor"] {
        assert_eq!(export(place, "recordCount", 51), ["data-export"], "{place}");
        assert_eq!(export(place, "recordCount", 50), [""; 0], "{place}");
        assert_eq!(export(place, "batchSize", 11), ["data-export"], "{place}");
        assert_eq!(export(place, "batchSize", 10), [""; 0], "{place}");
    }
}

#[test]
fn a_proof_that_does_not_match_raises_from_the_first_event_on_and_one_that_does_not_at_all() {
    use audit_event::{ProducerProof, Verdict};
    for (scheme, rule) in [
        ("smart-logs", "proof-mismatch-smart-logs"),
        ("pake-v1", "proof-mismatch-pake"),
    ] {
        let of = |verdict| {
            let mut event = event(
                &json!({"timestamp": time(0), "action": "a", "status": "success"}),
                1,
            );
            let proof = ProducerProof {
                verdict: Some(verdict),
                ..ProducerProof::of_scheme(scheme)
            };
            event.statement.producer_proof = Some(proof);
            [event]
        };
        assert_eq!(fired(&of(Verdict::Mismatch)), [rule]);
        assert_eq!(fired(&of(Verdict::Verified)), [""; 0]);
        assert_eq!(fired(&of(Verdict::Unverifiable)), [""; 0]);
    }
}
