//! A notice in words.

use crate::alert::Alert;
use crate::notice::{Notice, NoticeKind};

/// Bytes of a title that is shown in one line.
const TITLE_BYTES_MAX: usize = 200;
/// Fields of a group that are shown.
const FIELDS_MAX: usize = 10;
/// Bytes of one value that are shown.
const VALUE_BYTES_MAX: usize = 200;
/// Events that are named.
const EVENTS_MAX: usize = 5;

/// In one line: `[high] raised: Many failed logins (acme)`. Without control characters, whoever wrote the title.
pub(super) fn headline(notice: &Notice) -> String {
    let alert = &notice.alert;
    let title = one_line(&alert.title, TITLE_BYTES_MAX);
    let organization = one_line(alert.organization_id.as_str(), TITLE_BYTES_MAX);
    let of = match organization.is_empty() {
        true => String::new(),
        false => format!(" ({organization})"),
    };
    format!("[{}] {}: {title}{of}", alert.level_name(), notice.kind)
}

/// What happened, in a few lines.
pub(super) fn description(notice: &Notice) -> String {
    let alert = &notice.alert;
    let mut lines = Vec::new();
    if let Some(detail) = &alert.detail {
        lines.push(one_line(detail, 4 * VALUE_BYTES_MAX));
    }
    lines.push(format!("rule: {}", one_line(&alert.rule, VALUE_BYTES_MAX)));
    for field in alert.group.iter().take(FIELDS_MAX) {
        let value = field.value.as_deref().unwrap_or("(none)");
        let value = one_line(value, VALUE_BYTES_MAX);
        lines.push(format!(
            "{}: {value}",
            one_line(&field.field, VALUE_BYTES_MAX)
        ));
    }
    if alert.events > 0 {
        lines.push(format!(
            "events: {} from {} to {}",
            alert.events, alert.first_at, alert.last_at
        ));
    }
    for event in alert.evidence.iter().take(EVENTS_MAX) {
        lines.push(format!(
            "event {} (ledger {}, leaf {})",
            event.event_id, event.ledger, event.leaf_index
        ));
    }
    lines.extend(who(notice));
    lines.push(format!("alert: {}", alert.id));
    lines.join("\n")
}

/// Who did it, when somebody did.
fn who(notice: &Notice) -> Option<String> {
    let by_somebody = matches!(notice.kind, NoticeKind::Acknowledged | NoticeKind::Resolved);
    let step = notice.alert.history.last().filter(|_step| by_somebody)?;
    let note = step.note.as_deref().unwrap_or_default();
    let note = match note.is_empty() {
        true => String::new(),
        false => format!(": {}", one_line(note, 4 * VALUE_BYTES_MAX)),
    };
    let by = one_line(&step.by, VALUE_BYTES_MAX);
    Some(format!("{} by {by}{note}", notice.kind))
}

/// What it is about, for fields that are named after where trouble comes from.
pub(super) fn origin(alert: &Alert) -> String {
    match alert.organization_id.is_none() {
        true => "audit-worker".to_owned(),
        false => one_line(alert.organization_id.as_str(), VALUE_BYTES_MAX),
    }
}

/// Cut, with a space for each control character: no line of a message begins where a producer wants one to.
pub(super) fn one_line(text: &str, bytes_max: usize) -> String {
    let cut = text.get(..text.floor_char_boundary(bytes_max));
    let plain = cut.unwrap_or_default().chars();
    let mut line: String = plain
        .map(|c| {
            if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
                ' '
            } else {
                c
            }
        })
        .collect();
    if text.len() > bytes_max {
        line.push('…');
    }
    line
}
