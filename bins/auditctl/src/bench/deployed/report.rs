//! The table of a run: our number, the reference beside it, and what is wanted.

use super::super::report::per_s;
use super::costs::Costs;
use super::measure::{Report, Run, middle};
use crate::error::CliError;
use crate::output::{Format, Output, Rows};

/// Prints a report.
pub(super) fn write(output: &Output, report: &Report) -> Result<(), CliError> {
    let mut rows = Rows::new(&["measurement", "deployed", "reference", "wanted"]);
    for row in lines(report) {
        rows.push(row.map(Into::into).into());
    }
    output.rows_or(&rows, report)?;
    if output.format == Format::Table {
        output.line(&format!(
            "medians of {} runs, {} events each in batches of {}, {} cores, {} lanes, acknowledged means {}",
            report.runs.len(),
            report.events,
            report.batch,
            report.cores,
            report.lanes,
            report.durability,
        ))?;
        if !report.release_build {
            output.line("this is a debug build: its numbers say nothing")?;
        }
    }
    Ok(())
}

type Line = [String; 4];

fn lines(report: &Report) -> Vec<Line> {
    let mut lines = rates(report);
    lines.extend(rest(report));
    lines.extend(stages(report));
    lines
}

/// What is compared, number by number.
fn rates(report: &Report) -> Vec<Line> {
    let median = &report.median;
    let text = |text: &str| text.to_owned();
    vec![
        [
            text("a filled queue drained, until stored; ratio"),
            format!("{}; {:.2}", per_s(median.drain_per_s), median.drain_ratio),
            format!("{} bare COPY", per_s(median.reference_per_s)),
            text(">= 0.70"),
        ],
        [
            text("the same, until checkpointed"),
            per_s(median.drain_checkpointed_per_s),
            String::new(),
            String::new(),
        ],
        [
            text("the same with detection, until stored; ratio to without"),
            format!(
                "{}; {:.2}",
                per_s(median.detecting_per_s),
                median.detecting_ratio
            ),
            format!("{} without", per_s(median.drain_per_s)),
            text("> 0.85"),
        ],
        [
            text("batches over HTTP, until stored; ratio"),
            format!("{}; {:.2}", per_s(median.http_per_s), median.http_ratio),
            text("the same"),
            text(">= 0.50"),
        ],
        [
            text("the same, until checkpointed"),
            per_s(median.http_checkpointed_per_s),
            String::new(),
            String::new(),
        ],
        [
            text("audit-ingest alone, until acknowledged"),
            per_s(median.ingest_per_s),
            String::new(),
            text(">= 150 000/s"),
        ],
    ]
}

fn rest(report: &Report) -> Vec<Line> {
    let median = &report.median;
    let refusals = report.runs.iter();
    let refusals: u64 = refusals
        .map(|run| run.ingest.refusals + run.http.refusals)
        .sum();
    vec![
        [
            format!(
                "request until stored at {}, p50 and p95",
                per_s(median.latency_events_per_s)
            ),
            format!(
                "{:.0} ms, {:.0} ms",
                median.latency_p50_ms, median.latency_p95_ms
            ),
            String::new(),
            "p95 < 500 ms".to_owned(),
        ],
        [
            "peak memory of worker and ingest".to_owned(),
            format!(
                "{}, {}",
                peak(report, |run| run.worker_peak_bytes),
                peak(report, |run| run.ingest_peak_bytes)
            ),
            String::new(),
            "< 256 MiB each".to_owned(),
        ],
        [
            "refusals (503) met on the way".to_owned(),
            refusals.to_string(),
            String::new(),
            String::new(),
        ],
    ]
}

/// Where the processor's time goes.
fn stages(report: &Report) -> [Line; 5] {
    let of = |stage: &str, costs: fn(&Run) -> Costs| {
        [
            format!("processor time an event, {stage}"),
            spent(report, costs),
            String::new(),
            String::new(),
        ]
    };
    [
        of("bare COPY", |run| run.reference.costs),
        of("ingest alone", |run| run.ingest.costs),
        of("drained", |run| run.drain.costs),
        of("drained with detection", |run| run.detecting.costs),
        of("over HTTP", |run| run.http.costs),
    ]
}

/// The greatest of all runs.
fn peak(report: &Report, of: fn(&Run) -> Option<u64>) -> String {
    match report.runs.iter().filter_map(of).max() {
        Some(bytes) => format!("{:.0} MiB", bytes as f64 / 1_048_576.0),
        None => "unknown".to_owned(),
    }
}

/// The middle of each process, of those that took part.
fn spent(report: &Report, costs: fn(&Run) -> Costs) -> String {
    let part = |name: &str, part: fn(&Costs) -> Option<f64>| {
        let all = report.runs.iter().filter_map(|run| part(&costs(run)));
        let all: Vec<f64> = all.collect();
        (!all.is_empty()).then(|| format!("{name} {:.1} us", middle(all)))
    };
    let parts = [
        part("worker", |costs| costs.worker_us),
        part("ingest", |costs| costs.ingest_us),
        part("PostgreSQL", |costs| costs.postgres_us),
        part("Redis", |costs| costs.redis_us),
        part("sender", |costs| costs.sender_us),
    ];
    let known: Vec<String> = parts.into_iter().flatten().collect();
    known.join(", ")
}
