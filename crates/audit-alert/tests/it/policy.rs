//! Suppression windows over changes of the clock, and policies that cannot work.

use std::time::Duration;

use audit_alert::{Escalation, Policy, PolicyProblem, Recipient, Suppression};
use audit_event::Timestamp;
use audit_event::timestamp::MissingZone;
use audit_store::AlertLevel;

const HOUR: Duration = Duration::from_secs(3_600);

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text, MissingZone::Refuse)
        .expect("a time")
        .0
}

fn is_on(suppression: &Suppression, on: &[&str], off: &[&str]) {
    for time in on {
        assert!(suppression.is_on(at(time)), "on at {time}");
    }
    for time in off {
        assert!(!suppression.is_on(at(time)), "off at {time}");
    }
}

fn berlin(starts: &str, lasts: Duration) -> Suppression {
    Suppression::new("night", starts, lasts, "Europe/Berlin").expect("a suppression")
}

#[test]
fn a_suppression_is_on_from_its_start_for_as_long_as_it_lasts() {
    is_on(
        &berlin("30 1 * * MON-FRI", 2 * HOUR),
        &[
            "2024-01-10T01:30:00+01:00",
            "2024-01-10T01:30:00.000001+01:00",
            "2024-01-10T03:29:59.999999+01:00",
        ],
        &[
            "2024-01-10T01:29:59.999999+01:00",
            "2024-01-10T03:30:00+01:00",
            "2024-01-13T02:00:00+01:00",
        ],
    );
}

#[test]
fn a_suppression_lasts_as_long_when_clocks_go_forward() {
    // On 31 March 2024 02:00 became 03:00.
    is_on(
        &berlin("0 1 * * *", 2 * HOUR),
        &["2024-03-31T01:00:00+01:00", "2024-03-31T03:59:59+02:00"],
        &["2024-03-31T00:59:59+01:00", "2024-03-31T04:00:00+02:00"],
    );
    // A start that the clock skips comes when it has skipped it.
    is_on(
        &berlin("30 2 * * *", HOUR),
        &["2024-03-30T02:30:00+01:00", "2024-03-31T03:30:00+02:00"],
        &["2024-03-31T01:59:59+01:00", "2024-03-31T05:00:00+02:00"],
    );
}

#[test]
fn a_suppression_starts_once_when_clocks_go_back() {
    // On 27 October 2024 03:00 became 02:00: there were two 02:30, the first one counts.
    is_on(
        &berlin("30 2 * * *", HOUR),
        &["2024-10-27T02:30:00+02:00", "2024-10-27T02:29:59+01:00"],
        &[
            "2024-10-27T02:29:59+02:00",
            "2024-10-27T02:30:00+01:00",
            "2024-10-27T03:00:00+01:00",
        ],
    );
    is_on(
        &berlin("0 1 * * *", 2 * HOUR),
        &["2024-10-27T01:00:00+02:00", "2024-10-27T02:59:59+02:00"],
        &["2024-10-27T02:00:00+01:00"],
    );
}

#[test]
fn a_suppression_of_more_than_a_day_reaches_over_midnight_and_months() {
    is_on(
        &Suppression::new("freeze", "0 0 24 12 *", 12 * 24 * HOUR, "UTC").unwrap(),
        &["2024-12-24T00:00:00Z", "2025-01-04T23:59:59Z"],
        &["2024-12-23T23:59:59Z", "2025-01-05T00:00:00Z"],
    );
}

#[test]
fn what_cannot_work_is_named_with_its_place() {
    let problem = |starts: &str, lasts: Duration, zone: &str| {
        Suppression::new("s", starts, lasts, zone)
            .expect_err("a problem")
            .to_string()
    };
    assert!(
        problem("61 * * * *", HOUR, "UTC")
            .starts_with(r#"suppression "s": "61 * * * *" is no cron expression: "#)
    );
    assert_eq!(
        problem("0 0 30 2 *", HOUR, "UTC"),
        r#"suppression "s": "0 0 30 2 *" never starts"#
    );
    assert_eq!(
        problem("0 0 * * *", HOUR, "Europe/Atlantis"),
        r#"suppression "s": there is no time zone "Europe/Atlantis""#
    );
    for lasts in [Duration::ZERO, 32 * 24 * HOUR] {
        assert!(
            problem("0 0 * * *", lasts, "UTC").ends_with("it lasts between 1 second and 31 days")
        );
    }
}

#[test]
fn a_policy_tells_everything_that_is_wrong_with_it() {
    let handler = |name: &str| Recipient {
        name: name.to_owned(),
        at_least: AlertLevel::Low,
        organizations: Vec::new(),
        rules: Vec::new(),
        kinds: Vec::new(),
    };
    let step = |minutes: u32, handler: &str| Escalation {
        after: Duration::from_secs(60) * minutes,
        raise_to: None,
        handlers: vec![handler.to_owned()],
    };
    let policy = Policy {
        escalation: vec![step(5, "mail"), step(5, "pager")],
        handlers: vec![handler("mail"), handler("mail"), handler("trail")],
        ..Policy::default()
    };
    let taken = |name: &str| PolicyProblem::NameTaken {
        handler: name.to_owned(),
    };
    let pager = PolicyProblem::NoHandler {
        number: 2,
        handler: "pager".to_owned(),
    };
    assert_eq!(
        policy.checked().expect_err("problems"),
        [
            taken("mail"),
            taken("trail"),
            PolicyProblem::Order { number: 2 },
            pager
        ]
    );
}
