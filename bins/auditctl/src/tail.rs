//! `tail`: follows new events.
//!
//! It polls, oldest first, from the newest event seen. Events are found by their own time, so one that arrives late, with a
//! time before what was already printed, would be missed by a plain keyset; the overlap below catches those of the last
//! minutes, and what was printed is not printed again.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use audit_event::Timestamp;
use audit_event::timestamp::MissingZone;
use audit_runtime::{Clock as _, SystemClock};

use crate::client::Client;
use crate::error::{CliError, Verdict};
use crate::events::{self, Page};
use crate::output::{Format, Output};
use crate::query::Filter;

/// How far behind the newest event each poll looks for late ones.
const OVERLAP_MICROS: i64 = 5 * 60 * 1_000_000;
/// Addresses that are remembered as printed.
const REMEMBERED_MAX: usize = 100_000;

/// Arguments of `tail`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: Filter,
    /// Seconds between two looks.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    interval: u64,
    /// Ends after so many events.
    #[arg(long, value_name = "COUNT")]
    count: Option<u64>,
}

/// Addresses already printed, the oldest forgotten first.
#[derive(Debug, Default)]
struct Printed {
    known: BTreeSet<(String, u64)>,
    order: VecDeque<(String, u64)>,
}

impl Printed {
    /// Whether it is new; remembers it.
    fn add(&mut self, address: (String, u64)) -> bool {
        if !self.known.insert(address.clone()) {
            return false;
        }
        self.order.push_back(address);
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

/// Runs the command until it is interrupted.
pub(crate) async fn run(
    client: &Client,
    output: &Output,
    args: &Args,
) -> Result<Verdict, CliError> {
    let mut newest = match &args.filter.since {
        Some(since) => parse(since)?,
        None => SystemClock.now_micros(),
    };
    let mut overlap = 0;
    let (mut printed, mut shown) = (Printed::default(), 0);
    loop {
        let mut cursor = None;
        let since = newest.saturating_sub(overlap);
        loop {
            let page = page(client, args, since, cursor.as_deref()).await?;
            let fresh = fresh(client, &page, &mut printed, &mut newest)?;
            shown += print(client, output, &fresh, shown == 0)?;
            if args.count.is_some_and(|count| shown >= count) {
                return Ok(Verdict::Fine);
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        overlap = OVERLAP_MICROS;
        tokio::time::sleep(Duration::from_secs(args.interval)).await;
    }
}

async fn page(
    client: &Client,
    args: &Args,
    since: i64,
    cursor: Option<&str>,
) -> Result<Page, CliError> {
    let mut parameters = args.filter.parameters();
    parameters.retain(|(name, _)| name != "since");
    if let Some(since) = Timestamp::from_micros(since) {
        parameters.push(("since".to_owned(), since.to_string()));
    }
    parameters.push(("order".to_owned(), "oldest".to_owned()));
    parameters.push(("limit".to_owned(), "1000".to_owned()));
    parameters.extend(cursor.map(|cursor| ("cursor".to_owned(), cursor.to_owned())));
    client.get("/v1/events", &parameters).await
}

/// Those of a page that were not printed; moves `newest`.
fn fresh(
    client: &Client,
    page: &Page,
    printed: &mut Printed,
    newest: &mut i64,
) -> Result<Page, CliError> {
    let mut events = Vec::new();
    for raw in &page.events {
        let stored = events::shown(raw, client.url())?;
        if printed.add((events::ledger_text(&stored.ledger), stored.leaf_index)) {
            events.push(raw.clone());
        }
        if let Ok(time) = parse(&stored.event.timestamp) {
            *newest = (*newest).max(time);
        }
    }
    Ok(Page {
        events,
        next_cursor: None,
    })
}

fn print(client: &Client, output: &Output, page: &Page, first: bool) -> Result<u64, CliError> {
    if page.events.is_empty() {
        return Ok(0);
    }
    match output.format {
        Format::Json => page
            .events
            .iter()
            .try_for_each(|event| output.json_line(event))?,
        Format::Table | Format::Csv => {
            let rows = events::rows(&page.events, output.format == Format::Csv, client.url())?;
            output.stream(&rows, first)?;
        }
    }
    Ok(page.events.len() as u64)
}

fn parse(text: &str) -> Result<i64, CliError> {
    Timestamp::parse(text, MissingZone::Refuse)
        .map(|(time, _form)| time.micros())
        .map_err(|error| {
            CliError::Usage(format!(
                "{text} is no time ({error}); write it as 2026-01-31T08:00:00Z"
            ))
        })
}
