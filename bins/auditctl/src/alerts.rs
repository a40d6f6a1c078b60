//! `alerts`: what detection found, and what the system found out about itself; and the outbox of what is told of it.

mod show;

use reqwest::Method;
use serde_json::{Value, json};

use self::show::{list, show, text};
use crate::client::{Client, Parameters};
use crate::error::{CliError, Verdict};
use crate::output::{Output, Rows, Tone};

/// Largest page that the server gives.
const PAGE_MAX: u32 = 1_000;
/// Digits of an alert's id.
const ID_DIGITS: usize = 64;
/// Digits that name an alert at least: what a table shows is more.
const PREFIX_MIN: usize = 8;

/// What to do with alerts.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Action {
    /// Lists them, newest first.
    List {
        #[command(flatten)]
        filter: Filter,
        /// At most so many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: u32,
        /// Go on after an earlier page (`nextCursor`).
        #[arg(long, value_name = "CURSOR")]
        cursor: Option<String>,
    },
    /// Shows one with its evidence and its history.
    Show {
        /// Its id, or the beginning of it.
        #[arg(value_parser = id)]
        id: String,
    },
    /// Says that somebody looks: they are not escalated any more.
    Acknowledge(Act),
    /// Says that they are done with, for good.
    Resolve(Act),
    /// How many there are, by state, level and rule.
    Statistics {
        #[command(flatten)]
        filter: Filter,
    },
    /// What waits to be told, by handler.
    Outbox,
    /// Tells handlers again what was given up.
    Revive {
        /// Names of handlers.
        #[arg(required = true)]
        handlers: Vec<String>,
    },
}

/// Which alerts; every filter given must hold.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Filter {
    /// Where somebody is with them; several with commas between them.
    #[arg(long, value_delimiter = ',', value_parser = ["open", "acknowledged", "resolved"])]
    state: Vec<String>,
    /// Of this level or a higher one.
    #[arg(long, value_parser = ["informational", "low", "medium", "high", "critical"])]
    at_least: Option<String>,
    /// Key of the rule.
    #[arg(long, value_name = "KEY")]
    rule: Option<String>,
    /// Whose.
    #[arg(long, visible_alias = "organization-id", value_name = "ID")]
    organization: Option<String>,
    /// Raised not before this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Raised before this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// Something that is done to alerts.
#[derive(Debug, clap::Args)]
pub(crate) struct Act {
    /// Their ids, or the beginnings of them.
    #[arg(required = true, value_parser = id)]
    ids: Vec<String>,
    /// What is said of it; kept in the alert's history and in the audit trail.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

fn id(argument: &str) -> Result<String, String> {
    let digits = argument.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits && (PREFIX_MIN..=ID_DIGITS).contains(&argument.len()) {
        Ok(argument.to_ascii_lowercase())
    } else {
        Err(format!(
            "an alert's id is {ID_DIGITS} hexadecimal digits; {PREFIX_MIN} or more of its first ones will do"
        ))
    }
}

impl Filter {
    fn parameters(&self) -> Parameters {
        let states = (!self.state.is_empty()).then(|| self.state.join(","));
        let given = [
            ("state", states.as_ref()),
            ("atLeast", self.at_least.as_ref()),
            ("rule", self.rule.as_ref()),
            ("organizationId", self.organization.as_ref()),
            ("since", self.since.as_ref()),
            ("until", self.until.as_ref()),
        ];
        given
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.clone())))
            .collect()
    }
}

/// Runs the command.
pub(crate) async fn run(
    client: &Client,
    output: &Output,
    action: &Action,
) -> Result<Verdict, CliError> {
    match action {
        Action::List {
            filter,
            limit,
            cursor,
        } => {
            let mut parameters = filter.parameters();
            parameters.push(("limit".to_owned(), limit.to_string()));
            parameters.extend(
                cursor
                    .iter()
                    .map(|cursor| ("cursor".to_owned(), cursor.clone())),
            );
            list(output, &client.get("/v1/alerts", &parameters).await?)
        }
        Action::Show { id } => {
            let path = format!("/v1/alerts/{}", whole(client, id).await?);
            show(output, &client.get(&path, &Vec::new()).await?)
        }
        Action::Acknowledge(act) => each(client, output, act, "acknowledge").await,
        Action::Resolve(act) => each(client, output, act, "resolve").await,
        Action::Statistics { filter } => {
            let path = "/v1/alerts/statistics";
            statistics(output, &client.get(path, &filter.parameters()).await?)
        }
        Action::Outbox => outbox(output, &client.get("/v1/alerts/outbox", &Vec::new()).await?),
        Action::Revive { handlers } => revive(client, output, handlers).await,
    }
}

/// The whole id of the one alert that it begins.
async fn whole(client: &Client, beginning: &str) -> Result<String, CliError> {
    if beginning.len() == ID_DIGITS {
        return Ok(beginning.to_owned());
    }
    let mut found: Vec<String> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut parameters = vec![("limit".to_owned(), PAGE_MAX.to_string())];
        parameters.extend(cursor.map(|cursor| ("cursor".to_owned(), cursor)));
        let page: Value = client.get("/v1/alerts", &parameters).await?;
        let ids = alerts(&page).iter().map(|alert| text(alert, "id"));
        found.extend(ids.filter(|id| id.starts_with(beginning)));
        cursor = page
            .get("nextCursor")
            .and_then(Value::as_str)
            .map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(_), false) => Err(CliError::Usage(format!(
            "{} alerts begin with {beginning}; give more digits",
            found.len() + 1
        ))),
        (None, _) => Err(CliError::NotFound(format!(
            "no alert begins with {beginning}"
        ))),
    }
}

/// The alerts of a page.
fn alerts(page: &Value) -> &[Value] {
    let alerts = page.get("alerts").and_then(Value::as_array);
    alerts.map(Vec::as_slice).unwrap_or_default()
}

/// One after the other, so that what was done before a failure is known.
async fn each(
    client: &Client,
    output: &Output,
    act: &Act,
    verb: &str,
) -> Result<Verdict, CliError> {
    let mut rows = Rows::new(&["id", "result"]);
    let mut results = Vec::new();
    let mut verdict = Verdict::Fine;
    let body = act
        .note
        .as_ref()
        .map_or(json!({}), |note| json!({ "note": note }));
    for beginning in &act.ids {
        let result = match do_to(client, beginning, verb, &body).await {
            Ok(alert) => text(&alert, "state"),
            // Gone or done with already: the others still deserve their turn.
            Err(error @ (CliError::NotFound(_) | CliError::Request { .. })) => {
                verdict = Verdict::Finding;
                error.to_string()
            }
            Err(error) => return Err(error),
        };
        results.push(json!({ "id": beginning, "result": result }));
        rows.push(vec![beginning.as_str().into(), result.into()]);
    }
    output.rows_or(&rows, &results)?;
    Ok(verdict)
}

async fn do_to(
    client: &Client,
    beginning: &str,
    verb: &str,
    body: &Value,
) -> Result<Value, CliError> {
    let id = whole(client, beginning).await?;
    let path = format!("/v1/alerts/{id}/{verb}");
    client.call(Method::POST, &path, Some(body)).await
}

fn statistics(output: &Output, answer: &Value) -> Result<Verdict, CliError> {
    let mut rows = Rows::new(&["by", "value", "alerts"]);
    for (by, member) in [
        ("state", "byState"),
        ("level", "byLevel"),
        ("rule", "byRule"),
    ] {
        let counts = answer.get(member).and_then(Value::as_object);
        for (value, count) in counts.into_iter().flatten() {
            rows.push(vec![
                by.into(),
                value.as_str().into(),
                count.to_string().into(),
            ]);
        }
    }
    output.rows_or(&rows, answer)?;
    output.remark(&format!("{} alerts", text(answer, "total")))?;
    Ok(Verdict::Fine)
}

fn outbox(output: &Output, answer: &Value) -> Result<Verdict, CliError> {
    const COLUMNS: [&str; 4] = ["handler", "waiting", "dead", "oldest"];
    let mut rows = Rows::new(&COLUMNS);
    let lines = answer.get("handlers").and_then(Value::as_array);
    for line in lines.into_iter().flatten() {
        let cell = |name: &&str| {
            let bad = *name == "dead" && line.get("dead") != Some(&json!(0));
            let tone = if bad { Tone::Bad } else { Tone::Plain };
            crate::output::Text::toned(text(line, name), tone)
        };
        rows.push(COLUMNS.iter().map(cell).collect());
    }
    output.rows_or(&rows, answer)?;
    Ok(Verdict::Fine)
}

async fn revive(
    client: &Client,
    output: &Output,
    handlers: &[String],
) -> Result<Verdict, CliError> {
    let mut rows = Rows::new(&["handler", "revived"]);
    let mut answers: Vec<Value> = Vec::new();
    for handler in handlers {
        let path = format!("/v1/alerts/outbox/{}/revive", escaped(handler));
        let answer: Value = client.call(Method::POST, &path, None).await?;
        rows.push(vec![
            handler.as_str().into(),
            text(&answer, "revived").into(),
        ]);
        answers.push(answer);
    }
    output.rows_or(&rows, &answers)?;
    Ok(Verdict::Fine)
}

/// As one part of a path, whatever the name is.
fn escaped(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    name.bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_handler_is_one_part_of_a_path() {
        assert_eq!(escaped("on-call.2"), "on-call.2");
        assert_eq!(escaped("a/b ä"), "a%2Fb%20%C3%A4");
    }

    #[test]
    fn an_id_may_be_cut_short_but_not_too_short() {
        assert_eq!(id("ABCDEF01"), Ok("abcdef01".to_owned()));
        assert_eq!(id(&"a".repeat(64)), Ok("a".repeat(64)));
        assert!(id("abcdef0").is_err() && id("xbcdef01").is_err());
        assert!(id(&"a".repeat(65)).is_err());
    }
}
