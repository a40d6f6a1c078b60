//! The ports over the stream.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use audit_queue::{
    Batch, Budget, Consumer, Depth, Durability, Frame, FrameId, FrameLookup, Marks, Producer,
    QueueError,
};
use audit_redis::{Broken, Call, Held, Lane, Link, Marked, all_ours, own_name};
use audit_runtime::Random;
use deadpool_redis::redis::Value;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::delivery::{Entry, Received, Row, together};
use crate::script::{Keys, Scripts};
use crate::settings::{Settings, SettingsError};

/// A command takes at least this much of [`Settings::pending_bytes_max`], which so bounds their number too.
const ROOM_UNIT: usize = 4096;
/// Waiting for frames: the first question comes again after this, later ones after twice as long each.
const POLL_MIN: Duration = Duration::from_millis(5);
/// Adds half of this to the time from acknowledging to storing, and costs Redis 20 small scripts a second.
const POLL_MAX: Duration = Duration::from_millis(50);
/// How often deliveries of the dead are looked for, at most.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// Deliveries named in one script.
const SCRIPT_ENTRIES_MAX: usize = 1000;

/// The queue. See the crate for what it promises. Cheap calls, no task of its own: dropping it leaves nothing behind but what it
/// held, which is freed after [`Settings::hold`]; [`RedisQueue::close`] frees it at once.
#[derive(Debug)]
pub struct RedisQueue {
    link: Link,
    settings: Settings,
    /// Replaced as a whole; held for moments only.
    marks: Mutex<Marks>,
    scripts: Scripts,
    keys: Keys,
    /// Our name in the consumer group: random, so that no two processes share one.
    consumer: String,
    held: Held<Vec<Entry>>,
    /// Bounds frames on their way, in units of [`ROOM_UNIT`].
    room: Arc<Semaphore>,
    room_max: u32,
    /// Whose turn it is to receive; one after the other, so that order is kept and nobody sweeps what another is receiving.
    receiving: tokio::sync::Mutex<Turn>,
    /// Redis may think that we hold something that no batch has: an answer was lost, or a receiver went away.
    astray: AtomicBool,
    /// This process enqueued something.
    wake: Notify,
    closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Turn {
    swept: Option<Instant>,
}

/// Where the queue stands, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What waits.
    pub depth: Depth,
    /// Frames handed out and not settled.
    pub held: u64,
    /// Consumers that hold some.
    pub consumers: u64,
}

/// The queue should not be given anything now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotReady {
    /// Redis does not answer.
    #[error("redis is away")]
    Away(#[source] QueueError),
    /// It would answer, and may lose what it acknowledged.
    #[error(
        "redis may lose what it acknowledges: {0}; set it so, or accept the loss in the settings"
    )]
    MayLose(String),
}

/// How safe what Redis acknowledges is, when it may be lost only if the operator accepts that.
pub(crate) async fn promised(
    link: &Link,
    lane: Lane,
    accept_loss: bool,
) -> Result<Durability, NotReady> {
    let promise = link.promise(lane).await;
    let promise = promise.map_err(|broken| NotReady::Away(broken.into()))?;
    if promise.doubts.is_empty() || accept_loss {
        Ok(promise.durability)
    } else {
        Err(NotReady::MayLose(promise.doubts))
    }
}

impl RedisQueue {
    /// A queue of these settings. Connects when it is first used.
    ///
    /// # Errors
    /// When the settings contradict themselves; never because Redis is away.
    pub fn new(settings: Settings, random: Arc<dyn Random>) -> Result<Self, SettingsError> {
        settings.check()?;
        let consumer = own_name(&*random);
        let room_max = u32::try_from(settings.pending_bytes_max / ROOM_UNIT)
            .unwrap_or(u32::MAX)
            .clamp(1, 1 << 20);
        let keys = Keys::of(&settings.name);
        Ok(Self {
            link: Link::new(settings.link(), keys.frames.clone(), random)?,
            marks: Mutex::new(Marks {
                events_max: settings.events_max,
                bytes_max: settings.bytes_max,
            }),
            settings,
            scripts: Scripts::new(),
            keys,
            consumer,
            held: Held::default(),
            room: Arc::new(Semaphore::new(room_max as usize)),
            room_max,
            receiving: tokio::sync::Mutex::default(),
            astray: AtomicBool::new(false),
            wake: Notify::new(),
            closed: AtomicBool::new(false),
        })
    }

    /// Refuses by this mark from the next frame on, instead of that of its settings. What waits stays. Every process that puts
    /// frames in has a mark of its own.
    pub fn set_marks(&self, marks: Marks) {
        *self.marks() = marks;
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether frames should be put in now, and how safe they will be.
    ///
    /// # Errors
    /// When Redis is away, or may lose what it acknowledges and [`Settings::accept_loss`] is not set.
    pub async fn ready(&self) -> Result<Durability, NotReady> {
        self.standing().await.map_err(NotReady::Away)?;
        promised(&self.link, Lane::Produce, self.settings.accept_loss).await
    }

    /// Where the queue stands; one question, all numbers of the same moment.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn standing(&self) -> Result<Standing, QueueError> {
        self.open()?;
        let call = self.scripts.depth.with(&self.keys.two());
        let (
            enqueued,
            enqueued_internal,
            frames,
            events,
            events_internal,
            bytes,
            oldest,
            held,
            consumers,
        ): (u64, u64, u64, u64, u64, u64, String, u64, u64) =
            self.link.ask(Lane::Ask, &call).await?;
        // The entry's id begins with Redis' time of its arrival, in milliseconds.
        let oldest = oldest.split_once('-').and_then(|(ms, _)| ms.parse().ok());
        Ok(Standing {
            depth: Depth {
                enqueued,
                enqueued_internal,
                frames,
                events,
                events_internal,
                bytes,
                oldest_micros: oldest.map(|ms: i64| ms.saturating_mul(1000)),
            },
            held,
            consumers,
        })
    }

    /// Gives back everything that is held and takes our name out of the group; every later call answers [`QueueError::Closed`].
    /// With Redis away there is nothing to be done: what was held is freed after [`Settings::hold`].
    pub async fn close(&self) {
        if self.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        self.room.close();
        self.wake.notify_waiters();
        let _turn = self.receiving.lock().await;
        self.held.forget_all();
        let left = async {
            self.recall_strays(false).await?;
            let leave = self.scripts.leave.with(&self.keys.two());
            self.link
                .once::<u64>(Lane::Consume, &leave.arg(&self.consumer))
                .await
        };
        if let Err(broken) = left.await {
            tracing::warn!(why = %broken, "what was held is freed when its hold runs out");
        }
    }

    fn open(&self) -> Result<(), QueueError> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(QueueError::Closed);
        }
        Ok(())
    }

    async fn room_for(&self, bytes: usize) -> Result<OwnedSemaphorePermit, QueueError> {
        let units = u32::try_from(bytes / ROOM_UNIT)
            .unwrap_or(u32::MAX)
            .saturating_add(1)
            .min(self.room_max);
        Arc::clone(&self.room)
            .acquire_many_owned(units)
            .await
            .or(Err(QueueError::Closed))
    }

    fn enqueue_call(&self, frame: &Frame, kept: &[u8]) -> Call {
        let marks = *self.marks();
        let script = &self.scripts.enqueue;
        script
            .with(&self.keys.all())
            .arg(&frame.id.0[..])
            .arg(frame.events.len())
            .arg(u8::from(frame.internal))
            .arg(kept)
            .arg(marks.events_max)
            .arg(marks.bytes_max)
    }

    /// Frees what Redis thinks we hold and no batch has. `undo`: it reached nobody, so it was not delivered.
    async fn recall_strays(&self, undo: bool) -> Result<(), Broken> {
        // Before the look, so that what goes astray from here on is looked for again.
        self.astray.store(false, Ordering::SeqCst);
        let marked = Marked::on(&self.astray);
        let mut from = "-".to_owned();
        loop {
            let ours = self.scripts.held.with(&self.keys.two());
            let ours = ours.arg(&self.consumer).arg(&from).arg(SCRIPT_ENTRIES_MAX);
            let rows: Vec<(String, u64)> = self.link.once(Lane::Consume, &ours).await?;
            let Some((last, _)) = rows.last() else {
                break;
            };
            from = format!("({last}");
            let known = self.held.current();
            let known: HashSet<_> = known
                .into_iter()
                .flatten()
                .map(|entry| (entry.id, entry.count))
                .collect();
            let strays: Vec<_> = rows
                .into_iter()
                .filter(|row| !known.contains(row))
                .collect();
            if !strays.is_empty() {
                tracing::debug!(count = strays.len(), "deliveries that reached nobody");
                self.free(&strays, undo).await?;
            }
        }
        marked.clear();
        Ok(())
    }

    /// How many were not ours.
    async fn free(&self, entries: &[(String, u64)], undo: bool) -> Result<u64, Broken> {
        let mut lost = 0;
        for part in entries.chunks(SCRIPT_ENTRIES_MAX) {
            let mut call = self.scripts.release.with(&self.keys.two());
            call = call.arg(&self.consumer).arg(u8::from(undo));
            for (id, count) in part {
                call = call.arg(id).arg(*count);
            }
            lost += self.link.ask::<u64>(Lane::Consume, &call).await?;
        }
        Ok(lost)
    }

    /// Frees what the dead hold, every now and then.
    async fn sweep(&self, turn: &mut Turn) -> Result<(), Broken> {
        let every = SWEEP_EVERY.min(self.settings.hold / 4);
        let due = turn.swept.is_none_or(|at| at.elapsed() >= every);
        if due || self.astray.load(Ordering::SeqCst) {
            self.recall_strays(true).await?;
        }
        if !due {
            return Ok(());
        }
        let mut from = "0-0".to_owned();
        loop {
            let call = self.scripts.claim.with(&self.keys.two());
            let hold = self.settings.hold.as_millis() as u64;
            let call = call.arg(&self.consumer).arg(hold).arg(&from);
            let (next, freed, removed): (String, u64, u64) =
                self.link.once(Lane::Consume, &call).await?;
            if freed + removed > 0 {
                tracing::info!(freed, removed, "deliveries and names of dead consumers");
            }
            if next == "0-0" {
                break;
            }
            from = next;
        }
        turn.swept = Some(Instant::now());
        Ok(())
    }

    /// What is there now; `None` when nothing is.
    async fn take(&self, budget: Budget) -> Result<Option<Batch>, Broken> {
        let call = self.scripts.receive.with(&self.keys.two());
        let call = call
            .arg(&self.consumer)
            .arg(budget.deliveries.max(1))
            .arg(budget.bytes);
        // Whoever is dropped from here on, or loses the answer, leaves the mark.
        let marked = Marked::on(&self.astray);
        let rows: Vec<Row> = match self.link.once(Lane::Consume, &call).await {
            Ok(rows) => rows,
            Err(broken) => {
                if !broken.is_unanswered() {
                    marked.clear();
                }
                return Err(broken);
            }
        };
        let limits = self.settings.frame;
        let read = |row| Received::read(row, &self.keys.frames, limits);
        let mut received: Vec<Received> = rows.into_iter().map(read).collect();
        let rest = received.split_off(together(&received));
        if !rest.is_empty() {
            let rest: Vec<_> = rest
                .into_iter()
                .map(|one| (one.entry.id, one.entry.count))
                .collect();
            self.free(&rest, true).await?;
        }
        let (entries, deliveries): (Vec<Entry>, Vec<_>) = received
            .into_iter()
            .map(|one| (one.entry, one.delivery))
            .unzip();
        marked.clear();
        if entries.is_empty() {
            return Ok(None);
        }
        Ok(Some(Batch {
            partition: 0,
            token: self.held.add(entries, self.settings.hold),
            deliveries,
            refused: Vec::new(),
        }))
    }

    fn entries(&self, token: u64) -> Result<Vec<Entry>, QueueError> {
        self.open()?;
        self.held.get(token).ok_or(QueueError::NotHeld)
    }
}

#[async_trait]
impl Producer for RedisQueue {
    async fn enqueue(&self, frame: Frame) -> Result<Durability, QueueError> {
        frame
            .check(self.settings.frame)
            .map_err(QueueError::Refused)?;
        let kept = frame.encode();
        let _room = self.room_for(kept.len()).await?;
        let call = self.enqueue_call(&frame, &kept);
        drop((frame, kept));
        let (answer, by): (Vec<i64>, _) = self.link.answered(Lane::Produce, &call).await?;
        match answer.as_slice() {
            [-1, events, bytes] => Err(QueueError::Full {
                waiting_events: events.unsigned_abs(),
                waiting_bytes: bytes.unsigned_abs(),
            }),
            _ => {
                self.wake.notify_waiters();
                Ok(self.link.durability(&by).await)
            }
        }
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        Ok(self.standing().await?.depth)
    }

    async fn pending(&self) -> Result<Option<u64>, QueueError> {
        Ok(Some(self.standing().await?.held))
    }
}

#[async_trait]
impl Consumer for RedisQueue {
    async fn receive(&self, budget: Budget) -> Result<Batch, QueueError> {
        let deadline = Instant::now() + budget.wait;
        let Ok(mut turn) = timeout_at(deadline, self.receiving.lock()).await else {
            return Ok(Batch::nothing());
        };
        let mut poll = POLL_MIN;
        loop {
            // Before the look, so that nothing that comes after it is missed.
            let mut woken = std::pin::pin!(self.wake.notified());
            woken.as_mut().enable();
            self.open()?;
            self.sweep(&mut turn).await?;
            if let Some(batch) = self.take(budget).await? {
                return Ok(batch);
            }
            if Instant::now() >= deadline {
                return Ok(Batch::nothing());
            }
            let next = (Instant::now() + poll).min(deadline);
            poll = (poll * 2).min(POLL_MAX);
            // Either is a reason to look again.
            drop(timeout_at(next, woken).await);
        }
    }

    async fn settle(&self, batch: Batch) -> Result<(), QueueError> {
        if batch.token == 0 {
            return Ok(());
        }
        let entries = self.entries(batch.token)?;
        let mut lost = 0;
        for part in entries.chunks(SCRIPT_ENTRIES_MAX) {
            let mut call = self.scripts.settle.with(&self.keys.all());
            call = call.arg(&self.consumer).arg(self.settings.settled_ids_kept);
            for entry in part {
                call = call
                    .arg(&entry.id)
                    .arg(entry.count)
                    .arg(&entry.frame_id)
                    .arg(entry.events)
                    .arg(u8::from(entry.internal))
                    .arg(entry.bytes);
            }
            // Stays held when this fails: the caller may release it, or its hold runs out.
            lost += self.link.ask::<u64>(Lane::Consume, &call).await?;
        }
        self.held.forget(batch.token);
        all_ours(lost)
    }

    async fn renew(&self, batch: &Batch) -> Result<(), QueueError> {
        if batch.token == 0 {
            return Ok(());
        }
        let entries = self.entries(batch.token)?;
        let mut lost = 0;
        for part in entries.chunks(SCRIPT_ENTRIES_MAX) {
            let mut call = self.scripts.renew.with(&self.keys.two());
            call = call.arg(&self.consumer);
            for entry in part {
                call = call.arg(&entry.id).arg(entry.count);
            }
            lost += self.link.ask::<u64>(Lane::Consume, &call).await?;
        }
        self.held.renewed(batch.token, self.settings.hold);
        all_ours(lost)
    }

    async fn release(&self, batch: Batch) -> Result<(), QueueError> {
        if batch.token == 0 {
            return Ok(());
        }
        let entries = self.entries(batch.token)?;
        let entries: Vec<_> = entries
            .into_iter()
            .map(|entry| (entry.id, entry.count))
            .collect();
        // Dropped or failed half-way, the rest is found by the next receiver.
        let marked = Marked::on(&self.astray);
        self.held.forget(batch.token);
        let lost = self.free(&entries, false).await?;
        marked.clear();
        self.wake.notify_waiters();
        all_ours(lost)
    }
}

#[async_trait]
impl FrameLookup for RedisQueue {
    async fn is_waiting(&self, id: FrameId) -> Result<bool, QueueError> {
        self.open()?;
        let value: Value = self
            .link
            .ask(
                Lane::Ask,
                &Call::plain("HEXISTS").arg(&self.keys.ids).arg(&id.0[..]),
            )
            .await?;
        Ok(value == Value::Int(1))
    }
}
