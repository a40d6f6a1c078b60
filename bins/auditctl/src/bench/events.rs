//! The events that are sent, and the rows that they become: the same content on both sides of a comparison.

use audit_event::{AuditEvent, Form, OrganizationId, Stamps, Timestamp, forms};
use audit_event::{EventDraft, EventId};
use audit_integrity::claim::claim_of;
use audit_integrity::entry::{Place, Salt, SealedEvent, seal};
use audit_integrity::ledger::{LeafIndex, LedgerId};
use audit_integrity::row::EventRow;
use bytes::Bytes;

use crate::error::CliError;

/// 2026-01-01T00:00:00Z, in microseconds.
const FIRST_MICROS: i64 = 1_767_225_600_000_000;

/// Event `n` of a measurement, as JSON: about 440 bytes as a stored row. `series` keeps measurements apart.
pub(super) fn json(series: u64, n: u64) -> String {
    let (minute, second, micro) = (n / 60 % 60, n % 60, n % 1_000_000);
    let (user, organization, action, ward) = (
        n % 997,
        n % 7,
        match n % 4 {
            0 => "read",
            1 => "update",
            2 => "export",
            _ => "delete",
        },
        n % 40,
    );
    format!(
        r#"{{"id":"0193a5c0-{series:04x}-7000-8000-{n:012x}","timestamp":"2026-01-01T00:{minute:02}:{second:02}.{micro:06}Z","action":"patient.record.{action}","status":"success","principalId":"user-{user:05}","organizationId":"org-{organization}","targetResourceType":"PatientRecord","targetResourceId":"rec-{n:09}","correlationId":"req-{n:012x}","sessionContext":{{"sessionId":"s-{user:08}","ipAddress":"10.1.{organization}.{ward}","userAgent":"bench/1.0"}},"ward":"{ward}"}}"#
    )
}

/// Bodies of `total` events in arrays of `batch`.
pub(super) fn batches(series: u64, total: u64, batch: u64) -> Vec<Bytes> {
    let step = usize::try_from(batch).unwrap_or(usize::MAX);
    (0..total)
        .step_by(step)
        .map(|first| {
            let events: Vec<_> = (first..total.min(first + batch))
                .map(|n| json(series, n))
                .collect();
            Bytes::from(format!("[{}]", events.join(",")))
        })
        .collect()
}

/// Bodies of `total` single events.
pub(super) fn singles(series: u64, total: u64) -> Vec<Bytes> {
    (0..total).map(|n| Bytes::from(json(series, n))).collect()
}

/// The rows that a worker would store for events `0..total`, in the order in which they are sent.
pub(super) fn rows(series: u64, total: u64) -> Result<Vec<EventRow>, CliError> {
    (0..total)
        .map(|n| Ok(EventRow::of(&sealed(series, n)?)))
        .collect()
}

/// Event `n` as a worker would seal it.
pub(super) fn sealed(series: u64, n: u64) -> Result<SealedEvent, CliError> {
    let wrong =
        |what: String| CliError::Usage(format!("the bench's own event is not accepted: {what}"));
    let now = Timestamp::from_micros(FIRST_MICROS).ok_or_else(|| wrong("time".to_owned()))?;
    let statement = forms::read_statement(Form::Native, json(series, n).as_bytes())
        .map_err(|problems| wrong(format!("{problems:?}")))?;
    let stamps = Stamps {
        fallback_id: EventId::from_bytes([0; 16]),
        received_at: now,
        default_organization: OrganizationId::none(),
    };
    let draft = EventDraft::new(AuditEvent::stamp(statement, &stamps))
        .map_err(|problems| wrong(format!("{problems:?}")))?;
    let claim = claim_of(draft.event());
    // Salts are random in a worker; here only their size matters.
    let place = Place {
        ledger: LedgerId::Events(0),
        index: LeafIndex(n),
        sealed_at: now,
        salt: Salt([7; 16]),
    };
    Ok(seal(draft, claim, &place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_about_as_large_as_the_orientation_numbers_assume() {
        let rows = rows(1, 1_000).expect("our events are valid");
        let bytes: usize = rows
            .iter()
            .filter_map(|row| Some(row.canonical.as_ref()?.len()))
            .sum();
        assert!(
            (380..=620).contains(&(bytes / rows.len())),
            "{}",
            bytes / rows.len()
        );
        assert_ne!(rows[0].id, rows[1].id);
    }

    #[test]
    fn the_last_batch_holds_the_rest() {
        let found: Vec<usize> = batches(1, 450, 200)
            .iter()
            .map(|body| body.windows(5).filter(|w| w == b"\"id\":").count())
            .collect();
        assert_eq!(found, [200, 200, 50]);
    }
}
