//! Reports as JSON, as `POST /v1/verify` answers them (DESIGN §3.9).

use audit_event::canonical::to_canonical;
use audit_event::{Number, Value};
use audit_integrity::ledger::LedgerId;
use audit_integrity::verify::{Against, Finding, Report};

use super::VerifyError;

/// A run that goes on.
pub(super) fn running(checked: u64) -> String {
    json([("state", "running".into()), ("checked", number(checked))])
}

/// A run that could not be carried out. The reason names a part, not its inner error.
pub(super) fn failed(error: &VerifyError) -> String {
    let error = format!("{error} cannot be used now");
    json([("state", "failed".into()), ("error", error.into())])
}

/// A run that came to an end.
pub(super) fn done(report: &Report) -> String {
    let outcomes = report
        .outcomes
        .each()
        .into_iter()
        .map(|(outcome, events)| (outcome.as_str(), number(events)));
    json([
        ("state", "done".into()),
        ("result", report.result().as_str().into()),
        ("checked", number(report.checked)),
        ("outcomes", Value::Object(outcomes.collect())),
        (
            "against",
            Value::Array(report.against.iter().map(against).collect()),
        ),
        (
            "findings",
            Value::Array(report.findings.iter().map(finding).collect()),
        ),
        ("findingsOmitted", number(report.findings_omitted)),
    ])
}

fn against(against: &Against) -> Value {
    object([
        ("ledger", ledger(against.ledger)),
        ("size", number(against.tree.size)),
        (
            "root",
            audit_integrity::documents::base64_of(&against.tree.root).into(),
        ),
        ("source", against.source.as_str().into()),
    ])
}

fn finding(finding: &Finding) -> Value {
    let leaf = finding.leaf_index.map(|leaf| ("leafIndex", number(leaf.0)));
    let event = finding
        .event_id
        .map(|id| ("eventId", Value::from(id.to_string())));
    let always = [
        ("outcome", Value::from(finding.outcome.as_str())),
        ("kind", finding.kind.as_str().into()),
        ("ledger", ledger(finding.ledger)),
        ("detail", finding.detail.as_str().into()),
    ];
    object(always.into_iter().chain(leaf).chain(event))
}

fn ledger(ledger: LedgerId) -> Value {
    match ledger {
        LedgerId::Events(n) => number(u64::from(n)),
        LedgerId::Directory => "directory".into(),
    }
}

fn number(value: u64) -> Value {
    Value::Number(Number::from(value))
}

fn object<'a>(members: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    Value::Object(members.into_iter().collect())
}

fn json<'a>(members: impl IntoIterator<Item = (&'a str, Value)>) -> String {
    String::from_utf8_lossy(&to_canonical(&object(members))).into_owned()
}
