//! Receiving a batch and preparing it: drop what has a receipt, read, process, digest. Runs while the batch before is committed.

use std::collections::HashSet;

use audit_event::{AuditEvent, EventDraft};
use audit_integrity::claim::claim_of;
use audit_queue::{Budget, Delivery, Frame, FrameId, Payload, QueueError};
use audit_runtime::{Backoff, BreakerState};
use audit_store::DeadLetterReason;

use super::batch::{Candidate, FrameWork, Place};
use super::held::Held;
use super::{LaneParts, LaneSettings};
use crate::hubs::FrameOutcome;
use crate::metric;
use crate::processor::Registry;

/// A batch ready to be numbered.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Names the batch to the queue.
    pub(super) token: u64,
    /// Its frames without a receipt.
    pub(super) frames: Vec<FrameWork>,
    /// Its events, in no order yet.
    pub(super) candidates: Vec<Candidate>,
}

pub(super) struct Intake<'a> {
    pub(super) parts: &'a LaneParts,
    pub(super) settings: &'a LaneSettings,
    pub(super) held: &'a Held,
}

impl Intake<'_> {
    /// The next batch with work in it; `None` at shutdown.
    pub(super) async fn next(&self) -> Option<Prepared> {
        let mut backoff = Backoff::new(
            std::time::Duration::from_millis(50),
            std::time::Duration::from_secs(5),
        );
        loop {
            let batch = tokio::select! {
                biased;
                () = self.parts.shutdown.begun() => return None,
                batch = self.receive() => batch,
            };
            match batch {
                Ok(Some(prepared)) => return Some(prepared),
                Ok(None) => backoff.reset(),
                Err(QueueError::Closed) => return None,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "nothing received");
                    tokio::time::sleep(backoff.next_wait(&*self.parts.random)).await;
                }
            }
        }
    }

    async fn receive(&self) -> Result<Option<Prepared>, QueueError> {
        if self.parts.breaker.state() != BreakerState::Closed {
            // The store is away: what is received now could only wait in memory.
            tokio::time::sleep(self.settings.receive_wait).await;
            return Ok(None);
        }
        let depth = self.parts.producer.depth().await?.events;
        let deliveries = self
            .settings
            .batch_by_depth
            .iter()
            .find(|(above, _)| depth >= *above)
            .map_or(100, |(_, n)| *n);
        let budget = Budget {
            deliveries,
            bytes: self.settings.batch_bytes_max,
            wait: self.settings.receive_wait,
        };
        let mut batch = self.parts.consumer.receive(budget).await?;
        let deliveries = std::mem::take(&mut batch.deliveries);
        let token = batch.token;
        if deliveries.is_empty() {
            return Ok(None);
        }
        self.held.add(batch);
        self.prepare(token, deliveries).await
    }

    async fn prepare(
        &self,
        token: u64,
        deliveries: Vec<Delivery>,
    ) -> Result<Option<Prepared>, QueueError> {
        let frames = readable(deliveries);
        let done = self.with_receipts(&frames).await?;
        let (mut works, mut candidates) = (Vec::new(), Vec::new());
        for (source, frame) in frames {
            if done.contains(&frame.id) {
                // Committed before a crash or a lost answer; the queue only has to let go.
                self.parts.settlements.tell(frame.id, &FrameOutcome::LookUp);
                continue;
            }
            let at = works.len();
            let mut work = FrameWork::new(&frame, source);
            candidates.extend(read_events(&self.parts.registry, at, frame, &mut work));
            works.push(work);
            // Reading is work for the processor; the commit under way wants its answer seen.
            tokio::task::yield_now().await;
        }
        if works.is_empty() {
            self.held.settle(token).await?;
            return Ok(None);
        }
        Ok(Some(Prepared {
            token,
            frames: works,
            candidates,
        }))
    }

    async fn with_receipts(
        &self,
        frames: &[(String, Frame)],
    ) -> Result<HashSet<FrameId>, QueueError> {
        let mut done = HashSet::new();
        let ids: Vec<[u8; 16]> = frames.iter().map(|(_, frame)| frame.id.0).collect();
        for part in ids.chunks(1_000) {
            let found = self.parts.store.receipts.find(part).await;
            // The store is away: the batch stays held and is released by the session's end, or tried again.
            let found = found.map_err(|error| QueueError::Unavailable(Box::new(error)))?;
            done.extend(found.into_iter().map(|receipt| FrameId(receipt.frame_id)));
        }
        Ok(done)
    }
}

/// Frames that can be read; the others stay pending and raise an alarm.
fn readable(deliveries: Vec<Delivery>) -> Vec<(String, Frame)> {
    let mut frames = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        match delivery.payload {
            Payload::Frame(frame) => frames.push((delivery.source.0, frame)),
            Payload::Unreadable { reason } => {
                metrics::counter!(metric::UNREADABLE_FRAMES).increment(1);
                tracing::error!(
                    source = delivery.source.0,
                    reason,
                    "a frame cannot be read; it stays in the queue"
                );
            }
            Payload::Foreign { form, .. } => {
                tracing::error!(
                    source = delivery.source.0,
                    form,
                    "foreign deliveries need their adapter's accept step"
                );
            }
        }
    }
    frames
}

/// Reads and processes the events of a frame; what cannot go on becomes a dead letter of the frame.
fn read_events(
    registry: &Registry,
    at: usize,
    frame: Frame,
    work: &mut FrameWork,
) -> Vec<Candidate> {
    let mut candidates = Vec::with_capacity(frame.events.len());
    for (index, event) in frame.events.into_iter().enumerate() {
        let place = Place { frame: at, index };
        let draft = match EventDraft::from_canonical(event.canonical.clone()) {
            Ok(draft) => draft,
            Err(problems) => {
                let detail = problems
                    .first()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                work.dead_letter_unread(
                    index,
                    DeadLetterReason::Unreadable,
                    detail,
                    event.canonical,
                );
                continue;
            }
        };
        let claim = claim_of(draft.event());
        match annotate(registry, draft) {
            Ok(draft) => candidates.push(Candidate {
                place,
                identity: draft.event().identity(),
                claim,
                draft,
            }),
            Err((draft, detail)) => {
                work.dead_letter(index, DeadLetterReason::RejectedByProcessor, detail, &draft);
            }
        }
    }
    candidates
}

/// Runs the processors; the draft comes back with their annotations, or as it was with the reason of a refusal.
fn annotate(registry: &Registry, draft: EventDraft) -> Result<EventDraft, (EventDraft, String)> {
    if registry.has_no_processors() {
        return Ok(draft);
    }
    match registry.annotate(draft.event()) {
        Ok(annotations) if annotations.is_empty() => Ok(draft),
        Ok(annotations) => {
            let annotated = AuditEvent {
                annotations,
                ..draft.event().clone()
            };
            EventDraft::new(annotated).map_err(|problems| {
                let detail = problems
                    .first()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                (draft, format!("with its annotations: {detail}"))
            })
        }
        Err(refusal) => Err((draft, refusal.reason)),
    }
}
