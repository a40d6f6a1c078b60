//! The measurements of one run, in order; each on a database and a queue of its own, so that none pays for the one before.

use std::sync::Arc;
use std::time::Duration;

use audit_store_postgres::bench::{self, Copies};
use indicatif::ProgressBar;
use serde::Serialize;

use super::super::events;
use super::super::http::{self, Target};
use super::super::measure::{checkpointed, millis, rate, to_usize};
use super::super::process::Process;
use super::costs::{Costs, Meter, postmaster};
use super::place::{Place, Site, usage};
use super::{Args, CONNECTIONS};
use crate::error::CliError;
use crate::progress;

/// Rows a transaction of the reference copies: as many as a program with a queue takes at once, and so many that the commit costs
/// nothing. The faster one counts.
const TRANSACTIONS: [usize; 2] = [1_000, 10_000];
/// Events sealed at a time while the reference is prepared: a whole number of each of [`TRANSACTIONS`].
const SEALED: u64 = 10_000;

/// Everything measured. Times are milliseconds, rates are events per second, sizes are bytes.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) release_build: bool,
    pub(super) cores: usize,
    pub(super) events: u64,
    pub(super) batch: u64,
    pub(super) lanes: u16,
    /// What the answer to a request says.
    pub(super) durability: String,
    /// The middle of all runs, number by number; ratios are those of one run.
    pub(super) median: Median,
    pub(super) runs: Vec<Run>,
}

/// One run.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Run {
    pub(super) reference: Reference,
    pub(super) ingest: Ingest,
    /// Without detection.
    pub(super) drain: Stored,
    /// With the built-in rules in use; the ratio is that to the drain without.
    pub(super) detecting: Stored,
    pub(super) http: Stored,
    pub(super) latency: Latency,
    pub(super) worker_peak_bytes: Option<u64>,
    pub(super) ingest_peak_bytes: Option<u64>,
}

/// Binary COPY of the same rows.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reference {
    pub(super) per_s: f64,
    /// Rows a transaction of the faster loop.
    pub(super) transaction_rows: usize,
    pub(super) costs: Costs,
}

/// Batches over HTTP until acknowledged, with no worker running.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ingest {
    pub(super) per_s: f64,
    pub(super) refusals: u64,
    pub(super) costs: Costs,
}

/// Events until stored, and until under a signed checkpoint.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stored {
    pub(super) per_s: f64,
    pub(super) checkpointed_per_s: f64,
    /// Of `per_s` to the reference.
    pub(super) ratio: f64,
    pub(super) refusals: u64,
    pub(super) costs: Costs,
}

/// Batches at fixed times, each from when it was due until the answer that it is stored: longer than from its acknowledgement.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Latency {
    pub(super) events_per_s: f64,
    pub(super) requests: usize,
    pub(super) p50_ms: f64,
    pub(super) p95_ms: f64,
}

/// Middles of the numbers that are looked for.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Median {
    pub(super) reference_per_s: f64,
    pub(super) ingest_per_s: f64,
    pub(super) drain_per_s: f64,
    pub(super) drain_checkpointed_per_s: f64,
    pub(super) drain_ratio: f64,
    pub(super) detecting_per_s: f64,
    pub(super) detecting_ratio: f64,
    pub(super) http_per_s: f64,
    pub(super) http_checkpointed_per_s: f64,
    pub(super) http_ratio: f64,
    pub(super) latency_events_per_s: f64,
    pub(super) latency_p50_ms: f64,
    pub(super) latency_p95_ms: f64,
}

impl Median {
    fn of(runs: &[Run]) -> Self {
        let of = |number: fn(&Run) -> f64| middle(runs.iter().map(number).collect());
        Self {
            reference_per_s: of(|run| run.reference.per_s),
            ingest_per_s: of(|run| run.ingest.per_s),
            drain_per_s: of(|run| run.drain.per_s),
            drain_checkpointed_per_s: of(|run| run.drain.checkpointed_per_s),
            drain_ratio: of(|run| run.drain.ratio),
            detecting_per_s: of(|run| run.detecting.per_s),
            detecting_ratio: of(|run| run.detecting.ratio),
            http_per_s: of(|run| run.http.per_s),
            http_checkpointed_per_s: of(|run| run.http.checkpointed_per_s),
            http_ratio: of(|run| run.http.ratio),
            latency_events_per_s: of(|run| run.latency.events_per_s),
            latency_p50_ms: of(|run| run.latency.p50_ms),
            latency_p95_ms: of(|run| run.latency.p95_ms),
        }
    }
}

/// The middle of some numbers; of an even count, the lower of the two in the middle.
pub(super) fn middle(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    let index = numbers.len().saturating_sub(1) / 2;
    numbers.get(index).copied().unwrap_or_default()
}

/// Measures the deployed form.
pub(super) async fn deployed(args: &Args, place: &Place) -> Result<Report, CliError> {
    let bar = progress::events(None);
    let durability = place.durability().await?;
    bar.set_message("rows of the reference");
    let bench = Bench {
        args,
        place,
        postmaster: postmaster(place).await,
        copies: copies(args.events)?,
        bar,
    };
    let mut runs = Vec::new();
    for number in 1..=args.runs {
        runs.push(bench.run(number).await?);
    }
    bench.bar.finish_and_clear();
    Ok(Report {
        release_build: !cfg!(debug_assertions),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        events: args.events,
        batch: args.batch,
        lanes: args.lanes,
        durability,
        median: Median::of(&runs),
        runs,
    })
}

fn copies(events: u64) -> Result<Vec<(usize, Arc<Copies>)>, CliError> {
    let mut all = TRANSACTIONS.map(|rows| (rows, Copies::new(rows)));
    for first in (0..events).step_by(to_usize(SEALED)) {
        let sealed: Vec<_> = (first..events.min(first + SEALED))
            .map(|n| events::sealed(1, n))
            .collect::<Result<_, _>>()?;
        for (_rows, copies) in &mut all {
            copies.add(&sealed).map_err(|error| usage(&error))?;
        }
    }
    Ok(all.map(|(rows, copies)| (rows, Arc::new(copies))).into())
}

/// What all runs share.
struct Bench<'a> {
    args: &'a Args,
    place: &'a Place,
    postmaster: Option<u32>,
    /// Rows a transaction, and all rows in such transactions.
    copies: Vec<(usize, Arc<Copies>)>,
    bar: ProgressBar,
}

impl Bench<'_> {
    async fn run(&self, number: u64) -> Result<Run, CliError> {
        let say = |what: &str| {
            self.bar
                .set_message(format!("run {number} of {}: {what}", self.args.runs));
        };
        say("reference: bare COPY");
        let reference = self.reference().await?;
        say("ingest alone");
        let site = self.place.site(false).await?;
        let (ingest, filled_peak) = self.fill(&site).await?;
        say("draining the queue");
        let (drain, _drained_peak) = self.drain(&site, reference.per_s).await?;
        drop(site);
        self.place.clear().await?;
        say("draining the queue, with detection");
        let site = self.place.site(true).await?;
        self.fill(&site).await?;
        let (detecting, drained_peak) = self.drain(&site, drain.per_s).await?;
        drop(site);
        self.place.clear().await?;
        say("batches over HTTP until stored");
        let site = self.place.site(true).await?;
        let (worker, ingest_process) = (site.worker().await?, site.ingest().await?);
        self.place.postgres.settle().await;
        let http = self
            .http(&site, &worker, &ingest_process, reference.per_s)
            .await?;
        say("time until stored at half of that rate");
        let latency = self.latency(&ingest_process, http.per_s).await?;
        let run = Run {
            reference,
            ingest,
            drain,
            detecting,
            http,
            latency,
            worker_peak_bytes: worker.peak_memory().max(drained_peak),
            ingest_peak_bytes: ingest_process.peak_memory().max(filled_peak),
        };
        drop((worker, ingest_process, site));
        self.place.clear().await?;
        Ok(run)
    }

    async fn reference(&self) -> Result<Reference, CliError> {
        let meter = Meter {
            postmaster: self.postmaster,
            site: None,
            worker: None,
            ingest: None,
        };
        let mut fastest: Option<Reference> = None;
        for (transaction_rows, copies) in &self.copies {
            let (_name, address) = self.place.database().await?;
            let opened = bench::Reference::open(&address, Arc::clone(copies), CONNECTIONS).await;
            let opened = opened.map_err(|error| usage(&error))?;
            self.place.postgres.settle().await;
            let before = meter.read().await;
            let copied = opened.copy().await.map_err(|error| usage(&error))?;
            let per_s = rate(copied.rows, copied.elapsed);
            if fastest.as_ref().is_none_or(|other| per_s > other.per_s) {
                fastest = Some(Reference {
                    per_s,
                    transaction_rows: *transaction_rows,
                    costs: before.until(&meter.read().await, self.args.events),
                });
            }
            self.place.clear().await?;
        }
        fastest.ok_or_else(|| CliError::Usage("there is no reference".to_owned()))
    }

    /// Fills the queue of a site while no worker runs.
    async fn fill(&self, site: &Site) -> Result<(Ingest, Option<u64>), CliError> {
        // The first worker makes schema, ledgers and the admin key.
        site.worker().await?.end().await?;
        let ingest = site.ingest().await?;
        let meter = Meter {
            postmaster: None,
            site: Some(site),
            worker: None,
            ingest: Some(&ingest),
        };
        let bodies = events::batches(1, self.args.events, self.args.batch);
        let before = meter.read().await;
        let load = http::flood(&target(&ingest)?, &bodies, self.args.batch_connections).await?;
        let costs = before.until(&meter.read().await, self.args.events);
        let measured = Ingest {
            per_s: rate(to_usize(self.args.events), load.elapsed),
            refusals: load.refused,
            costs,
        };
        let peak = ingest.peak_memory();
        ingest.end().await?;
        Ok((measured, peak))
    }

    /// From the first frame that is handed out until everything is stored: the worker's start is not part of it.
    async fn drain(&self, site: &Site, reference: f64) -> Result<(Stored, Option<u64>), CliError> {
        self.place.postgres.settle().await;
        let mut worker = site.start_worker()?;
        let began = site.handed_out().await?;
        let meter = Meter {
            postmaster: self.postmaster,
            site: Some(site),
            worker: Some(&worker),
            ingest: None,
        };
        let before = meter.read().await;
        let last = site.stored(self.args.events).await?;
        let costs = before.until(&meter.read().await, self.args.events);
        worker.ready().await?;
        checkpointed(&worker.client()?, self.args.events).await?;
        let stored = Stored::of(self.args.events, last.at - began, began.elapsed());
        Ok((stored.beside(reference, 0, costs), worker.peak_memory()))
    }

    async fn http(
        &self,
        site: &Site,
        worker: &Process,
        ingest: &Process,
        reference: f64,
    ) -> Result<Stored, CliError> {
        // Leases are taken, connections opened and statements prepared before the clock starts.
        let warm = events::batches(4, self.args.batch, self.args.batch);
        http::flood(&target(ingest)?, &warm, 1).await?;
        let warmed = site.stored(self.args.batch).await?;
        let bodies = events::batches(1, self.args.events, self.args.batch);
        let meter = Meter {
            postmaster: self.postmaster,
            site: Some(site),
            worker: Some(worker),
            ingest: Some(ingest),
        };
        let before = meter.read().await;
        let began = std::time::Instant::now();
        let load = http::flood(&target(ingest)?, &bodies, self.args.batch_connections).await?;
        let all = warmed.events + self.args.events;
        let last = site.stored(all).await?;
        let costs = before.until(&meter.read().await, self.args.events);
        checkpointed(&worker.client()?, all).await?;
        let stored = Stored::of(self.args.events, last.at - began, began.elapsed());
        Ok(stored.beside(reference, load.refused, costs))
    }

    async fn latency(&self, ingest: &Process, sustained_per_s: f64) -> Result<Latency, CliError> {
        let target = Target {
            path: "/v1/events?ack=stored&timeoutMs=30000",
            ..target(ingest)?
        };
        let events_per_s = self
            .args
            .rate
            .map_or(sustained_per_s / 2.0, |rate| rate as f64)
            .max(1.0);
        // Small batches at a slow rate, so that there are samples for a 95th percentile: 20 requests a second.
        let batch = (events_per_s / 20.0)
            .ceil()
            .clamp(1.0, self.args.batch as f64) as u64;
        let every = Duration::from_secs_f64(batch as f64 / events_per_s);
        let requests = (self.args.seconds as f64 / every.as_secs_f64())
            .ceil()
            .max(1.0) as u64;
        let load = http::pace(&target, events::batches(3, requests * batch, batch), every).await?;
        Ok(Latency {
            events_per_s,
            requests: load.latencies.len(),
            p50_ms: millis(load.percentile(50)),
            p95_ms: millis(load.percentile(95)),
        })
    }
}

/// Rates of stored events, before they are compared.
struct Rates {
    per_s: f64,
    checkpointed_per_s: f64,
}

impl Stored {
    fn of(events: u64, until_stored: Duration, until_checkpointed: Duration) -> Rates {
        Rates {
            per_s: rate(to_usize(events), until_stored),
            checkpointed_per_s: rate(to_usize(events), until_checkpointed),
        }
    }
}

impl Rates {
    fn beside(self, reference: f64, refusals: u64, costs: Costs) -> Stored {
        Stored {
            per_s: self.per_s,
            checkpointed_per_s: self.checkpointed_per_s,
            ratio: self.per_s / reference,
            refusals,
            costs,
        }
    }
}

fn target(ingest: &Process) -> Result<Target, CliError> {
    Ok(Target {
        address: ingest.address,
        path: "/v1/events?ack=queued",
        key: ingest.key()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_does_not_mind_an_outlier() {
        assert_eq!(middle(vec![3.0, 1000.0, 1.0]).to_bits(), 3.0_f64.to_bits());
        assert_eq!(middle(vec![4.0, 2.0]).to_bits(), 2.0_f64.to_bits());
        assert_eq!(middle(Vec::new()).to_bits(), 0.0_f64.to_bits());
    }
}
