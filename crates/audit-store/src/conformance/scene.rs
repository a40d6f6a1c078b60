//! A lane as the pipeline has one, reduced to what the store sees of it.

use audit_event::{EventDraft, Timestamp};
use audit_integrity::bundle::Bundle;
use audit_integrity::claim::claim_of;
use audit_integrity::control::{ControlKind, ControlPlace, SealedControl, seal_control};
use audit_integrity::entry::{Place, Salt, SealedEvent, seal};
use audit_integrity::head::{CompactRange, Head, LedgerState};
use audit_integrity::keys::LaneKey;
use audit_integrity::ledger::{Digest, LeafIndex, LedgerId, Origin};
use audit_integrity::row::EventRow;
use audit_integrity::tile::{FullTile, TileBuilder};

use super::TestStore;
use super::sample;
use crate::{Chunk, Commit, CommitError, Lease, NewDeadLetter, Receipt, Store, Via};

/// The ledger most cases use.
pub const LEDGER: LedgerId = LedgerId::Events(0);
/// Who holds the leases.
pub const OWNER: &str = "lane-1";

/// A lane: lease, head and tiles of one ledger, and everything it has committed.
#[derive(Debug, Clone)]
pub struct Lane {
    /// The lease.
    pub lease: Lease,
    /// The head as of the last commit.
    pub head: Head,
    /// What was committed, in leaf order.
    pub committed: Vec<EventRow>,
    ledger: LedgerId,
    tiles: TileBuilder,
}

/// A commit and everything it lends.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in Commit")]
pub struct Prepared {
    pub lease: Lease,
    pub expected_size: u64,
    pub chunk: Option<Chunk>,
    pub events: Vec<SealedEvent>,
    pub controls: Vec<SealedControl>,
    pub tiles: Vec<FullTile>,
    pub head: Head,
    pub dead_letters: Vec<NewDeadLetter>,
    pub receipts: Vec<Receipt>,
    after: TileBuilder,
}

impl Prepared {
    /// The commit.
    #[must_use]
    pub fn commit(&self) -> Commit<'_> {
        Commit {
            lease: &self.lease,
            expected_size: self.expected_size,
            chunk: self.chunk.clone(),
            events: &self.events,
            controls: &self.controls,
            tiles: &self.tiles,
            head: &self.head,
            dead_letters: &self.dead_letters,
            receipts: &self.receipts,
        }
    }

    /// With a receipt of these events as frame `n`.
    #[must_use]
    pub fn receipted(mut self, n: u64) -> Self {
        let stored = u32::try_from(self.events.len()).unwrap();
        self.receipts.push(receipt(n, stored));
        self
    }
}

/// The receipt of frame `n`, all of whose events were stored.
#[must_use]
pub fn receipt(n: u64, stored: u32) -> Receipt {
    Receipt {
        frame_id: sample::frame(n),
        source: format!("queue/{n}"),
        via: Via::Queue,
        events: stored,
        stored,
        duplicate: 0,
        conflict: 0,
        dead_lettered: 0,
        committed_at: sample::at(2_000_000),
    }
}

/// The key of every head's MAC.
#[must_use]
pub fn key() -> LaneKey {
    LaneKey::new([7; 32])
}

/// The name of a ledger.
#[must_use]
pub fn origin(ledger: LedgerId) -> Origin {
    Origin::new("audit.invalid/CONFORMANCE", ledger)
}

fn sealed_at() -> Timestamp {
    sample::at(1_500_000)
}

impl Lane {
    /// Opens the ledger when it is not there, and takes its lease.
    pub async fn open(store: &Store, ledger: LedgerId) -> Self {
        let empty = Head::seal(
            &key(),
            &origin(ledger),
            0,
            LedgerState::Open,
            CompactRange::default(),
        );
        store
            .writer
            .open_ledger(ledger, &origin(ledger), &empty)
            .await
            .unwrap();
        let lease = store
            .leases
            .acquire(ledger, OWNER)
            .await
            .unwrap()
            .expect("the ledger is free");
        let info = store
            .ledgers
            .ledger(ledger)
            .await
            .unwrap()
            .expect("it was opened");
        assert_eq!(info.head.size, 0, "cases begin with an empty store");
        Self {
            lease,
            head: info.head,
            committed: Vec::new(),
            ledger,
            tiles: TileBuilder::default(),
        }
    }

    /// Goes on where the ledger ends, in a new epoch, as a restarted lane does.
    pub async fn resume(store: &Store, ledger: LedgerId) -> Self {
        let lease = store
            .leases
            .acquire(ledger, OWNER)
            .await
            .unwrap()
            .expect("its own lease");
        let info = store
            .ledgers
            .ledger(ledger)
            .await
            .unwrap()
            .expect("it was opened");
        let mut tiles = TileBuilder::default();
        let mut full = Vec::new();
        for chunk in store
            .ledgers
            .chunks(ledger, LeafIndex(0), u32::MAX)
            .await
            .unwrap()
        {
            for leaf in audit_integrity::tile::digests_of(&chunk.leaf_hashes) {
                tiles.push(leaf, &mut full);
            }
        }
        let committed = store
            .events
            .rows(ledger, LeafIndex(0), LeafIndex(u64::MAX), u32::MAX)
            .await
            .unwrap();
        Self {
            lease,
            head: info.head,
            committed,
            ledger,
            tiles,
        }
    }

    /// Seals drafts at the end of the ledger.
    #[must_use]
    pub fn prepare(&self, drafts: Vec<EventDraft>) -> Prepared {
        let mut events = Vec::new();
        for (draft, index) in drafts.into_iter().zip(self.head.size..) {
            let claim = claim_of(draft.event());
            let mut salt = [0x5a; 16];
            salt[8..].copy_from_slice(&index.to_be_bytes());
            let place = Place {
                ledger: self.ledger,
                index: LeafIndex(index),
                sealed_at: sealed_at(),
                salt: Salt(salt),
            };
            events.push(seal(draft, claim, &place));
        }
        let entries: Vec<_> = events
            .iter()
            .map(|event| (event.entry.clone(), event.leaf_hash))
            .collect();
        let mut prepared = self.with_entries(&entries);
        prepared.events = events;
        prepared
    }

    /// Seals control documents at the end of the directory.
    #[must_use]
    pub fn prepare_controls(&self, documents: &[audit_event::Value]) -> Prepared {
        let mut controls = Vec::new();
        for (document, index) in documents.iter().zip(self.head.size..) {
            let place = ControlPlace {
                id: sample::id(index),
                index: LeafIndex(index),
                sealed_at: sealed_at(),
                salt: Salt([0x33; 16]),
            };
            controls.push(seal_control(ControlKind::Snapshot, document, &place));
        }
        let entries: Vec<_> = controls
            .iter()
            .map(|control| (control.entry.clone(), control.leaf_hash))
            .collect();
        let mut prepared = self.with_entries(&entries);
        prepared.controls = controls;
        prepared
    }

    fn with_entries(&self, entries: &[(Vec<u8>, Digest)]) -> Prepared {
        let (mut tiles, mut after, mut range) =
            (Vec::new(), self.tiles.clone(), self.head.range.clone());
        for (_, leaf) in entries {
            after.push(*leaf, &mut tiles);
            range.push(*leaf);
        }
        let chunk = (!entries.is_empty()).then(|| Chunk {
            first_leaf: LeafIndex(self.head.size),
            count: u32::try_from(entries.len()).unwrap(),
            entries: Bundle::of(entries.iter().map(|(entry, _)| entry.as_slice()))
                .unwrap()
                .compress(),
            leaf_hashes: entries.iter().flat_map(|(_, leaf)| leaf.0).collect(),
        });
        let head = match chunk {
            Some(_) => Head::seal(
                &key(),
                &origin(self.ledger),
                self.lease.epoch,
                LedgerState::Open,
                range,
            ),
            None => self.head.clone(),
        };
        Prepared {
            lease: self.lease.clone(),
            expected_size: self.head.size,
            chunk,
            events: Vec::new(),
            controls: Vec::new(),
            tiles,
            head,
            dead_letters: Vec::new(),
            receipts: Vec::new(),
            after,
        }
    }

    /// Notes that a commit succeeded.
    pub fn advance(&mut self, prepared: &Prepared) {
        self.head = prepared.head.clone();
        self.tiles = prepared.after.clone();
        self.committed
            .extend(prepared.events.iter().map(EventRow::of));
    }

    /// Commits drafts.
    pub async fn commit(&mut self, store: &Store, drafts: Vec<EventDraft>) -> Prepared {
        let prepared = self.prepare(drafts);
        store.writer.commit(prepared.commit()).await.unwrap();
        self.advance(&prepared);
        prepared
    }

    /// Commits, kills the process before the delivery is settled, and delivers again: once as it was, once as a new lane
    /// would that did not look first. Nothing may be stored twice.
    pub async fn commit_twice(&mut self, subject: &mut dyn TestStore, prepared: Prepared) {
        subject
            .store()
            .writer
            .commit(prepared.commit())
            .await
            .unwrap();
        self.advance(&prepared);
        let before = Books::read(&subject.store(), self.ledger).await;
        subject.crash().await;
        let store = subject.store();
        assert_eq!(
            Books::read(&store, self.ledger).await,
            before,
            "a commit that returned was lost"
        );
        if prepared.chunk.is_some() {
            let again = store.writer.commit(prepared.commit()).await;
            assert!(
                matches!(
                    again,
                    Err(CommitError::HeadMoved { .. } | CommitError::AlreadyStored)
                ),
                "{again:?}"
            );
        }
        self.lease = store
            .leases
            .acquire(self.ledger, OWNER)
            .await
            .unwrap()
            .expect("its own lease");
        let drafts = prepared
            .events
            .iter()
            .map(|event| EventDraft::clone(&event.draft))
            .collect();
        let mut renumbered = self.prepare(drafts);
        renumbered.receipts.clone_from(&prepared.receipts);
        if !renumbered.events.is_empty() || !renumbered.receipts.is_empty() {
            let again = store.writer.commit(renumbered.commit()).await;
            assert!(
                matches!(again, Err(CommitError::AlreadyStored)),
                "{again:?}"
            );
        }
        assert_eq!(
            Books::read(&store, self.ledger).await,
            before,
            "a delivery was stored twice"
        );
    }
}

/// Everything of a store that a commit moves.
#[derive(Debug, PartialEq)]
pub struct Books {
    head: Head,
    rows: Vec<EventRow>,
    chunks: Vec<Chunk>,
    tiles: Vec<FullTile>,
    controls: Vec<crate::ControlRow>,
    totals: crate::Totals,
    waiting: u64,
}

impl Books {
    /// As the store has them now.
    pub async fn read(store: &Store, ledger: LedgerId) -> Self {
        let all = LeafIndex(u64::MAX);
        Self {
            head: store
                .ledgers
                .ledger(ledger)
                .await
                .unwrap()
                .expect("the ledger is open")
                .head,
            rows: store
                .events
                .rows(ledger, LeafIndex(0), all, u32::MAX)
                .await
                .unwrap(),
            chunks: store
                .ledgers
                .chunks(ledger, LeafIndex(0), u32::MAX)
                .await
                .unwrap(),
            tiles: store.ledgers.tiles(ledger, None, u32::MAX).await.unwrap(),
            controls: store
                .ledgers
                .controls(LeafIndex(0), u32::MAX)
                .await
                .unwrap(),
            totals: store.receipts.totals(Via::Queue).await.unwrap(),
            waiting: store.dead_letters.waiting().await.unwrap(),
        }
    }
}

/// Everything of a ledger that must agree with everything else, whatever happened before; gives back its size.
pub async fn agree(store: &Store, ledger: LedgerId) -> u64 {
    let head = store.ledgers.ledger(ledger).await.unwrap().unwrap().head;
    assert!(head.is_authentic(&key(), &origin(ledger)));
    let rows = store
        .events
        .rows(ledger, LeafIndex(0), LeafIndex(u64::MAX), u32::MAX)
        .await
        .unwrap();
    let chunks = store
        .ledgers
        .chunks(ledger, LeafIndex(0), u32::MAX)
        .await
        .unwrap();
    let (mut range, mut tiles, mut full) =
        (CompactRange::default(), TileBuilder::default(), Vec::new());
    let mut rows_left = rows.iter();
    for chunk in &chunks {
        assert_eq!(chunk.first_leaf.0, range.size(), "chunks follow each other");
        let entries = Bundle::decompress(&chunk.entries, chunk.count).unwrap();
        for (entry, leaf) in entries
            .iter()
            .zip(audit_integrity::tile::digests_of(&chunk.leaf_hashes))
        {
            let row = rows_left.next().expect("an entry has its row");
            assert_eq!(row.differences(entry), Vec::<&str>::new());
            assert_eq!((row.leaf_index.0, row.leaf_hash), (range.size(), leaf));
            range.push(leaf);
            tiles.push(leaf, &mut full);
        }
    }
    assert_eq!(rows_left.next(), None, "a row has its entry");
    assert_eq!(range, head.range);
    full.sort_by_key(|tile| tile.id);
    assert_eq!(
        store.ledgers.tiles(ledger, None, u32::MAX).await.unwrap(),
        full
    );
    head.size
}
