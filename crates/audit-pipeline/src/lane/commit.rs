//! The commit of a batch: one linear protocol, from numbering to letting the queue go.

use std::collections::HashMap;
use std::time::Duration;

use audit_event::{Identity, Timestamp};
use audit_runtime::Backoff;
use audit_store::{Commit, CommitError, Found, NewDeadLetter, Receipt, StoreError};

use super::batch::{self, FrameWork, Leader, Numbered, Numbering};
use super::held::Held;
use super::intake::Prepared;
use super::reject_rate::RejectRate;
use super::state::LaneState;
use super::{End, Lane};
use crate::hubs::{EventOutcome, FrameOutcome};
use crate::metric;

/// How often a batch is numbered again because some of it was stored meanwhile (DESIGN §3.4).
const RENUMBERINGS_MAX: u32 = 5;

/// What to do after one attempt.
enum Attempt {
    /// It is stored.
    Done,
    /// Try these parts, last first.
    Again(Vec<Vec<Leader>>),
}

impl Lane {
    /// Commits a prepared batch and lets the queue go of it. When this returns an error nothing is known to be stored
    /// beyond what receipts say, and the batch goes back to the queue.
    pub(super) async fn settle(
        &self,
        state: &mut LaneState,
        rate: &mut RejectRate,
        prepared: Prepared,
        held: &Held,
    ) -> Result<(), End> {
        let Prepared {
            token,
            mut frames,
            candidates,
        } = prepared;
        let mut parts = vec![batch::lead(candidates)];
        let mut backoff = Backoff::new(Duration::from_millis(5), Duration::from_secs(2));
        while let Some(leaders) = parts.pop() {
            // The receipts go with the last part, when everything about their frames is decided.
            let is_last = parts.is_empty();
            // C4: numbered in memory; a crash here leaves the frames in the queue and nothing in the store.
            match self
                .attempt(state, rate, leaders, &mut frames, is_last, &mut backoff)
                .await?
            {
                Attempt::Done => {}
                Attempt::Again(again) => parts.extend(again),
            }
        }
        // C6: committed, nobody was told and the queue still has the frames; redelivered, their receipts recognise them.
        self.tell(&frames);
        self.parts.head_moved.notify_one();
        if let Err(error) = held.settle(token).await {
            // C7: the frames are delivered again and recognised by their receipts.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a committed batch was not settled"
            );
        }
        Ok(())
    }

    async fn attempt(
        &self,
        state: &mut LaneState,
        rate: &mut RejectRate,
        leaders: Vec<Leader>,
        frames: &mut Vec<FrameWork>,
        is_last: bool,
        backoff: &mut Backoff,
    ) -> Result<Attempt, End> {
        let now = Timestamp::from_micros(self.parts.clock.now_micros()).unwrap_or(Timestamp::EPOCH);
        let numbered = batch::number(
            leaders,
            Numbering {
                ledger: self.ledger,
                range: state.head.range.clone(),
                tiles: state.tiles.clone(),
                sealed_at: now,
                random: &*self.parts.random,
            },
        );
        let mut decided = frames.clone();
        numbered.decide(&mut decided);
        match self
            .commit(state, &numbered, &mut decided, is_last, now)
            .await
        {
            Ok(()) => {
                rate.stored(numbered.events.len());
                state.tiles = numbered.tiles;
                *frames = decided;
                backoff.reset();
                Ok(Attempt::Done)
            }
            Err(error) => {
                metrics::counter!(metric::COMMIT_FAILURES, "fault" => fault_name(&error))
                    .increment(1);
                tracing::warn!(error = &error as &dyn std::error::Error, ledger = %self.ledger, "commit failed");
                self.recover(error, numbered.into_leaders(), frames, rate, backoff)
                    .await
            }
        }
    }

    async fn commit(
        &self,
        state: &mut LaneState,
        numbered: &Numbered,
        decided: &mut [FrameWork],
        is_last: bool,
        now: Timestamp,
    ) -> Result<(), CommitError> {
        let started = tokio::time::Instant::now();
        let chunk = numbered.chunk();
        let head = if chunk.is_some() {
            state.seal_head(numbered.range.clone())
        } else {
            state.head.clone()
        };
        let (receipts, letters) = if is_last {
            books(decided, now)
        } else {
            (Vec::new(), Vec::new())
        };
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
        self.parts.store.writer.commit(commit).await?;
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
        rate: &mut RejectRate,
        backoff: &mut Backoff,
    ) -> Result<Attempt, End> {
        match error {
            CommitError::Fenced | CommitError::HeadMoved { .. } | CommitError::Unknown(_) => {
                Err(End::Reload)
            }
            CommitError::Unavailable(_) => {
                self.wait_for_store().await?;
                Ok(Attempt::Again(vec![leaders]))
            }
            CommitError::Busy(_) => {
                self.pause(backoff.next_wait(&*self.parts.random)).await;
                if self.parts.shutdown.is_begun() {
                    Err(End::Asked)
                } else {
                    Ok(Attempt::Again(vec![leaders]))
                }
            }
            CommitError::AlreadyStored => {
                if backoff.attempts() >= RENUMBERINGS_MAX {
                    return Err(End::Reload);
                }
                self.pause(backoff.next_wait(&*self.parts.random)).await;
                Ok(Attempt::Again(vec![
                    self.without_known(leaders, frames).await?,
                ]))
            }
            CommitError::Rejected { identity, reason } => {
                // Only a store that takes other writes right now may blame the event.
                if self.parts.store.writer.probe().await.is_err() {
                    self.wait_for_store().await?;
                    return Ok(Attempt::Again(vec![leaders]));
                }
                self.take_out(identity.as_ref(), &reason, leaders, frames, rate)
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
        let ids: Vec<[u8; 16]> = frames.iter().map(|frame| frame.id.0).collect();
        for part in ids.chunks(1_000) {
            if !self
                .look_up(self.parts.store.receipts.find(part).await)?
                .is_empty()
            {
                // A whole frame was committed by somebody else: receive again, and its receipt is seen.
                return Err(End::Reload);
            }
        }
        let identities: Vec<Identity> = leaders
            .iter()
            .map(|leader| leader.candidate.identity.clone())
            .collect();
        let mut known: HashMap<Identity, Found> = HashMap::new();
        for part in identities.chunks(10_000) {
            let found = self.look_up(self.parts.store.events.find(part).await)?;
            known.extend(
                found
                    .into_iter()
                    .map(|found| (found.identity.clone(), found)),
            );
        }
        Ok(batch::settle_known(leaders, &known, frames))
    }

    fn look_up<T>(&self, found: Result<T, StoreError>) -> Result<T, End> {
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

    /// Waits, without limit, until the store takes writes; the batch stays held and is renewed meanwhile.
    async fn wait_for_store(&self) -> Result<(), End> {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        self.parts.breaker.failed();
        loop {
            self.pause(backoff.next_wait(&*self.parts.random)).await;
            if self.parts.shutdown.is_begun() {
                return Err(End::Asked);
            }
            if !self.parts.breaker.allows() {
                continue;
            }
            match self.parts.store.writer.probe().await {
                Ok(()) => {
                    self.parts.breaker.succeeded();
                    return Ok(());
                }
                Err(_still_away) => self.parts.breaker.failed(),
            }
        }
    }

    fn tell(&self, frames: &[FrameWork]) {
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

/// Receipts and dead letters of decided frames.
fn books(decided: &mut [FrameWork], now: Timestamp) -> (Vec<Receipt>, Vec<NewDeadLetter>) {
    let receipts = decided.iter().map(|frame| frame.receipt(now)).collect();
    let letters = decided.iter().flat_map(|frame| &frame.letters);
    (
        receipts,
        letters
            .map(|letter| NewDeadLetter {
                dead_at: now,
                ..letter.clone()
            })
            .collect(),
    )
}

fn count(receipts: &[Receipt], events: usize, took: Duration) {
    for receipt in receipts {
        let origin = if receipt.internal {
            "internal"
        } else {
            "producer"
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
