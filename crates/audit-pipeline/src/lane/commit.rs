//! The commit of a batch: one linear protocol, from numbering to letting the queue go.

use std::collections::HashMap;
use std::time::Duration;

use audit_event::{Identity, Timestamp};
use audit_runtime::Backoff;
use audit_store::{Commit, CommitError, Found, NewDeadLetter, Receipt, StoreError, Via};

use super::batch::{self, Candidate, FrameWork, Known, Leader, Numbered, Numbering};
use super::held::Held;
use super::intake::Prepared;
use super::reject_rate::RejectRate;
use super::state::LaneState;
use super::{End, Lane};
use crate::hubs::{EventOutcome, FrameOutcome};
use crate::metric;
use crate::outward::within;

/// How often a batch is numbered again because some of it was stored meanwhile (DESIGN §3.4).
const RENUMBERINGS_MAX: u32 = 5;

/// What to do after one attempt.
enum Attempt {
    /// It is stored.
    Done,
    /// Try these parts, last first.
    Again(Vec<Vec<Leader>>),
}

/// What a commit writes besides events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writes {
    /// Nothing: more of the same frames is to come.
    Events,
    /// Dead letters decided so far; more of the same frame is to come.
    Letters,
    /// Receipts, and the dead letters that are not written yet: everything about the frames is decided.
    Receipts,
}

/// How often a part was tried. Only renumbering is counted: an outage or a busy store says nothing about the batch.
struct Tries {
    renumbered: u32,
    backoff: Backoff,
}

impl Tries {
    const fn new() -> Self {
        Self {
            renumbered: 0,
            backoff: Backoff::new(Duration::from_millis(5), Duration::from_secs(2)),
        }
    }
}

impl Lane {
    /// Commits a prepared batch and lets the queue go of it. When this returns an error nothing is known to be stored
    /// beyond what receipts say, and the batch goes back to the queue.
    pub(super) async fn settle(
        &self,
        state: &mut LaneState,
        prepared: Prepared,
        held: &Held,
    ) -> Result<(), End> {
        let mut refused = prepared.refused;
        for work in prepared.works {
            let mut frames = work.frames;
            let leaders = batch::lead(work.candidates);
            self.commit_parts(state, leaders, &mut frames, Writes::Receipts)
                .await?;
            // C6: committed, nobody was told and the queue still has the frames; redelivered, their receipts recognise them.
            self.tell(&frames);
            refused.extend(frames.iter().filter_map(FrameWork::refusal));
        }
        for suspect in prepared.suspects {
            refused.extend(self.settle_suspect(state, suspect, prepared.proofs).await?);
        }
        if prepared.settles {
            // C7: the frames are delivered again when the queue does not hear this, and recognised by their receipts.
            held.settle(prepared.token, refused);
        } else {
            held.release(prepared.token).await;
        }
        Ok(())
    }

    /// Commits the leaders, in as many parts as the store makes necessary.
    pub(super) async fn commit_parts(
        &self,
        state: &mut LaneState,
        leaders: Vec<Leader>,
        frames: &mut [FrameWork],
        writes: Writes,
    ) -> Result<(), End> {
        let mut parts = vec![leaders];
        let mut tries = Tries::new();
        while let Some(leaders) = parts.pop() {
            // The receipts go with the last part, when everything about their frames is decided.
            let writes = if parts.is_empty() {
                writes
            } else {
                Writes::Events
            };
            // C4: numbered in memory; a crash here leaves the frames in the queue and nothing in the store.
            match self
                .attempt(state, leaders, frames, writes, &mut tries)
                .await?
            {
                Attempt::Done => tries = Tries::new(),
                Attempt::Again(again) => parts.extend(again),
            }
        }
        Ok(())
    }

    async fn attempt(
        &self,
        state: &mut LaneState,
        leaders: Vec<Leader>,
        frames: &mut [FrameWork],
        writes: Writes,
        tries: &mut Tries,
    ) -> Result<Attempt, End> {
        let now = Timestamp::from_micros(self.parts.clock.now_micros()).unwrap_or(Timestamp::EPOCH);
        let numbering = Numbering {
            ledger: self.ledger,
            range: state.head.range.clone(),
            tiles: state.tiles.clone(),
            sealed_at: now,
            random: &*self.parts.random,
        };
        let numbered = batch::number(leaders, numbering);
        let letters: Vec<usize> = frames.iter().map(|frame| frame.letters.len()).collect();
        numbered.decide(frames);
        match self.commit(state, &numbered, frames, writes, now).await {
            Ok(()) => {
                state.rate.stored(numbered.events.len());
                state.tiles = numbered.tiles;
                if writes != Writes::Events {
                    frames.iter_mut().for_each(|frame| frame.letters.clear());
                }
                if let Some(feed) = &self.parts.feed {
                    feed.offer(numbered.events);
                }
                Ok(Attempt::Done)
            }
            Err(error) => {
                // What the commit would have decided is undecided again: outcomes are overwritten, letters taken back.
                for (frame, letters) in frames.iter_mut().zip(letters) {
                    frame.letters.truncate(letters);
                }
                metrics::counter!(metric::COMMIT_FAILURES, "fault" => fault_name(&error))
                    .increment(1);
                tracing::warn!(error = &error as &dyn std::error::Error, ledger = %self.ledger, "commit failed");
                self.recover(error, numbered.into_leaders(), frames, state, tries)
                    .await
            }
        }
    }

    async fn commit(
        &self,
        state: &mut LaneState,
        numbered: &Numbered,
        frames: &[FrameWork],
        writes: Writes,
        now: Timestamp,
    ) -> Result<(), CommitError> {
        let started = tokio::time::Instant::now();
        let chunk = numbered.chunk();
        let head = if chunk.is_some() {
            state.seal_head(numbered.range.clone())
        } else {
            state.head.clone()
        };
        let receipts = receipts_of(frames, writes, now);
        let letters = letters_of(frames, writes, now);
        // C5: inside the store's transaction; it leaves all of this or nothing.
        let commit = Commit {
            lease: &state.lease,
            expected_size: state.head.size,
            chunk,
            events: &numbered.events,
            controls: &[],
            tiles: &numbered.full,
            head: &head,
            dead_letters: &letters,
            receipts: &receipts,
        };
        within(
            self.settings.call_timeout,
            self.parts.store.writer.commit(commit),
        )
        .await?;
        self.parts.breaker.succeeded();
        state.head = head;
        count(&receipts, numbered.events.len(), started.elapsed());
        Ok(())
    }

    /// Decides, in this one place, what a failed commit means.
    async fn recover(
        &self,
        error: CommitError,
        leaders: Vec<Leader>,
        frames: &mut [FrameWork],
        state: &mut LaneState,
        tries: &mut Tries,
    ) -> Result<Attempt, End> {
        match error {
            CommitError::Fenced | CommitError::HeadMoved { .. } | CommitError::Unknown(_) => {
                Err(End::Reload)
            }
            CommitError::Unavailable(_) => {
                self.wait_for_store(&mut tries.backoff).await?;
                Ok(Attempt::Again(vec![leaders]))
            }
            CommitError::Busy(_) => {
                self.pause(tries.backoff.next_wait(&*self.parts.random))
                    .await;
                if self.parts.shutdown.is_begun() {
                    Err(End::Asked)
                } else {
                    Ok(Attempt::Again(vec![leaders]))
                }
            }
            CommitError::AlreadyStored => {
                if tries.renumbered >= RENUMBERINGS_MAX {
                    return Err(End::Reload);
                }
                tries.renumbered += 1;
                if tries.renumbered > 1 {
                    // The first time it is a duplicate, most likely; from then on another lane is in the way.
                    self.pause(tries.backoff.next_wait(&*self.parts.random))
                        .await;
                }
                let left = self.without_known(leaders, frames).await?;
                Ok(Attempt::Again(vec![left]))
            }
            CommitError::Rejected { identity, reason } => {
                // Only a store that takes other writes right now may blame the event.
                let limit = self.settings.call_timeout;
                if within(limit, self.parts.store.writer.probe())
                    .await
                    .is_err()
                {
                    self.wait_for_store(&mut tries.backoff).await?;
                    return Ok(Attempt::Again(vec![leaders]));
                }
                self.take_out(identity.as_ref(), &reason, leaders, frames, &mut state.rate)
            }
            // A variant of a newer port: unknown means that our state is.
            _ => Err(End::Reload),
        }
    }

    /// Settles what is stored already; the others are numbered again.
    async fn without_known(
        &self,
        leaders: Vec<Leader>,
        frames: &mut [FrameWork],
    ) -> Result<Vec<Leader>, End> {
        let limit = self.settings.call_timeout;
        let ids: Vec<[u8; 16]> = frames.iter().map(|frame| frame.id.0).collect();
        for part in ids.chunks(1_000) {
            let found = within(limit, self.parts.store.receipts.find(part)).await;
            if !self.look_up(found)?.is_empty() {
                // A whole frame was committed by somebody else: receive again, and its receipt is seen.
                return Err(End::Reload);
            }
        }
        let identities: Vec<Identity> = leaders
            .iter()
            .map(|leader| leader.candidate.identity.clone())
            .collect();
        let mut known: HashMap<Identity, Known> = HashMap::new();
        for part in identities.chunks(10_000) {
            let found = within(limit, self.parts.store.events.find(part)).await;
            for found in self.look_up(found)? {
                let identity = found.identity.clone();
                let is_leader = false;
                known.insert(identity, Known { found, is_leader });
            }
        }
        for leader in &leaders {
            let candidate = &leader.candidate;
            let redelivered = frames
                .get(candidate.place.frame)
                .is_some_and(|frame| frame.redelivered);
            if let Some(known) = known
                .get_mut(&candidate.identity)
                .filter(|known| redelivered && known.found.claim == candidate.claim)
            {
                known.is_leader = !is_taken(frames, &known.found)
                    && self.is_stored(candidate, &known.found).await?;
            }
        }
        Ok(batch::settle_known(leaders, &known, frames))
    }

    /// Whether this very event was stored when its frame was delivered before: a duplicate has another `receivedAt`.
    async fn is_stored(&self, candidate: &Candidate, found: &Found) -> Result<bool, End> {
        let events = &self.parts.store.events;
        let row = within(
            self.settings.call_timeout,
            events.row(found.ledger, found.leaf_index),
        );
        let row = self.look_up(row.await)?;
        let stored = row.and_then(|row| row.canonical);
        Ok(stored.is_some_and(|canonical| canonical == candidate.draft.canonical()))
    }

    pub(super) fn look_up<T>(&self, found: Result<T, StoreError>) -> Result<T, End> {
        found.map_err(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, ledger = %self.ledger, "look-up failed");
            End::Reload
        })
    }

    /// Takes the event the store refuses out of the batch; halves the batch when the store does not say which it is.
    fn take_out(
        &self,
        identity: Option<&Identity>,
        reason: &str,
        mut leaders: Vec<Leader>,
        frames: &mut [FrameWork],
        rate: &mut RejectRate,
    ) -> Result<Attempt, End> {
        let named = identity.and_then(|identity| {
            leaders
                .iter()
                .position(|leader| leader.candidate.identity == *identity)
        });
        let at = match named {
            Some(at) => at,
            None if leaders.len() == 1 => 0,
            None if leaders.is_empty() => return Err(End::Stop),
            None => {
                let second = leaders.split_off(leaders.len() / 2);
                return Ok(Attempt::Again(vec![second, leaders]));
            }
        };
        if rate.refused() {
            tracing::error!(ledger = %self.ledger, reason, "the store refuses too many events; nothing more is given up");
            return Err(End::Stop);
        }
        let refused = leaders.remove(at);
        if let Some(next) = batch::give_up(refused, reason, frames) {
            leaders.insert(at, next);
        }
        Ok(Attempt::Again(vec![leaders]))
    }

    pub(super) fn tell(&self, frames: &[FrameWork]) {
        for frame in frames {
            if self.parts.settlements.is_awaited(frame.id) {
                let outcomes = frame
                    .outcomes
                    .iter()
                    .map(|outcome| outcome.unwrap_or(EventOutcome::DeadLettered));
                let outcome = FrameOutcome::Events(std::sync::Arc::new(outcomes.collect()));
                self.parts.settlements.tell(frame.id, &outcome);
            }
        }
    }
}

/// Whether an event of these frames is the one that is stored there; an equal one is its duplicate.
fn is_taken(frames: &[FrameWork], found: &Found) -> bool {
    let mut outcomes = frames.iter().flat_map(|frame| &frame.outcomes);
    outcomes.any(|outcome| {
        matches!(outcome, Some(EventOutcome::Stored(address))
            if (address.ledger, address.leaf_index) == (found.ledger, found.leaf_index))
    })
}

fn receipts_of(frames: &[FrameWork], writes: Writes, now: Timestamp) -> Vec<Receipt> {
    match writes {
        Writes::Receipts => frames.iter().map(|frame| frame.receipt(now)).collect(),
        Writes::Events | Writes::Letters => Vec::new(),
    }
}

fn letters_of(frames: &[FrameWork], writes: Writes, now: Timestamp) -> Vec<NewDeadLetter> {
    let dead_now = |letter: &NewDeadLetter| NewDeadLetter {
        dead_at: now,
        ..letter.clone()
    };
    match writes {
        Writes::Events => Vec::new(),
        Writes::Letters | Writes::Receipts => frames
            .iter()
            .flat_map(|frame| &frame.letters)
            .map(dead_now)
            .collect(),
    }
}

fn count(receipts: &[Receipt], events: usize, took: Duration) {
    for receipt in receipts {
        let origin = match receipt.via {
            Via::Internal => "internal",
            Via::Queue | Via::Source => "producer",
        };
        metrics::counter!(metric::STORED, "origin" => origin).increment(u64::from(receipt.stored));
        metrics::counter!(metric::DUPLICATE).increment(u64::from(receipt.duplicate));
        metrics::counter!(metric::CONFLICT).increment(u64::from(receipt.conflict));
        metrics::counter!(metric::DEAD_LETTERED).increment(u64::from(receipt.dead_lettered));
    }
    metrics::histogram!(metric::COMMIT_SECONDS).record(took.as_secs_f64());
    metrics::histogram!(metric::COMMIT_EVENTS)
        .record(f64::from(u32::try_from(events).unwrap_or(u32::MAX)));
}

fn fault_name(error: &CommitError) -> &'static str {
    use audit_runtime::{Fault, Faulty};
    match error.fault() {
        Fault::Outage => "outage",
        Fault::Transient => "transient",
        Fault::Rejected => "rejected",
        Fault::Fatal => "fatal",
    }
}
