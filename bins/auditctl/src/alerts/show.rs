//! Alerts on a screen.

use serde_json::Value;

use crate::error::{CliError, Verdict};
use crate::output::{Format, Output, Rows, Text, Tone};

/// Columns of CSV: the alert's members.
const COLUMNS: [&str; 9] = [
    "id",
    "level",
    "state",
    "rule",
    "organizationId",
    "group",
    "events",
    "raisedAt",
    "title",
];
/// Digits of an id that a table shows: enough to name it.
const ID_SHOWN: usize = 12;

/// Writes a page.
pub(super) fn list(output: &Output, page: &Value) -> Result<Verdict, CliError> {
    let whole = output.format == Format::Csv;
    let columns = if whole {
        &COLUMNS[..]
    } else {
        COLUMNS.split_at(8).0
    };
    let mut rows = Rows::new(columns);
    let alerts = super::alerts(page);
    for alert in alerts {
        rows.push(
            columns
                .iter()
                .map(|name| cell(alert, name, whole))
                .collect(),
        );
    }
    output.rows_or(&rows, page)?;
    let more = match page.get("nextCursor").and_then(Value::as_str) {
        Some(cursor) => format!("; more with --cursor {cursor}"),
        None => String::new(),
    };
    output.remark(&format!("{} alerts{more}", alerts.len()))?;
    Ok(Verdict::Fine)
}

fn cell(alert: &Value, name: &str, whole: bool) -> Text {
    match name {
        "group" => group(alert).into(),
        "id" if !whole => text(alert, name)
            .chars()
            .take(ID_SHOWN)
            .collect::<String>()
            .into(),
        // To the second, which is enough to find it.
        "raisedAt" if !whole => text(alert, name)
            .chars()
            .take(19)
            .collect::<String>()
            .into(),
        "level" => {
            let level = text(alert, name);
            let bad = matches!(level.as_str(), "high" | "critical");
            Text::toned(level, if bad { Tone::Bad } else { Tone::Plain })
        }
        "state" => {
            let state = text(alert, name);
            let done = state == "resolved";
            Text::toned(state, if done { Tone::Good } else { Tone::Plain })
        }
        name => text(alert, name).into(),
    }
}

/// What its events have in common, as `field=value, ...`.
fn group(alert: &Value) -> String {
    let fields = alert.get("group").and_then(Value::as_array);
    let fields = fields.into_iter().flatten();
    let told: Vec<String> = fields
        .map(|field| format!("{}={}", text(field, "field"), text(field, "value")))
        .collect();
    told.join(", ")
}

/// Writes one, a member a line.
pub(super) fn show(output: &Output, alert: &Value) -> Result<Verdict, CliError> {
    if output.format == Format::Json {
        output.json(alert)?;
        return Ok(Verdict::Fine);
    }
    let mut rows = Rows::new(&["member", "value"]);
    for (name, value) in alert.as_object().into_iter().flatten() {
        match (name.as_str(), value) {
            (_, Value::Null) => {}
            ("group", _) => rows.push(vec![name.as_str().into(), group(alert).into()]),
            ("evidence", Value::Array(events)) => {
                for event in events {
                    rows.push(vec!["evidence".into(), evidence(event).into()]);
                }
            }
            ("history", Value::Array(steps)) => {
                for step in steps {
                    rows.push(vec!["history".into(), history(step).into()]);
                }
            }
            (name, _) => rows.push(vec![name.into(), text(alert, name).into()]),
        }
    }
    output.rows_or(&rows, alert)?;
    Ok(Verdict::Fine)
}

fn evidence(event: &Value) -> String {
    format!(
        "{} {} ({}/{})",
        text(event, "at"),
        text(event, "eventId"),
        text(event, "ledger"),
        text(event, "leafIndex")
    )
}

fn history(step: &Value) -> String {
    let note = match step.get("note").and_then(Value::as_str) {
        Some(note) => format!(": {note}"),
        None => String::new(),
    };
    format!(
        "{} {} by {}{note}",
        text(step, "at"),
        text(step, "state"),
        text(step, "by")
    )
}

/// A member as text; empty when it is absent or `null`.
pub(super) fn text(value: &Value, name: &str) -> String {
    match value.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}
