//! Which part stands where, and in which order they start: over ports only, the same for every form.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use audit_integrity::checkpoint::CheckpointAnchor;
use audit_integrity::keys::KeySource;
use audit_integrity::ledger::{LedgerId, Origin};
use audit_pipeline::detection::{Feed, Intake, feed};
use audit_pipeline::followed::{follow_anchor, poll_receipts};
use audit_pipeline::follower::TextFollower;
use audit_pipeline::verification::{Verification, VerificationPorts};
use audit_pipeline::{
    AcceptParts, AcceptSettings, Acceptor, Checkpointed, DirectoryPorts, Lane, LaneParts,
    LaneSettings, LaneSwitch, Registry, Settlements, SignerPorts, Steward,
};
use audit_queue::{Consumer, FrameLookup, Producer};
use audit_queue_embedded::EmbeddedQueue;
use audit_runtime::{Breaker, BreakerSettings, Clock, Random, Shutdown, Tasks};
use audit_store::Store;
use audit_store_sqlite::SqliteStore;
use tokio::sync::{Semaphore, watch};

use crate::detection::{Detecting, DetectionOptions, DetectionPorts, Windows};
use crate::error::StartError;
use crate::keys::Keys;
#[cfg(feature = "deployed")]
use crate::reconfigure::{Adjustable, Ends};
use crate::running::{Audit, Inner, Observed, Probe, SourceLook};
#[cfg(feature = "deployed")]
use audit_pipeline::overflow::{Direct, DirectParts, OverflowQueue, PastMark, drain};
#[cfg(feature = "deployed")]
use audit_pipeline::{Health, KeyRates, OverflowSettings, OverflowState, Spool};

/// Something that is closed when everything that uses it has ended.
#[async_trait]
pub(crate) trait Closing: Send + Sync {
    async fn close(&self);
}

#[async_trait]
impl Closing for EmbeddedQueue {
    async fn close(&self) {
        Self::close(self).await;
    }
}

#[async_trait]
impl Closing for SqliteStore {
    async fn close(&self) {
        Self::close(self).await;
    }
}

/// What stands behind the ports of this process.
pub(crate) struct Adapters {
    pub(crate) store: Store,
    pub(crate) producer: Arc<dyn Producer>,
    pub(crate) consumer: Arc<dyn Consumer>,
    pub(crate) frames: Arc<dyn FrameLookup>,
    /// Closed at the end, in this order.
    pub(crate) closing: Vec<Arc<dyn Closing>>,
}

/// What this process is to do.
pub(crate) struct Plan {
    /// The name under which it holds leases; the same after a restart, so that it need not wait for its own to run out.
    pub(crate) owner: String,
    /// The deployment's ledgers that lanes work on.
    pub(crate) ledgers: Vec<LedgerId>,
    /// How many of them this process may hold at once.
    pub(crate) lanes: usize,
    /// File of the first admin key.
    pub(crate) admin_key: PathBuf,
    /// Set when other processes work on the same queue, store and keys.
    pub(crate) shared_keys: Option<SharedKeys>,
    pub(crate) accept: AcceptSettings,
    pub(crate) lane: LaneSettings,
    /// Of the one breaker before the store.
    pub(crate) breaker: BreakerSettings,
    pub(crate) shutdown_grace: Duration,
    pub(crate) detection: DetectionPlan,
    /// The data directory of a process of a deployment, held for as long as it runs.
    #[cfg(feature = "deployed")]
    pub(crate) _instance: Option<crate::deployed::Instance>,
}

/// Whether stored events are looked at here, and by what.
pub(crate) enum DetectionPlan {
    Off,
    /// By these rules, for as long as the process runs.
    By(Box<DetectionOptions>, Windows),
    /// By what a configuration says, which may change.
    #[cfg(feature = "deployed")]
    Configured(Box<DetectionOptions>, Windows, Arc<audit_config::Settings>),
}

/// What processes of one deployment share besides queue and store.
#[derive(Debug, Clone)]
pub(crate) struct SharedKeys {
    /// The key directory.
    pub(crate) dir: PathBuf,
    /// The ledger for critical events past the mark; no lane of a worker wants it.
    pub(crate) direct: LedgerId,
}

/// Everything opened, nothing running yet.
pub(crate) struct Assembly {
    pub(crate) plan: Plan,
    pub(crate) registry: Arc<Registry>,
    pub(crate) keys: Keys,
    pub(crate) adapters: Adapters,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    /// What only this form has, to be reconfigured while it works.
    #[cfg(feature = "deployed")]
    pub(crate) ends: Ends,
}

/// What stands in for the broker, and what is allowed, in an ingest.
#[cfg(feature = "deployed")]
pub(crate) struct Overflow {
    pub(crate) spool: Spool,
    pub(crate) state: OverflowState,
    pub(crate) settings: OverflowSettings,
    pub(crate) rates: Arc<KeyRates>,
}

/// Says what waits in the spool, and for how long.
#[cfg(feature = "deployed")]
fn spool_probe(state: OverflowState, clock: Arc<dyn Clock>) -> Probe {
    Arc::new(move || {
        let spool = state.health().spool;
        let health = match spool.oldest_micros {
            _ if spool.frames == 0 => Health::Working,
            oldest => {
                let age = oldest.map_or(0, |oldest| clock.now_micros().saturating_sub(oldest));
                let events = spool.events.saturating_add(spool.events_internal);
                let seconds = age / 1_000_000;
                Health::Degraded(format!("{events} events wait, the oldest for {seconds} s"))
            }
        };
        ("spool".to_owned(), health)
    })
}

/// What every flow of the process shares while it runs.
struct Common {
    settlements: Settlements,
    checkpointed: Checkpointed,
    breaker: Arc<Breaker>,
    /// What every lane follows.
    lane: watch::Sender<LaneSettings>,
    /// Where lanes hand over what they commit, when somebody looks at it.
    feed: Option<Feed>,
    /// What bounds the keys past the mark, in an ingest.
    #[cfg(feature = "deployed")]
    critical: Option<Arc<KeyRates>>,
    front: Tasks,
    lanes: Tasks,
    back: Tasks,
    stop_lanes: Shutdown,
    stop_back: Shutdown,
}

impl Common {
    fn new(plan: &Plan) -> Self {
        let breaker = plan.breaker;
        Self {
            settlements: Settlements::default(),
            checkpointed: Checkpointed::new(),
            breaker: Arc::new(Breaker::new(breaker.failures_max, breaker.pause)),
            lane: watch::Sender::new(plan.lane.clone()),
            feed: None,
            #[cfg(feature = "deployed")]
            critical: None,
            front: Tasks::new(),
            lanes: Tasks::new(),
            back: Tasks::new(),
            stop_lanes: Shutdown::new(),
            stop_back: Shutdown::new(),
        }
    }
}

impl Assembly {
    fn keys(&self) -> Arc<dyn KeySource> {
        Arc::clone(&self.keys.dir) as _
    }

    fn anchor(&self) -> Arc<dyn CheckpointAnchor> {
        Arc::clone(&self.keys.anchor) as _
    }

    fn deployment_id(&self) -> Arc<str> {
        self.keys.dir.deployment_id().into()
    }

    /// Every ledger of the deployment that holds events.
    fn event_ledgers(&self) -> Vec<LedgerId> {
        let direct = self.plan.shared_keys.as_ref().map(|shared| shared.direct);
        self.plan.ledgers.iter().copied().chain(direct).collect()
    }

    /// A process with lanes, which may become the steward.
    pub(crate) async fn worker(
        mut self,
        mut probes: Vec<Probe>,
        sources: Vec<SourceLook>,
    ) -> Result<Audit, StartError> {
        let mut common = Common::new(&self.plan);
        let plan = std::mem::replace(&mut self.plan.detection, DetectionPlan::Off);
        let (lanes, intake) = feed();
        common.feed = (!matches!(plan, DetectionPlan::Off)).then_some(lanes);
        let steward = self.steward(&common).await?;
        let queue = Arc::clone(&self.adapters.producer);
        let acceptor = self.acceptor(&common, queue, None);
        let lanes = self.start_lanes(&common);
        common
            .back
            .spawn("steward", steward.run(common.stop_back.signal()));
        let store = &self.adapters.store;
        if let Some(follower) = TextFollower::of(store, Arc::clone(&self.random)) {
            let run = follower.run(common.stop_back.signal());
            common.back.spawn("text follower", run);
        }
        self.follow_others(&common);
        let detecting = self.detect(plan, intake, &common, &acceptor, &lanes);
        #[cfg(feature = "deployed")]
        probes.extend(detecting.iter().filter_map(Detecting::probe));
        let observed = Observed {
            lanes,
            detecting,
            probes,
            overflow: None,
            sources,
            rates: None,
        };
        Ok(self.running(common, acceptor, observed))
    }

    /// A process that only takes events.
    #[cfg(feature = "deployed")]
    pub(crate) fn ingest(mut self, overflow: Overflow, mut probes: Vec<Probe>) -> Audit {
        let mut common = Common::new(&self.plan);
        let Overflow {
            spool,
            state,
            settings,
            rates,
        } = overflow;
        let direct = Arc::new(Direct::new(self.direct_parts(&common)));
        let broker = Arc::clone(&self.adapters.producer);
        let queue = Arc::new(OverflowQueue::new(
            Arc::clone(&broker),
            Arc::clone(&self.adapters.frames),
            spool.clone(),
            state.clone(),
            settings.clone(),
        ));
        let past_mark = PastMark::new(spool.clone(), Arc::clone(&direct), settings.clone());
        common.critical = Some(past_mark.rates());
        let acceptor = self.acceptor(&common, Arc::clone(&queue) as _, Some(Arc::new(past_mark)));
        let drain = drain(
            spool,
            broker,
            state.clone(),
            settings,
            Arc::clone(&self.random),
            common.stop_back.signal(),
        );
        common.back.spawn("spool", drain);
        common
            .lanes
            .spawn("direct lane", direct.run(common.stop_lanes.signal()));
        self.follow_others(&common);
        self.adapters.producer = Arc::clone(&queue) as _;
        self.adapters.frames = queue;
        probes.push(spool_probe(state.clone(), Arc::clone(&self.clock)));
        let observed = Observed {
            lanes: Vec::new(),
            detecting: None,
            probes,
            overflow: Some(state),
            sources: Vec::new(),
            rates: Some(rates),
        };
        self.running(common, acceptor, observed)
    }

    #[cfg(feature = "deployed")]
    fn direct_parts(&self, common: &Common) -> DirectParts {
        let shared = self.plan.shared_keys.as_ref();
        let ledger = shared.map_or(LedgerId::Events(0), |shared| shared.direct);
        DirectParts {
            store: self.adapters.store.clone(),
            keys: self.keys(),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            registry: Arc::clone(&self.registry),
            settlements: common.settlements.clone(),
            breaker: Arc::clone(&common.breaker),
            ledger,
            origin: Origin::new(&self.deployment_id(), ledger),
            owner: self.plan.owner.clone(),
            settings: common.lane.subscribe(),
        }
    }

    async fn steward(&self, common: &Common) -> Result<Steward, StartError> {
        let store = &self.adapters.store;
        let directory = DirectoryPorts::new(
            store,
            self.keys(),
            Arc::clone(&self.clock),
            Arc::clone(&self.random),
        );
        let signer = SignerPorts::new(store, self.anchor(), self.keys());
        let (deployment_id, ledgers) = (self.deployment_id(), self.event_ledgers());
        let hub = common.checkpointed.clone();
        let owner = &self.plan.owner;
        Ok(Steward::start(directory, signer, hub, &deployment_id, owner, &ledgers).await?)
    }

    fn acceptor(
        &self,
        common: &Common,
        queue: Arc<dyn Producer>,
        past_mark: Option<Arc<dyn Producer>>,
    ) -> Arc<Acceptor> {
        let parts = AcceptParts {
            queue,
            past_mark,
            events: Arc::clone(&self.adapters.store.events),
            keys: self.keys(),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            settlements: common.settlements.clone(),
            checkpointed: common.checkpointed.clone(),
            tasks: common.front.clone(),
        };
        Acceptor::start(parts, self.plan.accept.clone())
    }

    fn start_lanes(&self, common: &Common) -> Vec<(LedgerId, Arc<LaneSwitch>)> {
        let parts = LaneParts {
            store: self.adapters.store.clone(),
            consumer: Arc::clone(&self.adapters.consumer),
            producer: Arc::clone(&self.adapters.producer),
            keys: self.keys(),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            registry: Arc::clone(&self.registry),
            settlements: common.settlements.clone(),
            breaker: Arc::clone(&common.breaker),
            feed: common.feed.clone(),
            shutdown: common.stop_lanes.signal(),
        };
        let places = Arc::new(Semaphore::new(self.plan.lanes.max(1)));
        let lanes = self.plan.ledgers.iter().map(|ledger| {
            let origin = Origin::new(&self.deployment_id(), *ledger);
            let lane = Lane::new(
                parts.clone(),
                self.plan.lane.clone(),
                *ledger,
                origin,
                self.plan.owner.clone(),
            );
            let lane = lane.within(Arc::clone(&places));
            let lane = lane.following(common.lane.subscribe());
            let switch = lane.switch();
            common.lanes.spawn("lane", lane.run());
            (*ledger, switch)
        });
        lanes.collect()
    }

    /// Begins to look at what is stored.
    fn detect(
        &self,
        plan: DetectionPlan,
        intake: Intake,
        common: &Common,
        acceptor: &Arc<Acceptor>,
        lanes: &[(LedgerId, Arc<LaneSwitch>)],
    ) -> Option<Detecting> {
        let ports = DetectionPorts {
            store: self.adapters.store.clone(),
            queue: Arc::clone(&self.adapters.producer),
            acceptor: Arc::clone(acceptor),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            breaker: Arc::clone(&common.breaker),
            lanes: lanes.to_vec(),
            owner: self.plan.owner.clone(),
        };
        let tasks = (&common.back, &common.stop_back);
        match plan {
            DetectionPlan::Off => None,
            DetectionPlan::By(options, windows) => {
                let (_now, ready) = watch::channel(true);
                let started = Detecting::start(*options, windows, ports, (intake, ready), tasks);
                Some(started)
            }
            #[cfg(feature = "deployed")]
            DetectionPlan::Configured(options, windows, settings) => Some(Detecting::configured(
                *options, windows, settings, ports, intake, tasks,
            )),
        }
    }

    /// Learns what the other processes of the deployment do, when there are any.
    fn follow_others(&self, common: &Common) {
        if self.plan.shared_keys.is_none() {
            return;
        }
        let receipts = poll_receipts(
            common.settlements.clone(),
            Arc::clone(&self.adapters.store.receipts),
            common.stop_back.signal(),
        );
        common.back.spawn("receipts", receipts);
        let ledgers = self
            .event_ledgers()
            .into_iter()
            .chain([LedgerId::Directory]);
        let anchor = follow_anchor(
            common.checkpointed.clone(),
            self.anchor(),
            self.keys(),
            self.deployment_id(),
            ledgers.collect(),
            common.stop_back.signal(),
        );
        common.back.spawn("anchor", anchor);
    }

    fn running(self, common: Common, acceptor: Arc<Acceptor>, observed: Observed) -> Audit {
        let deployment_id = self.deployment_id();
        let verification = Verification::new(
            VerificationPorts::new(
                &self.adapters.store,
                self.anchor(),
                self.keys(),
                Arc::clone(&self.clock),
                Arc::clone(&self.random),
            ),
            &deployment_id,
        );
        Audit::new(Inner {
            keys: self.keys(),
            plan: self.plan,
            registry: self.registry,
            deployment_id,
            adapters: self.adapters,
            clock: self.clock,
            random: self.random,
            acceptor,
            checkpointed: common.checkpointed,
            verification,
            observed,
            breaker: common.breaker,
            #[cfg(feature = "deployed")]
            adjustable: Adjustable::new(self.ends, common.lane, common.critical),
            front: common.front,
            lanes_tasks: common.lanes,
            back: common.back,
            stop_lanes: common.stop_lanes,
            stop_back: common.stop_back,
        })
    }
}
