//! Detection behind the lanes: every stored event once, whoever hands it over, and nothing lost between a window and an alert.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use audit_integrity::ledger::LeafIndex;
use audit_monitor::{
    Detector, Episode, EpisodeSink, Limits, MemoryWindows, Phase, RuleSet, Settings, WindowError,
    WindowStore,
};
use audit_pipeline::detection::{Intake, feed};
use audit_pipeline::{Ack, Detection, DetectionParts, Item};
use audit_queue::Producer;
use audit_runtime::{Shutdown, SystemClock, SystemRandom, Tasks};
use tokio::sync::watch;

use crate::scene::{LEDGER, Scene, event, until};

const RULES: &str = "
title: An export
name: export
logsource: { product: audit }
detection:
    selection: { action: data.export }
    condition: selection
---
title: A read
name: read
logsource: { product: audit }
detection:
    selection: { action: record.read }
    condition: selection
---
title: Many reads
name: reads
correlation:
    type: event_count
    rules: [read]
    group-by: [principalId]
    timespan: 1m
    condition: { gte: 3 }
";

fn rules() -> Arc<Detector> {
    let rules = RuleSet::load([("rules.yml", RULES)].into_iter());
    assert!(rules.problems().is_empty(), "{:?}", rules.problems());
    let detector = Detector::new(Arc::new(rules), Settings::default(), Limits::default());
    Arc::new(detector)
}

/// Keeps what was raised; is away so often before.
#[derive(Debug, Default)]
struct Raised {
    away: AtomicUsize,
    episodes: std::sync::Mutex<Vec<Episode>>,
}

impl Raised {
    /// Ids of what was opened, by rule.
    fn opened(&self) -> BTreeSet<(String, String)> {
        let episodes = self.episodes.lock().unwrap();
        let name = |it: &Episode| (it.rule.clone(), it.id.to_string());
        episodes.iter().map(name).collect()
    }

    fn closed(&self) -> usize {
        let episodes = self.episodes.lock().unwrap();
        let closed = episodes.iter().filter(|it| it.phase == Phase::Closed);
        closed.map(|it| it.id).collect::<BTreeSet<_>>().len()
    }
}

#[async_trait]
impl EpisodeSink for Raised {
    async fn raise(&self, episodes: &[Episode]) -> Result<(), WindowError> {
        let left = self
            .away
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        if left.is_ok() {
            return Err(WindowError::Unavailable("on purpose".into()));
        }
        self.episodes.lock().unwrap().extend_from_slice(episodes);
        Ok(())
    }
}

struct Following {
    shutdown: Shutdown,
    tasks: Tasks,
    windows: Arc<MemoryWindows>,
    raised: Arc<Raised>,
    _rules: watch::Sender<Arc<Detector>>,
}

impl Following {
    fn start(scene: &Scene, raised: Raised, intake: Intake) -> Self {
        let (rules, used) = watch::channel(rules());
        let windows = Arc::new(MemoryWindows::unbegun(Arc::clone(rules.borrow().engine())));
        let (shutdown, raised) = (Shutdown::new(), Arc::new(raised));
        let parts = DetectionParts::new(
            &scene.store,
            Arc::clone(&scene.queue) as Arc<dyn Producer>,
            Arc::clone(&windows) as _,
            Arc::clone(&raised) as _,
            Arc::new(SystemClock),
            Arc::new(SystemRandom),
        );
        let run = Detection::new(parts, used, intake).run(shutdown.signal());
        let tasks = Tasks::new();
        tasks.spawn("detection", run);
        Self {
            tasks,
            shutdown,
            windows,
            raised,
            _rules: rules,
        }
    }

    /// Waits until everything up to here is counted.
    async fn at(&self, leaf: u64) {
        until("everything is counted", || async {
            self.windows.cursor(LEDGER).await.ok() == Some(LeafIndex(leaf))
        })
        .await;
    }

    async fn stop(self) -> Arc<Raised> {
        self.shutdown.begin();
        let left = self.tasks.join(Duration::from_secs(60)).await;
        assert!(left.is_empty(), "{left:?}");
        self.raised
    }
}

/// Two exports and five reads of one principal among others that nobody minds.
fn suspicious(from: u64) -> Vec<Item> {
    let text = |id: u64, action: &str| {
        let id = uuid::Uuid::from_u64_pair(2, from + id);
        format!(
            r#"{{"id":"{id}","timestamp":"2024-01-01T00:00:0{}Z","action":"{action}","status":"success","principalId":"eve-{from}"}}"#,
            from % 10
        )
    };
    let actions = ["record.read"; 5].into_iter().chain(["data.export"; 2]);
    let items = actions.chain(["record.list"; 20]).zip(0..);
    items
        .map(|(action, id)| Item::Bytes(text(id, action).into_bytes().into()))
        .collect()
}

#[tokio::test]
async fn what_lanes_hand_over_and_what_is_read_later_raise_the_same() {
    let mut scene = Scene::begin().await;
    let (lanes, intake) = feed();
    scene.feed = Some(lanes);
    let lane = scene.work();
    let following = Following::start(&scene, Raised::default(), intake);
    for from in [1, 102, 203, 304] {
        scene.accept(suspicious(from), Ack::Stored).await;
    }
    following.at(4 * 27).await;
    until("the windows are closed", || async {
        following.raised.closed() == 12
    })
    .await;
    let handed_over = following.stop().await.opened();
    // Of each request two exports, and one episode of reads.
    assert_eq!(handed_over.len(), 12, "{handed_over:?}");

    let (_nobody, intake) = feed();
    let later = Following::start(&scene, Raised::default(), intake);
    later.at(4 * 27).await;
    until("the windows are closed", || async {
        later.raised.closed() == 12
    })
    .await;
    assert_eq!(later.stop().await.opened(), handed_over);
    lane.stop().await;
}

#[tokio::test]
async fn nothing_is_lost_while_alerts_cannot_be_kept() {
    let mut scene = Scene::begin().await;
    let (lanes, intake) = feed();
    scene.feed = Some(lanes);
    let lane = scene.work();
    let raised = Raised {
        away: AtomicUsize::new(3),
        ..Raised::default()
    };
    let following = Following::start(&scene, raised, intake);
    scene.accept(suspicious(5), Ack::Stored).await;
    following.at(27).await;
    until("all is raised", || async { following.raised.closed() == 3 }).await;
    assert_eq!(following.stop().await.opened().len(), 3);
    lane.stop().await;
}

#[tokio::test]
async fn windows_that_know_nothing_begin_as_far_back_as_a_window_sees() {
    let mut scene = Scene::begin().await;
    let (lanes, intake) = feed();
    scene.feed = Some(lanes);
    let lane = scene.work();
    let following = Following::start(&scene, Raised::default(), intake);
    scene.accept(suspicious(7), Ack::Stored).await;
    let quiet = (0..20).map(|id| event(id, "quiet")).collect();
    scene.accept(quiet, Ack::Stored).await;
    following.at(47).await;
    until("all is settled", || async {
        following.windows.settled().await.unwrap() == [(LEDGER, LeafIndex(47))]
    })
    .await;
    following.stop().await;
    lane.stop().await;
    // The first 27 were sealed long before the others: no window reaches so far back.
    scene.alter("UPDATE audit_event SET sealed_at = sealed_at - 3600000000 WHERE position < 27");
    let (_nobody, intake) = feed();
    let later = Following::start(&scene, Raised::default(), intake);
    later.at(47).await;
    until("the windows are closed", || async {
        later.raised.closed() == 1
    })
    .await;
    let seen = later.stop().await.opened();
    let rules: Vec<_> = seen.iter().map(|(rule, _)| rule.as_str()).collect();
    assert_eq!(rules, ["reads"], "{seen:?}");
}
