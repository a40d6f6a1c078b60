//! The table of a run: our number, the reference beside it, and what is wanted.

use super::measure::Report;
use crate::error::CliError;
use crate::output::{Format, Output, Rows};

/// Prints a report.
pub(super) fn write(output: &Output, report: &Report) -> Result<(), CliError> {
    let mut rows = Rows::new(&["measurement", "worker", "reference", "wanted"]);
    for [measurement, ours, reference, wanted] in lines(report) {
        rows.push(vec![
            measurement.into(),
            ours.into(),
            reference.into(),
            wanted.into(),
        ]);
    }
    output.rows_or(&rows, report)?;
    if output.format == Format::Table {
        output.line(&format!(
            "{} cores, fsync {:.2} ms (median), data in {}",
            report.cores, report.fsync_ms, report.directory
        ))?;
        if !report.release_build {
            output.line("this is a debug build: its numbers say nothing")?;
        }
    }
    Ok(())
}

fn lines(report: &Report) -> Vec<[String; 4]> {
    let (batches, singles, bare) = (&report.batches, &report.singles, &report.singles_reference);
    let verification = &report.verification;
    let text = |text: &str| text.to_owned();
    let cpu = batches
        .worker_cpu_us_an_event
        .map_or_else(|| text("unknown"), |us| format!("{us:.1} us"));
    vec![
        [
            format!(
                "{} events in batches of {}, until stored",
                batches.events, batches.batch
            ),
            per_s(batches.stored_per_s),
            format!(
                "{} bare inserts, {} a commit",
                per_s(batches.bare_insert_per_s),
                batches.bare_insert_rows
            ),
            String::new(),
        ],
        [
            text("the same, until checkpointed; ratio"),
            format!(
                "{}; {:.2}",
                per_s(batches.checkpointed_per_s),
                batches.ratio
            ),
            text("1.00"),
            text(">= 0.60"),
        ],
        [
            text("processor time an event"),
            cpu,
            String::new(),
            String::new(),
        ],
        [
            format!("single events from {} connections", singles.connections),
            per_s(singles.per_s),
            format!("{} bare handler", per_s(bare.per_s)),
            text(">= 3 000/s"),
        ],
        [
            text("their latency, p50 and p99"),
            format!("{:.1} ms, {:.1} ms", singles.p50_ms, singles.p99_ms),
            format!("{:.1} ms, {:.1} ms", bare.p50_ms, bare.p99_ms),
            text("p99 < 50 ms"),
        ],
        [
            format!(
                "ack=sealed at {}, p50 and p99",
                per_s(report.sealed.events_per_s)
            ),
            format!(
                "{:.0} ms, {:.0} ms",
                report.sealed.p50_ms, report.sealed.p99_ms
            ),
            text("a checkpoint every 500 ms"),
            text("p99 < 1 000 ms"),
        ],
        [
            format!(
                "verification of {} events: {}",
                verification.checked, verification.result
            ),
            format!(
                "{} ({} a core)",
                per_s(verification.per_s),
                verification.per_core_s.map_or_else(|| text("?"), per_s)
            ),
            format!("{} bare read", per_s(verification.bare_read_per_s)),
            text(">= 150 000/s a core"),
        ],
        [
            text("peak memory of the worker"),
            report.peak_memory_bytes.map_or_else(
                || text("unknown"),
                |bytes| format!("{:.0} MiB", bytes as f64 / 1_048_576.0),
            ),
            String::new(),
            text("< 150 MiB"),
        ],
        [
            text("refusals (503) met on the way"),
            (batches.refusals + singles.refusals).to_string(),
            String::new(),
            String::new(),
        ],
    ]
}

/// Groups of three digits.
pub(super) fn per_s(rate: f64) -> String {
    let digits = format!("{rate:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    format!("{grouped}/s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_grouped_by_thousands() {
        assert_eq!(per_s(7.4), "7/s");
        assert_eq!(per_s(1_234_567.0), "1 234 567/s");
        assert_eq!(per_s(123_456.0), "123 456/s");
    }
}
