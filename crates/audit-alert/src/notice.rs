//! What a handler is told.

use std::fmt;

use audit_event::Timestamp;
use audit_store::{AlertId, StoreError};
use serde::{Deserialize, Serialize};

use crate::alert::Alert;
use crate::wire;

/// Something that became of an alert, and the alert as it was then. Its JSON is what the outbox keeps and what a webhook is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Idempotency key: the same when it is told again, and of no other notice. At most 96 letters, digits and `-`.
    pub key: String,
    /// What became of it.
    pub kind: NoticeKind,
    /// The alert as it was then.
    pub alert: Alert,
    /// When.
    #[serde(with = "wire::time")]
    pub at: Timestamp,
}

/// What became of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NoticeKind {
    /// It is new.
    Raised,
    /// No later event can belong to it. Not told of an alert that had ended when it was raised.
    Ended,
    /// Somebody looks.
    Acknowledged,
    /// Done with.
    Resolved,
    /// Nobody looked for too long.
    Escalated,
}

impl NoticeKind {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Ended => "ended",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
            Self::Escalated => "escalated",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [
            Self::Raised,
            Self::Ended,
            Self::Acknowledged,
            Self::Resolved,
            Self::Escalated,
        ];
        all.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for NoticeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The idempotency key of a notice. A full stop would not do: Standard Webhooks signs the key with full stops around it.
pub(crate) fn key(alert: AlertId, kind: NoticeKind, ordinal: u32) -> String {
    format!("{alert}-{kind}-{ordinal}")
}

/// Writes what cannot fail to be written, short of a bug, without a panic.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Malformed {
        what: format!("an alert that cannot be written: {error}"),
    })
}
