//! The directory ledger: which ledgers there are, which keys sign them, and where they stood.
//!
//! Only this module appends to it, under a lease of its own, through the one write port.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use audit_event::{EventId, Timestamp};
use audit_integrity::bundle::Bundle;
use audit_integrity::control::{ControlPlace, SealedControl, seal_control};
use audit_integrity::documents::{ControlDocument, LedgerStanding};
use audit_integrity::entry::{EntryHeader, EntryKind, Salt};
use audit_integrity::head::{CompactRange, Head, LedgerState};
use audit_integrity::keys::{KeyError, KeySource};
use audit_integrity::ledger::{LeafIndex, LedgerId, Origin};
use audit_integrity::tile::{TileBuilder, bytes_of};
use audit_runtime::{Clock, Fault, Faulty, Random, ShutdownSignal};
use audit_store::{
    Chunk, Commit, CommitError, Lease, Leases, LedgerRead, LedgerWriter, Store, StoreError,
};

use crate::frontier::{frontier, malformed};
use crate::metric;

/// Shortest time between two snapshots (DESIGN §3.2).
pub const SNAPSHOT_EVERY: Duration = Duration::from_secs(60);
/// How often the lease is renewed (DESIGN §3.2).
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// Control documents read at a time.
const PAGE: u32 = 1_000;

/// What the directory works on.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each port's own comment says it")]
pub struct DirectoryPorts {
    pub ledgers: Arc<dyn LedgerRead>,
    pub writer: Arc<dyn LedgerWriter>,
    pub leases: Arc<dyn Leases>,
    pub keys: Arc<dyn KeySource>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
}

impl DirectoryPorts {
    /// The ports of a store, with keys, clock and random source.
    #[must_use]
    pub fn new(
        store: &Store,
        keys: Arc<dyn KeySource>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            ledgers: Arc::clone(&store.ledgers),
            writer: Arc::clone(&store.writer),
            leases: Arc::clone(&store.leases),
            keys,
            clock,
            random,
        }
    }
}

/// The directory could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// The store cannot be read or written.
    #[error("the store")]
    Store(#[from] StoreError),
    /// The commit did not happen.
    #[error("the commit")]
    Commit(#[from] CommitError),
    /// A key cannot be had.
    #[error("the keys")]
    Keys(#[from] KeyError),
    /// Another process holds the directory.
    #[error("another process holds the directory ledger")]
    Held,
    /// The head of the directory was not written by a lane of this deployment.
    #[error("the head of the directory ledger is not authentic")]
    NotAuthentic,
    /// The key of a ledger is not the one that its control entries name.
    #[error(
        "the signing key of {origin} is not the one that the directory names; restore the key directory"
    )]
    OtherKey {
        /// Whose key.
        origin: String,
    },
}

impl Faulty for DirectoryError {
    fn fault(&self) -> Fault {
        match self {
            Self::Store(error) => error.fault(),
            Self::Commit(error) => error.fault(),
            Self::Keys(_) | Self::Held => Fault::Outage,
            Self::NotAuthentic | Self::OtherKey { .. } => Fault::Fatal,
        }
    }
}

/// Appends to the directory ledger. One per deployment.
#[derive(Debug)]
pub struct Directory {
    ports: DirectoryPorts,
    deployment_id: String,
    lease: Lease,
    /// The tree so far; only this task touches it. Right only until a commit fails, see [`Self::reload`].
    builder: TileBuilder,
    /// What the last snapshot said.
    snapshot: Vec<LedgerStanding>,
    /// Ledgers and keys that have their entries.
    opened: BTreeMap<LedgerId, Option<String>>,
}

impl Directory {
    /// Takes the directory, makes it at first start, and opens `ledgers`: heads in the store, then their control entries.
    ///
    /// The keys of the ledgers and of the directory must exist. Idempotent; call it at every start.
    ///
    /// # Errors
    /// [`DirectoryError::OtherKey`] when a key was replaced; outages otherwise.
    pub async fn open(
        ports: DirectoryPorts,
        deployment_id: &str,
        owner: &str,
        ledgers: &[LedgerId],
    ) -> Result<Self, DirectoryError> {
        for ledger in ledgers.iter().copied().chain([LedgerId::Directory]) {
            open_ledger(&ports, deployment_id, ledger).await?;
        }
        let lease = ports
            .leases
            .acquire(LedgerId::Directory, owner)
            .await?
            .ok_or(DirectoryError::Held)?;
        let mut directory = Self {
            ports,
            deployment_id: deployment_id.to_owned(),
            lease,
            builder: TileBuilder::default(),
            snapshot: Vec::new(),
            opened: BTreeMap::new(),
        };
        directory.reload().await?;
        directory.read_documents().await?;
        let missing = directory.missing(ledgers).await?;
        directory.append(&missing).await?;
        Ok(directory)
    }

    /// Renews the lease and takes snapshots until shutdown begins, then gives the directory back. Ends early when another
    /// process has taken it.
    pub async fn run(mut self, shutdown: ShutdownSignal) {
        let mut renewals = tokio::time::interval(RENEW_EVERY);
        renewals.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut snapshots = tokio::time::interval(SNAPSHOT_EVERY);
        snapshots.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                () = shutdown.begun() => break,
                _ = renewals.tick() => self.renew().await,
                _ = snapshots.tick() => self.snapshot().await.map(|_size| ()),
            };
            if let Err(DirectoryError::Held) = done {
                tracing::warn!(owner = %self.lease.owner, "another process has taken the directory ledger");
                return;
            }
            if let Err(error) = done {
                metrics::counter!(metric::DIRECTORY_FAILURES).increment(1);
                tracing::warn!(error = &error as &dyn std::error::Error, "directory ledger");
            }
        }
        if let Err(error) = self.ports.leases.release(&self.lease).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the lease of the directory runs out by itself"
            );
        }
    }

    /// Appends a snapshot of every event ledger, unless nothing moved since the last one. Gives back the directory's size.
    ///
    /// # Errors
    /// As [`DirectoryError`] says; nothing was appended.
    pub async fn snapshot(&mut self) -> Result<u64, DirectoryError> {
        let infos = self.ports.ledgers.ledgers().await?;
        let standings: Vec<_> = infos
            .iter()
            .filter(|info| info.ledger != LedgerId::Directory)
            .map(|info| {
                let tree = audit_integrity::tree::Tree {
                    size: info.head.size,
                    root: info.head.range.root(),
                };
                LedgerStanding {
                    ledger: info.ledger,
                    state: info.head.state,
                    tree,
                }
            })
            .collect();
        if standings != self.snapshot {
            self.append(&[ControlDocument::Snapshot(standings.clone())])
                .await?;
            self.snapshot = standings;
        }
        Ok(self.builder.size())
    }

    /// Appends control documents in one commit.
    ///
    /// # Errors
    /// As [`DirectoryError`] says. After an unknown outcome the directory was read again: look before you append again.
    pub async fn append(&mut self, documents: &[ControlDocument]) -> Result<(), DirectoryError> {
        if documents.is_empty() {
            return Ok(());
        }
        let first = self.builder.size();
        let controls: Vec<_> = documents
            .iter()
            .zip(first..)
            .map(|(document, index)| self.seal(document, index))
            .collect();
        let committed = self.commit(first, &controls).await;
        if committed.is_err() {
            self.reload().await?;
        }
        committed
    }

    fn seal(&self, document: &ControlDocument, index: u64) -> SealedControl {
        let (mut salt, mut random) = ([0; 16], [0; 10]);
        self.ports.random.fill(&mut salt);
        self.ports.random.fill(&mut random);
        let sealed_at = Timestamp::clamped(self.ports.clock.now_micros());
        let place = ControlPlace {
            id: EventId::v7(sealed_at, random),
            index: LeafIndex(index),
            sealed_at,
            salt: Salt(salt),
        };
        seal_control(document.kind(), &document.to_value(), &place)
    }

    async fn commit(
        &mut self,
        first: u64,
        controls: &[SealedControl],
    ) -> Result<(), DirectoryError> {
        let mut builder = self.builder.clone();
        let mut tiles = Vec::new();
        for control in controls {
            builder.push(control.leaf_hash, &mut tiles);
        }
        let bundle = Bundle::of(controls.iter().map(|control| control.entry.as_slice()))
            .map_err(|error| malformed(format!("control entry: {error}")))?;
        let leaves: Vec<_> = controls.iter().map(|control| control.leaf_hash).collect();
        let count = u32::try_from(controls.len())
            .map_err(|_count| malformed("too many control entries".to_owned()))?;
        let chunk = Chunk {
            first_leaf: LeafIndex(first),
            count,
            entries: bundle.compress(),
            leaf_hashes: bytes_of(&leaves),
        };
        let key = self.ports.keys.lane_key().await?;
        let origin = Origin::new(&self.deployment_id, LedgerId::Directory);
        let head = Head::seal(
            &key,
            &origin,
            self.lease.epoch,
            LedgerState::Open,
            builder.range(),
        );
        let commit = Commit {
            lease: &self.lease,
            expected_size: first,
            chunk: Some(chunk),
            events: &[],
            controls,
            tiles: &tiles,
            head: &head,
            dead_letters: &[],
            receipts: &[],
        };
        self.ports.writer.commit(commit).await?;
        self.builder = builder;
        Ok(())
    }

    /// Reads the tree again from the committed head, whose MAC must be right.
    async fn reload(&mut self) -> Result<(), DirectoryError> {
        let info = self.ports.ledgers.ledger(LedgerId::Directory).await?;
        let head = info
            .ok_or_else(|| malformed("the directory ledger is absent".to_owned()))?
            .head;
        let origin = Origin::new(&self.deployment_id, LedgerId::Directory);
        if !head.is_authentic(&self.ports.keys.lane_key().await?, &origin) {
            return Err(DirectoryError::NotAuthentic);
        }
        let builder = frontier(self.ports.ledgers.as_ref(), LedgerId::Directory, head.size).await?;
        if builder.range() != head.range {
            return Err(DirectoryError::NotAuthentic);
        }
        self.builder = builder;
        Ok(())
    }

    /// What the control entries say already.
    async fn read_documents(&mut self) -> Result<(), DirectoryError> {
        let mut next = LeafIndex(0);
        while next.0 < self.builder.size() {
            let chunks = self
                .ports
                .ledgers
                .chunks(LedgerId::Directory, next, PAGE)
                .await?;
            for chunk in chunks {
                let rows = self
                    .ports
                    .ledgers
                    .controls(chunk.first_leaf, chunk.count)
                    .await?;
                let bundle = Bundle::decompress(&chunk.entries, chunk.count)
                    .map_err(|error| malformed(error.to_string()))?;
                for (row, entry) in rows.iter().zip(bundle.iter()) {
                    let header = EntryHeader::from_entry(entry)
                        .map_err(|error| malformed(error.to_string()))?;
                    if let EntryKind::Control(kind) = header.kind
                        && let Some(document) = ControlDocument::read(kind, &row.document)
                    {
                        self.learn(document);
                    }
                }
                next = LeafIndex(chunk.first_leaf.0 + u64::from(chunk.count));
            }
        }
        Ok(())
    }

    fn learn(&mut self, document: ControlDocument) {
        match document {
            ControlDocument::LedgerOpened { ledger, .. } => {
                self.opened.entry(ledger).or_default();
            }
            ControlDocument::Key {
                origin,
                verifier_key,
            } => {
                if let Some(ledger) = origin.ledger() {
                    self.opened.insert(ledger, Some(verifier_key));
                }
            }
            ControlDocument::Snapshot(standings) => self.snapshot = standings,
            _ => {}
        }
    }

    /// Entries that `ledgers` and the directory itself should have and do not.
    async fn missing(
        &mut self,
        ledgers: &[LedgerId],
    ) -> Result<Vec<ControlDocument>, DirectoryError> {
        let mut missing = Vec::new();
        for ledger in [LedgerId::Directory]
            .into_iter()
            .chain(ledgers.iter().copied())
        {
            let origin = Origin::new(&self.deployment_id, ledger);
            let verifier_key = self.ports.keys.verifier_key(&origin).await?;
            match self.opened.get(&ledger) {
                Some(Some(known)) if *known == verifier_key => continue,
                Some(Some(_)) => {
                    return Err(DirectoryError::OtherKey {
                        origin: origin.as_str().to_owned(),
                    });
                }
                Some(None) => {}
                None => missing.push(ControlDocument::LedgerOpened {
                    ledger,
                    origin: origin.clone(),
                }),
            }
            self.opened.insert(ledger, Some(verifier_key.clone()));
            missing.push(ControlDocument::Key {
                origin,
                verifier_key,
            });
        }
        Ok(missing)
    }

    /// Keeps the lease, or takes the directory again after it was lost.
    async fn renew(&mut self) -> Result<(), DirectoryError> {
        if self.ports.leases.renew(&self.lease).await? {
            return Ok(());
        }
        let owner = self.lease.owner.clone();
        self.lease = self
            .ports
            .leases
            .acquire(LedgerId::Directory, &owner)
            .await?
            .ok_or(DirectoryError::Held)?;
        self.reload().await
    }
}

/// An empty ledger with an authentic head, when there is none.
async fn open_ledger(
    ports: &DirectoryPorts,
    deployment_id: &str,
    ledger: LedgerId,
) -> Result<(), DirectoryError> {
    let origin = Origin::new(deployment_id, ledger);
    let key = ports.keys.lane_key().await?;
    let head = Head::seal(&key, &origin, 0, LedgerState::Open, CompactRange::default());
    Ok(ports.writer.open_ledger(ledger, &origin, &head).await?)
}
