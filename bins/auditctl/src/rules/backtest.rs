//! `rules backtest`: what rules would have raised of events that are stored.
//!
//! Events are read in the order of their own time, as if they stood in one ledger and each had arrived when it happened: so none is
//! late, and the windows are those that detection would have had.

use audit_event::{AuditEvent, Timestamp};
use audit_integrity::ledger::{LeafIndex, LedgerId};
use audit_monitor::{
    Batch, Detector, Limits, MemoryWindows, Settings, WindowError, WindowStore as _,
};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::files::{Sources, faults_of};
use super::tally::Tally;
use crate::client::{Client, Parameters};
use crate::error::{CliError, Verdict};
use crate::events::Page;
use crate::output::{Format, Output};
use crate::progress;

/// Events of a request: as many as the server gives.
const PAGE: u32 = 1_000;
/// The ledger that they are taken to stand in.
const LEDGER: LedgerId = LedgerId::Events(0);
/// Raised episodes that are taken at once.
const TAKEN: usize = 1_000;

/// Arguments of `rules backtest`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    rules: Sources,
    /// Events not before this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Events before this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only events of this organisation.
    #[arg(long, visible_alias = "organization-id", value_name = "ID")]
    organization: Option<String>,
    /// Shows at most so many episodes; all are counted.
    #[arg(long, default_value_t = 1_000, value_name = "NUMBER")]
    limit: usize,
}

/// Runs the command.
pub(crate) async fn run(
    client: impl FnOnce() -> Result<Client, CliError>,
    output: &Output,
    args: &Args,
) -> Result<Verdict, CliError> {
    let rules = args.rules.load()?;
    let client = client()?;
    let detector = Detector::new(rules.clone(), Settings::default(), Limits::default());
    let mut run = Run {
        windows: MemoryWindows::new(detector.engine().clone(), &[(LEDGER, LeafIndex(0))]),
        detector,
        tally: Tally::new(args.limit),
        events: 0,
        expired: 0,
        bounds: 0,
    };
    let bar = progress::events(None);
    let mut cursor = None;
    loop {
        let page: Page = client.get("/v1/events", &args.parameters(cursor)).await?;
        run.page(&client, &page).await?;
        bar.set_position(run.events);
        bar.set_message(format!("{} episodes", run.tally.total()));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    run.end().await?;
    bar.finish_and_clear();
    run.write(output)?;
    super::faults(output, &faults_of(&rules))
}

impl Args {
    fn parameters(&self, cursor: Option<String>) -> Parameters {
        let given = [
            ("since", self.since.clone()),
            ("until", self.until.clone()),
            ("organizationId", self.organization.clone()),
            ("order", Some("oldest".to_owned())),
            ("limit", Some(PAGE.to_string())),
            ("cursor", cursor),
        ];
        given
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

/// The body of a stored event; none when it has expired.
#[derive(Debug, Deserialize)]
struct Body {
    event: Option<Box<RawValue>>,
}

struct Run {
    detector: Detector,
    windows: MemoryWindows,
    tally: Tally,
    events: u64,
    expired: u64,
    /// What bounds of memory forced.
    bounds: u64,
}

impl Run {
    async fn page(&mut self, client: &Client, page: &Page) -> Result<(), CliError> {
        let mut batch = Batch::new(LEDGER, self.cursor().await?);
        for stored in &page.events {
            let Body { event } = client.decode(stored.get().as_bytes())?;
            let Some(event) = event else {
                self.expired += 1;
                continue;
            };
            let mut event = read(client, &event)?;
            // As if it had arrived when it happened.
            event.received_at = event.statement.timestamp;
            for episode in batch.read(self.detector.matcher(), &event) {
                self.tally.add(episode);
            }
            self.events += 1;
        }
        self.apply(&batch).await
    }

    /// Nothing more comes: every window is looked at, and every episode ends.
    async fn end(&mut self) -> Result<(), CliError> {
        let mut batch = Batch::new(LEDGER, self.cursor().await?);
        batch.idle(Timestamp::clamped(i64::MAX));
        self.apply(&batch).await
    }

    async fn cursor(&self) -> Result<LeafIndex, CliError> {
        self.windows.cursor(LEDGER).await.map_err(broken)
    }

    async fn apply(&mut self, batch: &Batch) -> Result<(), CliError> {
        self.windows.apply(batch).await.map_err(broken)?;
        let told = self.windows.told().map_err(broken)?;
        let counts = told.notices.iter().map(|notice| notice.count);
        self.bounds += counts.sum::<u64>();
        loop {
            let raised = self.windows.raised(TAKEN).await.map_err(broken)?;
            if raised.is_empty() {
                return Ok(());
            }
            let taken: Vec<_> = raised.iter().map(|one| (one.id, one.phase)).collect();
            for episode in raised {
                self.tally.add(episode);
            }
            self.windows.settle(&taken).await.map_err(broken)?;
        }
    }

    fn write(&self, output: &Output) -> Result<(), CliError> {
        let rules = self.detector.matcher().rules();
        let rows = self.tally.rows();
        let whole = json!({
            "events": self.events,
            "expired": self.expired,
            "order": "time, as one ledger",
            "episodes": self.tally.episodes(),
            "episodesLeftOut": self.tally.left_out(),
            "rules": self.tally.counts(),
            "boundsForced": self.bounds,
            "neverRaise": self.detector.engine().problems(),
            "problems": faults_of(rules),
        });
        if output.format != Format::Table || !rows.is_empty() {
            output.rows_or(&rows, &whole)?;
        }
        if output.format == Format::Table && !rows.is_empty() {
            output.stream(&self.tally.rule_rows(rules), true)?;
        }
        self.remark(output)
    }

    fn remark(&self, output: &Output) -> Result<(), CliError> {
        let left_out = match self.tally.left_out() {
            0 => String::new(),
            some => format!(" ({some} not shown; --limit shows more)"),
        };
        output.remark(&format!(
            "{} episodes{left_out} in {} events, read in the order of their time as if of one ledger",
            self.tally.total(),
            self.events
        ))?;
        if self.expired > 0 {
            output.remark(&format!("{} events had no body any more", self.expired))?;
        }
        if self.bounds > 0 {
            let bounds = self.bounds;
            output.remark(&format!(
                "memory was short {bounds} times: counts of those windows are too small"
            ))?;
        }
        for problem in self.detector.engine().problems() {
            output.remark(problem)?;
        }
        Ok(())
    }
}

fn read(client: &Client, event: &RawValue) -> Result<AuditEvent, CliError> {
    AuditEvent::from_canonical(event.get().as_bytes()).map_err(|problems| {
        let reason = problems.first().map_or_else(
            || "no event".to_owned(),
            |problem| format!("{} {}", problem.path.as_str(), problem.message),
        );
        CliError::Answer {
            url: client.url().to_owned(),
            reason,
        }
    })
}

/// Windows in our own memory fail only by a bug of ours.
fn broken(error: WindowError) -> CliError {
    CliError::Usage(format!("the windows could not go on: {error}"))
}
