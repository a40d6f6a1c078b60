//! A stored event as every answer shows it: `{"event":{...},"ledger":0,"leafIndex":7,"leafHash":"...","sealedAt":"..."}`.

use audit_integrity::ledger::LedgerId;
use audit_store::StoredEvent;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::problem::HttpProblem;

/// The body of a stored event. The event is the canonical text itself, never re-serialised.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoredBody {
    /// `null` when the body has expired.
    event: Option<Box<RawValue>>,
    ledger: LedgerName,
    leaf_index: u64,
    leaf_hash: String,
    sealed_at: String,
}

/// A ledger in JSON: its number, or `"directory"`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LedgerName(pub(crate) LedgerId);

impl Serialize for LedgerName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            LedgerId::Events(number) => serializer.serialize_u16(number),
            LedgerId::Directory => serializer.serialize_str("directory"),
        }
    }
}

impl StoredBody {
    /// # Errors
    /// 500 when what is stored is no JSON: somebody altered it, and verification will say so.
    pub(crate) fn of(stored: StoredEvent) -> Result<Self, HttpProblem> {
        let event = stored.canonical.map(raw).transpose()?;
        Ok(Self {
            event,
            ledger: LedgerName(stored.ledger),
            leaf_index: stored.leaf_index.0,
            leaf_hash: stored.leaf_hash.to_string(),
            sealed_at: stored.sealed_at.to_string(),
        })
    }
}

fn raw(canonical: Vec<u8>) -> Result<Box<RawValue>, HttpProblem> {
    let text = String::from_utf8(canonical).ok();
    text.and_then(|text| RawValue::from_string(text).ok())
        .ok_or_else(|| {
            let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
            HttpProblem::new(
                status,
                "internal",
                "a stored event is not what was stored; verify the ledger",
            )
        })
}
