//! Months: the partition of an event must be there before the event is written.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use audit_event::Timestamp;

use crate::error::Failure;
use crate::session::Sessions;
use crate::value::Micros;

/// Months remembered; beyond it all are forgotten and asked for again.
const MONTHS_MAX: usize = 4_096;
const DAY: i64 = 86_400_000_000;

/// Months whose partition is known to be there, as months since year 0. Forgotten when the server says that one is not.
#[derive(Debug, Default)]
pub(crate) struct Months {
    known: Mutex<HashSet<i64>>,
}

impl Months {
    /// The first of these times in each month that is not known.
    pub(crate) fn unknown(&self, times: impl Iterator<Item = Timestamp>) -> Vec<Timestamp> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut seen, mut unknown) = (HashSet::new(), Vec::new());
        for at in times {
            let month = month(at);
            if !known.contains(&month) && seen.insert(month) {
                unknown.push(at);
            }
        }
        unknown
    }

    fn learn(&self, at: Timestamp) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MONTHS_MAX {
            known.clear();
        }
        known.insert(month(at));
    }

    /// A partition was taken away.
    pub(crate) fn forget(&self) {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Sees to it that the month of `at` has its partition.
    pub(crate) async fn ensure(&self, sessions: &Sessions, at: Timestamp) -> Result<(), Failure> {
        let sql = "SELECT audit.ensure_partition($1)";
        sessions
            .execute("make a partition", sql, &[&Micros::from(at)])
            .await?;
        self.learn(at);
        Ok(())
    }
}

/// Months since year 0, UTC (Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`).
fn month(at: Timestamp) -> i64 {
    let days = at.micros().div_euclid(DAY) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Counted from March, so that the leap day is a year's last.
    let from_march = (5 * day_of_year + 2) / 153;
    (era * 400 + year_of_era) * 12 + from_march + 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use audit_event::timestamp::MissingZone;

    #[test]
    fn months_are_those_of_the_calendar() {
        let check = |text: &str, expected: i64| {
            let (at, _form) = Timestamp::parse(text, MissingZone::Refuse).unwrap();
            assert_eq!(month(at), expected, "{text}");
        };
        for year in [
            1, 4, 100, 400, 1969, 1970, 1999, 2000, 2024, 2026, 2100, 9999,
        ] {
            for (of_year, number) in (1..=12).zip(0..) {
                check(
                    &format!("{year:04}-{of_year:02}-01T00:00:00Z"),
                    year * 12 + number,
                );
                check(
                    &format!("{year:04}-{of_year:02}-28T23:59:59.999999Z"),
                    year * 12 + number,
                );
            }
        }
        check("2024-02-29T23:59:59.999999Z", 2024 * 12 + 1);
        check("2026-12-31T23:59:59.999999Z", 2026 * 12 + 11);
        check("2027-01-01T00:30:00+01:00", 2026 * 12 + 11);
    }
}
