//! What all modules need: stamps, and the way of a text through accept.

use audit_event::forms::read_statement;
use audit_event::{
    AuditEvent, EventDraft, EventId, Form, OrganizationId, Problem, Stamps, Timestamp,
};

pub(crate) fn stamps() -> Stamps {
    Stamps {
        fallback_id: EventId::from_bytes([7; 16]),
        received_at: Timestamp::from_micros(1_700_000_000_000_001).unwrap(),
        default_organization: OrganizationId::none(),
    }
}

/// A text's event after accept, checked to come back from its bytes as it was.
pub(crate) fn accept(form: Form, text: &str) -> Result<EventDraft, Vec<Problem>> {
    let statement = read_statement(form, text.as_bytes())?;
    let draft = EventDraft::new(AuditEvent::stamp(statement, &stamps()))?;
    let again =
        EventDraft::from_canonical(draft.canonical().to_vec()).expect("canonical bytes read back");
    assert_eq!(
        again, draft,
        "the event that comes back is the one that went in"
    );
    Ok(draft)
}

/// The canonical text of an event, or its problems as `code path`.
pub(crate) fn shown(form: Form, text: &str) -> Result<String, Vec<String>> {
    let draft = accept(form, text).map_err(|problems| {
        let show = |problem: &Problem| format!("{} {}", problem.code.as_str(), problem.path);
        problems.iter().map(show).collect::<Vec<_>>()
    })?;
    Ok(String::from_utf8(draft.canonical().to_vec()).unwrap())
}
