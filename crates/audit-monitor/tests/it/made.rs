//! Events and rule sets for tests.

use std::sync::Arc;

use audit_event::forms::read_statement;
use audit_event::{AuditEvent, EventId, Form, OrganizationId, Stamps, Timestamp};
use audit_integrity::ledger::{LeafIndex, LedgerId};
use audit_monitor::{
    Batch, Engine, Episode, Limits, Matcher, MemoryWindows, RuleSet, Settings, WindowStore,
};
use futures::executor::block_on;
use serde_json::Value;

/// An event of a form, with an id of its own; it arrived when it happened.
pub(crate) fn event_of(form: Form, text: &str, number: u64) -> AuditEvent {
    let statement = read_statement(form, text.as_bytes())
        .unwrap_or_else(|problems| panic!("{problems:?} in {text}"));
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    let stamps = Stamps {
        fallback_id: EventId::from_bytes(id),
        received_at: statement.timestamp,
        default_organization: OrganizationId::new("acme"),
    };
    AuditEvent::stamp(statement, &stamps)
}

/// A native event.
pub(crate) fn event(json: &Value, number: u64) -> AuditEvent {
    event_of(Form::Native, &json.to_string(), number)
}

/// A set without a problem.
pub(crate) fn rules(text: &str) -> Arc<RuleSet> {
    let set = RuleSet::load([("rules.yml", text)].into_iter());
    assert_eq!(set.problems(), [], "{text}");
    Arc::new(set)
}

/// A time as text, so many seconds after noon of a Friday.
pub(crate) fn time(seconds: i64) -> String {
    let noon = 1_704_456_000_i64;
    let at = Timestamp::clamped((noon + seconds) * 1_000_000);
    String::from_utf8(at.canonical_text().to_vec()).expect("ASCII")
}

/// What a store raises of events that are read in one batch, to the end of every window.
pub(crate) fn raised(
    rules: &Arc<RuleSet>,
    settings: &Settings,
    events: &[AuditEvent],
) -> Vec<Episode> {
    let matcher = Matcher::new(Arc::clone(rules), settings.clone());
    let ledger = LedgerId::Events(0);
    let mut batch = Batch::new(ledger, LeafIndex(0));
    let mut episodes: Vec<Episode> = events
        .iter()
        .flat_map(|event| batch.read(&matcher, event))
        .collect();
    batch.idle(Timestamp::clamped(i64::MAX));
    let engine = Engine::new(Arc::clone(rules), Limits::default());
    let windows = MemoryWindows::new(Arc::new(engine), &[(ledger, LeafIndex(0))]);
    block_on(windows.apply(&batch)).expect("a batch");
    assert_eq!(windows.told().expect("what came of it").notices, []);
    episodes.extend(block_on(windows.raised(usize::MAX)).expect("episodes"));
    episodes
}
