//! `show`: one event, whole.

use reqwest::Method;
use serde_json::value::RawValue;

use crate::client::Client;
use crate::error::{CliError, Verdict};
use crate::events;
use crate::output::{Format, Output, Rows};

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Id of the event, or LEDGER/INDEX.
    #[arg(value_name = "ID|LEDGER/INDEX")]
    address: Address,
    /// Whose record, where several organisations use the same id.
    #[arg(long, value_name = "ID")]
    organization: Option<String>,
    /// When it happened, where the same id was used again.
    #[arg(long, value_name = "TIME")]
    timestamp: Option<String>,
}

/// How an event is named on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// By its id.
    Id(String),
    /// By its place.
    Entry {
        /// A number, or `directory`.
        ledger: String,
        /// Position in the ledger.
        index: u64,
    },
}

impl std::str::FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((ledger, index)) = text.split_once('/') else {
            let id: audit_event::EventId = text
                .parse()
                .map_err(|error| format!("neither an event id ({error}) nor LEDGER/INDEX"))?;
            return Ok(Self::Id(id.to_string()));
        };
        let ledger: audit_integrity::ledger::LedgerId =
            ledger.parse().map_err(|error| format!("{error}"))?;
        let index = index
            .parse()
            .map_err(|_not_a_number| "the index is no number".to_owned())?;
        Ok(Self::Entry {
            ledger: ledger.to_string(),
            index,
        })
    }
}

impl Address {
    /// The path of the API.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::Id(id) => format!("/v1/events/{id}"),
            Self::Entry { ledger, index } => format!("/v1/ledgers/{ledger}/entries/{index}"),
        }
    }
}

/// Parameters that tell events of the same id apart.
pub(crate) fn narrowing(
    organization: Option<&String>,
    timestamp: Option<&String>,
) -> Vec<(String, String)> {
    let pairs = [("organizationId", organization), ("timestamp", timestamp)];
    pairs
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.clone())))
        .collect()
}

/// Runs the command.
pub(crate) async fn run(
    client: &Client,
    output: &Output,
    args: &Args,
) -> Result<Verdict, CliError> {
    let parameters = narrowing(args.organization.as_ref(), args.timestamp.as_ref());
    let request = client
        .request(Method::GET, &args.address.path())
        .query(&parameters);
    let response = client.send(request).await?;
    let body = response
        .bytes()
        .await
        .map_err(|error| client.unreachable(&error))?;
    let raw: Box<RawValue> = client.decode(&body)?;
    match output.format {
        Format::Json => output.json(&raw)?,
        Format::Csv => output.stream(&events::rows(&[raw], true, client.url())?, true)?,
        Format::Table => table(client, output, &raw)?,
    }
    Ok(Verdict::Fine)
}

/// One member a line, nested ones under their path.
fn table(client: &Client, output: &Output, raw: &RawValue) -> Result<(), CliError> {
    let mut rows = Rows::new(&["member", "value"]);
    flatten(client, "", raw, &mut rows)?;
    output.stream(&rows, true)
}

fn flatten(client: &Client, path: &str, raw: &RawValue, rows: &mut Rows) -> Result<(), CliError> {
    if raw.get().starts_with('{') {
        let members: std::collections::BTreeMap<String, Box<RawValue>> =
            client.decode(raw.get().as_bytes())?;
        for (name, value) in &members {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            flatten(client, &path, value, rows)?;
        }
    } else {
        let text = serde_json::from_str::<String>(raw.get())
            .unwrap_or_else(|_no_text| raw.get().to_owned());
        rows.push(vec![path.into(), text.into()]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_id_or_a_ledger_and_an_index() {
        let id = "0193a5c0-0000-7000-8000-000000000001";
        assert_eq!(id.parse(), Ok(Address::Id(id.to_owned())));
        assert_eq!(
            "3/17".parse(),
            Ok(Address::Entry {
                ledger: "3".to_owned(),
                index: 17
            })
        );
        assert_eq!(
            "directory/0".parse(),
            Ok(Address::Entry {
                ledger: "directory".to_owned(),
                index: 0
            })
        );
        for wrong in ["", "x", "1/", "/1", "1/-1", "a/1", "../x"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }
}
