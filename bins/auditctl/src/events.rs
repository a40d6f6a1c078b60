//! Stored events as `query`, `tail` and `show` print them.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::CliError;
use crate::output::{Rows, Text, Tone};

/// A page of `GET /v1/events`. Events stay the text that the server sent: numbers are exact in it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page {
    /// The events.
    pub(crate) events: Vec<Box<RawValue>>,
    /// Where to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
}

/// What a row shows of a stored event.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Stored {
    /// The event; empty when its body has expired.
    pub(crate) event: Shown,
    /// Ledger of its entry.
    pub(crate) ledger: serde_json::Value,
    /// Position of its entry.
    pub(crate) leaf_index: u64,
}

/// The event's members that a row shows.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Shown {
    pub(crate) id: String,
    pub(crate) timestamp: String,
    organization_id: String,
    principal_id: String,
    action: String,
    status: String,
    severity: String,
    target_resource_type: String,
    target_resource_id: String,
    correlation_id: String,
}

/// Column names: the event's members, then its address.
const COLUMNS: [&str; 12] = [
    "timestamp",
    "action",
    "status",
    "principalId",
    "organizationId",
    "targetResourceType",
    "targetResourceId",
    "severity",
    "correlationId",
    "ledger",
    "leafIndex",
    "id",
];
/// The columns of a table, which has a terminal's width to share.
const TABLE_COLUMNS: [&str; 7] = [
    "timestamp",
    "action",
    "status",
    "principalId",
    "organizationId",
    "target",
    "id",
];

/// Reads what a row shows; `url` is for the message.
pub(crate) fn shown(raw: &RawValue, url: &str) -> Result<Stored, CliError> {
    serde_json::from_str(raw.get()).map_err(|error| CliError::Answer {
        url: url.to_owned(),
        reason: error.to_string(),
    })
}

/// Rows of all columns, or of those that a table shows.
pub(crate) fn rows(
    events: &[Box<RawValue>],
    all_columns: bool,
    url: &str,
) -> Result<Rows, CliError> {
    let mut rows = if all_columns {
        Rows::new(&COLUMNS)
    } else {
        Rows::new(&TABLE_COLUMNS)
    };
    for raw in events {
        let stored = shown(raw, url)?;
        rows.push(if all_columns {
            full_row(stored)
        } else {
            table_row(stored)
        });
    }
    Ok(rows)
}

/// A ledger's id as text: a number, or `directory`.
pub(crate) fn ledger_text(ledger: &serde_json::Value) -> String {
    ledger
        .as_str()
        .map_or_else(|| ledger.to_string(), str::to_owned)
}

fn full_row(stored: Stored) -> Vec<Text> {
    let event = stored.event;
    vec![
        event.timestamp.into(),
        event.action.into(),
        event.status.into(),
        event.principal_id.into(),
        event.organization_id.into(),
        event.target_resource_type.into(),
        event.target_resource_id.into(),
        event.severity.into(),
        event.correlation_id.into(),
        ledger_text(&stored.ledger).into(),
        stored.leaf_index.to_string().into(),
        event.id.into(),
    ]
}

fn table_row(stored: Stored) -> Vec<Text> {
    let event = stored.event;
    let tone = if event.status == "failure" {
        Tone::Bad
    } else {
        Tone::Plain
    };
    let target = match (event.target_resource_type, event.target_resource_id) {
        (kind, id) if id.is_empty() => kind,
        (kind, id) if kind.is_empty() => id,
        (kind, id) => format!("{kind}/{id}"),
    };
    vec![
        event.timestamp.into(),
        event.action.into(),
        Text::toned(event.status, tone),
        event.principal_id.into(),
        event.organization_id.into(),
        target.into(),
        event.id.into(),
    ]
}
