//! How adapters write nouns as integers and texts, one table for all of them: who reads two stores reads one language.
//!
//! These numbers and texts are stored for ever: adding is allowed, changing is not.

use std::time::Duration;

use crate::alerts::{AlertLevel, AlertState};
use crate::config::{ConfigState, ConfigTaken};
use crate::{DeadLetterReason, Role, StoreError, Via};
use audit_event::{Classification, Severity, Status};
use audit_integrity::head::LedgerState;
use audit_integrity::ledger::{Digest, LeafIndex, LedgerId};

/// Bits of a position below the ledger's number.
pub const LEAF_BITS: u32 = 48;
/// Leaf indexes are below this (`LeafIndex`); it leaves a bit between leaf and ledger.
const LEAF_END: u64 = 1 << 47;
/// Number of the directory; negative, so that no event ledger can ever take it.
const DIRECTORY: i16 = -1;

/// The ledger's number.
#[must_use]
pub fn ledger_code(ledger: LedgerId) -> i16 {
    match ledger {
        // A number beyond 2^15 is refused wherever something is written; nothing is found under this one.
        LedgerId::Events(n) => i16::try_from(n).unwrap_or(i16::MIN),
        LedgerId::Directory => DIRECTORY,
    }
}

/// The ledger of a number.
///
/// # Errors
/// A number that no ledger has.
pub fn ledger_of(code: i64) -> Result<LedgerId, StoreError> {
    match u16::try_from(code) {
        Ok(n) if n < 1 << 15 => Ok(LedgerId::Events(n)),
        _ if code == i64::from(DIRECTORY) => Ok(LedgerId::Directory),
        _ => Err(malformed(format!("ledger number {code}"))),
    }
}

/// `ledger * 2^48 + index`, the address of a leaf (or of a size, for checkpoints).
///
/// # Errors
/// A ledger or a leaf beyond what an address can hold.
pub fn position(ledger: LedgerId, index: u64) -> Result<i64, StoreError> {
    if matches!(ledger, LedgerId::Events(n) if n >= 1 << 15) {
        return Err(refused(format!("ledger number {ledger} is beyond 2^15")));
    }
    if index > LEAF_END {
        return Err(refused(format!("leaf index {index} is beyond 2^47")));
    }
    Ok((i64::from(ledger_code(ledger)) << LEAF_BITS) + int(index)?)
}

/// As [`position`], for the end of a range: an end beyond every leaf is the end of the ledger.
///
/// # Errors
/// A ledger beyond what an address can hold.
pub fn bound(ledger: LedgerId, index: u64) -> Result<i64, StoreError> {
    position(ledger, index.min(LEAF_END))
}

/// The address of a position.
///
/// # Errors
/// An address of no ledger.
pub fn address(position: i64) -> Result<(LedgerId, LeafIndex), StoreError> {
    let ledger = ledger_of(position >> LEAF_BITS)?;
    let index = (position & ((1 << LEAF_BITS) - 1)).unsigned_abs();
    Ok((ledger, LeafIndex(index)))
}

/// The address of a position that may have been altered: where no ledger has it, it counts as one of the greatest.
#[must_use]
pub fn scanned_address(position: i64) -> (LedgerId, LeafIndex) {
    address(position).unwrap_or((
        LedgerId::Events(u16::MAX),
        LeafIndex(position.unsigned_abs()),
    ))
}

/// A count or size as SQL keeps it.
///
/// # Errors
/// A value beyond 2^63.
pub fn int(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_source| refused(format!("{value} is beyond 2^63")))
}

/// A count or size from SQL.
///
/// # Errors
/// A negative value.
pub fn uint(value: i64, what: &str) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_source| malformed(format!("{what}: {value} is negative")))
}

/// Bytes of a fixed length.
///
/// # Errors
/// Another length.
pub fn fixed<const N: usize>(bytes: &[u8], what: &str) -> Result<[u8; N], StoreError> {
    <[u8; N]>::try_from(bytes)
        .map_err(|_source| malformed(format!("{what}: {} bytes, not {N}", bytes.len())))
}

/// A digest.
///
/// # Errors
/// Another length.
pub fn digest(bytes: &[u8], what: &str) -> Result<Digest, StoreError> {
    fixed(bytes, what).map(Digest)
}

/// 0 attempt, 1 success, 2 failure.
#[must_use]
pub fn status_code(status: Status) -> i16 {
    match status {
        Status::Attempt => 0,
        Status::Success => 1,
        Status::Failure => 2,
    }
}

/// The status of a code.
#[must_use]
pub fn status_of(code: i64) -> Option<Status> {
    [Status::Attempt, Status::Success, Status::Failure]
        .into_iter()
        .find(|status| i64::from(status_code(*status)) == code)
}

/// 0 info, 1 warning, 2 critical.
#[must_use]
pub fn severity_code(severity: Severity) -> i16 {
    match severity {
        Severity::Info => 0,
        Severity::Warning => 1,
        Severity::Critical => 2,
    }
}

/// The severity of a code.
#[must_use]
pub fn severity_of(code: i64) -> Option<Severity> {
    [Severity::Info, Severity::Warning, Severity::Critical]
        .into_iter()
        .find(|severity| i64::from(severity_code(*severity)) == code)
}

/// 0 public, 1 internal, 2 confidential, 3 PHI.
#[must_use]
pub fn classification_code(classification: Classification) -> i16 {
    match classification {
        Classification::Public => 0,
        Classification::Internal => 1,
        Classification::Confidential => 2,
        Classification::Phi => 3,
    }
}

/// The classification of a code.
#[must_use]
pub fn classification_of(code: i64) -> Option<Classification> {
    [
        Classification::Public,
        Classification::Internal,
        Classification::Confidential,
        Classification::Phi,
    ]
    .into_iter()
    .find(|classification| i64::from(classification_code(*classification)) == code)
}

/// 0 open, 1 closed, 2 diverged.
#[must_use]
pub fn state_code(state: LedgerState) -> i16 {
    match state {
        LedgerState::Open => 0,
        LedgerState::Closed => 1,
        LedgerState::Diverged => 2,
    }
}

/// The state of a code.
///
/// # Errors
/// A number without a meaning.
pub fn state_of(code: i64) -> Result<LedgerState, StoreError> {
    [
        LedgerState::Open,
        LedgerState::Closed,
        LedgerState::Diverged,
    ]
    .into_iter()
    .find(|state| i64::from(state_code(*state)) == code)
    .ok_or_else(|| malformed(format!("ledger state {code}")))
}

/// The number of a way by which events came.
#[must_use]
pub const fn via_code(via: Via) -> i16 {
    match via {
        Via::Queue => 0,
        Via::Internal => 1,
        Via::Source => 2,
    }
}

/// The way of a number.
///
/// # Errors
/// A number without a meaning.
pub fn via_of(code: i16) -> Result<Via, StoreError> {
    let mut all = Via::ALL.into_iter();
    all.find(|via| via_code(*via) == code)
        .ok_or_else(|| malformed(format!("way {code} of a receipt")))
}

/// Every reason a dead letter can have, with its text.
const REASONS: [(DeadLetterReason, &str); 7] = [
    (DeadLetterReason::Conflict, "conflict"),
    (DeadLetterReason::RejectedByStore, "rejected-by-store"),
    (
        DeadLetterReason::RejectedByProcessor,
        "rejected-by-processor",
    ),
    (DeadLetterReason::Unreadable, "unreadable"),
    (DeadLetterReason::NotAnEvent, "not-an-event"),
    (DeadLetterReason::ProofMismatch, "proof-mismatch"),
    (DeadLetterReason::Poison, "poison"),
];

/// The text of a reason.
///
/// # Errors
/// A reason that came later than this table.
pub fn reason_text(reason: DeadLetterReason) -> Result<&'static str, StoreError> {
    REASONS
        .iter()
        .find(|(known, _)| *known == reason)
        .map(|(_, text)| *text)
        .ok_or_else(|| refused(format!("this store has no text for the reason {reason:?}")))
}

/// The reason of a text.
///
/// # Errors
/// A text without a meaning.
pub fn reason_of(text: &str) -> Result<DeadLetterReason, StoreError> {
    REASONS
        .iter()
        .find(|(_, known)| *known == text)
        .map(|(reason, _)| *reason)
        .ok_or_else(|| malformed(format!("dead letter reason {text:?}")))
}

/// Every role a key can have, with its text.
const ROLES: [(Role, &str); 5] = [
    (Role::Writer, "writer"),
    (Role::Viewer, "viewer"),
    (Role::Analyst, "analyst"),
    (Role::ComplianceOfficer, "compliance_officer"),
    (Role::Admin, "admin"),
];

/// The text of a role.
///
/// # Errors
/// A role that came later than this table.
pub fn role_text(role: Role) -> Result<&'static str, StoreError> {
    ROLES
        .iter()
        .find(|(known, _)| *known == role)
        .map(|(_, text)| *text)
        .ok_or_else(|| refused(format!("this store has no text for the role {role:?}")))
}

/// The role of a text.
///
/// # Errors
/// A text without a meaning.
pub fn role_of(text: &str) -> Result<Role, StoreError> {
    ROLES
        .iter()
        .find(|(_, known)| *known == text)
        .map(|(role, _)| *role)
        .ok_or_else(|| malformed(format!("role {text:?}")))
}

fn malformed(what: String) -> StoreError {
    StoreError::Malformed { what }
}

fn refused(reason: String) -> StoreError {
    StoreError::Refused { reason }
}

/// A version's state without the time that is left of its watch.
#[must_use]
pub const fn config_state_code(state: ConfigState) -> i16 {
    match state {
        ConfigState::Watched(_) => 0,
        ConfigState::InForce => 1,
        ConfigState::RolledBack => 2,
    }
}

/// A version's state, with what is left of its watch.
///
/// # Errors
/// A number that no state has.
pub fn config_state_of(code: i64, left: Duration) -> Result<ConfigState, StoreError> {
    match code {
        0 => Ok(ConfigState::Watched(left)),
        1 => Ok(ConfigState::InForce),
        2 => Ok(ConfigState::RolledBack),
        _ => Err(malformed(format!("state {code} of a configuration"))),
    }
}

/// How a process took a version.
#[must_use]
pub const fn config_taken_code(taken: ConfigTaken) -> i16 {
    match taken {
        ConfigTaken::Applied => 0,
        ConfigTaken::Waiting => 1,
        ConfigTaken::Failed => 2,
    }
}

/// How a process took a version.
///
/// # Errors
/// A number that none has.
pub fn config_taken_of(code: i64) -> Result<ConfigTaken, StoreError> {
    match code {
        0 => Ok(ConfigTaken::Applied),
        1 => Ok(ConfigTaken::Waiting),
        2 => Ok(ConfigTaken::Failed),
        _ => Err(malformed(format!("report {code} of a configuration"))),
    }
}

const LEVELS: [AlertLevel; 5] = [
    AlertLevel::Informational,
    AlertLevel::Low,
    AlertLevel::Medium,
    AlertLevel::High,
    AlertLevel::Critical,
];

/// 0 informational to 4 critical, so that higher levels are greater numbers.
#[must_use]
pub const fn alert_level_code(level: AlertLevel) -> i16 {
    match level {
        AlertLevel::Informational => 0,
        AlertLevel::Low => 1,
        AlertLevel::Medium => 2,
        AlertLevel::High => 3,
        AlertLevel::Critical => 4,
    }
}

/// The level of a code.
///
/// # Errors
/// A number that no level has.
pub fn alert_level_of(code: i64) -> Result<AlertLevel, StoreError> {
    let mut all = LEVELS.into_iter();
    all.find(|level| i64::from(alert_level_code(*level)) == code)
        .ok_or_else(|| malformed(format!("level {code} of an alert")))
}

/// 0 open, 1 acknowledged, 2 resolved.
#[must_use]
pub const fn alert_state_code(state: AlertState) -> i16 {
    match state {
        AlertState::Open => 0,
        AlertState::Acknowledged => 1,
        AlertState::Resolved => 2,
    }
}

/// The state of a code.
///
/// # Errors
/// A number that no state has.
pub fn alert_state_of(code: i64) -> Result<AlertState, StoreError> {
    match code {
        0 => Ok(AlertState::Open),
        1 => Ok(AlertState::Acknowledged),
        2 => Ok(AlertState::Resolved),
        _ => Err(malformed(format!("state {code} of an alert"))),
    }
}

/// A thousand years: longer than anything waits, and short enough that now plus it is a time.
const SPAN_MAX: i64 = 31_556_952_000_000_000;

/// A span of time in microseconds. What is longer than a thousand years counts as that.
#[must_use]
pub fn span(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).map_or(SPAN_MAX, |micros| micros.min(SPAN_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_and_every_way_is_read_back_as_it_was_written() {
        for (reason, text) in REASONS {
            assert_eq!(reason_text(reason).unwrap(), text);
            assert_eq!(reason_of(text).unwrap(), reason);
        }
        for via in Via::ALL {
            assert_eq!(via_of(via_code(via)).unwrap(), via);
        }
        assert!(reason_of("other").is_err() && via_of(3).is_err());
    }

    #[test]
    fn levels_and_states_of_alerts_are_read_back_and_levels_keep_their_order() {
        for level in LEVELS {
            let code = alert_level_code(level);
            assert_eq!(alert_level_of(code.into()).unwrap(), level);
        }
        assert!(LEVELS.is_sorted_by_key(|level| alert_level_code(*level)) && LEVELS.is_sorted());
        for state in [
            AlertState::Open,
            AlertState::Acknowledged,
            AlertState::Resolved,
        ] {
            let code = alert_state_code(state);
            assert_eq!(alert_state_of(code.into()).unwrap(), state);
        }
        assert!(alert_level_of(5).is_err() && alert_state_of(3).is_err());
    }

    #[test]
    fn no_span_is_longer_than_a_thousand_years() {
        assert_eq!(span(Duration::from_micros(7)), 7);
        assert_eq!(span(Duration::MAX), SPAN_MAX);
    }
}
