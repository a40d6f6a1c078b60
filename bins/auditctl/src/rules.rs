//! `rules`: those in use, and what rules of one's own would find.

mod backtest;
mod files;
mod tally;
mod trial;

use serde_json::Value;

use crate::client::Client;
use crate::error::{CliError, Verdict};
use crate::output::{Output, Rows, Text, Tone};

/// What to do with rules.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Action {
    /// Lists the rules that the worker uses, and what it could not load.
    List,
    /// Tries rule files on events in files, and says why they match; asks no worker.
    Test(trial::Args),
    /// Runs rule files over events that are stored, and says what they would have raised.
    Backtest(backtest::Args),
}

/// Runs the command.
pub(crate) async fn run(
    client: impl FnOnce() -> Result<Client, CliError>,
    output: &Output,
    action: &Action,
) -> Result<Verdict, CliError> {
    match action {
        Action::List => list(output, &client()?.get("/v1/rules", &Vec::new()).await?),
        Action::Test(args) => trial::run(output, args),
        Action::Backtest(args) => backtest::run(client, output, args).await,
    }
}

const COLUMNS: [&str; 6] = ["key", "level", "kind", "enabled", "place", "title"];

fn list(output: &Output, answer: &Value) -> Result<Verdict, CliError> {
    let part = |name: &str| answer.get(name).and_then(Value::as_array);
    let mut rows = Rows::new(&COLUMNS);
    let rules = part("rules").map(Vec::as_slice).unwrap_or_default();
    for rule in rules {
        let cell = |name: &&str| match *name {
            "place" => Text::from(place(rule)),
            name => member(rule, name).into(),
        };
        rows.push(COLUMNS.iter().map(cell).collect());
    }
    output.rows_or(&rows, answer)?;
    let problems = part("problems").map(Vec::as_slice).unwrap_or_default();
    output.remark(&format!(
        "{} rules, {} problems",
        rules.len(),
        problems.len()
    ))?;
    let told: Vec<Fault> = problems.iter().map(Fault::of_answer).collect();
    faults(output, &told)
}

fn place(rule: &Value) -> String {
    format!("{}:{}", member(rule, "file"), member(rule, "line"))
}

fn member(value: &Value, name: &str) -> String {
    match value.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

/// What is wrong with a file of rules or events.
#[derive(Debug, serde::Serialize)]
struct Fault {
    file: String,
    /// Line of a rule file; position of an event in its file, from 1.
    line: usize,
    reason: String,
}

impl Fault {
    fn of_answer(problem: &Value) -> Self {
        let line = problem.get("line").and_then(Value::as_u64);
        Self {
            file: member(problem, "file"),
            line: line
                .and_then(|line| usize::try_from(line).ok())
                .unwrap_or(0),
            reason: member(problem, "reason"),
        }
    }
}

/// Lists faults to people, and makes them a finding.
fn faults(output: &Output, faults: &[Fault]) -> Result<Verdict, CliError> {
    if faults.is_empty() {
        return Ok(Verdict::Fine);
    }
    if output.format == crate::output::Format::Table {
        let mut rows = Rows::new(&["file", "line", "problem"]);
        for fault in faults {
            let reason = Text::toned(fault.reason.clone(), Tone::Bad);
            rows.push(vec![
                fault.file.as_str().into(),
                fault.line.to_string().into(),
                reason,
            ]);
        }
        output.stream(&rows, true)?;
    }
    Ok(Verdict::Finding)
}
