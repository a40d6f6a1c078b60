//! The Redis list of a replaced worker, whose producers go on pushing to it.
//!
//! Producers `LPUSH` a JSON object to `audit:queue`; the replaced worker popped it into its memory and lost it when it died. Here one
//! script moves items from the list's tail into Redis' own keeping under a batch's id, with the time of Redis, and only settling takes
//! them away. [`RedisList`] is the [`audit_queue::Consumer`]; there is no producer.
//!
//! | key | type | holds |
//! |---|---|---|
//! | `audit:queue` | list | what waits, newest first ([`Settings::queue`]) |
//! | `audit:failed` | list | what was refused, newest first, its own bytes ([`Settings::failed`]) |
//! | `{audit:queue}:items` | hash | items taken: batch id and index to bytes |
//! | `{audit:queue}:batches` | hash | batches: order, indexes, time of Redis, how often handed out, owner |
//! | `{audit:queue}:held` | sorted set | until when each batch is held, by Redis' clock; 0 when it was given back |
//! | `{audit:queue}:totals` | hash | format version, items ever taken, settled, refused, ... |
//! | `{audit:queue}:settled` | sorted set | names of the 10,000 batches settled last |
//! | `{audit:queue}:oversized` | list | items larger than [`Settings::item_bytes_max`], newest first, their own bytes; never pruned |
//!
//! Ours have the hash tag of the queue's key. On a Cluster all keys need one: `{audit}:queue`, `{audit}:failed`, and so on.
//!
//! # What it promises beyond the port
//!
//! * **Position and time of an item are given once**, by the script that takes it from the list: `list:<queue>:<batch>/<index>` and the time
//!   of Redis. They are the same at each redelivery, after any crash, release, take-over or restart: a redelivered item is one
//!   event. Two equal items that a producer pushed are two.
//! * First in, first out. What was given back comes first, in its old order.
//! * A batch belongs to a consumer *and* to one count of deliveries, until its hold is over by Redis' clock. Then it is anybody's, and
//!   whoever slept can settle nothing that was handed out again. A receiver whose budget is smaller than such a batch gets its first part.
//! * Nothing is judged here. An item that is no JSON object is delivered as it is; only one that is larger than
//!   [`Settings::item_bytes_max`] is delivered as refused, and of it the first 4 KiB: whole it might not arrive within
//!   [`Settings::response_timeout`], and would come again for ever. Settling moves it, whole, to `{audit:queue}:oversized`.
//! * **Refused items** are pushed to `audit:failed` as they came, by the script that settles them: a mirror for the eyes and scripts that
//!   look there. The dead letters of the store are the record. Above [`Settings::failed_max`] nothing is pushed, and that is counted.
//! * **The way back** is asked for, never automatic: [`RedisList::retry_failed`], or an operator's `RPOPLPUSH audit:failed audit:queue`. Each
//!   moved item is a new item with a new position. One that is refused again is a dead letter again, counted again, and stays
//!   among the failed until somebody asks again: there is no loop. What `audit:failed` held before is left alone likewise. (The second
//!   kind of replaced worker moves them back every minute: while one runs beside, set [`Settings::failed_max`] to 0.)
//! * The producers' counters `audit:dropped_count` and `audit:overflow_count` are read and never written: this worker drops nothing.
//! * A key of the wrong type is an outage that names the key; nothing is changed then.
//!
//! A Redis that forgets its last second (`appendfsync everysec`) may forget that items were taken, and hand them out again as new
//! ones: [`RedisList::ready`] says so.

mod consumer;
mod script;
mod settings;
mod snapshot;
mod taken;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use audit_queue::{Durability, QueueError};
use audit_redis::{Broken, Held, Lane, Link, Marked, own_name};
use audit_runtime::Random;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::queue::{NotReady, promised};
use crate::settings::SettingsError;

use script::{Keys, Scripts};
pub use settings::Settings;
pub use snapshot::Snapshot;
use taken::Taken;

/// Items moved by one script.
const RETRIED_AT_ONCE: u64 = 1000;

/// The list. See the module for what it promises. Cheap calls, no task of its own: dropping it leaves nothing behind but what it
/// held, which is anybody's after [`Settings::hold`]; [`RedisList::close`] gives it back at once.
#[derive(Debug)]
pub struct RedisList {
    link: Link,
    settings: Settings,
    scripts: Scripts,
    keys: Keys,
    /// Our name: random, so that no two processes share one.
    consumer: String,
    random: Arc<dyn Random>,
    held: Held<Taken>,
    /// When it was last looked for what went astray, and whose turn it is to receive: one after the other, so that nobody gives
    /// back what another is receiving.
    receiving: Mutex<Option<Instant>>,
    /// Redis may think that we hold something that no batch has: an answer was lost, or a receiver went away.
    astray: AtomicBool,
    closed: AtomicBool,
}

/// Where the list stands: all numbers of the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Items in the queue, which nobody took.
    pub waiting: u64,
    /// Items taken and not settled: handed out, or given back.
    pub held: u64,
    /// Items among the failed.
    pub failed: u64,
    /// What the producers count as dropped, since ever.
    pub dropped: u64,
    /// What the producers count as written past the queue, since ever.
    pub overflow: u64,
    /// Items ever taken from the queue and not handed back.
    pub taken: u64,
    /// Items ever settled. `taken` is `held`, `settled` and `lost` together.
    pub settled: u64,
    /// Settled items that were refused.
    pub refused: u64,
    /// Refused items that found no place among the failed.
    pub unmirrored: u64,
    /// Items taken that Redis has no more (evicted, deleted by hand).
    pub lost: u64,
    /// Items moved back from the failed by [`RedisList::retry_failed`].
    pub retried: u64,
    /// Items among the oversized.
    pub oversized: u64,
}

impl RedisList {
    /// A list of these settings. Connects when it is first used.
    ///
    /// # Errors
    /// When the settings contradict themselves; never because Redis is away.
    pub fn new(settings: Settings, random: Arc<dyn Random>) -> Result<Self, SettingsError> {
        settings.check()?;
        let keys = Keys::of(&settings);
        Ok(Self {
            link: Link::new(settings.link(), keys.queue.clone(), Arc::clone(&random))?,
            settings,
            scripts: Scripts::new(),
            keys,
            consumer: own_name(&*random),
            random,
            held: Held::default(),
            receiving: Mutex::default(),
            astray: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        })
    }

    /// Whether items can be taken now, and how safe they are.
    ///
    /// # Errors
    /// When Redis is away, has a key of the wrong type, or may lose what it acknowledges and [`Settings::accept_loss`] is not set.
    pub async fn ready(&self) -> Result<Durability, NotReady> {
        self.depth().await.map_err(NotReady::Away)?;
        promised(&self.link, Lane::Ask, self.settings.accept_loss).await
    }

    /// Where the list stands.
    ///
    /// # Errors
    /// When Redis is away, or a key is of the wrong type.
    pub async fn depth(&self) -> Result<Depth, QueueError> {
        self.open()?;
        let call = self.scripts.depth.with(&self.keys.ten());
        let numbers: Vec<u64> = self.link.ask(Lane::Ask, &call).await?;
        let mut numbers = numbers.into_iter();
        let mut next = || numbers.next().unwrap_or(0);
        // Fields are evaluated in the order they are written in, which is the script's.
        Ok(Depth {
            waiting: next(),
            held: next(),
            failed: next(),
            dropped: next(),
            overflow: next(),
            taken: next(),
            settled: next(),
            refused: next(),
            unmirrored: next(),
            lost: next(),
            retried: next(),
            oversized: next(),
        })
    }

    /// Moves the oldest of the failed, so many at most, to the newest end of the queue, and says how many. They are new items.
    ///
    /// # Errors
    /// When Redis is away. After [`QueueError::Unknown`] up to 1,000 may have been moved that nobody counted here; [`Depth::retried`] did.
    pub async fn retry_failed(&self, items_max: u64) -> Result<u64, QueueError> {
        self.open()?;
        let mut moved = 0;
        while moved < items_max {
            let wanted = (items_max - moved).min(RETRIED_AT_ONCE);
            let call = self.scripts.retry.with(&self.keys.eight()).arg(wanted);
            // Not made again when its answer is lost: it would move others.
            let some: u64 = self.link.once(Lane::Ask, &call).await?;
            moved += some;
            if some < wanted {
                break;
            }
        }
        Ok(moved)
    }

    /// Puts what was taken and nobody holds back to the tail of the queue, in its old order, and says how many items: for going back
    /// to the replaced worker. To be called when no worker of ours runs any more; what is handed back has no position, and what was
    /// stored and not settled when its worker died will be stored by the other one, too.
    ///
    /// # Errors
    /// When Redis is away. Called again it goes on.
    pub async fn hand_back(&self) -> Result<u64, QueueError> {
        self.open()?;
        let mut back = 0;
        loop {
            let call = self.scripts.hand_back.with(&self.keys.eight());
            match self.link.ask::<i64>(Lane::Ask, &call).await? {
                0 => return Ok(back),
                some => back += u64::try_from(some).unwrap_or(0),
            }
        }
    }

    /// Gives back everything that is held; every later call answers [`QueueError::Closed`]. With Redis away there is nothing to be
    /// done: what was held is anybody's after [`Settings::hold`].
    pub async fn close(&self) {
        if self.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        let _turn = self.receiving.lock().await;
        self.held.forget_all();
        if let Err(broken) = self.recall(false).await {
            tracing::warn!(why = %broken, "what was held comes again when its hold runs out");
        }
    }

    fn open(&self) -> Result<(), QueueError> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(QueueError::Closed);
        }
        Ok(())
    }

    /// Gives back what Redis thinks we hold and no batch has. `undo`: it reached nobody, so it was not delivered.
    async fn recall(&self, undo: bool) -> Result<(), Broken> {
        // Before the look, so that what goes astray from here on is looked for again.
        self.astray.store(false, Ordering::SeqCst);
        let marked = Marked::on(&self.astray);
        let mut call = self.scripts.recall.with(&self.keys.eight());
        call = call.arg(&self.consumer).arg(u8::from(undo));
        // Of what nobody renewed Redis' own time is over, too: it is handed out again, and counted as delivered.
        for taken in self.held.known() {
            call = call.arg(taken.name).arg(taken.deliveries);
        }
        let freed: u64 = self.link.once(Lane::Consume, &call).await?;
        if freed > 0 {
            tracing::debug!(freed, "batches that reached nobody");
        }
        marked.clear();
        Ok(())
    }
}
