//! Straight to the store: a lane of its own, on a ledger that is leased only while something needs it.
//!
//! The lane is the same as any other, with everything it knows about duplicates, refusals and fencing; only its queue is a
//! short one in memory. A frame that does not get through is simply dropped here: the spool has it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use audit_integrity::ledger::{LedgerId, Origin};
use audit_queue::{
    Batch, Budget, Consumer, Delivery, Depth, Durability, Frame, Payload, Producer, QueueError,
    SourcePosition,
};
use audit_runtime::{Breaker, BreakerState, Clock, Random, Shutdown, ShutdownSignal};
use audit_store::Store;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::hubs::Settlements;
use crate::lane::{Lane, LaneParts, LaneSettings};
use crate::processor::Registry;
use audit_integrity::keys::KeySource;

/// Frames on their way at most; more are left to the spool.
const WAITING_MAX: usize = 256;
/// The lease is given back when nothing came for so long, so that other processes get their turn.
const IDLE: Duration = Duration::from_secs(1);

/// What the direct lane works with; as [`LaneParts`].
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each part's own comment says it")]
pub struct DirectParts {
    pub store: Store,
    pub keys: Arc<dyn KeySource>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub registry: Arc<Registry>,
    pub settlements: Settlements,
    pub breaker: Arc<Breaker>,
    /// The ledger for it; no worker's lane may want it for long.
    pub ledger: LedgerId,
    pub origin: Origin,
    pub owner: String,
    /// What its batches are bound by, as any lane's ([`Lane::following`]).
    pub settings: watch::Receiver<LaneSettings>,
}

/// The direct way. [`Direct::run`] is its task.
#[derive(Debug)]
pub struct Direct {
    parts: DirectParts,
    queue: Arc<Short>,
    /// Told when a frame came.
    wanted: Notify,
    /// When one last came.
    last: Mutex<Instant>,
}

impl Direct {
    /// Nothing is leased until a frame comes.
    #[must_use]
    pub fn new(parts: DirectParts) -> Self {
        Self {
            parts,
            queue: Arc::new(Short::new()),
            wanted: Notify::new(),
            last: Mutex::new(Instant::now()),
        }
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the frame was committed within the time. `false` says nothing: it may be committed yet.
    pub async fn commit(&self, frame: Frame, limit: Duration) -> bool {
        if self.parts.breaker.state() == BreakerState::Open {
            // The lane probes the store while frames come, and finds out that it is back.
            self.wake();
            return false;
        }
        let (done, committed) = oneshot::channel();
        if self.queue.frames.try_send(Pending { frame, done }).is_err() {
            return false;
        }
        self.wake();
        matches!(tokio::time::timeout(limit, committed).await, Ok(Ok(())))
    }

    fn wake(&self) {
        *self.last() = Instant::now();
        self.wanted.notify_one();
    }

    /// Works while frames come, and gives the ledger back when none do. Until shutdown begins.
    pub async fn run(self: Arc<Self>, shutdown: ShutdownSignal) {
        loop {
            tokio::select! {
                () = self.wanted.notified() => self.lead(&shutdown).await,
                () = shutdown.begun() => return,
            }
        }
    }

    async fn lead(&self, shutdown: &ShutdownSignal) {
        let stop = Shutdown::new();
        let parts = &self.parts;
        let lane_parts = LaneParts {
            store: parts.store.clone(),
            consumer: Arc::clone(&self.queue) as _,
            producer: Arc::clone(&self.queue) as _,
            keys: Arc::clone(&parts.keys),
            clock: Arc::clone(&parts.clock),
            random: Arc::clone(&parts.random),
            registry: Arc::clone(&parts.registry),
            settlements: parts.settlements.clone(),
            breaker: Arc::clone(&parts.breaker),
            feed: None,
            shutdown: stop.signal(),
        };
        let settings = LaneSettings {
            receive_wait: Duration::from_millis(100),
            call_timeout: Duration::from_secs(5),
            ..LaneSettings::default()
        };
        let lane = Lane::new(
            lane_parts,
            settings,
            parts.ledger,
            parts.origin.clone(),
            parts.owner.clone(),
        );
        let lane = lane.following(parts.settings.clone());
        let idle = async {
            loop {
                let idle_for = self.last().elapsed();
                if idle_for >= IDLE {
                    break;
                }
                if !shutdown.pause(IDLE - idle_for).await {
                    break;
                }
            }
            stop.begin();
        };
        tokio::join!(lane.run(), idle);
    }
}

struct Pending {
    frame: Frame,
    done: oneshot::Sender<()>,
}

/// A queue of frames that are safe elsewhere.
struct Short {
    frames: mpsc::Sender<Pending>,
    waiting: tokio::sync::Mutex<mpsc::Receiver<Pending>>,
    /// Who waits for the frames of each batch that is held.
    held: Mutex<HashMap<u64, Vec<oneshot::Sender<()>>>>,
    tokens: AtomicU64,
}

impl std::fmt::Debug for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Short").finish_non_exhaustive()
    }
}

impl Short {
    fn new() -> Self {
        let (frames, waiting) = mpsc::channel(WAITING_MAX);
        Self {
            frames,
            waiting: tokio::sync::Mutex::new(waiting),
            held: Mutex::default(),
            tokens: AtomicU64::new(1),
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Vec<oneshot::Sender<()>>>> {
        // A map of senders is whole after any panic.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_out(&self, pending: Vec<Pending>) -> Batch {
        let token = self.tokens.fetch_add(1, Ordering::Relaxed);
        let (mut deliveries, mut waiters) = (Vec::new(), Vec::new());
        for Pending { frame, done } in pending {
            deliveries.push(Delivery {
                source: SourcePosition(format!("direct/{}", frame.id)),
                redelivered: 0,
                payload: Payload::Frame(frame),
            });
            waiters.push(done);
        }
        self.held().insert(token, waiters);
        Batch {
            partition: 0,
            token,
            deliveries,
            refused: Vec::new(),
        }
    }
}

#[async_trait]
impl Consumer for Short {
    async fn receive(&self, budget: Budget) -> Result<Batch, QueueError> {
        let mut waiting = self.waiting.lock().await;
        let Ok(Some(first)) = tokio::time::timeout(budget.wait, waiting.recv()).await else {
            return Ok(Batch::nothing());
        };
        // From here on nothing is awaited, so a receiver that is dropped has taken nothing.
        let mut bytes = first.frame.raw_len();
        let mut pending = vec![first];
        while pending.len() < budget.deliveries && bytes < budget.bytes {
            let Ok(next) = waiting.try_recv() else { break };
            bytes = bytes.saturating_add(next.frame.raw_len());
            pending.push(next);
        }
        // Whoever has given up is served by the spool.
        pending.retain(|pending| !pending.done.is_closed());
        if pending.is_empty() {
            return Ok(Batch::nothing());
        }
        Ok(self.hand_out(pending))
    }

    async fn settle(&self, batch: Batch) -> Result<(), QueueError> {
        let waiters = self.held().remove(&batch.token);
        for done in waiters.unwrap_or_default() {
            // Whoever gave up waiting has had an answer.
            let _gave_up = done.send(());
        }
        Ok(())
    }

    async fn renew(&self, batch: &Batch) -> Result<(), QueueError> {
        if batch.token == 0 || self.held().contains_key(&batch.token) {
            Ok(())
        } else {
            Err(QueueError::NotHeld)
        }
    }

    /// Not delivered again: the spool has the frames.
    async fn release(&self, batch: Batch) -> Result<(), QueueError> {
        self.held().remove(&batch.token);
        Ok(())
    }
}

#[async_trait]
impl Producer for Short {
    /// Frames come through [`Direct::commit`] only.
    async fn enqueue(&self, _frame: Frame) -> Result<Durability, QueueError> {
        Err(QueueError::Closed)
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let frames = self
            .frames
            .max_capacity()
            .saturating_sub(self.frames.capacity());
        Ok(Depth {
            frames: frames as u64,
            events: frames as u64,
            ..Depth::default()
        })
    }
}
