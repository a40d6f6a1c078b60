//! Verification of one ledger, fed in leaf order.

mod ending;

use std::collections::BTreeMap;
use std::sync::Arc;

use audit_event::{EventId, Timestamp};

use super::places::Places;
use super::tiles::Tiles;
use super::trees::{Reached, Trees, Voice};
use super::{Controls, Finding, FindingKind, Outcome, Report, Source};
use crate::bundle::{Bundle, ENTRIES_MAX};
use crate::checkpoint::{NoteError, SignedCheckpoint};
use crate::documents::ControlDocument;
use crate::entry::Salt;
use crate::head::Head;
use crate::keys::LaneKey;
use crate::ledger::{Digest, LeafIndex, LedgerId, Origin};
use crate::row::{Rows, StoredRow};
use crate::tile::digests_of;
use crate::tree::{SIZE_MAX, Tree};

/// What must be known of a ledger before its leaves are looked at.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Which ledger.
    pub ledger: LedgerId,
    /// Its name.
    pub origin: Origin,
    /// C2SP line of the key that signs its checkpoints; without one nothing is valid.
    pub verifier_key: Option<String>,
    /// Which events get an outcome.
    pub window: Window,
    /// What the directory says; empty for the directory itself.
    pub controls: Arc<Controls>,
}

/// Which events get an outcome. The tree is checked whole in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// Not before (inclusive).
    pub since: Option<Timestamp>,
    /// Before (exclusive).
    pub until: Option<Timestamp>,
}

impl Window {
    pub(super) fn is_everything(&self) -> bool {
        self.since.is_none() && self.until.is_none()
    }

    pub(super) fn contains(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
    }
}

/// A chunk as it is stored; nothing in it is believed.
#[derive(Debug, Clone, Copy)]
pub struct ChunkBytes<'a> {
    /// Position of its first entry.
    pub first_leaf: u64,
    /// How many entries it says it has.
    pub count: u32,
    /// Compressed entry bundle.
    pub entries: &'a [u8],
    /// 32 bytes an entry.
    pub leaf_hashes: &'a [u8],
}

impl ChunkBytes<'_> {
    /// Leaves after its first that it may speak of: rows up to there belong to it.
    #[must_use]
    pub fn extent(&self) -> u64 {
        let listed = self.leaf_hashes.len() / 32;
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        listed.max(count).min(ENTRIES_MAX) as u64
    }
}

/// A control document as it is stored.
#[derive(Debug, Clone, Copy)]
pub struct ControlBytes<'a> {
    /// Position in the directory.
    pub leaf_index: u64,
    /// Salt of its body.
    pub salt: Salt,
    /// The document.
    pub document: &'a [u8],
}

/// Verification of one ledger. See the module's comment for the order of calls.
#[derive(Debug)]
pub struct LedgerCheck {
    pub(super) setup: Setup,
    pub(super) report: Report,
    pub(super) trees: Trees,
    pub(super) tiles: Tiles,
    pub(super) places: Places,
    /// Next leaf to be looked at.
    pub(super) next: u64,
    /// Intact events since the last signed tree that agreed.
    pub(super) pending: u64,
    /// First leaf since then.
    since_agreed: u64,
    /// From which leaf on the ledger is not what was signed, once a signed tree disagreed.
    pub(super) altered_from: Option<u64>,
    /// The tree cannot be computed any more: a leaf is unknown, or a signed root disagreed.
    broken: bool,
    best: BTreeMap<Source, Tree>,
    /// The largest size anybody claimed.
    claimed: u64,
    anchor: Anchored,
    head_is_authentic: bool,
    /// The first of the pending events.
    pub(super) first_pending: Option<(u64, EventId)>,
    /// Documents of the directory that wait for a signed tree over them.
    pub(super) documents: Vec<(u64, Timestamp, ControlDocument)>,
    sealed: Controls,
    /// For the entries that rows make; kept to be used again.
    pub(super) buffer: Vec<u8>,
}

impl LedgerCheck {
    /// Nothing looked at yet.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let mut check = Self {
            setup,
            report: Report::default(),
            trees: Trees::default(),
            tiles: Tiles::default(),
            places: Places::default(),
            next: 0,
            pending: 0,
            since_agreed: 0,
            altered_from: None,
            broken: false,
            best: BTreeMap::new(),
            claimed: 0,
            anchor: Anchored::default(),
            head_is_authentic: true,
            first_pending: None,
            documents: Vec::new(),
            sealed: Controls::default(),
            buffer: Vec::new(),
        };
        check.check_key();
        check
    }

    fn check_key(&mut self) {
        let named = self
            .setup
            .controls
            .key(self.setup.ledger)
            .map(str::to_owned);
        match (&self.setup.verifier_key, named) {
            (None, _) => self.tell(
                Outcome::Unverifiable,
                FindingKind::KeyMissing,
                None,
                None,
                "no verifier key".to_owned(),
            ),
            (Some(key), Some(named)) if *key != named => {
                let detail = "the directory names another key for this ledger".to_owned();
                self.tell(
                    Outcome::Tampered,
                    FindingKind::BadSignature,
                    None,
                    None,
                    detail,
                );
            }
            _ => {}
        }
    }

    /// The next leaf it wants.
    #[must_use]
    pub fn next_leaf(&self) -> LeafIndex {
        LeafIndex(self.next)
    }

    /// The largest size that anybody claimed so far.
    #[must_use]
    pub fn claimed(&self) -> u64 {
        self.claimed
    }

    /// Takes in the head: its MAC, and the tree it stands for. Gives back whether a lane wrote it.
    pub fn head(&mut self, head: &Head, lane_key: &LaneKey) -> bool {
        self.head_is_authentic = head.is_authentic(lane_key, &self.setup.origin);
        if self.head_is_authentic {
            self.claim(
                Tree {
                    size: head.size,
                    root: head.range.root(),
                },
                Voice::Head,
            );
        } else {
            // Its size is no claim, but what it would cover is looked at.
            self.look_up_to(head.size);
            let detail = format!("the MAC of the head does not fit its {} leaves", head.size);
            self.tell(Outcome::Tampered, FindingKind::BadMac, None, None, detail);
        }
        self.head_is_authentic
    }

    /// The head is there and cannot be read.
    pub fn unreadable_head(&mut self, what: &str) {
        self.head_is_authentic = false;
        self.tell(
            Outcome::Tampered,
            FindingKind::BadMac,
            None,
            None,
            format!("the head cannot be read: {what}"),
        );
    }

    /// Takes in where a signed snapshot of the directory saw this ledger.
    pub fn snapshot(&mut self, tree: Tree) {
        self.claim(tree, Voice::Snapshot);
    }

    /// Leaves up to `size` are looked at in any case: something is stored under that size.
    pub fn look_up_to(&mut self, size: u64) {
        self.claimed = self.claimed.max(size.min(SIZE_MAX));
    }

    /// Takes in a note. `kept_as` is the size it is stored under, where it is stored under one. Notes of the database come in
    /// the order of their sizes, before the leaves they cover; the anchor's before all of them.
    pub fn note(&mut self, source: Source, kept_as: Option<u64>, note: &str) {
        let Some(key) = &self.setup.verifier_key else {
            return;
        };
        let size = kept_as.map_or_else(String::new, |size| format!(" kept as size {size}"));
        let checkpoint = match SignedCheckpoint::verify(note, key) {
            Ok(signed) => signed.checkpoint,
            Err(error) => {
                let kind = match error {
                    NoteError::BadSignature | NoteError::BadKey => FindingKind::BadSignature,
                    NoteError::Malformed | NoteError::OtherOrigin => FindingKind::BadCheckpoint,
                };
                return self.tell(
                    Outcome::Tampered,
                    kind,
                    None,
                    None,
                    format!("{}{size}: {error}", Voice::Note(source).name()),
                );
            }
        };
        if kept_as.is_some_and(|kept| kept != checkpoint.size) {
            let detail = format!("a checkpoint of {} leaves is{size}", checkpoint.size);
            self.tell(
                Outcome::Tampered,
                FindingKind::BadCheckpoint,
                None,
                None,
                detail,
            );
        }
        match source {
            Source::Anchor => self.anchor.size = Some(checkpoint.size),
            Source::Database => self.anchor.see(checkpoint.size),
            Source::Request => {}
        }
        self.claim(checkpoint.tree(), Voice::Note(source));
    }

    /// Takes in the anchor's newest note. `published` is the size of the newest stored checkpoint as read *before* the anchor:
    /// everything older than that had been anchored.
    pub fn anchor(&mut self, note: Option<&str>, published: Option<u64>) {
        self.anchor.published = published;
        self.anchor.is_read = true;
        if let Some(note) = note {
            self.note(Source::Anchor, None, note);
        }
    }

    /// The anchor cannot be read: what it would have shown stays open.
    pub fn anchor_unreadable(&mut self, reason: &str) {
        self.tell(
            Outcome::Unverifiable,
            FindingKind::AnchorUnreadable,
            None,
            None,
            reason.to_owned(),
        );
    }

    fn claim(&mut self, tree: Tree, voice: Voice) {
        self.look_up_to(tree.size);
        // A claim about a size that was passed was fed too late by the caller; the ones ahead decide.
        if let Ok(reached) = self.trees.claim(tree, voice) {
            self.settle(reached);
        }
    }

    /// Leaves up to `to` that no chunk holds; `rows` are those stored in between, `known` what full tiles say the leaves are.
    pub fn gap(&mut self, to: u64, rows: Vec<StoredRow>, known: &BTreeMap<u64, Digest>) {
        let mut rows = rows.into_iter();
        while self.next < to {
            let (row, more) = rows_at(&mut rows, self.next, None);
            if row.is_none() && !known.contains_key(&self.next) {
                let end = rows.leaf().map_or(to, |leaf| leaf.0.min(to));
                let end = known
                    .range(self.next..end)
                    .next()
                    .map_or(end, |(leaf, _)| *leaf);
                self.lost(end);
            } else {
                let index = self.next;
                self.leaf(index, None, None, row.as_ref(), known.get(&index).copied());
                more.iter().for_each(|row| self.surplus_row(row));
            }
        }
    }

    /// Leaves of which nothing is left.
    fn lost(&mut self, to: u64) {
        let (first, count) = (self.next, to - self.next);
        self.broken = true;
        self.next = to;
        self.report.count(Outcome::Missing, count);
        let detail = format!("{count} entries and their events are gone");
        self.tell(
            Outcome::Missing,
            FindingKind::Deleted,
            Some(first),
            None,
            detail,
        );
    }

    /// The chunk at the next leaf, with the rows stored from there on, in order; rows behind it are left for the next one. A
    /// chunk that lies elsewhere is a finding, and only what it says of leaves from the next one on is looked at.
    pub fn chunk(&mut self, chunk: &ChunkBytes<'_>, rows: &mut (impl Rows + ?Sized)) {
        let (bundle, listed, count) = self.open(chunk);
        let skip = self.next.saturating_sub(chunk.first_leaf);
        if skip > 0 || chunk.first_leaf > self.next {
            let detail = format!("the chunk at leaf {} overlaps another", chunk.first_leaf);
            self.tell(
                Outcome::Tampered,
                FindingKind::BadChunk,
                Some(chunk.first_leaf),
                None,
                detail,
            );
        }
        for place in usize::try_from(skip).unwrap_or(usize::MAX)..count {
            let index = self.next;
            let entry = bundle.as_ref().and_then(|bundle| bundle.get(place));
            let listed = listed.get(place).copied();
            if self.is_as_sealed(index, entry, listed, rows) {
                rows.skip();
                let (row, more) = rows_at(rows, index, None);
                row.iter()
                    .chain(&more)
                    .for_each(|row| self.surplus_row(row));
            } else {
                let (row, more) = rows_at(rows, index, entry);
                self.leaf(index, entry, listed, row.as_ref(), None);
                more.iter().for_each(|row| self.surplus_row(row));
            }
        }
    }

    /// What can be read of a chunk, and how many leaves that are.
    pub(super) fn open(&mut self, chunk: &ChunkBytes<'_>) -> (Option<Bundle>, Vec<Digest>, usize) {
        let listed: Vec<_> = if chunk.leaf_hashes.len().is_multiple_of(32) {
            digests_of(chunk.leaf_hashes).collect()
        } else {
            Vec::new()
        };
        let counts = [chunk.count, u32::try_from(listed.len()).unwrap_or(u32::MAX)];
        let bundle = counts
            .into_iter()
            .find_map(|count| Bundle::decompress(chunk.entries, count).ok());
        let said = usize::try_from(chunk.count).unwrap_or(usize::MAX);
        let count = match &bundle {
            Some(bundle) => bundle.len(),
            None if !listed.is_empty() => listed.len().min(ENTRIES_MAX),
            None => said.min(ENTRIES_MAX),
        };
        if count == 0 || count != said || bundle.is_none() || listed.len() != count {
            let detail = "count, entries and leaf hashes do not fit together".to_owned();
            self.tell(
                Outcome::Tampered,
                FindingKind::BadChunk,
                Some(chunk.first_leaf),
                None,
                detail,
            );
        }
        (bundle, listed, count)
    }

    /// A row at or beyond the end of the ledger, or in a ledger that has no entries for it.
    pub fn surplus_row(&mut self, row: &StoredRow) {
        let (ledger, leaf) = row.address();
        let detail = format!("a row without an entry, in ledger {ledger}");
        self.tell(
            Outcome::Tampered,
            FindingKind::Inserted,
            Some(leaf.0),
            row.event_id(),
            detail,
        );
    }

    /// A chunk at or beyond the end of the ledger.
    pub fn surplus_chunk(&mut self, first_leaf: LeafIndex) {
        let detail = "a chunk beyond the end of the ledger".to_owned();
        self.tell(
            Outcome::Tampered,
            FindingKind::Inserted,
            Some(first_leaf.0),
            None,
            detail,
        );
    }

    /// Appends a leaf to the tree and settles the claims it reaches.
    pub(super) fn grow(&mut self, leaf: Option<Digest>, id: Option<EventId>) {
        let index = self.next;
        self.next += 1;
        let Some(leaf) = leaf.filter(|_leaf| !self.broken || self.trees.size() == index) else {
            self.broken = true;
            return;
        };
        self.tiles.push(index, leaf, id);
        if let Some(reached) = self.trees.push(leaf) {
            self.settle(reached);
        }
    }

    fn settle(&mut self, reached: Reached) {
        let signed = |list: &[(Tree, Voice)]| list.iter().any(|(_, voice)| voice.is_signed());
        let (agreed, disagreed) = (signed(&reached.agreed), signed(&reached.disagreed));
        if disagreed && !agreed {
            self.altered_from.get_or_insert(self.since_agreed);
        }
        if agreed || disagreed {
            self.settle_tiles();
        }
        for (tree, voice) in &reached.disagreed {
            self.disagree(*tree, *voice);
        }
        for (tree, voice) in &reached.agreed {
            if let Some(source) = voice.source() {
                self.best.insert(source, *tree);
            }
        }
        if agreed {
            self.report
                .count(Outcome::Valid, std::mem::take(&mut self.pending));
            self.since_agreed = self.trees.size();
            self.first_pending = None;
            for (at, sealed_at, document) in std::mem::take(&mut self.documents) {
                self.sealed.add(at, sealed_at, document);
            }
        }
    }

    /// The first disagreement is told; the tree is wrong from there on, so all later ones say nothing new.
    fn disagree(&mut self, tree: Tree, voice: Voice) {
        if !self.broken {
            let detail = format!(
                "{} has another root for {} leaves: an entry from leaf {} on was altered",
                voice.name(),
                tree.size,
                self.since_agreed
            );
            self.tell(
                Outcome::Tampered,
                FindingKind::BadCheckpoint,
                Some(self.since_agreed),
                None,
                detail,
            );
        }
        self.broken |= voice.is_signed();
    }

    pub(super) fn tell(
        &mut self,
        outcome: Outcome,
        kind: FindingKind,
        leaf: Option<u64>,
        event_id: Option<EventId>,
        detail: String,
    ) {
        let leaf_index = leaf.map(LeafIndex);
        self.report.find(Finding {
            outcome,
            kind,
            ledger: self.setup.ledger,
            leaf_index,
            event_id,
            detail,
        });
    }
}

/// The anchor's place among the stored checkpoints.
#[derive(Debug, Clone, Copy, Default)]
struct Anchored {
    size: Option<u64>,
    is_read: bool,
    /// Whether the anchored checkpoint is stored too.
    is_stored: bool,
    published: Option<u64>,
    /// Stored checkpoints that are newer than the anchor and were not the last one.
    passed_over: u64,
}

impl Anchored {
    fn see(&mut self, stored: u64) {
        self.is_stored |= self.size == Some(stored);
        let newer = self.size.is_none_or(|size| stored > size);
        if newer && self.published.is_some_and(|published| stored < published) {
            self.passed_over += 1;
        }
    }
}

/// The row stored at a leaf, when it is the next one, and further rows that claim the same address: no database can have one key
/// for addresses and another for identities over all of its partitions. Of several the one that the entry speaks of is taken.
fn rows_at(
    rows: &mut (impl Rows + ?Sized),
    leaf: u64,
    entry: Option<&[u8]>,
) -> (Option<StoredRow>, Vec<StoredRow>) {
    skip_below(rows, leaf);
    let mut take = || {
        let is_there = rows.leaf() == Some(LeafIndex(leaf));
        is_there.then(|| rows.take()).flatten()
    };
    let mut taken = take();
    let mut more = Vec::new();
    while let Some(other) = take() {
        match entry {
            Some(entry) if is_of(&other, entry) => more.extend(taken.replace(other)),
            _ => more.push(other),
        }
    }
    (taken, more)
}

pub(super) fn skip_below(rows: &mut (impl Rows + ?Sized), leaf: u64) {
    while rows.leaf().is_some_and(|at| at.0 < leaf) {
        rows.skip();
    }
}

fn is_of(row: &StoredRow, entry: &[u8]) -> bool {
    matches!(row, StoredRow::Readable(row) if row.differences(entry).is_empty())
}
