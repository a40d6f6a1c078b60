//! The tasks of detection: following, telling, escalating, and looking after the system itself.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use audit_alert::{AlertHandler, Desk, DispatchSettings, Dispatcher, Policy, Trail};
use audit_integrity::ledger::LedgerId;
use audit_monitor::{Detector, Engine, MemoryWindows, WindowStore};
use audit_pipeline::detection::{Intake, Shortages};
use audit_pipeline::{Acceptor, Detection, DetectionParts, LaneSwitch};
use audit_queue::Producer;
use audit_runtime::{Breaker, Clock, Random, Shutdown, ShutdownSignal, Tasks};
use audit_store::Store;
use tokio::sync::watch;

use super::DetectionOptions;
#[cfg(feature = "deployed")]
use super::rule_files::{RulesHealth, Wanted, follow_rules};
use super::system::{SystemWatch, Thresholds};
use super::trail::OwnTrail;
use crate::private_file;

/// How often alerts that nobody acknowledged are looked for.
const ESCALATE_EVERY: Duration = Duration::from_secs(5);
/// How often old resolved alerts are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(3_600);
/// How often the windows of one process are written down.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(30);
/// Name of that file in the data directory.
const SNAPSHOT: &str = "detection.windows";

/// Where windows are kept.
pub(crate) enum Windows {
    /// In this process, and in a file of its data directory.
    Own(PathBuf),
    /// Where all processes of a deployment see them.
    #[cfg(feature = "deployed")]
    Shared(Arc<dyn WindowStore>),
}

/// What detection stands on in this process.
pub(crate) struct DetectionPorts {
    pub(crate) store: Store,
    pub(crate) queue: Arc<dyn Producer>,
    pub(crate) acceptor: Arc<Acceptor>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) lanes: Vec<(LedgerId, Arc<LaneSwitch>)>,
    /// Name of this process.
    pub(crate) owner: String,
}

/// Handlers and how they are told: replaced together.
pub(crate) struct Telling {
    handlers: Vec<(String, Arc<dyn AlertHandler>)>,
    dispatch: DispatchSettings,
}

/// Detection at work: what it goes by can be replaced.
pub(crate) struct Detecting {
    pub(crate) desk: Arc<Desk>,
    pub(crate) rules: watch::Sender<Arc<Detector>>,
    policy: watch::Sender<Arc<Policy>>,
    telling: watch::Sender<Arc<Telling>>,
    thresholds: watch::Sender<(Thresholds, Duration)>,
    #[cfg(feature = "deployed")]
    configured: Option<Configured>,
}

/// What a configuration says of the rules, and how they stand.
#[cfg(feature = "deployed")]
struct Configured {
    wanted: watch::Sender<Wanted>,
    health: RulesHealth,
}

impl Detecting {
    /// Starts everything on these tasks. Following waits until the other end of the intake says that the rules are there.
    pub(crate) fn start(
        options: DetectionOptions,
        windows: Windows,
        ports: DetectionPorts,
        intake: (Intake, watch::Receiver<bool>),
        tasks: (&Tasks, &Shutdown),
    ) -> Self {
        let (tasks, stop) = tasks;
        let (intake, ready) = intake;
        let rules = watch::Sender::new(options.detector());
        let policy = watch::Sender::new(Arc::new(options.policy));
        let trail: Arc<dyn Trail> = Arc::new(OwnTrail(Arc::clone(&ports.acceptor)));
        let alerts = Arc::clone(&ports.store.alerts);
        let desk = Arc::new(Desk::new(
            Arc::clone(&alerts),
            policy.subscribe(),
            Arc::clone(&trail),
            Arc::clone(&ports.clock),
        ));
        let telling = watch::Sender::new(Arc::new(Telling {
            handlers: options.handlers,
            dispatch: options.dispatch,
        }));
        let thresholds = watch::Sender::new((options.thresholds, options.keep_resolved));
        let (opened, shortages) = (Opened::default(), Shortages::default());
        let follower = Follower {
            windows,
            opened: Arc::clone(&opened),
            rules: rules.subscribe(),
            desk: Arc::clone(&desk),
            shortages: shortages.clone(),
            intake,
            store: ports.store.clone(),
            queue: Arc::clone(&ports.queue),
            clock: Arc::clone(&ports.clock),
            random: Arc::clone(&ports.random),
        };
        tasks.spawn("detection", follower.run(ready, stop.signal()));
        let random = Arc::clone(&ports.random);
        let tell = tell(telling.subscribe(), alerts, random, trail, stop.signal());
        tasks.spawn("alert handlers", tell);
        let life = lead(Arc::clone(&desk), thresholds.subscribe(), stop.signal());
        tasks.spawn("alerts", life);
        let looked_at = (opened, shortages);
        let watching =
            SystemWatch::new(ports, looked_at, Arc::clone(&desk), thresholds.subscribe());
        tasks.spawn("system alerts", watching.run(stop.signal()));
        Self {
            desk,
            rules,
            policy,
            telling,
            thresholds,
            #[cfg(feature = "deployed")]
            configured: None,
        }
    }

    /// The same, by what a configuration says, also of the rules.
    #[cfg(feature = "deployed")]
    pub(crate) fn configured(
        options: DetectionOptions,
        windows: Windows,
        settings: Arc<audit_config::Settings>,
        ports: DetectionPorts,
        intake: Intake,
        tasks: (&Tasks, &Shutdown),
    ) -> Self {
        let wanted = watch::Sender::new(Wanted::of(settings, &options));
        let (ready, is_ready) = watch::channel(false);
        let mut started = Self::start(options, windows, ports, (intake, is_ready), tasks);
        let health = RulesHealth::default();
        let rules = started.rules.clone();
        let stop = tasks.1.signal();
        let follow = follow_rules(wanted.subscribe(), rules, ready, health.clone(), stop);
        tasks.0.spawn("rules", follow);
        started.configured = Some(Configured { wanted, health });
        started
    }

    /// How the rules stand, as a component.
    #[cfg(feature = "deployed")]
    pub(crate) fn probe(&self) -> Option<crate::running::Probe> {
        let health = self.configured.as_ref()?.health.clone();
        Some(Arc::new(move || ("detection".to_owned(), health.health())))
    }

    /// Goes on by other settings. Parts whose settings stay the same are not disturbed.
    #[cfg(feature = "deployed")]
    pub(crate) fn go_by(&self, settings: &audit_config::Settings, options: DetectionOptions) {
        let Some(configured) = &self.configured else {
            return;
        };
        let wanted = Wanted::of(Arc::new(settings.clone()), &options);
        let before = configured.wanted.send_replace(wanted).settings;
        let (before, now) = (&before.alerts, &settings.alerts);
        if before.handlers != now.handlers || before.attempts_max != now.attempts_max {
            self.telling.send_replace(Arc::new(Telling {
                handlers: options.handlers,
                dispatch: options.dispatch,
            }));
        }
        if before != now {
            self.policy.send_replace(Arc::new(options.policy));
            self.thresholds
                .send_replace((options.thresholds, options.keep_resolved));
        }
    }
}

/// The windows, from when the rules are there that they are opened by.
pub(super) type Opened = Arc<OnceLock<Arc<dyn WindowStore>>>;

/// Windows of this process alone, and the file that it keeps them in.
type OwnWindows = (Arc<MemoryWindows>, PathBuf);

/// What follows the ledgers, before it has its rules.
struct Follower {
    windows: Windows,
    opened: Opened,
    rules: watch::Receiver<Arc<Detector>>,
    desk: Arc<Desk>,
    shortages: Shortages,
    intake: Intake,
    store: Store,
    queue: Arc<dyn Producer>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Follower {
    /// Waits for the rules, and follows until stop is said.
    async fn run(self, mut ready: watch::Receiver<bool>, stop: ShutdownSignal) {
        tokio::select! {
            () = stop.begun() => return,
            // Without a sender nobody says more: it is as ready as it will be.
            _ = ready.wait_for(|ready| *ready) => {}
        }
        // Not before: what is kept of rules that are not there would be let go of.
        let engine = Arc::clone(self.rules.borrow().engine());
        let (windows, own) = open(self.windows, engine);
        let windows = self.opened.get_or_init(|| windows);
        let parts = DetectionParts::new(
            &self.store,
            self.queue,
            Arc::clone(windows),
            self.desk,
            self.clock,
            self.random,
        );
        let parts = DetectionParts {
            shortages: self.shortages,
            ..parts
        };
        let following = Detection::new(parts, self.rules, self.intake);
        let keeping = async {
            let Some((windows, file)) = &own else {
                return stop.begun().await;
            };
            while stop.pause(SNAPSHOT_EVERY).await {
                keep(windows, file).await;
            }
        };
        tokio::join!(following.run(stop.clone()), keeping);
        if let Some((windows, file)) = &own {
            keep(windows, file).await;
        }
    }
}

/// The windows by these rules, and where this process keeps them when they are its own.
fn open(windows: Windows, engine: Arc<Engine>) -> (Arc<dyn WindowStore>, Option<OwnWindows>) {
    match windows {
        Windows::Own(dir) => {
            let file = dir.join(SNAPSHOT);
            let own = Arc::new(restored(&file, &engine));
            (Arc::clone(&own) as _, Some((own, file)))
        }
        #[cfg(feature = "deployed")]
        Windows::Shared(windows) => {
            if let Err(error) = windows.reload(engine) {
                tracing::error!(%error, "the windows of detection do not take their rules");
            }
            (windows, None)
        }
    }
}

/// From the file, when it is there and whole; else they begin from the ledgers.
fn restored(file: &Path, engine: &Arc<Engine>) -> MemoryWindows {
    let restored = std::fs::read(file)
        .ok()
        .and_then(|bytes| MemoryWindows::restore(Arc::clone(engine), &bytes).ok());
    restored.unwrap_or_else(|| {
        tracing::info!("the windows of detection begin from the ledgers");
        MemoryWindows::unbegun(Arc::clone(engine))
    })
}

/// Writes windows down. What is not written is read from the ledgers again.
async fn keep(windows: &MemoryWindows, file: &Path) {
    // Before they begin there is nothing to keep.
    let Ok(bytes) = windows.snapshot() else {
        return;
    };
    let place = file.to_owned();
    let writing = tokio::task::spawn_blocking(move || private_file::write(&place, &bytes)).await;
    if let Ok(Err(error)) = writing {
        tracing::warn!(%error, file = %file.display(), "the windows of detection are not kept");
    }
}

/// Tells handlers, those of the moment, until stop is said.
async fn tell(
    mut telling: watch::Receiver<Arc<Telling>>,
    alerts: Arc<dyn audit_store::Alerts>,
    random: Arc<dyn Random>,
    trail: Arc<dyn Trail>,
    stop: ShutdownSignal,
) {
    while !stop.is_begun() {
        let now = Arc::clone(&telling.borrow_and_update());
        let dispatcher = Dispatcher::new(
            Arc::clone(&alerts),
            now.handlers.clone(),
            now.dispatch.clone(),
            Arc::clone(&random),
            Arc::clone(&trail),
        );
        let turn = Shutdown::new();
        let ends = async {
            tokio::select! {
                () = stop.begun() => {}
                changed = telling.changed() => {
                    if changed.is_err() {
                        stop.begun().await;
                    }
                }
            }
            // What is under way may end; what is not told then is told by the next.
            turn.begin();
        };
        tokio::join!(dispatcher.run(turn.signal()), ends);
    }
}

/// Escalates what nobody acknowledged, and forgets what was resolved long ago.
async fn lead(
    desk: Arc<Desk>,
    thresholds: watch::Receiver<(Thresholds, Duration)>,
    stop: ShutdownSignal,
) {
    let mut forgot = None;
    while stop.pause(ESCALATE_EVERY).await {
        if let Err(error) = desk.escalate_due().await {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(error, "alerts cannot be escalated now");
        }
        let is_due = |at: &tokio::time::Instant| at.elapsed() >= FORGET_EVERY;
        if forgot.as_ref().is_none_or(is_due) {
            let keep = thresholds.borrow().1;
            if desk.forget(keep).await.is_ok() {
                forgot = Some(tokio::time::Instant::now());
            }
        }
    }
}
