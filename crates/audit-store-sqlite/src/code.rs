//! The codes of all stores, and what SQLite's one width of integers needs.

pub(crate) use audit_store::code::{
    LEAF_BITS, address, alert_level_code, alert_level_of, alert_state_code, alert_state_of, bound,
    classification_code, classification_of, config_state_code, config_state_of, config_taken_code,
    config_taken_of, digest, fixed, int, ledger_code, ledger_of, position, reason_of, reason_text,
    role_of, role_text, scanned_address, severity_code, severity_of, span, state_code, state_of,
    status_code, status_of, uint, via_code, via_of,
};

use audit_event::Timestamp;
use audit_store::StoreError;

use crate::error::malformed;

/// A smaller count from SQLite.
pub(crate) fn uint32(value: i64, what: &str) -> Result<u32, StoreError> {
    u32::try_from(value).map_err(|_source| malformed(format!("{what}: {value} is out of range")))
}

/// A time from SQLite.
pub(crate) fn time(micros: i64, what: &str) -> Result<Timestamp, StoreError> {
    Timestamp::from_micros(micros).ok_or_else(|| malformed(format!("{what}: no such time")))
}
