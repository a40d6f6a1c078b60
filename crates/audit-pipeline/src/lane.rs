//! Lanes: the holder of a ledger's lease takes frames from the queue and commits them, one commit at a time.
//!
//! While one batch is committed the next is received, read and processed; nothing else runs ahead, so memory is bounded
//! by two batches, and a slow store slows receiving.

mod batch;
mod commit;
mod health;
mod held;
mod intake;
mod proof;
mod reject_rate;
mod state;
mod suspect;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use audit_integrity::keys::KeySource;
use audit_integrity::ledger::{LedgerId, Origin};
use audit_queue::{Consumer, Producer};
use audit_runtime::{Backoff, Breaker, Clock, Random, ShutdownSignal};
use audit_store::{Lease, Store};
use futures::FutureExt;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

use crate::detection::Feed;
use crate::hubs::Settlements;
use crate::metric;
use crate::outward::ask;
use crate::processor::Registry;
use health::note_outage;
use held::Held;
use intake::Intake;
use state::LaneState;

pub use proof::{OnMismatch, ProofPolicy};

/// Bounds of a lane. A lane that follows others ([`Lane::following`]) takes `batch_by_depth`, `batch_bytes_max` and `proofs` from
/// them, all three once a batch; the rest holds as it began.
#[derive(Debug, Clone)]
pub struct LaneSettings {
    /// Deliveries of one batch by depth of the queue, in events: (more than, deliveries), largest first. The list worker's
    /// sizes (`compat`, section 24) are the default.
    pub batch_by_depth: Vec<(u64, usize)>,
    /// Bytes of one batch at most, unfolded. Two batches are in memory at once, each as text and as events: about five times this.
    pub batch_bytes_max: usize,
    /// How long to wait for the first delivery.
    pub receive_wait: Duration,
    /// Renewal of the ledger's lease and of held batches.
    pub renew_every: Duration,
    /// How long a call to the store or the queue may take before its answer counts as lost. Far below the time after which
    /// the queue gives what is held to another lane.
    pub call_timeout: Duration,
    /// Share of the last 1,000 events that the store may refuse before the lane stops.
    pub reject_share_max: f64,
    /// What is done with events whose producer's proof does not match.
    pub proofs: ProofPolicy,
}

impl Default for LaneSettings {
    fn default() -> Self {
        Self {
            batch_by_depth: vec![(10_000, 1_000), (5_000, 300), (0, 100)],
            batch_bytes_max: 3 << 20,
            receive_wait: Duration::from_millis(500),
            renew_every: Duration::from_secs(5),
            call_timeout: Duration::from_secs(30),
            reject_share_max: 0.1,
            proofs: ProofPolicy::default(),
        }
    }
}

/// What a lane works with.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each part's own comment says it")]
pub struct LaneParts {
    pub store: Store,
    pub consumer: Arc<dyn Consumer>,
    pub producer: Arc<dyn Producer>,
    pub keys: Arc<dyn KeySource>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub registry: Arc<Registry>,
    pub settlements: Settlements,
    /// Shared by all lanes of a store.
    pub breaker: Arc<Breaker>,
    /// Where detection takes what was committed; `None` without it.
    pub feed: Option<Feed>,
    pub shutdown: ShutdownSignal,
}

/// One lane. [`Lane::run`] is its task.
#[derive(Debug)]
pub struct Lane {
    parts: LaneParts,
    settings: LaneSettings,
    /// Whoever configures the lane replaces them; each batch takes them as they are then.
    current: watch::Receiver<LaneSettings>,
    ledger: LedgerId,
    origin: Origin,
    owner: String,
    stopped: Arc<LaneSwitch>,
    /// Bounds how many lanes of this process hold a ledger at once.
    places: Option<Arc<Semaphore>>,
}

/// Why a session with a lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Shutdown.
    Asked,
    /// Our state is unknown, or the ledger is another's: load it again under a new epoch.
    Reload,
    /// Nothing more may be written until an operator confirms.
    Stop,
}

/// Shows that a lane stopped, and lets an operator start it again.
#[derive(Debug, Default)]
pub struct LaneSwitch {
    stopped: AtomicBool,
    confirmed: Notify,
}

impl LaneSwitch {
    /// Whether the lane waits for an operator.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// The operator has mended the cause. Does nothing unless the lane is stopped.
    pub fn confirm(&self) {
        if self.is_stopped() {
            self.confirmed.notify_one();
        }
    }

    async fn stop(&self, shutdown: &ShutdownSignal) {
        // A word too many about the last stop says nothing about this one.
        let _stale: Option<()> = self.confirmed.notified().now_or_never();
        self.stopped.store(true, Ordering::Release);
        tokio::select! {
            () = self.confirmed.notified() => {}
            () = shutdown.begun() => {}
        }
        self.stopped.store(false, Ordering::Release);
    }
}

impl Lane {
    /// A lane on a ledger; `owner` names this process in the lease.
    #[must_use]
    pub fn new(
        parts: LaneParts,
        settings: LaneSettings,
        ledger: LedgerId,
        origin: Origin,
        owner: String,
    ) -> Self {
        // Receivers keep the last value when the sender is gone.
        let (_fixed, current) = watch::channel(settings.clone());
        Self {
            parts,
            settings,
            current,
            ledger,
            origin,
            owner,
            stopped: Arc::default(),
            places: None,
        }
    }

    /// Holds its ledger only while it has one of these places, so that ledgers are left to other processes.
    #[must_use]
    pub fn within(mut self, places: Arc<Semaphore>) -> Self {
        self.places = Some(places);
        self
    }

    /// Takes what each batch is bound by from these settings, as they are when it is received. What is held already is settled as
    /// it was received.
    #[must_use]
    pub fn following(mut self, settings: watch::Receiver<LaneSettings>) -> Self {
        self.current = settings;
        self
    }

    /// The switch that readiness looks at.
    #[must_use]
    pub fn switch(&self) -> Arc<LaneSwitch> {
        Arc::clone(&self.stopped)
    }

    /// Takes the lease and works until shutdown. Standing by, it asks for the lease every second.
    pub async fn run(self) {
        let mut backoff = Backoff::new(Duration::from_millis(50), LOOK_AGAIN_MAX);
        while !self.parts.shutdown.is_begun() {
            let place = tokio::select! {
                place = self.place() => place,
                () = self.parts.shutdown.begun() => return,
            };
            let leases = &self.parts.store.leases;
            let acquiring = leases.acquire(self.ledger, &self.owner);
            match ask(self.settings.call_timeout, acquiring).await {
                Ok(Some(lease)) => self.lead(&lease, &mut backoff).await,
                Ok(None) => {
                    // Another process works on it; the place may serve another ledger.
                    drop(place);
                    self.look_at_store().await;
                    self.pause(Duration::from_secs(1)).await;
                }
                Err(error) => {
                    drop(place);
                    note_outage(&self.parts, &error);
                    tracing::warn!(error = &error as &dyn std::error::Error, ledger = %self.ledger, "no lease");
                    self.pause(backoff.next_wait(&*self.parts.random)).await;
                }
            }
        }
    }

    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        match &self.places {
            // Never closed, so this is a place.
            Some(places) => Arc::clone(places).acquire_owned().await.ok(),
            None => None,
        }
    }

    /// One session under a lease, to its end and what follows from it.
    async fn lead(&self, lease: &Lease, backoff: &mut Backoff) {
        let began = tokio::time::Instant::now();
        let end = self.hold(lease).await;
        if let Err(error) = ask(
            self.settings.call_timeout,
            self.parts.store.leases.release(lease),
        )
        .await
        {
            // It runs out by itself.
            tracing::warn!(error = &error as &dyn std::error::Error, ledger = %self.ledger, "lease not released");
        }
        if began.elapsed() > CALM {
            backoff.reset();
        }
        match end {
            End::Asked => {}
            End::Reload => self.pause(backoff.next_wait(&*self.parts.random)).await,
            End::Stop => self.stop().await,
        }
    }

    async fn stop(&self) {
        let stopped = metrics::gauge!(metric::LANE_STOPPED, "ledger" => self.ledger.to_string());
        stopped.set(1.0);
        tracing::error!(alert = true, ledger = %self.ledger, "the lane stopped; mend the cause and confirm");
        self.stopped.stop(&self.parts.shutdown).await;
        stopped.set(0.0);
    }

    async fn pause(&self, wait: Duration) {
        self.parts.shutdown.pause(wait).await;
    }

    /// Works under a lease; whatever the session still holds at its end, even by a panic, goes back to the queue.
    async fn hold(&self, lease: &Lease) -> End {
        let limit = self.settings.call_timeout;
        let held = Held::new(Arc::clone(&self.parts.consumer), limit);
        let lost = AtomicBool::new(false);
        let session = AssertUnwindSafe(self.session(lease, &held, &lost)).catch_unwind();
        let end = tokio::select! {
            end = session => end.unwrap_or_else(|_panic| {
                // The panic's own message was printed by the hook; the batch is delivered again.
                tracing::error!(ledger = %self.ledger, "the lane panicked; its batches go back to the queue");
                End::Reload
            }),
            never = self.keep(lease, &lost) => never,
            never = held.keep(self.settings.renew_every) => never,
            never = held.let_go() => never,
        };
        held.release_all().await;
        end
    }

    /// Renews the lease for ever. Losing it only raises a flag: what is under way is fenced by the commit itself.
    async fn keep(&self, lease: &Lease, lost: &AtomicBool) -> End {
        loop {
            tokio::time::sleep(self.settings.renew_every).await;
            let renewing = self.parts.store.leases.renew(lease);
            match ask(self.settings.renew_every, renewing).await {
                Ok(true) => {}
                Ok(false) => lost.store(true, Ordering::Release),
                Err(error) => {
                    note_outage(&self.parts, &error);
                    tracing::warn!(error = &error as &dyn std::error::Error, ledger = %self.ledger, "lease not renewed");
                }
            }
        }
    }

    async fn session(&self, lease: &Lease, held: &Held, lost: &AtomicBool) -> End {
        match self.work(lease, held, lost).await {
            Ok(()) => End::Asked,
            Err(end) => end,
        }
    }

    /// Settles batch after batch; while one is committed the next is received and prepared. `Ok` at shutdown.
    async fn work(&self, lease: &Lease, held: &Held, lost: &AtomicBool) -> Result<(), End> {
        let mut state = LaneState::load(&self.parts, lease, &self.origin, &self.settings).await?;
        let intake = Intake {
            parts: &self.parts,
            settings: &self.settings,
            current: &self.current,
            held,
        };
        let mut next = intake.next().await;
        while let Some(current) = next {
            if lost.load(Ordering::Acquire) {
                return Err(End::Reload);
            }
            // A commit that fails ends the session at once, whether or not another batch ever comes.
            let following = async { Ok(intake.next().await) };
            ((), next) = tokio::try_join!(self.settle(&mut state, current, held), following)?;
        }
        Ok(())
    }
}

/// A session that lasted so long had nothing to do with the failures before it.
const CALM: Duration = Duration::from_secs(30);

/// The longest pause between two looks for a store that is away: work is to resume within five seconds of its return.
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(2);
