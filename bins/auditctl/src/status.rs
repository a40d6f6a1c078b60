//! `status`: whether every accepted event is accounted for, and the state of the worker.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::client::Client;
use crate::error::{CliError, Verdict};
use crate::events::ledger_text;
use crate::output::{Format, Output, Rows, Text, Tone};
use crate::store;

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Reads the store itself, while no worker runs.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Where accepted events can be; together they are `accepted`.
const PARTS: [&str; 5] = ["stored", "duplicate", "conflict", "deadLettered", "queued"];

/// Runs the command.
pub(crate) async fn run(
    client: impl FnOnce() -> Result<Client, CliError>,
    output: &Output,
    args: &Args,
) -> Result<Verdict, CliError> {
    match &args.data_dir {
        Some(data_dir) => direct(output, data_dir).await,
        None => of_worker(&client()?, output).await,
    }
}

async fn of_worker(client: &Client, output: &Output) -> Result<Verdict, CliError> {
    let status: Value = client.get("/v1/status", &Vec::new()).await?;
    // A key without the right to see ledgers still gets the books.
    let ledgers: Value = client
        .get("/v1/ledgers", &Vec::new())
        .await
        .unwrap_or(Value::Null);
    let balanced = is_balanced(&status);
    match output.format {
        Format::Json => output.json(&status)?,
        Format::Csv => output.rows_or(&books(&status), &status)?,
        Format::Table => {
            output.rows_or(&books(&status), &status)?;
            output.line(if balanced {
                "accepted = stored + duplicate + conflict + deadLettered + queued: the books balance"
            } else {
                "THE BOOKS DO NOT BALANCE; events may be on their way, look again in a moment"
            })?;
            others(output, &status)?;
            table_of_components(output, &status)?;
            table_of_leases(output, &status)?;
            table_of_ledgers(output, &ledgers)?;
        }
    }
    Ok(if balanced {
        Verdict::Fine
    } else {
        Verdict::Finding
    })
}

async fn direct(output: &Output, data_dir: &Path) -> Result<Verdict, CliError> {
    let opened = store::open(data_dir, false)?;
    let ports = opened.store();
    let totals = ports
        .receipts
        .totals(audit_store::Via::Queue)
        .await
        .map_err(|error| store::failed(&error))?;
    let waiting = ports
        .dead_letters
        .waiting()
        .await
        .map_err(|error| store::failed(&error))?;
    let mut ledgers = Vec::new();
    for info in ports
        .ledgers
        .ledgers()
        .await
        .map_err(|error| store::failed(&error))?
    {
        let id = info.ledger.to_string();
        ledgers.push(json!({"id": id, "origin": info.origin, "state": format!("{:?}", info.state).to_lowercase(),
            "size": info.head.size, "root": info.head.range.root().to_string()}));
    }
    opened.close().await;
    let status = json!({
        "settled": totals.events, "stored": totals.stored, "duplicate": totals.duplicate, "conflict": totals.conflict,
        "deadLettered": totals.dead_lettered, "deadLettersWaiting": waiting, "ledgers": ledgers,
    });
    let mut rows = Rows::new(&["name", "events"]);
    for name in [
        "settled",
        "stored",
        "duplicate",
        "conflict",
        "deadLettered",
        "deadLettersWaiting",
    ] {
        rows.push(vec![name.into(), number(&status, name).to_string().into()]);
    }
    output.rows_or(&rows, &status)?;
    if output.format == Format::Table {
        output.line("read from the store; what is still queued is known to the worker only")?;
        table_of_ledgers(output, &status)?;
    }
    let balanced =
        totals.events == totals.stored + totals.duplicate + totals.conflict + totals.dead_lettered;
    Ok(if balanced {
        Verdict::Fine
    } else {
        Verdict::Finding
    })
}

fn books(status: &Value) -> Rows {
    let internal = status.get("internal").cloned().unwrap_or(Value::Null);
    let mut rows = Rows::new(&["name", "producers", "internal"]);
    let mut row = |name: &'static str| {
        let internal = internal
            .get(name)
            .and_then(Value::as_u64)
            .map(|count| count.to_string())
            .unwrap_or_default();
        rows.push(vec![
            name.into(),
            number(status, name).to_string().into(),
            internal.into(),
        ]);
    };
    PARTS.into_iter().for_each(&mut row);
    let sum: u64 = PARTS.iter().map(|name| number(status, name)).sum();
    row("accepted");
    row("rejected");
    let tone = if is_balanced(status) {
        Tone::Good
    } else {
        Tone::Bad
    };
    rows.push(vec![
        "sum of the first five".into(),
        Text::toned(sum.to_string(), tone),
        String::new().into(),
    ]);
    rows
}

fn is_balanced(status: &Value) -> bool {
    let balanced = |books: &Value| {
        PARTS.iter().map(|name| number(books, name)).sum::<u64>() == number(books, "accepted")
    };
    balanced(status) && status.get("internal").is_none_or(balanced)
}

/// Everything else that the worker tells, member by member.
fn others(output: &Output, status: &Value) -> Result<(), CliError> {
    let mut rows = Rows::new(&["name", "value"]);
    for (name, value) in status.as_object().into_iter().flatten() {
        let known = PARTS.contains(&name.as_str())
            || [
                "accepted",
                "rejected",
                "internal",
                "ledgers",
                "components",
                "leases",
            ]
            .contains(&name.as_str());
        if !known {
            flatten(name, value, &mut rows);
        }
    }
    if rows.is_empty() {
        Ok(())
    } else {
        output.rows_or(&rows, status)
    }
}

fn flatten(path: &str, value: &Value, rows: &mut Rows) {
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(name, value)| flatten(&format!("{path}.{name}"), value, rows)),
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, value)| flatten(&format!("{path}.{index}"), value, rows));
        }
        Value::String(text) => rows.push(vec![path.into(), text.as_str().into()]),
        other => rows.push(vec![path.into(), other.to_string().into()]),
    }
}

/// What works, and what stands in for what does not.
fn table_of_components(output: &Output, status: &Value) -> Result<(), CliError> {
    let mut rows = Rows::new(&["component", "status", "reason"]);
    for component in list(status, "components") {
        let tone = if text(component, "status") == "ok" {
            Tone::Good
        } else {
            Tone::Bad
        };
        rows.push(vec![
            text(component, "component").into(),
            Text::toned(text(component, "status"), tone),
            text(component, "reason").into(),
        ]);
    }
    output.rows_or(&rows, status)
}

/// Which process may append to which ledger, and until when.
fn table_of_leases(output: &Output, status: &Value) -> Result<(), CliError> {
    let mut rows = Rows::new(&["ledger", "held by", "epoch", "expires in ms"]);
    for lease in list(status, "leases") {
        let expires = lease
            .get("expiresInMs")
            .and_then(Value::as_i64)
            .unwrap_or(0);
        let tone = if expires > 0 { Tone::Good } else { Tone::Bad };
        rows.push(vec![
            lease
                .get("ledger")
                .map(ledger_text)
                .unwrap_or_default()
                .into(),
            text(lease, "owner").into(),
            number(lease, "epoch").to_string().into(),
            Text::toned(expires.to_string(), tone),
        ]);
    }
    output.rows_or(&rows, status)
}

fn list<'a>(status: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    status
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn table_of_ledgers(output: &Output, answer: &Value) -> Result<(), CliError> {
    let Some(ledgers) = answer.get("ledgers").and_then(Value::as_array) else {
        return Ok(());
    };
    let mut rows = Rows::new(&[
        "ledger",
        "state",
        "size",
        "checkpointSize",
        "root",
        "origin",
    ]);
    for ledger in ledgers {
        let text = |name: &str| ledger.get(name).and_then(Value::as_str).unwrap_or_default();
        let checkpoint = ledger
            .get("checkpointSize")
            .map(ToString::to_string)
            .unwrap_or_default();
        let tone = if text("state") == "open" {
            Tone::Good
        } else {
            Tone::Bad
        };
        rows.push(vec![
            ledger.get("id").map(ledger_text).unwrap_or_default().into(),
            Text::toned(text("state"), tone),
            number(ledger, "size").to_string().into(),
            checkpoint.into(),
            text("root").into(),
            text("origin").into(),
        ]);
    }
    output.rows_or(&rows, answer)
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_books_balance_only_when_every_event_is_somewhere() {
        let mut status = json!({"accepted": 15, "stored": 5, "duplicate": 4, "conflict": 3, "deadLettered": 2, "queued": 1});
        assert!(is_balanced(&status));
        status["internal"] = json!({"accepted": 1, "stored": 0});
        assert!(!is_balanced(&status), "our own events count, too");
        status["internal"]["stored"] = json!(1);
        assert!(is_balanced(&status));
        status["queued"] = json!(0);
        assert!(!is_balanced(&status));
    }
}
