//! Receiving a batch and preparing it: drop what has a receipt, read, process, digest. Runs while the batch before is committed.

use std::collections::HashSet;
use std::time::Duration;

use audit_event::{AuditEvent, EventDraft, Problem};
use audit_integrity::claim::claim_of_draft;
use audit_queue::{
    Budget, Delivery, Frame, FrameEvent, FrameId, Payload, QueueError, Refused, SourcePosition,
};
use audit_runtime::{Backoff, BreakerState};
use audit_store::{DeadLetterReason, Receipt, Via};

use tokio::sync::watch;

use super::batch::{Candidate, FrameWork, Place};
use super::health::{note_outage, store_answers};
use super::held::Held;
use super::{LOOK_AGAIN_MAX, LaneParts, LaneSettings, ProofPolicy};
use crate::hubs::FrameOutcome;
use crate::metric;
use crate::outward::within;
use crate::processor::Registry;
use crate::sources::frame_of_item;

/// A batch ready to be numbered.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Names the batch to the queue.
    pub(super) token: u64,
    /// Its frames without a receipt, by commit.
    pub(super) works: Vec<Work>,
    /// Frames that were delivered too often without getting a receipt; not looked into yet.
    pub(super) suspects: Vec<Incoming>,
    /// Whether the queue may let go of the batch after its commit: not when it holds something that stays pending.
    pub(super) settles: bool,
    /// Frames of which, by their receipts, nothing was stored.
    pub(super) refused: Vec<Refused>,
    /// How the batch is judged, also what of it is looked into later.
    pub(super) proofs: ProofPolicy,
}

/// Whole frames that share a commit.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) frames: Vec<FrameWork>,
    /// Their events, in no order yet.
    pub(super) candidates: Vec<Candidate>,
    bytes: usize,
}

/// Events of one commit at most, or one frame: small events reach it long before a batch's bytes are full.
const COMMIT_EVENTS_MAX: usize = 10_000;
/// Canonical bytes of one commit at most, or one frame.
const COMMIT_BYTES_MAX: usize = 8 << 20;

/// A frame as it was delivered.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) source: String,
    pub(super) redelivered: u32,
    pub(super) frame: Frame,
    pub(super) via: Via,
    /// Why its only event is none: the item of another system that it was made of is kept as it came.
    pub(super) not_an_event: Option<String>,
}

/// One event of a frame as it arrived.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) bytes: Vec<u8>,
    not_an_event: Option<String>,
}

impl Arrival {
    /// Whether its bytes are an event of ours.
    pub(super) const fn is_an_event(&self) -> bool {
        self.not_an_event.is_none()
    }
}

impl Incoming {
    pub(super) fn arrivals(self) -> impl ExactSizeIterator<Item = Arrival> {
        let not_an_event = self.not_an_event;
        let arrival = move |event: FrameEvent| Arrival {
            bytes: event.canonical,
            not_an_event: not_an_event.clone(),
        };
        self.frame.events.into_iter().map(arrival)
    }
}

/// A frame delivered more often than this without a receipt is suspect (DESIGN §3.3).
const SUSPECT_AFTER: u32 = 5;

pub(super) struct Intake<'a> {
    pub(super) parts: &'a LaneParts,
    /// As the lane began.
    pub(super) settings: &'a LaneSettings,
    /// As they are now; read once a batch.
    pub(super) current: &'a watch::Receiver<LaneSettings>,
    pub(super) held: &'a Held,
}

impl Intake<'_> {
    /// The next batch with work in it; `None` at shutdown.
    pub(super) async fn next(&self) -> Option<Prepared> {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
        loop {
            let batch = tokio::select! {
                biased;
                () = self.parts.shutdown.begun() => return None,
                batch = self.receive() => batch,
            };
            match batch {
                Ok(Some(prepared)) => return Some(prepared),
                Ok(None) => backoff.reset(),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "nothing received");
                    let wait = backoff.next_wait(&*self.parts.random);
                    if !self.parts.shutdown.pause(wait).await {
                        return None;
                    }
                }
            }
        }
    }

    async fn receive(&self) -> Result<Option<Prepared>, QueueError> {
        if self.parts.breaker.state() != BreakerState::Closed {
            // The store is away: what is received now could only wait in memory.
            if !store_answers(self.parts, self.settings.call_timeout).await {
                tokio::time::sleep(self.settings.receive_wait).await;
                return Ok(None);
            }
        }
        let limit = self.settings.call_timeout;
        let current = self.current.borrow().clone();
        let budget = Budget {
            deliveries: self.deliveries_by_depth(&current.batch_by_depth).await,
            bytes: current.batch_bytes_max,
            wait: self.settings.receive_wait,
        };
        let receiving = self.parts.consumer.receive(budget);
        let batch = within(budget.wait.saturating_add(limit), receiving).await?;
        if batch.deliveries.is_empty() {
            return Ok(None);
        }
        // C3: held, and nothing of it is in the store; a crash here has it delivered again. Nothing is awaited between
        // receipt and this line, so a session that ends gives back all it took.
        self.held.add(batch.partition, batch.token);
        // As they are now: a change while it waited counts.
        let proofs = self.current.borrow().proofs;
        let prepared = Prepared::new(batch.token, proofs);
        Ok(self.prepare(prepared, batch.deliveries).await)
    }

    /// Small batches while little waits, for a short wait; large ones when behind.
    async fn deliveries_by_depth(&self, steps: &[(u64, usize)]) -> usize {
        let depth = within(self.settings.call_timeout, self.parts.producer.depth()).await;
        let waiting = depth.map_or(0, |depth| {
            depth.events.saturating_add(depth.events_internal)
        });
        let steps = steps.iter();
        let found = steps.clone().find(|(above, _)| waiting >= *above);
        found
            .or_else(|| steps.clone().next_back())
            .map_or(100, |(_, deliveries)| *deliveries)
    }

    async fn prepare(&self, mut prepared: Prepared, deliveries: Vec<Delivery>) -> Option<Prepared> {
        let reading = Reading {
            registry: &self.parts.registry,
            proofs: prepared.proofs,
        };
        let count = deliveries.len();
        let frames = readable(deliveries);
        prepared.settles = frames.len() == count;
        // Also those met before in this batch: a queue may deliver a frame twice.
        let receipts = self.with_receipts(&frames).await;
        let mut done: HashSet<FrameId> = receipts.iter().map(|it| FrameId(it.frame_id)).collect();
        prepared.refused = receipts.iter().filter_map(refused_by).collect();
        for incoming in frames {
            let id = incoming.frame.id;
            if !done.insert(id) {
                // C8: committed before a crash or a lost answer; the queue only has to let go.
                if !prepared.contains(id) {
                    self.parts.settlements.tell(id, &FrameOutcome::LookUp);
                }
            } else if incoming.redelivered > SUSPECT_AFTER {
                prepared.suspects.push(incoming);
            } else {
                prepared.add(&reading, incoming);
                // Reading is work for the processor; the commit under way wants its answer seen.
                tokio::task::yield_now().await;
            }
        }
        if !prepared.works.is_empty() || !prepared.suspects.is_empty() {
            return Some(prepared);
        }
        // An unreadable frame stays held, and so pending, for as long as the session lives.
        if prepared.settles {
            self.held.settle(prepared.token, prepared.refused);
        }
        None
    }

    /// Asks until the store answers: the batch stays held meanwhile, because to give it back at every try would make its frames
    /// suspect.
    async fn with_receipts(&self, frames: &[Incoming]) -> Vec<Receipt> {
        let mut done = Vec::new();
        let mut backoff = Backoff::new(Duration::from_millis(50), LOOK_AGAIN_MAX);
        let ids: Vec<[u8; 16]> = frames.iter().map(|incoming| incoming.frame.id.0).collect();
        for part in ids.chunks(1_000) {
            let found = loop {
                let asked = self.parts.store.receipts.find(part);
                match within(self.settings.call_timeout, asked).await {
                    Ok(found) => break found,
                    Err(error) => {
                        note_outage(self.parts, &error);
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "receipts cannot be read"
                        );
                        tokio::time::sleep(backoff.next_wait(&*self.parts.random)).await;
                    }
                }
            };
            done.extend(found);
        }
        done
    }
}

impl Prepared {
    const fn new(token: u64, proofs: ProofPolicy) -> Self {
        Self {
            token,
            proofs,
            settles: false,
            works: Vec::new(),
            suspects: Vec::new(),
            refused: Vec::new(),
        }
    }

    fn contains(&self, id: FrameId) -> bool {
        let mut frames = self.works.iter().flat_map(|work| &work.frames);
        let mut suspects = self.suspects.iter();
        frames.any(|frame| frame.id == id) || suspects.any(|suspect| suspect.frame.id == id)
    }

    fn add(&mut self, reading: &Reading<'_>, incoming: Incoming) {
        let bytes = incoming.frame.events.iter();
        let bytes: usize = bytes.map(|event| event.canonical.len()).sum();
        match self.works.last_mut() {
            Some(work) if work.has_room(incoming.frame.events.len(), bytes) => {
                work.add(reading, incoming, bytes);
            }
            _ => {
                let mut work = Work::default();
                work.add(reading, incoming, bytes);
                self.works.push(work);
            }
        }
    }
}

impl Work {
    const fn has_room(&self, events: usize, bytes: usize) -> bool {
        self.candidates.len() + events <= COMMIT_EVENTS_MAX
            && self.bytes + bytes <= COMMIT_BYTES_MAX
    }

    fn add(&mut self, reading: &Reading<'_>, incoming: Incoming, bytes: usize) {
        let frame = self.frames.len();
        let mut work = FrameWork::new(&incoming);
        let events = incoming.arrivals().enumerate();
        self.candidates.extend(events.filter_map(|(index, event)| {
            read_event(reading, Place { frame, index }, event, &mut work)
        }));
        self.frames.push(work);
        self.bytes += bytes;
    }
}

/// Frames that can be read; the others stay pending and raise an alarm.
fn readable(deliveries: Vec<Delivery>) -> Vec<Incoming> {
    let mut frames = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        let source = delivery.source.0;
        let item = |bytes, received_micros, not_an_event| Incoming {
            frame: frame_of_item(&source, bytes, received_micros),
            source: source.clone(),
            redelivered: delivery.redelivered,
            via: Via::Source,
            not_an_event,
        };
        match delivery.payload {
            Payload::Frame(frame) => frames.push(Incoming {
                source,
                redelivered: delivery.redelivered,
                via: if frame.internal {
                    Via::Internal
                } else {
                    Via::Queue
                },
                frame,
                not_an_event: None,
            }),
            Payload::Translated {
                canonical,
                received_micros,
            } => frames.push(item(canonical, received_micros, None)),
            Payload::Refused {
                bytes,
                detail,
                received_micros,
            } => frames.push(item(bytes, received_micros, Some(detail))),
            Payload::Unreadable { reason } => {
                metrics::counter!(metric::UNREADABLE_FRAMES).increment(1);
                tracing::error!(
                    alert = true,
                    source,
                    reason,
                    "a frame cannot be read; it stays in the queue"
                );
            }
            Payload::Foreign { form, .. } => {
                metrics::counter!(metric::UNREADABLE_FRAMES).increment(1);
                tracing::error!(
                    alert = true,
                    source,
                    form,
                    "an item of another system came without terms; it stays in its queue"
                );
            }
        }
    }
    frames
}

/// What a source is told again of a frame that has a receipt: the answer to its settlement may have been lost.
fn refused_by(receipt: &Receipt) -> Option<Refused> {
    (receipt.stored == 0 && receipt.duplicate == 0).then(|| Refused {
        source: SourcePosition(receipt.source.clone()),
        reason: "kept as a dead letter, which says why".to_owned(),
    })
}

/// What reading an event needs.
pub(super) struct Reading<'a> {
    pub(super) registry: &'a Registry,
    pub(super) proofs: ProofPolicy,
}

/// Reads and processes one event of a frame; what cannot go on becomes a dead letter of the frame.
pub(super) fn read_event(
    reading: &Reading<'_>,
    place: Place,
    event: Arrival,
    work: &mut FrameWork,
) -> Option<Candidate> {
    if let Some(detail) = event.not_an_event {
        work.dead_letter_unread(
            place.index,
            DeadLetterReason::NotAnEvent,
            detail,
            event.bytes,
        );
        return None;
    }
    let draft = match EventDraft::try_from_canonical(event.bytes) {
        Ok(draft) => draft,
        Err((bytes, problems)) => {
            let detail = first_of(&problems);
            let reason = DeadLetterReason::Unreadable;
            work.dead_letter_unread(place.index, reason, detail, bytes);
            return None;
        }
    };
    if let Some(detail) = reading.proofs.refusal(draft.event()) {
        work.dead_letter(place.index, DeadLetterReason::ProofMismatch, detail, &draft);
        return None;
    }
    let claim = claim_of_draft(&draft);
    match annotate(reading.registry, draft) {
        Ok(draft) => Some(Candidate {
            place,
            identity: draft.event().identity(),
            claim,
            draft: Box::new(draft),
        }),
        Err(refused) => {
            let (draft, detail) = *refused;
            let reason = DeadLetterReason::RejectedByProcessor;
            work.dead_letter(place.index, reason, detail, &draft);
            None
        }
    }
}

fn first_of(problems: &[Problem]) -> String {
    problems
        .first()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// Runs the processors; the draft comes back with their annotations, or as it was with the reason of a refusal.
fn annotate(
    registry: &Registry,
    draft: EventDraft,
) -> Result<EventDraft, Box<(EventDraft, String)>> {
    if registry.has_no_processors() {
        return Ok(draft);
    }
    match registry.annotate(draft.event()) {
        Ok(annotations) if annotations.is_empty() => Ok(draft),
        Ok(mut annotations) => {
            // What accept stamped stays, whatever a processor is called.
            for (name, stamped) in draft.event().annotations.iter() {
                annotations.insert(name, stamped.clone());
            }
            let annotated = AuditEvent {
                annotations,
                ..draft.event().clone()
            };
            EventDraft::new(annotated).map_err(|problems| {
                let detail = format!("with its annotations: {}", first_of(&problems));
                Box::new((draft, detail))
            })
        }
        Err(refusal) => Err(Box::new((draft, refusal.reason))),
    }
}
