//! `query`: searches stored events.

use crate::client::{Client, Parameters};
use crate::error::{CliError, Verdict};
use crate::events::{self, Page};
use crate::output::{Format, Output};

/// Largest page that the server gives.
const PAGE_MAX: u32 = 1_000;

/// What to look for; every filter given must hold.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Filter {
    /// Not before this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Before this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Who.
    #[arg(long, visible_alias = "principal-id", value_name = "ID")]
    principal: Option<String>,
    /// Whose record.
    #[arg(long, visible_alias = "organization-id", value_name = "ID")]
    organization: Option<String>,
    /// What; `login.*` finds every action that begins with `login.`.
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Type of what it was done to.
    #[arg(long, visible_alias = "target-resource-type", value_name = "TYPE")]
    resource_type: Option<String>,
    /// What it was done to.
    #[arg(long, visible_alias = "target-resource-id", value_name = "ID")]
    resource_id: Option<String>,
    /// How it went.
    #[arg(long, value_parser = ["attempt", "success", "failure"])]
    status: Option<String>,
    /// How serious.
    #[arg(long, value_parser = ["info", "warning", "critical"])]
    severity: Option<String>,
    /// How sensitive.
    #[arg(long, visible_alias = "data-classification", value_parser = ["PUBLIC", "INTERNAL", "CONFIDENTIAL", "PHI"])]
    classification: Option<String>,
    /// What belongs together.
    #[arg(long, value_name = "ID")]
    correlation_id: Option<String>,
    /// A member of the details, as `requestParameters.bucketName=logs`; may be given several times.
    #[arg(long, value_name = "PATH=VALUE", value_parser = detail)]
    detail: Vec<(String, String)>,
    /// Words that occur anywhere in the event.
    #[arg(long, value_name = "WORDS")]
    text: Option<String>,
}

/// Arguments of `query`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: Filter,
    /// Which come first.
    #[arg(long, default_value = "newest", value_parser = ["newest", "oldest"])]
    order: String,
    /// At most so many events; with --all, so many a request.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Every page. JSON is then one event a line.
    #[arg(long)]
    all: bool,
    /// Go on after an earlier page (`nextCursor`).
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

impl Filter {
    /// The parameters of the search.
    pub(crate) fn parameters(&self) -> Parameters {
        let given = [
            ("since", &self.since),
            ("until", &self.until),
            ("principalId", &self.principal),
            ("organizationId", &self.organization),
            ("action", &self.action),
            ("targetResourceType", &self.resource_type),
            ("targetResourceId", &self.resource_id),
            ("status", &self.status),
            ("severity", &self.severity),
            ("dataClassification", &self.classification),
            ("correlationId", &self.correlation_id),
            ("text", &self.text),
        ];
        given
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
            .chain(self.details())
            .collect()
    }

    fn details(&self) -> impl Iterator<Item = (String, String)> {
        self.detail
            .iter()
            .map(|(path, value)| (format!("details.{path}"), value.clone()))
    }
}

fn detail(argument: &str) -> Result<(String, String), String> {
    let (path, value) = argument.split_once('=').ok_or("write it as PATH=VALUE")?;
    let path = path.strip_prefix("details.").unwrap_or(path);
    if path.is_empty() {
        Err("the path is empty".to_owned())
    } else {
        Ok((path.to_owned(), value.to_owned()))
    }
}

/// Runs the command.
pub(crate) async fn run(
    client: &Client,
    output: &Output,
    args: &Args,
) -> Result<Verdict, CliError> {
    let mut cursor = args.cursor.clone();
    let mut left = args.limit;
    let mut shown = 0_usize;
    loop {
        let limit = if args.all {
            args.limit.clamp(1, PAGE_MAX)
        } else {
            left.min(PAGE_MAX)
        };
        let page = page(client, args, limit, cursor.as_deref()).await?;
        let found = u32::try_from(page.events.len()).unwrap_or(u32::MAX);
        left = left.saturating_sub(found);
        let more = page.next_cursor.is_some() && (args.all || left > 0);
        let single = shown == 0 && !more && !args.all;
        print(client, output, &page, shown == 0, single)?;
        shown += page.events.len();
        match page.next_cursor {
            Some(next) if more => cursor = Some(next),
            Some(next) if !args.all => {
                output.remark(&format!(
                    "{shown} events; more with --all, or --cursor {next}"
                ))?;
                return Ok(Verdict::Fine);
            }
            _ => {
                output.remark(&format!("{shown} events"))?;
                return Ok(Verdict::Fine);
            }
        }
    }
}

async fn page(
    client: &Client,
    args: &Args,
    limit: u32,
    cursor: Option<&str>,
) -> Result<Page, CliError> {
    let mut parameters = args.filter.parameters();
    parameters.push(("order".to_owned(), args.order.clone()));
    parameters.push(("limit".to_owned(), limit.to_string()));
    parameters.extend(cursor.map(|cursor| ("cursor".to_owned(), cursor.to_owned())));
    client.get("/v1/events", &parameters).await
}

/// A single page is one JSON document; several are one event a line.
fn print(
    client: &Client,
    output: &Output,
    page: &Page,
    first: bool,
    single: bool,
) -> Result<(), CliError> {
    match output.format {
        Format::Json if single => output.json(page),
        Format::Json => page
            .events
            .iter()
            .try_for_each(|event| output.json_line(event)),
        Format::Table | Format::Csv => {
            let rows = events::rows(&page.events, output.format == Format::Csv, client.url())?;
            if first || !rows.is_empty() {
                output.stream(&rows, first)
            } else {
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_a_path_and_a_value() {
        assert_eq!(detail("a.b=c=d"), Ok(("a.b".to_owned(), "c=d".to_owned())));
        assert_eq!(detail("details.a=1"), Ok(("a".to_owned(), "1".to_owned())));
        assert!(detail("a").is_err() && detail("=1").is_err());
    }

    #[test]
    fn every_filter_becomes_the_parameter_that_the_api_names() {
        let text = |value: &str| Some(value.to_owned());
        let filter = Filter {
            since: text("s"),
            until: text("u"),
            principal: text("p"),
            organization: text("o"),
            action: text("a.*"),
            resource_type: text("rt"),
            resource_id: text("ri"),
            status: text("success"),
            severity: text("info"),
            classification: text("PHI"),
            correlation_id: text("c"),
            detail: vec![("x.y".to_owned(), "1".to_owned())],
            text: text("w"),
        };
        let names: Vec<_> = filter
            .parameters()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(
            names,
            [
                "since",
                "until",
                "principalId",
                "organizationId",
                "action",
                "targetResourceType",
                "targetResourceId",
                "status",
                "severity",
                "dataClassification",
                "correlationId",
                "text",
                "details.x.y"
            ]
        );
    }
}
