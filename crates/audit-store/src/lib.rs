//! Ports of the store: what a place that keeps ledgers, events and dead letters promises.
//!
//! What it is not: it contains no database and no SQL. A backend implements the traits here and passes
//! `conformance::run` (feature `conformance`), which proves the sentences of their comments one by one.

pub mod alerts;
pub mod checkpoints;
pub mod code;
pub mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod dead_letters;
pub mod error;
pub mod keys;
pub mod leases;
pub mod ledger;
pub mod query;
pub mod read;
pub mod receipts;
pub mod tiles;
pub mod work;

pub use alerts::{
    AlertCount, AlertFilter, AlertId, AlertLevel, AlertRecord, AlertState, AlertWrite,
    AlertWritten, Alerts, Delivery, NewDelivery, OutboxState,
};
pub use checkpoints::Checkpoints;
pub use config::{
    ConfigReport, ConfigState, ConfigTaken, ConfigVersion, ConfigVersions, NewConfigVersion,
};
pub use dead_letters::{
    DeadLetter, DeadLetterFilter, DeadLetterReason, DeadLetters, NewDeadLetter,
};
pub use error::{CommitError, StoreError};
pub use keys::{ApiKey, ApiKeys, NewApiKey, Role};
pub use leases::{Lease, LeaseInfo, Leases};
pub use ledger::{Chunk, Commit, ControlRow, LedgerInfo, LedgerRead, LedgerWriter};
pub use query::{EventQuery, Filter, Order, Page, PageRequest};
pub use read::{EventRead, Found, Look, LookAtLeaves, StoredEvent};
pub use receipts::{Receipt, Receipts, Totals, Via};
pub use work::{Cursors, Migration, Migrations, Runs, TextIndex};

use std::sync::Arc;

/// Every port of one opened store. Cheap to clone; adapters hand this out.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each port's own comment says it")]
pub struct Store {
    pub writer: Arc<dyn LedgerWriter>,
    pub ledgers: Arc<dyn LedgerRead>,
    pub events: Arc<dyn EventRead>,
    pub query: Arc<dyn EventQuery>,
    pub leases: Arc<dyn Leases>,
    pub checkpoints: Arc<dyn Checkpoints>,
    pub dead_letters: Arc<dyn DeadLetters>,
    pub receipts: Arc<dyn Receipts>,
    pub api_keys: Arc<dyn ApiKeys>,
    pub cursors: Arc<dyn Cursors>,
    pub runs: Arc<dyn Runs>,
    pub configs: Arc<dyn ConfigVersions>,
    pub alerts: Arc<dyn Alerts>,
    pub text: Option<Arc<dyn TextIndex>>,
    pub migrations: Arc<dyn Migrations>,
}
