//! What one leaf comes to: entry, listed leaf hash and row against each other.

use std::borrow::Cow;

use audit_event::EventId;

use super::ledger::{ChunkBytes, ControlBytes, LedgerCheck, skip_below};
use super::places::{Place, Stranger, Verdict};
use super::{FindingKind, Outcome};
use crate::digest::{equal_in_constant_time, leaf_hash};
use crate::documents::ControlDocument;
use crate::entry::{EntryHeader, EntryKind, body_digest};
use crate::ledger::{Digest, LedgerId};
use crate::row::{EventRow, Rows, StoredRow};
use crate::said::{HeaderSpans, id_of, is_ledger, is_number, time_of};

impl LedgerCheck {
    /// Whether the next leaf is what was sealed, as nearly all are: entry, listed hash and next row agree in every byte. Then it
    /// is counted and in the tree; else nothing happened, and [`Self::leaf`] finds out what is wrong.
    pub(super) fn is_as_sealed(
        &mut self,
        index: u64,
        entry: Option<&[u8]>,
        listed: Option<Digest>,
        rows: &mut (impl Rows + ?Sized),
    ) -> bool {
        skip_below(rows, index);
        let (Some(entry), Some(listed)) = (entry, listed) else {
            return false;
        };
        let sealed = rows.next_row().filter(|row| {
            (row.ledger, row.leaf_index.0) == (self.setup.ledger, index)
                && self.setup.window.contains(row.timestamp)
                && leaf_hash(entry) == listed
                && row.is_as_sealed(entry, &listed, &mut self.buffer)
        });
        let Some(id) = sealed.map(|row| row.id) else {
            return false;
        };
        self.pend(index, Some(id));
        self.grow(Some(listed), Some(id));
        true
    }

    /// Judges the leaf at the next position of an event ledger. `known` is what a tile says, where the chunk is gone.
    pub(super) fn leaf(
        &mut self,
        index: u64,
        entry: Option<&[u8]>,
        listed: Option<Digest>,
        row: Option<&StoredRow>,
        known: Option<Digest>,
    ) {
        let hashed = entry.map(leaf_hash);
        let (leaf, entry, intact) = match (entry, hashed, listed) {
            (Some(entry), Some(hashed), Some(listed)) if hashed == listed => {
                (Some(hashed), Some(Cow::Borrowed(entry)), true)
            }
            _ => {
                let (leaf, entry) = agree(entry, [hashed, listed, known], row);
                (leaf, entry, false)
            }
        };
        let id = match (&entry, leaf) {
            (Some(entry), Some(leaf)) => self.judge(index, entry, leaf, row, intact),
            _ => {
                self.report.count(Outcome::Tampered, 1);
                row.and_then(StoredRow::event_id)
            }
        };
        if !intact {
            let detail = "entry and leaf hash are absent or disagree".to_owned();
            self.tell(
                Outcome::Tampered,
                FindingKind::BadChunk,
                Some(index),
                id,
                detail,
            );
        }
        self.grow(leaf, id);
    }

    /// Judges row and header of a leaf whose entry is known, and counts its outcome. Gives back the event it is about.
    fn judge(
        &mut self,
        index: u64,
        entry: &[u8],
        leaf: Digest,
        row: Option<&StoredRow>,
        intact: bool,
    ) -> Option<EventId> {
        let Some(header) = HeaderSpans::of_entry(entry) else {
            self.report.count(Outcome::Tampered, 1);
            let (kind, detail) = match EntryHeader::from_entry(entry) {
                Ok(_control) => (
                    FindingKind::ForgedControl,
                    "a control entry in a ledger of events",
                ),
                Err(_malformed) => (FindingKind::BadChunk, "the entry cannot be read"),
            };
            let id = row.and_then(StoredRow::event_id);
            self.tell(Outcome::Tampered, kind, Some(index), id, detail.to_owned());
            return id;
        };
        let id = id_of(header.id);
        if !is_number(header.index, index) || !is_ledger(header.ledger, self.setup.ledger) {
            self.report.count(Outcome::Tampered, 1);
            let detail = "the entry was sealed for another place".to_owned();
            self.tell(
                Outcome::Tampered,
                FindingKind::Reordered,
                Some(index),
                id,
                detail,
            );
            return id;
        }
        let window = self.setup.window;
        if !window.is_everything()
            && !time_of(header.timestamp).is_some_and(|at| window.contains(at))
        {
            return id;
        }
        match row {
            None => self.absent(index, entry, id),
            Some(StoredRow::Unreadable { column, .. }) => {
                self.edited(index, id, format!("columns: {column}"));
            }
            Some(StoredRow::Readable(row)) if row.salt.is_none() && row.canonical.is_none() => {
                self.without_body(index, &header, &leaf, row, id);
            }
            Some(StoredRow::Readable(row)) => {
                let columns = row.as_ref().differences_from(&header, &leaf);
                match id {
                    _ if columns.is_empty() && intact => self.pend(index, id),
                    _ if columns.is_empty() => self.report.count(Outcome::Tampered, 1),
                    Some(sealed) if columns.contains(&"id") => {
                        self.place(Place {
                            leaf: index,
                            sealed,
                            found: Some(Stranger {
                                id: row.id,
                                columns,
                            }),
                        });
                    }
                    _ => self.edited(index, id, format!("columns: {}", columns.join(", "))),
                }
            }
        }
        id
    }

    /// An intact event, valid as soon as a signed tree covers it.
    fn pend(&mut self, index: u64, id: Option<EventId>) {
        self.pending += 1;
        if self.first_pending.is_none() {
            self.first_pending = id.map(|id| (index, id));
        }
    }

    fn edited(&mut self, index: u64, id: Option<EventId>, detail: String) {
        self.report.count(Outcome::Tampered, 1);
        self.tell(
            Outcome::Tampered,
            FindingKind::Edited,
            Some(index),
            id,
            detail,
        );
    }

    /// An entry without a row: expired by the rules, or gone.
    fn absent(&mut self, index: u64, entry: &[u8], id: Option<EventId>) {
        let header = EntryHeader::from_entry(entry).ok();
        match (header, id) {
            (Some(header), _) if self.setup.controls.excuses_absence(&header) => {
                self.report.count(Outcome::Expired, 1)
            }
            (_, Some(sealed)) => self.place(Place {
                leaf: index,
                sealed,
                found: None,
            }),
            (_, None) => {
                self.report.count(Outcome::Missing, 1);
                let detail = "the entry is there, its event is not".to_owned();
                self.tell(
                    Outcome::Missing,
                    FindingKind::Deleted,
                    Some(index),
                    None,
                    detail,
                );
            }
        }
    }

    /// A row whose salt and canonical bytes are gone: erased by the rules, or emptied.
    fn without_body(
        &mut self,
        index: u64,
        header: &HeaderSpans<'_>,
        leaf: &Digest,
        row: &EventRow,
        id: Option<EventId>,
    ) {
        let columns = row.as_ref().differences_from(header, leaf);
        if columns.is_empty() && self.setup.controls.excuses_body(self.setup.ledger, index) {
            self.report.count(Outcome::ValidErased, 1);
            return;
        }
        let columns: Vec<_> = columns.into_iter().chain(["salt", "canonical"]).collect();
        self.edited(index, id, format!("columns: {}", columns.join(", ")));
    }

    fn place(&mut self, place: Place) {
        if let Some(place) = self.places.add(place) {
            let verdict = match &place.found {
                None => Verdict::Gone,
                Some(stranger) => Verdict::Edited(stranger.columns.clone()),
            };
            self.tell_place(&place, verdict);
        }
    }

    /// The chunk at the next leaf of the directory, with the control documents stored at its leaves, in order.
    pub fn control_chunk(&mut self, chunk: &ChunkBytes<'_>, controls: &[ControlBytes<'_>]) {
        let (bundle, listed, count) = self.open(chunk);
        let skip =
            usize::try_from(self.next.saturating_sub(chunk.first_leaf)).unwrap_or(usize::MAX);
        for place in skip..count {
            let index = self.next;
            let stored = controls.iter().find(|control| control.leaf_index == index);
            let entry = bundle.as_ref().and_then(|bundle| bundle.get(place));
            let leaf = entry.map(leaf_hash);
            if leaf.is_none() || leaf != listed.get(place).copied() {
                let detail = "entry and leaf hash are absent or disagree".to_owned();
                self.tell(
                    Outcome::Tampered,
                    FindingKind::BadChunk,
                    Some(index),
                    None,
                    detail,
                );
            }
            let id = entry.and_then(|entry| self.judge_control(index, entry, stored));
            self.grow(leaf.or(listed.get(place).copied()), id);
        }
    }

    /// Leaves of the directory up to `to` that no chunk holds.
    pub fn control_gap(&mut self, to: u64) {
        self.gap(to, Vec::new(), &std::collections::BTreeMap::new());
    }

    /// A control document without an entry.
    pub fn surplus_control(&mut self, leaf: u64) {
        let detail = "a control document without an entry".to_owned();
        self.tell(
            Outcome::Tampered,
            FindingKind::ForgedControl,
            Some(leaf),
            None,
            detail,
        );
    }

    fn judge_control(
        &mut self,
        index: u64,
        entry: &[u8],
        stored: Option<&ControlBytes<'_>>,
    ) -> Option<EventId> {
        let Ok(header) = EntryHeader::from_entry(entry) else {
            self.forged(index, None, "the entry cannot be read");
            return None;
        };
        let id = Some(header.id);
        let EntryKind::Control(kind) = header.kind else {
            self.forged(index, id, "an event in the directory");
            return id;
        };
        if header.index.0 != index || header.ledger != LedgerId::Directory {
            self.forged(index, id, "the entry was sealed for another place");
            return id;
        }
        let Some(stored) = stored else {
            self.report.count(Outcome::Missing, 1);
            let detail = "the control entry is there, its document is not".to_owned();
            self.tell(
                Outcome::Missing,
                FindingKind::Deleted,
                Some(index),
                id,
                detail,
            );
            return id;
        };
        let body = body_digest(&stored.salt, stored.document);
        match ControlDocument::read(kind, stored.document) {
            Some(document) if equal_in_constant_time(&body.0, &header.body.0) => {
                self.documents.push((index, header.sealed_at, document));
                self.pend(index, id);
            }
            _ => self.forged(index, id, "the document is not what its entry was made of"),
        }
        id
    }

    fn forged(&mut self, index: u64, id: Option<EventId>, detail: &str) {
        self.report.count(Outcome::Tampered, 1);
        self.tell(
            Outcome::Tampered,
            FindingKind::ForgedControl,
            Some(index),
            id,
            detail.to_owned(),
        );
    }
}

/// Which leaf and entry to believe when entry, listed hash and tile do not all agree: the row is the arbiter, because an entry
/// made from its columns cannot hit a hash by chance.
fn agree<'a>(
    entry: Option<&'a [u8]>,
    [hashed, listed, known]: [Option<Digest>; 3],
    row: Option<&StoredRow>,
) -> (Option<Digest>, Option<Cow<'a, [u8]>>) {
    let made = match row {
        Some(StoredRow::Readable(row)) => row.to_entry(),
        _ => None,
    };
    let of_row = made.as_deref().map(leaf_hash);
    if let (Some(leaf), Some(made)) = (of_row, made)
        && ([hashed, listed, known].contains(&Some(leaf)) || [hashed, listed, known] == [None; 3])
    {
        return (Some(leaf), Some(Cow::Owned(made)));
    }
    let leaf = known.or(listed).or(hashed);
    (
        leaf,
        entry.filter(|_entry| hashed == leaf).map(Cow::Borrowed),
    )
}
