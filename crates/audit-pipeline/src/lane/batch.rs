//! A batch on its way into a commit: equal identities settled, the rest numbered in the order of identities.

use std::collections::HashMap;

use audit_event::{EventDraft, EventId, Identity, OrganizationId, Timestamp};
use audit_integrity::bundle::Bundle;
use audit_integrity::entry::{self, Salt, SealedEvent};
use audit_integrity::head::CompactRange;
use audit_integrity::ledger::{Digest, LeafIndex, LedgerId};
use audit_integrity::tile::{FullTile, TileBuilder};
use audit_queue::{FrameId, Refused, SourcePosition};
use audit_runtime::Random;
use audit_store::{Chunk, DeadLetterReason, Found, NewDeadLetter, Receipt, Via};

use super::intake::Incoming;
use crate::hubs::{Address, EventOutcome};

/// Which event of which frame of the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) frame: usize,
    pub(super) index: usize,
}

/// An event that may be stored.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) place: Place,
    pub(super) identity: Identity,
    pub(super) claim: Digest,
    /// Boxed, because candidates are sorted and moved, and a draft is large.
    pub(super) draft: Box<EventDraft>,
}

/// What has been decided about a frame.
#[derive(Debug)]
pub(super) struct FrameWork {
    pub(super) id: FrameId,
    pub(super) source: String,
    pub(super) via: Via,
    /// Whether an earlier delivery may have stored some of it.
    pub(super) redelivered: bool,
    pub(super) outcomes: Vec<Option<EventOutcome>>,
    pub(super) letters: Vec<NewDeadLetter>,
    /// Why its newest dead letter is one.
    why: String,
}

impl FrameWork {
    pub(super) fn new(incoming: &Incoming) -> Self {
        let frame = &incoming.frame;
        Self {
            id: frame.id,
            source: incoming.source.clone(),
            via: incoming.via,
            redelivered: incoming.redelivered > 0,
            outcomes: vec![None; frame.events.len()],
            letters: Vec::new(),
            why: String::new(),
        }
    }

    /// What the frame's source is told when nothing of it was stored.
    pub(super) fn refusal(&self) -> Option<Refused> {
        let is_kept = |outcome: &Option<EventOutcome>| {
            matches!(
                outcome,
                Some(EventOutcome::Stored(_) | EventOutcome::Duplicate(_))
            )
        };
        (!self.outcomes.iter().any(is_kept)).then(|| Refused {
            source: SourcePosition(self.source.clone()),
            reason: self.why.clone(),
        })
    }

    pub(super) fn decide(&mut self, index: usize, outcome: EventOutcome) {
        if let Some(slot) = self.outcomes.get_mut(index) {
            *slot = Some(outcome);
        }
    }

    /// An event that could not even be read.
    pub(super) fn dead_letter_unread(
        &mut self,
        index: usize,
        reason: DeadLetterReason,
        detail: String,
        payload: Vec<u8>,
    ) {
        self.push_letter(
            index,
            reason,
            detail,
            Subject {
                id: None,
                organization: OrganizationId::none(),
                received_at: None,
                payload,
            },
        );
        self.decide(index, EventOutcome::DeadLettered);
    }

    pub(super) fn dead_letter(
        &mut self,
        index: usize,
        reason: DeadLetterReason,
        detail: String,
        draft: &EventDraft,
    ) {
        self.push_letter(index, reason, detail, Subject::of(draft));
        self.decide(index, EventOutcome::DeadLettered);
    }

    fn conflict(&mut self, index: usize, stored_at: Address, draft: &EventDraft) {
        let detail = format!(
            "the same id, organisation and timestamp are stored with another content in ledger {} at {}",
            stored_at.ledger, stored_at.leaf_index.0
        );
        self.push_letter(
            index,
            DeadLetterReason::Conflict,
            detail,
            Subject::of(draft),
        );
        self.decide(index, EventOutcome::Conflict);
    }

    fn push_letter(
        &mut self,
        index: usize,
        reason: DeadLetterReason,
        detail: String,
        subject: Subject,
    ) {
        let frame_index = u32::try_from(index).unwrap_or(u32::MAX);
        self.why.clone_from(&detail);
        self.letters.push(NewDeadLetter {
            id: self.letter_id(index),
            frame_id: self.id.0,
            frame_index,
            event_id: subject.id,
            organization_id: subject.organization,
            reason,
            detail,
            payload: subject.payload,
            received_at: subject.received_at,
            // Stamped by the commit that writes it.
            dead_at: Timestamp::EPOCH,
        });
    }

    /// Id of the dead letter of an event. One place, one letter: the same crash and redelivery give the same id.
    pub(super) fn letter_id(&self, index: usize) -> EventId {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        EventId::v5(&[self.id.0.as_slice(), &index.to_be_bytes()].concat())
    }

    /// The frame's receipt; counts add up to its events.
    pub(super) fn receipt(&self, committed_at: Timestamp) -> Receipt {
        let mut receipt = Receipt {
            frame_id: self.id.0,
            source: self.source.clone(),
            via: self.via,
            events: u32::try_from(self.outcomes.len()).unwrap_or(u32::MAX),
            stored: 0,
            duplicate: 0,
            conflict: 0,
            dead_lettered: 0,
            committed_at,
        };
        for outcome in &self.outcomes {
            match outcome {
                Some(EventOutcome::Stored(_)) => receipt.stored += 1,
                Some(EventOutcome::Duplicate(_)) => receipt.duplicate += 1,
                Some(EventOutcome::Conflict) => receipt.conflict += 1,
                // Undecided cannot be here; were it, the books must still balance and the letter be missed loudly.
                Some(EventOutcome::DeadLettered) | None => receipt.dead_lettered += 1,
            }
        }
        receipt
    }
}

/// What a dead letter is about.
struct Subject {
    id: Option<EventId>,
    organization: OrganizationId,
    received_at: Option<Timestamp>,
    payload: Vec<u8>,
}

impl Subject {
    fn of(draft: &EventDraft) -> Self {
        let event = draft.event();
        Self {
            id: Some(event.id),
            organization: event.organization_id.clone(),
            received_at: Some(event.received_at),
            payload: draft.canonical().to_vec(),
        }
    }
}

/// The first candidate of an identity, and the later ones that wait for its fate.
#[derive(Debug)]
pub(super) struct Leader {
    pub(super) candidate: Candidate,
    followers: Vec<Candidate>,
}

/// Sorts by identity (leaf order is that order) and puts equal identities behind the first of them.
pub(super) fn lead(mut candidates: Vec<Candidate>) -> Vec<Leader> {
    candidates.sort_by(|a, b| (&a.identity, a.place).cmp(&(&b.identity, b.place)));
    let mut leaders: Vec<Leader> = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        match leaders.last_mut() {
            Some(leader) if leader.candidate.identity == candidate.identity => {
                leader.followers.push(candidate)
            }
            _ => leaders.push(Leader {
                candidate,
                followers: Vec::new(),
            }),
        }
    }
    leaders
}

/// What the store has under an identity.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) found: Found,
    /// Whether the leader itself was stored, by an earlier delivery of its frame.
    pub(super) is_leader: bool,
}

/// Settles every leader that is stored already, with its followers; gives back the others.
pub(super) fn settle_known(
    leaders: Vec<Leader>,
    known: &HashMap<Identity, Known>,
    frames: &mut [FrameWork],
) -> Vec<Leader> {
    let mut left = Vec::with_capacity(leaders.len());
    for leader in leaders {
        match known.get(&leader.candidate.identity) {
            None => left.push(leader),
            Some(Known { found, is_leader }) => {
                let address = Address {
                    ledger: found.ledger,
                    leaf_index: found.leaf_index,
                    leaf_hash: found.leaf_hash,
                };
                let place = leader.candidate.place;
                for candidate in std::iter::once(leader.candidate).chain(leader.followers) {
                    compare(&candidate, found.claim, address, frames);
                }
                if let Some(frame) = frames.get_mut(place.frame).filter(|_| *is_leader) {
                    frame.decide(place.index, EventOutcome::Stored(address));
                }
            }
        }
    }
    left
}

fn compare(candidate: &Candidate, stored: Digest, address: Address, frames: &mut [FrameWork]) {
    let Some(frame) = frames.get_mut(candidate.place.frame) else {
        return;
    };
    if candidate.claim == stored {
        frame.decide(candidate.place.index, EventOutcome::Duplicate(address));
    } else {
        frame.conflict(candidate.place.index, address, &candidate.draft);
    }
}

/// Gives an identity up: the leader and its equals become dead letters, a follower with another claim leads from now on.
pub(super) fn give_up(leader: Leader, reason: &str, frames: &mut [FrameWork]) -> Option<Leader> {
    let claim = leader.candidate.claim;
    let mut others = Vec::new();
    for candidate in std::iter::once(leader.candidate).chain(leader.followers) {
        if candidate.claim == claim {
            if let Some(frame) = frames.get_mut(candidate.place.frame) {
                let reason = reason.to_owned();
                frame.dead_letter(
                    candidate.place.index,
                    DeadLetterReason::RejectedByStore,
                    reason,
                    &candidate.draft,
                );
            }
        } else {
            others.push(candidate);
        }
    }
    let mut others = others.into_iter();
    others.next().map(|candidate| Leader {
        candidate,
        followers: others.collect(),
    })
}

/// Where numbering begins, and when.
pub(super) struct Numbering<'a> {
    pub(super) ledger: LedgerId,
    pub(super) range: CompactRange,
    pub(super) tiles: TileBuilder,
    pub(super) sealed_at: Timestamp,
    pub(super) random: &'a dyn Random,
}

/// Events with their places, and the tree after them.
pub(super) struct Numbered {
    pub(super) events: Vec<SealedEvent>,
    /// Place and followers of each event.
    pub(super) origins: Vec<(Place, Vec<Candidate>)>,
    pub(super) range: CompactRange,
    pub(super) tiles: TileBuilder,
    pub(super) full: Vec<FullTile>,
}

/// Numbers the leaders from the end of the ledger.
pub(super) fn number(leaders: Vec<Leader>, numbering: Numbering<'_>) -> Numbered {
    let Numbering {
        ledger,
        mut range,
        mut tiles,
        sealed_at,
        random,
    } = numbering;
    let (mut events, mut origins) = (
        Vec::with_capacity(leaders.len()),
        Vec::with_capacity(leaders.len()),
    );
    let mut full = Vec::new();
    let mut salts = vec![0; leaders.len() * 16];
    random.fill(&mut salts);
    for (leader, salt) in leaders.into_iter().zip(salts.as_chunks::<16>().0) {
        let place = entry::Place {
            ledger,
            index: LeafIndex(range.size()),
            sealed_at,
            salt: Salt(*salt),
        };
        let sealed = entry::seal(leader.candidate.draft, leader.candidate.claim, &place);
        range.push(sealed.leaf_hash);
        tiles.push(sealed.leaf_hash, &mut full);
        events.push(sealed);
        origins.push((leader.candidate.place, leader.followers));
    }
    Numbered {
        events,
        origins,
        range,
        tiles,
        full,
    }
}

impl Numbered {
    /// The chunk of these events; `None` when there are none.
    pub(super) fn chunk(&self) -> Option<Chunk> {
        let first = self.events.first()?;
        // An entry of ours is at most 1,024 bytes and a batch far below the bundle's limit.
        let bundle = Bundle::of(self.events.iter().map(|event| event.entry.as_slice())).ok()?;
        Some(Chunk {
            first_leaf: first.header.index,
            count: u32::try_from(self.events.len()).ok()?,
            entries: bundle.compress(),
            leaf_hashes: self
                .events
                .iter()
                .flat_map(|event| event.leaf_hash.0)
                .collect(),
        })
    }

    /// What each event's outcome is once the commit has happened.
    pub(super) fn decide(&self, frames: &mut [FrameWork]) {
        for (sealed, (place, followers)) in self.events.iter().zip(&self.origins) {
            let header = &sealed.header;
            let address = Address {
                ledger: header.ledger,
                leaf_index: header.index,
                leaf_hash: sealed.leaf_hash,
            };
            if let Some(frame) = frames.get_mut(place.frame) {
                frame.decide(place.index, EventOutcome::Stored(address));
            }
            for follower in followers {
                compare(follower, sealed.claim, address, frames);
            }
        }
    }

    /// Takes the numbers away again after a commit that did not happen.
    pub(super) fn into_leaders(self) -> Vec<Leader> {
        let back = self
            .events
            .into_iter()
            .zip(self.origins)
            .map(|(sealed, (place, followers))| Leader {
                candidate: Candidate {
                    place,
                    identity: sealed.draft.event().identity(),
                    claim: sealed.claim,
                    draft: sealed.draft,
                },
                followers,
            });
        back.collect()
    }
}
