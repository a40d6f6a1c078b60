//! Detection follows the ledgers: every stored event once, in leaf order, from a cursor that the windows' store moves with what it counts.
//!
//! A lane hands over what it has committed, so that nothing is read twice while all is well; what was not taken over (this process was
//! busy, began, or crashed) is read from the store. Any process may read any ledger: of two who hand in the same leaves the windows take
//! one. Nothing here can delay a commit or its acknowledgement.

mod feed;
mod rebuild;
mod shortages;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use audit_event::{AuditEvent, Timestamp};
use audit_integrity::ledger::{LeafIndex, LedgerId};
use audit_integrity::row::StoredRow;
use audit_monitor::{Batch, Detector, EpisodeSink, WindowError, WindowStore};
use audit_queue::Producer;
use audit_runtime::{Backoff, Clock, Random, ShutdownSignal};
use audit_store::{Cursors, EventRead, LedgerRead, Store};
use tokio::sync::watch;
use tokio::time::Instant;

use self::feed::Committed;
pub use self::feed::{Feed, Intake, feed};
pub use self::shortages::Shortages;
use crate::metric;
use crate::outward::{NoAnswer, ask};

/// Name of its durable cursors.
const FOLLOWER: &str = "detection";
/// How often it looks around when nothing is handed over: most of the delay of an alert that no further event brings about.
const ROUND: Duration = Duration::from_millis(500);
/// A ledger whose cursor stood still for so long although there is more is read from the store, whoever should have done it.
const STALL: Duration = Duration::from_secs(2);
/// How often a ledger that was read to its end says so: windows over several ledgers wait for the slowest.
const IDLE_EVERY: Duration = Duration::from_secs(1);
/// How often durable cursors are written: what is lost with the windows' state is read again from there.
const CURSORS_EVERY: Duration = Duration::from_secs(10);
/// Leaves that are read from the store before what a lane has handed over is taken; a ledger that is further behind is read in steps.
const CATCH_UP_MAX: u64 = 50_000;
/// Leaves read from the store in one step.
const ROWS_MAX: u32 = 2_000;
/// Events matched before others get the processor.
const EVENTS_AT_ONCE: usize = 256;
/// Episodes made alerts in one step.
const EPISODES_AT_ONCE: usize = 100;
/// A call that takes longer is given up, and asked again.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// What detection works with.
#[derive(Clone)]
#[expect(missing_docs, reason = "each part's own comment says it")]
pub struct DetectionParts {
    pub ledgers: Arc<dyn LedgerRead>,
    pub events: Arc<dyn EventRead>,
    pub cursors: Arc<dyn Cursors>,
    /// Asked for what waits: a ledger that was read to its end is not at the present while older events are still queued.
    pub queue: Arc<dyn Producer>,
    pub windows: Arc<dyn WindowStore>,
    /// Where episodes become alerts.
    pub sink: Arc<dyn EpisodeSink>,
    /// Where it is counted what memory did not suffice for.
    pub shortages: Shortages,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
}

impl DetectionParts {
    /// Over a store and a queue.
    #[must_use]
    pub fn new(
        store: &Store,
        queue: Arc<dyn Producer>,
        windows: Arc<dyn WindowStore>,
        sink: Arc<dyn EpisodeSink>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            ledgers: Arc::clone(&store.ledgers),
            events: Arc::clone(&store.events),
            cursors: Arc::clone(&store.cursors),
            queue,
            windows,
            sink,
            shortages: Shortages::default(),
            clock,
            random,
        }
    }
}

/// The follower. [`Detection::run`] is its task.
pub struct Detection {
    parts: DetectionParts,
    rules: watch::Receiver<Arc<Detector>>,
    intake: Intake,
    followed: BTreeMap<LedgerId, Followed>,
    cursors_written: Instant,
}

/// How a ledger stands, as far as this process knows.
#[derive(Debug, Clone, Copy)]
struct Followed {
    next: LeafIndex,
    /// When the cursor was last seen to move.
    moved: Instant,
    /// When it was last said that the ledger was read to its end.
    idle: Instant,
    /// Not all of it was taken over.
    missed: bool,
}

/// Why a step did not happen; the next one tries again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DetectionError {
    /// The windows, or the alerts.
    #[error("the windows cannot take it")]
    Windows(#[from] WindowError),
    /// The store.
    #[error("the ledgers cannot be read")]
    Store(#[from] audit_store::StoreError),
}

impl crate::outward::FromNoAnswer for WindowError {
    fn from_no_answer(lost: NoAnswer) -> Self {
        Self::Unavailable(Box::new(lost))
    }
}

impl std::fmt::Debug for Detection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Detection")
            .field("followed", &self.followed)
            .finish_non_exhaustive()
    }
}

impl Detection {
    /// A follower, with the rules it matches by: each batch goes by those of its moment. `intake` is the other end of the lanes' feed.
    #[must_use]
    pub fn new(
        parts: DetectionParts,
        rules: watch::Receiver<Arc<Detector>>,
        intake: Intake,
    ) -> Self {
        Self {
            parts,
            rules,
            intake,
            followed: BTreeMap::new(),
            cursors_written: Instant::now(),
        }
    }

    /// Follows until shutdown begins. What fails is tried again; the events stay where they are.
    pub async fn run(mut self, shutdown: ShutdownSignal) {
        self.follow(&shutdown).await;
        // So that a process that comes without windows reads little again; without it, it reads more.
        if let Err(error) = self.write_cursors().await {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(error, "cursors of detection are not written");
        }
    }

    async fn follow(&mut self, shutdown: &ShutdownSignal) {
        let mut backoff = Backoff::new(ROUND, Duration::from_secs(30));
        let mut round = Instant::now();
        while !shutdown.is_begun() {
            let done = tokio::select! {
                biased;
                () = shutdown.begun() => return,
                Ok(()) = self.rules.changed() => self.reload(),
                Some(committed) = self.intake.next() => self.take(committed).await,
                () = tokio::time::sleep_until(round) => {
                    let step = self.round().await;
                    let rest = if matches!(step, Ok(true)) { Duration::ZERO } else { ROUND };
                    round = Instant::now() + rest;
                    step.map(drop)
                }
            };
            match done {
                Ok(()) => backoff.reset(),
                Err(error) => {
                    // What the cursors are is asked again: the call may have happened.
                    self.followed.clear();
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "detection falls behind"
                    );
                    shutdown.pause(backoff.next_wait(&*self.parts.random)).await;
                }
            }
        }
    }

    /// Counts by the rules of this moment. What was read by others before is counted where these have the same rule.
    fn reload(&mut self) -> Result<(), DetectionError> {
        let rules = Arc::clone(&self.rules.borrow_and_update());
        Ok(self.parts.windows.reload(Arc::clone(rules.engine()))?)
    }

    /// Looks at every ledger once: reads what nobody else reads, says where nothing is left, and makes alerts of what was found. Whether
    /// there is more to do at once.
    ///
    /// # Errors
    /// When the windows, the alerts or the store are away.
    pub async fn round(&mut self) -> Result<bool, DetectionError> {
        let (mut behind, mut more) = (0, false);
        for info in ask(CALL_TIMEOUT, self.parts.ledgers.ledgers()).await? {
            if matches!(info.ledger, LedgerId::Events(_)) {
                let left = self.look(info.ledger, info.head.size).await?;
                more |= left.is_some();
                behind += left.unwrap_or(0);
            }
        }
        metrics::gauge!(metric::FOLLOWER_BEHIND, "follower" => FOLLOWER).set(behind as f64);
        self.raise().await?;
        if self.cursors_written.elapsed() >= CURSORS_EVERY {
            self.write_cursors().await?;
        }
        Ok(more)
    }

    /// One ledger: how many leaves are left of what is ours to read; `None` when nothing is.
    async fn look(&mut self, ledger: LedgerId, size: u64) -> Result<Option<u64>, DetectionError> {
        let followed = self.look_up(ledger).await?;
        if followed.next.0 < size {
            if !followed.missed && followed.moved.elapsed() < STALL {
                return Ok(None);
            }
            self.read(ledger, LeafIndex(size)).await?;
            let next = self.cursor(ledger).await?;
            self.note(ledger, |followed| followed.missed = next.0 < size);
            return Ok((next.0 < size).then(|| size - next.0));
        }
        if followed.idle.elapsed() >= IDLE_EVERY {
            self.say_idle(ledger, followed.next).await?;
        }
        Ok(None)
    }

    /// A batch that a lane has committed.
    async fn take(&mut self, committed: Committed) -> Result<(), DetectionError> {
        let Committed {
            ledger,
            from,
            events,
        } = committed;
        let mut next = self.cursor(ledger).await?;
        if from.0.saturating_sub(next.0) > CATCH_UP_MAX {
            self.note(ledger, |followed| followed.missed = true);
            return Ok(());
        }
        // To the end: whoever reads a part of what lies between, and lets go of what was handed over, stays behind for as long as the
        // lanes are busy, and reads everything twice.
        while next < from {
            self.read(ledger, from).await?;
            let after = self.cursor(ledger).await?;
            if after <= next {
                return Ok(());
            }
            next = after;
        }
        let read_already = usize::try_from(next.0.saturating_sub(from.0)).unwrap_or(usize::MAX);
        if next < from || read_already >= events.len() {
            return Ok(());
        }
        let events = events.iter().skip(read_already).map(Some);
        self.apply(ledger, next, events.collect()).await?;
        self.raise().await
    }

    /// Reads a ledger from its cursor, one step at the most.
    async fn read(&mut self, ledger: LedgerId, to: LeafIndex) -> Result<(), DetectionError> {
        let from = self.cursor(ledger).await?;
        let to = LeafIndex(to.0.min(from.0.saturating_add(u64::from(ROWS_MAX))));
        let scanning = self.parts.events.scan(ledger, from, to, ROWS_MAX);
        let mut events: BTreeMap<u64, AuditEvent> = BTreeMap::new();
        for row in ask(CALL_TIMEOUT, scanning).await? {
            // What cannot be read was tampered with, which is verification's business, or has expired.
            if let StoredRow::Readable(row) = row
                && let Some(canonical) = &row.canonical
                && let Ok(event) = AuditEvent::from_canonical(canonical)
            {
                events.insert(row.leaf_index.0, event);
            }
        }
        let leaves = (from.0..to.0).map(|leaf| events.get(&leaf));
        self.apply(ledger, from, leaves.collect()).await
    }

    /// Hands consecutive leaves to the windows. `None` is a leaf without an event.
    async fn apply(
        &mut self,
        ledger: LedgerId,
        from: LeafIndex,
        events: Vec<Option<&AuditEvent>>,
    ) -> Result<(), DetectionError> {
        let rules = Arc::clone(&self.rules.borrow());
        let mut batch = Batch::new(ledger, from);
        let mut found = Vec::new();
        for events in events.chunks(EVENTS_AT_ONCE) {
            for event in events {
                match event {
                    Some(event) => found.extend(batch.read(rules.matcher(), event)),
                    None => batch.skip(),
                }
            }
            tokio::task::yield_now().await;
        }
        // Before the cursor passes them: raised twice they are one alert.
        if !found.is_empty() {
            ask(CALL_TIMEOUT, self.parts.sink.raise(&found)).await?;
            count_episodes(found.iter().map(|episode| episode.rule.as_str()));
        }
        self.hand_in(&batch).await
    }

    async fn say_idle(&mut self, ledger: LedgerId, at: LeafIndex) -> Result<(), DetectionError> {
        let depth = ask(CALL_TIMEOUT, self.parts.queue.depth()).await;
        // While it cannot be asked what waits, nothing is said.
        let Ok(depth) = depth else {
            return Ok(());
        };
        let now = match ask(CALL_TIMEOUT, self.parts.windows.now()).await? {
            Some(now) => now.micros(),
            None => self.parts.clock.now_micros(),
        };
        let until = depth.oldest_micros.map_or(now, |oldest| oldest.min(now));
        if let Some(until) = Timestamp::from_micros(until) {
            let mut batch = Batch::new(ledger, at);
            batch.idle(until);
            self.hand_in(&batch).await?;
        }
        self.note(ledger, |followed| followed.idle = Instant::now());
        Ok(())
    }

    async fn hand_in(&mut self, batch: &Batch) -> Result<(), DetectionError> {
        let ledger = batch.source();
        match ask(CALL_TIMEOUT, self.parts.windows.apply(batch)).await {
            Ok(()) => {
                self.moved(ledger, batch.to());
                Ok(())
            }
            // Another process was first.
            Err(WindowError::Moved { at, .. }) => {
                self.moved(ledger, at);
                Ok(())
            }
            Err(WindowError::Lost) => {
                self.begin().await?;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes alerts of the episodes that windows have raised.
    async fn raise(&self) -> Result<(), DetectionError> {
        loop {
            let raised = ask(CALL_TIMEOUT, self.parts.windows.raised(EPISODES_AT_ONCE)).await;
            let raised = match raised {
                Err(WindowError::Lost) => return Ok(()),
                raised => raised?,
            };
            let told = self.parts.windows.told()?;
            if told.late > 0 {
                metrics::counter!(metric::DETECTION_LATE).increment(told.late);
            }
            self.parts.shortages.count(&told.notices);
            if raised.is_empty() {
                return Ok(());
            }
            ask(CALL_TIMEOUT, self.parts.sink.raise(&raised)).await?;
            count_episodes(raised.iter().map(|episode| episode.rule.as_str()));
            let settled: Vec<_> = raised.iter().map(|it| (it.id, it.phase)).collect();
            ask(CALL_TIMEOUT, self.parts.windows.settle(&settled)).await?;
        }
    }

    async fn write_cursors(&mut self) -> Result<(), DetectionError> {
        let settled = ask(CALL_TIMEOUT, self.parts.windows.settled()).await?;
        for (ledger, next) in settled {
            ask(CALL_TIMEOUT, self.parts.cursors.set(FOLLOWER, ledger, next)).await?;
        }
        self.cursors_written = Instant::now();
        Ok(())
    }

    /// What is known of a ledger, with its cursor as it is now.
    async fn look_up(&mut self, ledger: LedgerId) -> Result<Followed, DetectionError> {
        let next = match ask(CALL_TIMEOUT, self.parts.windows.cursor(ledger)).await {
            Err(WindowError::Lost) => {
                self.begin().await?;
                ask(CALL_TIMEOUT, self.parts.windows.cursor(ledger)).await?
            }
            next => next?,
        };
        self.moved(ledger, next);
        Ok(*self.entry(ledger))
    }

    async fn cursor(&mut self, ledger: LedgerId) -> Result<LeafIndex, DetectionError> {
        match self.followed.get(&ledger) {
            Some(followed) => Ok(followed.next),
            None => Ok(self.look_up(ledger).await?.next),
        }
    }

    fn entry(&mut self, ledger: LedgerId) -> &mut Followed {
        let now = Instant::now();
        self.followed.entry(ledger).or_insert(Followed {
            next: LeafIndex(0),
            moved: now,
            idle: now,
            missed: false,
        })
    }

    fn note(&mut self, ledger: LedgerId, change: impl FnOnce(&mut Followed)) {
        change(self.entry(ledger));
    }

    fn moved(&mut self, ledger: LedgerId, next: LeafIndex) {
        let followed = self.entry(ledger);
        if followed.next != next {
            followed.next = next;
            followed.moved = Instant::now();
        }
    }
}

fn count_episodes<'r>(rules: impl Iterator<Item = &'r str>) {
    for rule in rules {
        metrics::counter!(metric::EPISODES, "rule" => rule.to_owned()).increment(1);
    }
}
