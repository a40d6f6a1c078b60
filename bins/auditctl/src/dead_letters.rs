//! `dead-letters`: events that could not be stored, with their bytes and the reason.

use audit_event::EventId;
use reqwest::Method;
use serde_json::Value;

use crate::client::Client;
use crate::error::{CliError, Verdict};
use crate::output::{Format, Output, Rows};

/// What to do with dead letters.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Action {
    /// Lists them, oldest first.
    List {
        /// Only for this reason.
        #[arg(long)]
        reason: Option<String>,
        /// Also those that were sent again.
        #[arg(long)]
        include_replayed: bool,
        /// Only after this one.
        #[arg(long, value_name = "ID")]
        after: Option<EventId>,
        /// At most so many.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: u32,
    },
    /// Shows one with its original bytes.
    Show {
        /// Id of the dead letter (not of the event).
        id: EventId,
    },
    /// Sends them again.
    Replay {
        /// Ids of the dead letters.
        #[arg(required = true)]
        ids: Vec<EventId>,
    },
    /// Removes them for ever.
    Purge {
        /// Ids of the dead letters.
        #[arg(required = true)]
        ids: Vec<EventId>,
        /// They cannot be brought back.
        #[arg(long, required = true)]
        yes: bool,
    },
}

const COLUMNS: [&str; 6] = [
    "id",
    "reason",
    "eventId",
    "organizationId",
    "deadAt",
    "detail",
];

/// Runs the command.
pub(crate) async fn run(
    client: &Client,
    output: &Output,
    action: &Action,
) -> Result<Verdict, CliError> {
    match action {
        Action::List {
            reason,
            include_replayed,
            after,
            limit,
        } => {
            let mut parameters = vec![("limit".to_owned(), limit.to_string())];
            parameters.extend(
                reason
                    .iter()
                    .map(|reason| ("reason".to_owned(), reason.clone())),
            );
            parameters.extend(
                after
                    .iter()
                    .map(|after| ("after".to_owned(), after.to_string())),
            );
            if *include_replayed {
                parameters.push(("includeReplayed".to_owned(), "true".to_owned()));
            }
            list(output, &client.get("/v1/dead-letters", &parameters).await?)
        }
        Action::Show { id } => show(
            output,
            &client
                .get(&format!("/v1/dead-letters/{id}"), &Vec::new())
                .await?,
        ),
        Action::Replay { ids } => {
            each(client, output, ids, Method::POST, "/replay", "sent again").await
        }
        Action::Purge { ids, .. } => each(client, output, ids, Method::DELETE, "", "removed").await,
    }
}

fn list(output: &Output, answer: &Value) -> Result<Verdict, CliError> {
    let letters = answer
        .get("deadLetters")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut rows = Rows::new(&COLUMNS);
    for letter in letters {
        rows.push(
            COLUMNS
                .iter()
                .map(|name| text(letter, name).into())
                .collect(),
        );
    }
    output.rows_or(&rows, answer)?;
    output.remark(&format!("{} dead letters", letters.len()))?;
    Ok(Verdict::Fine)
}

fn show(output: &Output, letter: &Value) -> Result<Verdict, CliError> {
    if output.format == Format::Json {
        output.json(letter)?;
        return Ok(Verdict::Fine);
    }
    let mut rows = Rows::new(&["member", "value"]);
    for (name, value) in letter.as_object().into_iter().flatten() {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        rows.push(vec![name.as_str().into(), value.into()]);
    }
    output.rows_or(&rows, letter)?;
    Ok(Verdict::Fine)
}

/// One after the other, so that what was done before a failure is known.
async fn each(
    client: &Client,
    output: &Output,
    ids: &[EventId],
    method: Method,
    below: &str,
    done: &'static str,
) -> Result<Verdict, CliError> {
    let mut rows = Rows::new(&["id", "result"]);
    let mut json = Vec::new();
    let mut verdict = Verdict::Fine;
    for id in ids {
        let path = format!("/v1/dead-letters/{id}{below}");
        let result = match client.call::<Value>(method.clone(), &path, None).await {
            Ok(_) => done.to_owned(),
            // Gone or already done: the others still deserve their turn.
            Err(error @ (CliError::NotFound(_) | CliError::Request { .. })) => {
                verdict = Verdict::Finding;
                error.to_string()
            }
            Err(error) => return Err(error),
        };
        json.push(serde_json::json!({"id": id.to_string(), "result": result}));
        rows.push(vec![id.to_string().into(), result.into()]);
    }
    output.rows_or(&rows, &json)?;
    Ok(verdict)
}

fn text(value: &Value, name: &str) -> String {
    match value.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}
