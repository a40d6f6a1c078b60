//! Why an event is found.

use std::sync::Arc;

use audit_monitor::{Matcher, RuleSet, Settings};
use serde_json::json;

use crate::made::{event, rules, time};

const RULES: &str = "title: failed login
name: failed
logsource:
    product: audit
detection:
    login:
        action|startswith: auth.
        status: failure
    test:
        principalId: monitor
    condition: login and not test
---
title: many
name: many
correlation:
    type: event_count
    rules: [failed]
    group-by: [principalId]
    timespan: 5m
    condition:
        gte: 3
---
title: any deletion
name: deletion
logsource:
    product: audit
detection:
    words:
        - deleted for ever
    condition: words
";

#[test]
fn a_match_is_explained_by_its_selections_and_fields_and_by_who_counts_it() {
    let matcher = Matcher::new(rules(RULES), Settings::default());
    let long = "x".repeat(600);
    let tried = json!({
        "timestamp": time(0), "action": "auth.login", "status": "failure", "principalId": "eve", "organizationId": "acme",
        "long": format!("deleted for ever {long}"),
    });
    let tried = event(&tried, 1);
    let explained = matcher.explain(&tried);
    let keys: Vec<_> = explained.iter().map(|one| one.rule.key()).collect();
    assert_eq!(keys, ["failed", "deletion"]);

    let login = &explained[0];
    assert!(!login.raises, "it feeds a correlation");
    assert_eq!(login.selections, ["login"]);
    let fields: Vec<_> = login
        .fields
        .iter()
        .map(|because| (because.field.as_str(), &because.value))
        .collect();
    assert!(
        fields.contains(&("action", &json!("auth.login"))),
        "{fields:?}"
    );
    assert!(
        fields.contains(&("status", &json!("failure"))),
        "{fields:?}"
    );
    let [(rule, group)] = &login.counts[..] else {
        panic!("{login:?}");
    };
    assert_eq!((rule.key(), rule.line()), ("many", 13));
    assert_eq!(group.organization.as_str(), "acme");
    assert_eq!(
        group.values,
        [("principalId".to_owned(), Some("eve".to_owned()))]
    );

    let deletion = &explained[1];
    assert!(
        deletion.raises && deletion.counts.is_empty(),
        "{deletion:?}"
    );
    for because in &deletion.fields {
        assert!(because.value.to_string().len() < 600, "{because:?}");
    }
}

#[test]
fn what_matches_nothing_is_explained_by_nothing() {
    let matcher = Matcher::new(rules(RULES), Settings::default());
    let of_monitor = json!({
        "timestamp": time(0), "action": "auth.login", "status": "failure", "principalId": "monitor", "organizationId": "acme",
    });
    assert!(matcher.explain(&event(&of_monitor, 1)).is_empty());
}

#[test]
fn the_same_rules_are_explained_as_are_matched() {
    let matcher = Matcher::new(Arc::new(RuleSet::built_in()), Settings::default());
    let tried = json!({
        "timestamp": time(12 * 3600), "action": "data.export", "status": "success", "principalId": "eve", "organizationId": "acme",
        "recordCount": 100,
    });
    let tried = event(&tried, 1);
    let matched: Vec<_> = matcher
        .matches(&tried)
        .iter()
        .map(|rule| rule.key().to_owned())
        .collect();
    let explained: Vec<_> = matcher
        .explain(&tried)
        .iter()
        .map(|one| one.rule.key().to_owned())
        .collect();
    assert!(matched.len() > 2, "{matched:?}");
    assert_eq!(matched, explained);
}
