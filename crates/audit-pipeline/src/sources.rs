//! Several consumers as one, for lanes: our own queue, and the queues of other systems.
//!
//! What is foreign is translated on the way in: read in its form, judged, stamped with ids that follow from its position,
//! so that receipts and identities recognise what comes again. What is no event in its form becomes a refused item, which a
//! lane keeps among the dead letters as it came. Nothing is dropped here, and nothing is acknowledged.
//!
//! A source that is away costs the others nothing: it is left alone for a moment, and asked again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use audit_event::forms::read_statement;
use audit_event::{EventDraft, EventId, Form, OrganizationId, Problem, Timestamp};
use audit_integrity::keys::KeySource;
use audit_queue::{
    Batch, Budget, Consumer, Delivery, Frame, FrameEvent, FrameId, Payload, QueueError,
    SourcePosition,
};
use audit_runtime::Random;
use audit_store::query::OrganizationScope;
use tokio::time::Instant;

use crate::accept::Caller;
use crate::accept::draft::Drafter;

/// Items of another system are single events: a lane's batch of frames would be a small commit.
const ITEMS_MIN: usize = 1_000;

/// How long an idle lane waits in one go before it looks at the other sources.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long another system's queue may take to say what is there; a lane has others to ask.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a source that did not answer is left alone, the first time and at most.
const AWAY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A queue of another system.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name in logs.
    pub name: String,
    /// Its adapter.
    pub consumer: Arc<dyn Consumer>,
    /// The organisation of its events: of those that name none, and the only one that others may name. `None`: each event
    /// says its own, because whoever may write to this queue may write for all.
    pub organization: Option<OrganizationId>,
}

/// Where another system's queue stood when it was last asked. Numbers of items.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceStanding {
    /// Its name in logs.
    pub name: String,
    /// Nobody took them yet.
    pub waiting: u64,
    /// Taken by workers and not settled.
    pub held: u64,
    /// Shown as failed.
    pub failed: u64,
    /// What its producers count as dropped by them, since ever.
    pub dropped: u64,
    /// What its producers count as written past the queue, since ever.
    pub overflow: u64,
}

impl Source {
    /// Its writers, as accept knows callers. Who may write to the broker was decided there.
    fn caller(&self) -> Caller {
        let scope = match &self.organization {
            Some(organization) => OrganizationScope::Only(vec![organization.clone()]),
            None => OrganizationScope::All,
        };
        Caller {
            api_key_id: String::new(),
            scope,
            default_organization: self
                .organization
                .clone()
                .unwrap_or_else(OrganizationId::none),
            authenticated: true,
        }
    }
}

/// Where batches come from; the caller of our own queue's frames was known when they were made.
#[derive(Debug)]
struct Tap {
    name: String,
    consumer: Arc<dyn Consumer>,
    caller: Option<Caller>,
    /// When it may be asked again, and how long it was left alone until then.
    away: Mutex<Option<(Instant, Duration)>>,
}

impl Tap {
    fn away(&self) -> MutexGuard<'_, Option<(Instant, Duration)>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_away(&self) -> bool {
        self.away().is_some_and(|(until, _)| Instant::now() < until)
    }

    /// Left alone for longer each time; our own queue never for long.
    fn leave_alone(&self) {
        let mut away = self.away();
        let longest = if self.caller.is_some() {
            AWAY.1
        } else {
            AWAY.0
        };
        let pause = away.map_or(AWAY.0, |(_, before)| before.saturating_mul(2).min(longest));
        *away = Some((Instant::now() + pause, pause));
    }

    /// What is there. Of another system's queue within bounds; dropping the question loses nothing (port).
    async fn receive(&self, budget: Budget) -> Result<Batch, QueueError> {
        let receiving = self.consumer.receive(budget);
        if self.caller.is_none() {
            return receiving.await;
        }
        match tokio::time::timeout(budget.wait.saturating_add(PATIENCE), receiving).await {
            Ok(received) => received,
            Err(elapsed) => Err(QueueError::Unavailable(elapsed.into())),
        }
    }
}

/// All sources of a process as one [`Consumer`].
#[derive(Debug)]
pub struct Sources {
    taps: Vec<Tap>,
    drafter: Drafter,
    /// Who is asked first the next time.
    turn: AtomicUsize,
    tokens: AtomicU64,
    /// Which source a batch came from, and what it is called there.
    held: Mutex<HashMap<u64, (usize, u32, u64)>>,
    /// Batches whose receiver went away before it had them; given back by the next one.
    orphans: Mutex<Vec<u64>>,
}

/// Notes a batch as an orphan unless it is handed over.
struct Unclaimed<'a> {
    sources: &'a Sources,
    token: u64,
}

impl Unclaimed<'_> {
    fn claim(self) {
        std::mem::forget(self);
    }
}

impl Drop for Unclaimed<'_> {
    fn drop(&mut self) {
        self.sources.orphans().push(self.token);
    }
}

impl Sources {
    /// Our own queue and the others. `max_ahead` as in accept.
    #[must_use]
    pub fn new(
        own: Arc<dyn Consumer>,
        others: Vec<Source>,
        keys: Arc<dyn KeySource>,
        random: Arc<dyn Random>,
        max_ahead: Duration,
    ) -> Self {
        let tap = |name: String, consumer, caller| Tap {
            name,
            consumer,
            caller,
            away: Mutex::new(None),
        };
        let others = others.into_iter().map(|source| {
            let caller = source.caller();
            tap(source.name, source.consumer, Some(caller))
        });
        Self {
            taps: std::iter::once(tap("queue".to_owned(), own, None))
                .chain(others)
                .collect(),
            drafter: Drafter::new(keys, random, max_ahead),
            turn: AtomicUsize::new(0),
            tokens: AtomicU64::new(1),
            held: Mutex::default(),
            orphans: Mutex::default(),
        }
    }

    /// As [`Acceptor::set_max_ahead`](crate::Acceptor::set_max_ahead), for items translated from now on.
    pub fn set_max_ahead(&self, max_ahead: Duration) {
        self.drafter.set_max_ahead(max_ahead);
    }

    fn orphans(&self) -> MutexGuard<'_, Vec<u64>> {
        // A list of names is whole after any panic.
        self.orphans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn give_orphans_back(&self) {
        let orphans = std::mem::take(&mut *self.orphans());
        for token in orphans {
            if let Err(error) = self.release(Batch::named(0, token)).await {
                // Its hold runs out.
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a batch was not released"
                );
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<u64, (usize, u32, u64)>> {
        // A map of names is whole after any panic.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is there now, from the first source that has something; each call begins with the next one.
    async fn look(&self, budget: Budget) -> Result<Option<Batch>, QueueError> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut error = None;
        let mut answered = false;
        for step in 0..self.taps.len() {
            let at = first.wrapping_add(step) % self.taps.len();
            let budget = Budget {
                wait: Duration::ZERO,
                ..budget
            };
            match self.ask(at, budget).await {
                Some(Ok(batch)) if batch.deliveries.is_empty() => answered = true,
                Some(Ok(batch)) => return Ok(Some(batch)),
                Some(Err(failed)) => error = Some(failed),
                None => {}
            }
        }
        match error {
            Some(error) if !answered => Err(error),
            _ => Ok(None),
        }
    }

    /// Asks one source; `None` while it is left alone.
    async fn ask(&self, at: usize, mut budget: Budget) -> Option<Result<Batch, QueueError>> {
        let tap = self.taps.get(at)?;
        if tap.is_away() {
            return None;
        }
        if tap.caller.is_some() {
            budget.deliveries = budget.deliveries.max(ITEMS_MIN);
        }
        match tap.receive(budget).await {
            Ok(batch) => {
                *tap.away() = None;
                if batch.deliveries.is_empty() {
                    return Some(Ok(batch));
                }
                Some(Ok(self.translated(at, tap, batch).await))
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    source = tap.name,
                    "nothing received"
                );
                tap.leave_alone();
                Some(Err(error))
            }
        }
    }

    /// The batch under a name of ours, noted before anything is awaited: a receiver that is dropped while its items are
    /// translated leaves an orphan, not a loss.
    async fn translated(&self, at: usize, tap: &Tap, mut batch: Batch) -> Batch {
        let token = self.tokens.fetch_add(1, Ordering::Relaxed);
        self.held()
            .insert(token, (at, batch.partition, batch.token));
        let unclaimed = Unclaimed {
            sources: self,
            token,
        };
        if let Some(caller) = &tap.caller {
            for (index, delivery) in batch.deliveries.iter_mut().enumerate() {
                if let Some(translated) = self.translate(caller, delivery).await {
                    delivery.payload = translated;
                }
                // A large batch must not keep the reactor from the others.
                if index % 128 == 127 {
                    tokio::task::yield_now().await;
                }
            }
        }
        unclaimed.claim();
        Batch { token, ..batch }
    }

    /// What an item of another system is to a lane; `None` when it is not one to be translated.
    async fn translate(&self, caller: &Caller, delivery: &mut Delivery) -> Option<Payload> {
        let Payload::Foreign {
            form,
            bytes,
            received_micros,
        } = &mut delivery.payload
        else {
            return None;
        };
        let received_micros = *received_micros;
        let drafted = self
            .draft(caller, &delivery.source, form, bytes, received_micros)
            .await;
        Some(match drafted {
            Ok(draft) => Payload::Translated {
                canonical: draft.into_parts().1,
                received_micros,
            },
            Err(problems) => Payload::Refused {
                bytes: std::mem::take(bytes),
                detail: in_words(&problems),
                received_micros,
            },
        })
    }

    async fn draft(
        &self,
        caller: &Caller,
        source: &SourcePosition,
        form: &str,
        bytes: &[u8],
        received_micros: i64,
    ) -> Result<EventDraft, Vec<Problem>> {
        let form = Form::from_name(form).ok_or_else(|| {
            vec![Problem::at(
                "",
                audit_event::Code::UnknownValue,
                format!("the form {form} is not known"),
            )]
        })?;
        let statement = read_statement(form, bytes)?;
        let received_at = Timestamp::from_micros(received_micros).unwrap_or(Timestamp::EPOCH);
        let id = EventId::v5(source.0.as_bytes());
        self.drafter
            .of_statement(statement, id, caller, received_at)
            .await
    }

    fn of(&self, token: u64) -> Option<(&Tap, Batch)> {
        let (at, partition, token) = *self.held().get(&token)?;
        Some((self.taps.get(at)?, Batch::named(partition, token)))
    }
}

/// Every problem, as a dead letter's detail: paths and reasons, nothing of the item itself.
fn in_words(problems: &[Problem]) -> String {
    let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
    words.join("; ")
}

#[async_trait]
impl Consumer for Sources {
    async fn receive(&self, budget: Budget) -> Result<Batch, QueueError> {
        self.give_orphans_back().await;
        let deadline = Instant::now() + budget.wait;
        loop {
            if let Some(batch) = self.look(budget).await? {
                return Ok(batch);
            }
            let now = Instant::now();
            if now >= deadline {
                return Ok(Batch::nothing());
            }
            // Nothing anywhere: our own queue says at once when something comes, the others are looked at again soon.
            let wait = LOOK_EVERY.min(deadline - now);
            match self.ask(0, Budget { wait, ..budget }).await {
                Some(Ok(batch)) if !batch.deliveries.is_empty() => return Ok(batch),
                Some(Ok(_nothing)) => {}
                Some(Err(_)) | None => tokio::time::sleep(wait).await,
            }
        }
    }

    async fn settle(&self, batch: Batch) -> Result<(), QueueError> {
        if batch.token == 0 {
            return Ok(());
        }
        let (tap, named) = self.of(batch.token).ok_or(QueueError::NotHeld)?;
        let settled = tap.consumer.settle(Batch {
            refused: batch.refused,
            ..named
        });
        let settled = settled.await;
        if !matches!(settled, Err(ref error) if is_worth_another_call(error)) {
            self.held().remove(&batch.token);
        }
        settled
    }

    async fn renew(&self, batch: &Batch) -> Result<(), QueueError> {
        if batch.token == 0 {
            return Ok(());
        }
        let (tap, named) = self.of(batch.token).ok_or(QueueError::NotHeld)?;
        tap.consumer.renew(&named).await
    }

    async fn release(&self, batch: Batch) -> Result<(), QueueError> {
        if batch.token == 0 {
            return Ok(());
        }
        let (tap, named) = self.of(batch.token).ok_or(QueueError::NotHeld)?;
        let released = tap.consumer.release(named).await;
        // Whatever the answer, the lane calls it no more; a hold that was not given up runs out.
        self.held().remove(&batch.token);
        released
    }
}

/// After a settlement that failed the lane gives the batch back, by the same name.
const fn is_worth_another_call(error: &QueueError) -> bool {
    !matches!(error, QueueError::NotHeld | QueueError::Closed)
}

/// The frame of one item of another system: its id follows from the position, nothing else.
pub(crate) fn frame_of_item(position: &str, event: Vec<u8>, received_micros: i64) -> Frame {
    let name = [b"frame/".as_slice(), position.as_bytes()].concat();
    Frame {
        id: FrameId(*EventId::v5(&name).as_bytes()),
        internal: false,
        received_at: Timestamp::from_micros(received_micros).unwrap_or(Timestamp::EPOCH),
        traceparent: None,
        events: vec![FrameEvent {
            canonical: event,
            api_key_id: String::new(),
        }],
    }
}
