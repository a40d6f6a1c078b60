//! What became of the events that were sent.

use serde::{Deserialize, Serialize};

use crate::error::CliError;
use crate::output::{Format, Output, Rows, Text, Tone};

/// Rejected events that are kept with their message; the rest is only counted.
const REJECTIONS_MAX: usize = 1_000;
/// Rejected events that a table shows.
const REJECTIONS_SHOWN: usize = 50;

/// One event that was not taken, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rejection {
    /// The input.
    pub(crate) file: String,
    /// Position in the input, from 0.
    pub(crate) item: u64,
    /// Where in the event (a JSON pointer).
    pub(crate) path: String,
    /// What is wrong.
    pub(crate) message: String,
}

/// Sums over everything sent; `sent` is the sum of all others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Summary {
    /// Events found in the inputs.
    pub(crate) sent: u64,
    /// Taken, and new as far as the answer knows.
    pub(crate) accepted: u64,
    /// Already stored, the same.
    pub(crate) duplicates: u64,
    /// Already stored with other content; kept as dead letters.
    pub(crate) conflicts: u64,
    /// Taken and then refused by the store or a processor; kept as dead letters.
    pub(crate) dead_lettered: u64,
    /// Not taken.
    pub(crate) rejected: u64,
    /// The first of the rejected.
    pub(crate) rejections: Vec<Rejection>,
}

impl Summary {
    /// Adds the sums of a batch.
    pub(crate) fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.accepted += other.accepted;
        self.duplicates += other.duplicates;
        self.conflicts += other.conflicts;
        self.dead_lettered += other.dead_lettered;
        self.rejected += other.rejected;
        let room = REJECTIONS_MAX.saturating_sub(self.rejections.len());
        self.rejections
            .extend(other.rejections.into_iter().take(room));
    }

    /// Counts an event that was not taken.
    pub(crate) fn reject(&mut self, rejection: Rejection) {
        self.sent += 1;
        self.rejected += 1;
        if self.rejections.len() < REJECTIONS_MAX {
            self.rejections.push(rejection);
        }
    }

    /// Whether every event is stored or on its way to be.
    pub(crate) fn is_clean(&self) -> bool {
        self.rejected + self.conflicts + self.dead_lettered == 0
    }

    /// For the progress bar.
    pub(crate) fn short(summary: &Self) -> String {
        format!("{} sent, {} rejected", summary.sent, summary.rejected)
    }

    /// Prints sums and rejected events.
    pub(crate) fn write(&self, output: &Output) -> Result<(), CliError> {
        match output.format {
            Format::Json => output.json(self),
            Format::Csv => output.rows_or(&self.rejected_rows(usize::MAX), self),
            Format::Table => self.write_table(output),
        }
    }

    fn write_table(&self, output: &Output) -> Result<(), CliError> {
        let mut rows = Rows::new(&[
            "sent",
            "accepted",
            "duplicates",
            "conflicts",
            "deadLettered",
            "rejected",
        ]);
        let bad = |count: u64| {
            Text::toned(
                count.to_string(),
                if count == 0 { Tone::Plain } else { Tone::Bad },
            )
        };
        rows.push(vec![
            self.sent.to_string().into(),
            self.accepted.to_string().into(),
            self.duplicates.to_string().into(),
            bad(self.conflicts),
            bad(self.dead_lettered),
            bad(self.rejected),
        ]);
        output.rows_or(&rows, self)?;
        if !self.rejections.is_empty() {
            output.rows_or(&self.rejected_rows(REJECTIONS_SHOWN), self)?;
        }
        let hidden = self.rejected - self.rejections.len().min(REJECTIONS_SHOWN) as u64;
        if hidden > 0 {
            output.remark(&format!(
                "… and {hidden} more rejected events; -o csv lists up to {REJECTIONS_MAX}"
            ))?;
        }
        if self.conflicts + self.dead_lettered > 0 {
            output.remark("`auditctl dead-letters list` shows what was kept aside, and why")?;
        }
        Ok(())
    }

    fn rejected_rows(&self, max: usize) -> Rows {
        let mut rows = Rows::new(&["file", "item", "path", "message"]);
        for rejection in self.rejections.iter().take(max) {
            rows.push(vec![
                rejection.file.as_str().into(),
                rejection.item.to_string().into(),
                rejection.path.as_str().into(),
                rejection.message.as_str().into(),
            ]);
        }
        rows
    }
}
