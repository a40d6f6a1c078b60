//! Leases: which process may append to which ledger.

use async_trait::async_trait;
use audit_integrity::ledger::LedgerId;
use audit_runtime::Clock;

use crate::error::StoreError;

/// The right to append to a ledger in one epoch. Safety does not rest on its expiry: the commit itself compares epochs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The ledger.
    pub ledger: LedgerId,
    /// The epoch this lease was given; every commit carries it.
    pub epoch: u64,
    /// Who holds it.
    pub owner: String,
}

/// A lease as `auditctl status` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseInfo {
    /// The lease.
    pub lease: Lease,
    /// Microseconds until it runs out, by the store's clock; not positive when it has.
    pub expires_in_micros: i64,
}

/// **Port.** Leases of ledgers, and of the signer.
///
/// A lease is durable when `acquire` returns. Expiry is judged by the store's clock, never by the caller's. Callable
/// concurrently; a dropped future may have acquired (the lease then runs out). The caller renews in time.
#[async_trait]
pub trait Leases: Send + Sync + std::fmt::Debug {
    /// Takes the ledger when it is free, expired, or already held by `owner`; bumps the epoch. `None` when another holds it.
    async fn acquire(&self, ledger: LedgerId, owner: &str) -> Result<Option<Lease>, StoreError>;

    /// Extends the lease by its full time. `false` when it is no longer this owner's in this epoch.
    async fn renew(&self, lease: &Lease) -> Result<bool, StoreError>;

    /// Gives it back at once; nothing happens when it is no longer ours.
    async fn release(&self, lease: &Lease) -> Result<(), StoreError>;

    /// Every lease there is.
    async fn list(&self) -> Result<Vec<LeaseInfo>, StoreError>;
}

/// How long a lease lasts, in microseconds (DESIGN §3.2: 15 s, renewed every 5 s).
pub const LEASE_MICROS: i64 = 15_000_000;

/// A clock for stores that live in this process.
pub type LocalClock = std::sync::Arc<dyn Clock>;
