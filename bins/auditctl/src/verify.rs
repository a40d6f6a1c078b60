//! `verify`: has the worker verify its ledgers, waits, and prints every finding.

use std::path::PathBuf;
use std::time::Duration;

use indicatif::ProgressBar;
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Client;
use crate::error::{CliError, Verdict};
use crate::events::ledger_text;
use crate::output::{Output, Rows, Text, Tone};
use crate::progress;

/// Time between two looks at a run.
const POLL: Duration = Duration::from_millis(200);

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this ledger: a number, or `directory`.
    #[arg(long, value_name = "LEDGER")]
    ledger: Option<audit_integrity::ledger::LedgerId>,
    /// Only events not before this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only events before this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// A checkpoint that you kept; the ledger must contain the tree it signs. May be given several times.
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
}

/// Runs the command.
pub(crate) async fn run(
    client: &Client,
    output: &Output,
    args: &Args,
) -> Result<Verdict, CliError> {
    let started: Value = client
        .call(Method::POST, "/v1/verify", Some(&request(args)?))
        .await?;
    let run = started
        .get("run")
        .and_then(Value::as_str)
        .ok_or_else(|| CliError::Answer {
            url: client.url().to_owned(),
            reason: "the answer to a verification names no run".to_owned(),
        })?;
    let bar = progress::events(total(client, args).await);
    let report = wait(client, run, &bar).await?;
    bar.finish_and_clear();
    print(output, run, &report)?;
    let passed = text(&report, "state") == "done" && text(&report, "result") == "pass";
    Ok(if passed {
        Verdict::Fine
    } else {
        Verdict::Finding
    })
}

fn request(args: &Args) -> Result<Value, CliError> {
    let mut body = serde_json::Map::new();
    match args.ledger {
        Some(audit_integrity::ledger::LedgerId::Events(number)) => {
            drop(body.insert("ledger".to_owned(), json!(number)))
        }
        Some(audit_integrity::ledger::LedgerId::Directory) => {
            drop(body.insert("ledger".to_owned(), json!("directory")));
        }
        None => {}
    }
    for (name, value) in [("since", &args.since), ("until", &args.until)] {
        if let Some(value) = value {
            body.insert(name.to_owned(), json!(value));
        }
    }
    let mut notes = Vec::new();
    for path in &args.checkpoint {
        notes.push(
            std::fs::read_to_string(path).map_err(|error| CliError::file("read", path, &error))?,
        );
    }
    if !notes.is_empty() {
        body.insert("checkpoints".to_owned(), json!(notes));
    }
    Ok(Value::Object(body))
}

/// How many entries the run will look at; unknown when the role may not list ledgers, or only part is asked for.
async fn total(client: &Client, args: &Args) -> Option<u64> {
    if args.since.is_some() || args.until.is_some() {
        return None;
    }
    let answer: Value = client.get("/v1/ledgers", &Vec::new()).await.ok()?;
    let wanted = args.ledger.map(|ledger| ledger.to_string());
    let ledgers = answer.get("ledgers")?.as_array()?;
    let sizes = ledgers.iter().filter(|ledger| {
        wanted
            .as_ref()
            .is_none_or(|wanted| ledger.get("id").map(ledger_text).as_ref() == Some(wanted))
    });
    Some(
        sizes
            .filter_map(|ledger| ledger.get("size")?.as_u64())
            .sum(),
    )
}

async fn wait(client: &Client, run: &str, bar: &ProgressBar) -> Result<Value, CliError> {
    let path = format!("/v1/verify/{run}");
    loop {
        let report: Value = client.get(&path, &Vec::new()).await?;
        bar.set_position(
            report
                .get("checked")
                .and_then(Value::as_u64)
                .unwrap_or_default(),
        );
        if text(&report, "state") != "running" {
            return Ok(report);
        }
        tokio::time::sleep(POLL).await;
    }
}

fn print(output: &Output, run: &str, report: &Value) -> Result<(), CliError> {
    let findings = findings(report);
    if output.format != crate::output::Format::Table {
        return output.rows_or(&findings, report);
    }
    if !findings.is_empty() {
        output.rows_or(&findings, report)?;
    }
    let result = match text(report, "state") {
        "done" => text(report, "result").to_owned(),
        state => format!("{state}: {}", text(report, "error")),
    };
    output.line(&format!(
        "verification {run}: {result}; {} checked{}",
        number(report, "checked"),
        outcomes(report)
    ))?;
    for against in list(report, "against") {
        let ledger = against.get("ledger").map(ledger_text).unwrap_or_default();
        let (size, root, source) = (
            number(against, "size"),
            text(against, "root"),
            text(against, "source"),
        );
        output.line(&format!(
            "  against the checkpoint of ledger {ledger} at size {size}, root {root} ({source})"
        ))?;
    }
    match result.as_str() {
        "inconclusive" => output.line("inconclusive: nothing was checked, or something could not be; send events, or see the findings"),
        _ => Ok(()),
    }
}

fn findings(report: &Value) -> Rows {
    let mut rows = Rows::new(&[
        "outcome",
        "kind",
        "ledger",
        "leafIndex",
        "eventId",
        "detail",
    ]);
    for finding in list(report, "findings") {
        rows.push(vec![
            Text::toned(text(finding, "outcome"), Tone::Bad),
            text(finding, "kind").into(),
            finding
                .get("ledger")
                .map(ledger_text)
                .unwrap_or_default()
                .into(),
            finding
                .get("leafIndex")
                .and_then(Value::as_u64)
                .map(|index| index.to_string())
                .unwrap_or_default()
                .into(),
            text(finding, "eventId").into(),
            text(finding, "detail").into(),
        ]);
    }
    rows
}

fn outcomes(report: &Value) -> String {
    let Some(outcomes) = report.get("outcomes").and_then(Value::as_object) else {
        return String::new();
    };
    let some = outcomes
        .iter()
        .filter(|(_, count)| count.as_u64() != Some(0));
    some.map(|(name, count)| format!(", {name} {count}"))
        .collect()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value
        .get(name)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}
