//! `rules test`: rule files on events in files.

use audit_event::forms::read_statement;
use audit_event::{AuditEvent, EventId, Form, OrganizationId, Problem, Stamps};
use audit_monitor::{Because, Explanation, Matcher, Settings};
use serde_json::{Value, json};

use super::Fault;
use super::files::{Sources, faults_of};
use crate::error::{CliError, Verdict};
use crate::output::{Format, Output, Rows};
use crate::send::{Input, Splitter, expand};

/// Arguments of `rules test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    rules: Sources,
    /// Events: a file, a glob, or `-` for standard input; as `send` reads them.
    #[arg(
        long = "event",
        visible_alias = "events",
        required = true,
        value_name = "FILE|GLOB|-"
    )]
    events: Vec<String>,
    /// How the events are written.
    #[arg(long, default_value = "native", value_parser = ["native", "smart_logs", "pake", "list_worker", "cloudtrail"])]
    format: String,
    /// Whose the events are that name no organisation.
    #[arg(long, visible_alias = "organization-id", value_name = "ID")]
    organization: Option<String>,
}

/// What came of it.
#[derive(Debug, Default)]
struct Found {
    events: u64,
    /// One an event and rule.
    matches: Vec<Value>,
    faults: Vec<Fault>,
}

/// Runs the command.
pub(crate) fn run(output: &Output, args: &Args) -> Result<Verdict, CliError> {
    let rules = args.rules.load()?;
    let form = Form::from_name(&args.format).unwrap_or(Form::Native);
    let organization = args.organization.as_deref().unwrap_or_default();
    let trial = Trial {
        matcher: Matcher::new(rules.clone(), Settings::default()),
        form,
        organization: OrganizationId::new(organization),
    };
    let mut found = Found {
        faults: faults_of(&rules),
        ..Found::default()
    };
    for input in expand(&args.events)? {
        trial.try_input(&input, &mut found)?;
    }
    write(output, &found)?;
    super::faults(output, &found.faults)
}

struct Trial {
    matcher: Matcher,
    form: Form,
    organization: OrganizationId,
}

impl Trial {
    fn try_input(&self, input: &Input, found: &mut Found) -> Result<(), CliError> {
        let mut pieces = Splitter::new(input.open()?);
        let unreadable = |error: std::io::Error| {
            CliError::Usage(format!("cannot read {}: {error}", input.name()))
        };
        let mut number = 0;
        while let Some(piece) = pieces.next_piece().map_err(unreadable)? {
            number += 1;
            let event = match piece.problem {
                Some(problem) => Err(problem),
                None => self.event(&piece.bytes, number),
            };
            match event {
                Ok(event) => self.try_event(&event, (input, number), found),
                Err(reason) => found.faults.push(Fault {
                    file: input.name(),
                    line: number,
                    reason: format!("this event, counted from 1: {reason}"),
                }),
            }
        }
        Ok(())
    }

    /// As accept would stamp it; one without an id is numbered.
    fn event(&self, bytes: &[u8], number: usize) -> Result<AuditEvent, String> {
        let statement = read_statement(self.form, bytes).map_err(|problems| reason(&problems))?;
        let mut id = [0; 16];
        if let Some(tail) = id.last_chunk_mut() {
            *tail = u64::try_from(number).unwrap_or(u64::MAX).to_be_bytes();
        }
        let stamps = Stamps {
            fallback_id: EventId::from_bytes(id),
            received_at: statement.timestamp,
            default_organization: self.organization.clone(),
        };
        Ok(AuditEvent::stamp(statement, &stamps))
    }

    fn try_event(&self, event: &AuditEvent, place: (&Input, usize), found: &mut Found) {
        found.events += 1;
        let explained = self.matcher.explain(event);
        let matches = explained.iter().map(|one| described(one, event, place));
        found.matches.extend(matches);
    }
}

fn reason(problems: &[Problem]) -> String {
    let told: Vec<String> = problems
        .iter()
        .map(|problem| format!("{} {}", problem.path.as_str(), problem.message))
        .collect();
    told.join("; ")
}

fn described(explained: &Explanation<'_>, event: &AuditEvent, place: (&Input, usize)) -> Value {
    let rule = explained.rule;
    let fields = explained.fields.iter().map(|because| {
        json!({
            "field": because.field, "value": because.value, "selection": because.selection,
            "pattern": because.pattern, "negated": because.negated,
        })
    });
    let counts = explained
        .counts
        .iter()
        .map(|(rule, group)| json!({ "key": rule.key(), "group": super::tally::group_of(group) }));
    json!({
        "input": place.0.name(), "number": place.1, "eventId": event.id.to_string(),
        "rule": rule.key(), "file": rule.file(), "level": rule.level().as_str(), "raises": explained.raises,
        "selections": explained.selections,
        "fields": fields.collect::<Vec<_>>(),
        "countedBy": counts.collect::<Vec<_>>(),
        "why": why(explained),
    })
}

/// In a few words: the fields that matched.
fn why(explained: &Explanation<'_>) -> String {
    let told = |because: &Because| {
        let value = match &because.value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let not = if because.negated { "!=" } else { "=" };
        format!("{}{not}{value}", because.field)
    };
    let told: Vec<String> = explained.fields.iter().map(told).collect();
    told.join(", ")
}

const COLUMNS: [&str; 6] = ["event", "rule", "level", "selections", "countedBy", "why"];

fn write(output: &Output, found: &Found) -> Result<(), CliError> {
    let whole =
        json!({ "events": found.events, "matches": found.matches, "problems": found.faults });
    let mut rows = Rows::new(&COLUMNS);
    for one in &found.matches {
        let text = |name: &str| super::member(one, name);
        rows.push(vec![
            text("eventId").into(),
            text("rule").into(),
            text("level").into(),
            listed(one, "selections", None).into(),
            listed(one, "countedBy", Some("key")).into(),
            text("why").into(),
        ]);
    }
    if output.format != Format::Table || !rows.is_empty() {
        output.rows_or(&rows, &whole)?;
    }
    output.remark(&format!(
        "{} events, {} matches, {} problems",
        found.events,
        found.matches.len(),
        found.faults.len()
    ))
}

/// A list's items, or one member of each.
fn listed(one: &Value, name: &str, member: Option<&str>) -> String {
    let items = one.get(name).and_then(Value::as_array);
    let items = items.into_iter().flatten();
    let texts: Vec<&str> = items
        .filter_map(|item| match member {
            Some(member) => item.get(member)?.as_str(),
            None => item.as_str(),
        })
        .collect();
    texts.join(", ")
}
