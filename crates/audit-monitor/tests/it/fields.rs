//! Which fields rules find in an event, and that no index of the evaluator changes what they match.

use std::sync::Arc;

use audit_event::AuditEvent;
use audit_event::arbitrary;
use audit_monitor::{Customs, Matcher, RuleSet, Settings};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::made::{event, rules, time};

/// A rule of one selection.
fn rule(selection: &str) -> String {
    format!(
        "title: t\nlogsource:\n    product: audit\ndetection:\n    s:\n        {selection}\n    condition: s\n"
    )
}

fn is_matched(selection: &str, event: &AuditEvent) -> bool {
    let settings = Settings {
        everyone: Customs::default(),
        organizations: [(
            audit_event::OrganizationId::new("tokyo"),
            Customs::default().in_zone("Asia/Tokyo").expect("a zone"),
        )]
        .into(),
    };
    let matcher = Matcher::new(rules(&rule(selection)), settings);
    matcher.matches(event).len() == 1
}

fn full() -> Value {
    json!({
        "id": "00000000-0000-4000-8000-000000000001",
        "timestamp": time(0), "action": "data.read", "status": "success",
        "principalId": "u", "principalType": "user", "organizationId": "acme",
        "targetResourceType": "Patient", "targetResourceId": "7", "outcomeDescription": "as asked",
        "durationMs": 12.5, "severity": "warning", "dataClassification": "PHI", "retentionPolicy": "long",
        "correlationId": "c", "eventVersion": "1.0",
        "sessionContext": {"sessionId": "s", "ipAddress": "203.0.113.7", "userAgent": "curl/8", "geolocation": "DE"},
        "source": {"application": "app", "environment": "prod", "version": "2"},
        "recordCount": 12, "flag": true, "nothing": null, "a.b": "flat", "status_text": "odd",
        "nested": {"list": [{"name": "one"}, {"name": "two", "deep": [1, 2]}], "text": "inner"},
        "details": {"reason": "own details"},
    })
}

#[test]
fn every_member_has_its_name() {
    let event = event(&full(), 0);
    for selection in [
        "id: 00000000-0000-4000-8000-000000000001",
        "timestamp|startswith: '2024-01-05T12:00:00.000000'",
        "receivedAt|startswith: '2024-01-05'",
        "action: DATA.READ",
        "status: success",
        "principalId: u",
        "principalType: user",
        "organizationId: acme",
        "targetResourceType: Patient",
        "targetResourceId: 7",
        "outcomeDescription|contains: asked",
        "durationMs|gt: 12",
        "severity: warning",
        "dataClassification: phi",
        "retentionPolicy: long",
        "correlationId: c",
        "eventVersion: '1.0'",
        "sessionContext.sessionId: s",
        "sessionContext.ipAddress|cidr: 203.0.113.0/24",
        "sessionContext.userAgent|startswith: curl",
        "sessionContext.geolocation: DE",
        "source.application: app",
        "source.environment: prod",
        "source.version: 2",
        "recordCount: 12",
        "details.recordCount|gte: 12",
        "flag: true",
        "nothing: null",
        "a.b: flat",
        "nested.text: inner",
        "details.nested.text: inner",
        "nested.list.name: one",
        "nested.list.name: two",
        "nested.list.deep: 2",
        "details.reason: own details",
        "details.details.reason: own details",
        "derived.hour: 12",
        "derived.weekday: friday",
        "derived.workingHours: 'on'",
        "derived.addressScope: external",
        "derived.actor: u",
        "traceparent|exists: false",
        "producerProof.verdict|exists: false",
        "principal|exists: false",
        "nested.list.other|exists: false",
    ] {
        assert!(is_matched(selection, &event), "{selection}");
    }
    for selection in [
        "recordCount: 13",
        "nested.list.name: three",
        "derived.hour: 13",
        "nested: inner",
        "derived.other: u",
    ] {
        assert!(!is_matched(selection, &event), "{selection}");
    }
}

#[test]
fn derived_fields_are_the_organisations() {
    let mut json = full();
    json["organizationId"] = json!("tokyo");
    json["principalId"] = json!(null);
    json["sessionContext"]["ipAddress"] = json!("10.1.2.3");
    let event = event(&json, 0);
    for selection in [
        "derived.hour: 21",
        "derived.addressScope: internal",
        "derived.actor: 10.1.2.3",
    ] {
        assert!(is_matched(selection, &event), "{selection}");
    }
}

#[test]
fn a_word_is_found_wherever_it_stands() {
    let words = |word: &str| {
        format!(
            "title: t\nlogsource:\n    product: audit\ndetection:\n    s:\n        - {word}\n    condition: s\n"
        )
    };
    let matches = |word: &str| {
        let matcher = Matcher::new(rules(&words(word)), Settings::default());
        matcher.matches(&event(&full(), 0)).len()
    };
    for word in ["'*asked*'", "Patient", "two", "'curl*'", "'own details'"] {
        assert_eq!(matches(word), 1, "{word}");
    }
    assert_eq!(matches("nowhere"), 0);
}

#[test]
fn our_own_events_match_nothing() {
    let mut json = full();
    json["organizationId"] = json!("_audit");
    assert!(!is_matched("action: data.read", &event(&json, 0)));
    json["organizationId"] = json!("_audits");
    assert!(is_matched("action: data.read", &event(&json, 0)));
}

/// One rule by itself has nothing to be told from.
fn matched_one_by_one(texts: &[String], event: &AuditEvent) -> Vec<String> {
    let alone = texts
        .iter()
        .map(|text| Matcher::new(rules(text), Settings::default()));
    alone
        .flat_map(|matcher| {
            let keys = matcher
                .matches(event)
                .into_iter()
                .map(|rule| rule.key().to_owned());
            keys.collect::<Vec<_>>()
        })
        .collect()
}

fn selections() -> impl Strategy<Value = String> {
    let field = prop::sample::select(vec![
        "action",
        "status",
        "principalId",
        "sessionContext.ipAddress",
        "details.a",
        "a",
        "b.c",
        "derived.hour",
        "derived.workingHours",
        "organizationId",
        "durationMs",
        "severity",
        "nested.list.name",
        "a.b",
    ]);
    let modifier = prop::sample::select(vec![
        "",
        "",
        "",
        "|contains",
        "|startswith",
        "|endswith",
        "|exists",
        "|gt",
        "|re",
        "|cased",
    ]);
    let value = prop::sample::select(vec![
        "a",
        "data.read",
        "success",
        "1",
        "12",
        "'on'",
        "u",
        "x",
        "true",
        "null",
        "''",
        "two",
    ]);
    (field, modifier, value).prop_map(|(field, modifier, value)| {
        let value = match modifier {
            "|exists" => "true",
            "|gt" => "3",
            "|contains" | "|startswith" | "|endswith" | "|re" | "|cased" if value == "null" => "a",
            _ => value,
        };
        let value = if matches!(
            modifier,
            "|re" | "|cased" | "|contains" | "|startswith" | "|endswith"
        ) {
            format!("'{}'", value.trim_matches('\''))
        } else {
            value.to_owned()
        };
        format!("{field}{modifier}: {value}")
    })
}

fn detections() -> impl Strategy<Value = String> {
    let condition = prop::sample::select(vec![
        "s",
        "not s",
        "s and t",
        "s or t",
        "s and not t",
        "1 of them",
        "all of them",
        "k",
        "k and not s",
    ]);
    (selections(), selections(), condition).prop_map(|(s, t, condition)| {
        format!("    s:\n        {s}\n    t:\n        {t}\n    k:\n        - '*rea*'\n    condition: {condition}\n")
    })
}

/// Small events in which the rules above find something.
fn small_events() -> impl Strategy<Value = AuditEvent> {
    let text = || {
        prop::option::of(prop::sample::select(vec![
            "a",
            "data.read",
            "u",
            "x",
            "1",
            "",
            "two",
            "12",
        ]))
    };
    (text(), text(), text(), text(), 0_i64..86_400).prop_map(|(action, principal, a, c, at)| {
        let json = json!({
            "timestamp": time(at), "status": "success", "action": action.filter(|action| !action.is_empty()).unwrap_or("none"),
            "principalId": principal, "a": a, "b": {"c": c}, "durationMs": 4,
            "nested": {"list": [{"name": a}, {"name": "two"}]}, "a.b": c,
        });
        event(&json, 1)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_index_over_many_rules_changes_what_one_matches(
        detections in prop::collection::vec(detections(), 1..12),
        small in small_events(),
        any in arbitrary::event(),
    ) {
        let texts: Vec<String> = detections
            .iter()
            .enumerate()
            .map(|(number, detection)| format!("title: t{number:02}\nlogsource:\n    product: audit\ndetection:\n{detection}"))
            .collect();
        let together = RuleSet::load(texts.iter().enumerate().map(|(number, text)| (format!("{number:02}"), text)));
        prop_assert_eq!(together.problems(), []);
        let matcher = Matcher::new(Arc::new(together), Settings::default());
        for event in [small, any] {
            let found: Vec<String> = matcher.matches(&event).into_iter().map(|rule| rule.key().to_owned()).collect();
            prop_assert_eq!(found, matched_one_by_one(&texts, &event));
        }
    }
}
