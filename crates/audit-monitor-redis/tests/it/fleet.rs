//! Many processes at once, as tasks with windows of their own: whoever writes, evaluates, dies or is cut off, the episodes are those of
//! windows in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use audit_event::AuditEvent;
use audit_integrity::ledger::LedgerId;
use audit_monitor::conformance::sample::{
    Dice, Found, SOURCES, beginnings, end, expected, find, matcher, settle_all, streams,
};
use audit_monitor::{Batch, Episode, EpisodeId, Phase, WindowError, WindowStore};
use audit_monitor_redis::Settings;
use audit_runtime::{Fault, Faulty};
use audit_testkit::fault_proxy::FaultProxy;
use audit_testkit::redis::RedisServer;
use audit_testkit::wait::wait_until_async;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::made::{BOUND, busy, end_turn, open};

/// What the alerts know: idempotent by id and phase, as the contract wants it.
#[derive(Debug, Default)]
struct Alerts {
    found: Found,
    /// How often one came that was settled before: an evaluator died between.
    again: u64,
}

impl Alerts {
    fn take(&mut self, raised: Vec<Episode>) -> Vec<(EpisodeId, Phase)> {
        let keys: Vec<_> = raised.iter().map(|one| (one.id, one.phase)).collect();
        self.again += keys
            .iter()
            .filter(|key| self.found.contains_key(key))
            .count() as u64;
        find(&mut self.found, raised);
        keys
    }
}

/// What the tasks of one run share.
struct Fleet {
    settings: Settings,
    streams: BTreeMap<LedgerId, Vec<AuditEvent>>,
    /// Whether processes die in the middle of calls.
    mortal: bool,
    alerts: std::sync::Mutex<Alerts>,
    written: AtomicUsize,
    over: AtomicBool,
}

impl Fleet {
    /// Reads every source from its cursor to its end, as others do at the same time, and dies in some calls.
    async fn write(&self, seed: u64) {
        let mut dice = Dice::new(seed);
        let matcher = matcher();
        let mut windows = open(self.settings.clone());
        let mut unread: Vec<_> = self.streams.iter().collect();
        while !unread.is_empty() {
            let place = dice.index(unread.len());
            let Some((source, events)) = unread.get(place).copied() else {
                continue;
            };
            let Ok(at) = windows.cursor(*source).await else {
                tokio::task::yield_now().await;
                continue;
            };
            let from = usize::try_from(at.0).unwrap();
            if from == events.len() {
                unread.remove(place);
                continue;
            }
            let to = events.len().min(from + 1 + dice.index(8));
            let mut batch = Batch::new(*source, at);
            for event in events.get(from..to).unwrap() {
                batch.read(&matcher, event);
            }
            let patience = if self.mortal && dice.roll(5) == 0 {
                // Dies in the middle of the call; another process takes its place.
                Duration::from_micros(dice.roll(1500))
            } else {
                BOUND
            };
            match timeout(patience, windows.apply(&batch)).await {
                Ok(Ok(())) => _ = self.written.fetch_add(to - from, Ordering::SeqCst),
                Ok(Err(WindowError::Moved { .. } | WindowError::Unsettled { .. })) => {}
                Ok(Err(error)) => assert_eq!(error.fault(), Fault::Outage, "{error:?}"),
                Err(_) => windows = open(self.settings.clone()),
            }
            tokio::task::yield_now().await;
        }
    }

    /// Takes what is raised and makes alerts of it, and dies in some calls.
    async fn evaluate(&self, seed: u64) {
        let mut dice = Dice::new(seed);
        let mut windows = open(self.settings.clone());
        while !self.over.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
            let patience = if self.mortal && dice.roll(10) == 0 {
                Duration::from_micros(dice.roll(3000))
            } else {
                BOUND
            };
            let Ok(raised) = timeout(patience, windows.raised(5)).await else {
                windows = open(self.settings.clone());
                continue;
            };
            let Ok(raised) = raised else { continue };
            let keys = self.alerts.lock().unwrap().take(raised);
            windows.settle(&keys).await.unwrap();
        }
        windows.close().await;
    }
}

fn fleet(settings: Settings, seed: u64, mortal: bool) -> Arc<Fleet> {
    const EVENTS: u64 = 1_000;
    Arc::new(Fleet {
        settings,
        streams: streams(&mut Dice::new(seed), EVENTS, EVENTS / 2),
        mortal,
        alerts: std::sync::Mutex::default(),
        written: AtomicUsize::new(0),
        over: AtomicBool::new(false),
    })
}

/// Runs writers and evaluators while `trouble` goes on, and then compares. Returns how often an episode came again.
async fn the_episodes_are_those_of_memory(
    server: &RedisServer,
    fleet: &Arc<Fleet>,
    (writers, evaluators): (u64, u64),
    trouble: impl Future<Output = ()>,
) -> u64 {
    let after = open(Settings {
        address: server.url().parse().unwrap(),
        ..fleet.settings.clone()
    });
    after.begin(&beginnings()).await.unwrap();
    let (mut writing, mut evaluating) = (JoinSet::new(), JoinSet::new());
    for number in 0..writers {
        let fleet = Arc::clone(fleet);
        writing.spawn(async move { fleet.write(1_000 + number).await });
    }
    for number in 0..evaluators {
        let fleet = Arc::clone(fleet);
        evaluating.spawn(async move { fleet.evaluate(2_000 + number).await });
    }
    let written = async {
        while let Some(ended) = writing.join_next().await {
            ended.unwrap();
        }
        fleet.over.store(true, Ordering::SeqCst);
    };
    let ended = async {
        tokio::join!(written, trouble);
        while let Some(ended) = evaluating.join_next().await {
            ended.unwrap();
        }
    };
    timeout(BOUND, ended).await.unwrap();
    end_turn(server, &fleet.settings.name);
    end(&after, &SOURCES).await;
    let rest = settle_all(&after).await;
    let expected = expected(&fleet.streams).await;
    assert!(expected.len() > 50, "{} say little", expected.len());
    let mut alerts = fleet.alerts.lock().unwrap();
    alerts.take(rest);
    let (found, wanted): (BTreeSet<_>, BTreeSet<_>) =
        (alerts.found.keys().collect(), expected.keys().collect());
    assert_eq!(found, wanted);
    assert_eq!(alerts.found, expected);
    alerts.again
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_writers_that_die_make_the_episodes_of_memory() {
    let server = RedisServer::start(&[]);
    for (place, (writers, evaluators)) in [(1, 1), (2, 1), (4, 1), (1, 2), (2, 3), (4, 4)]
        .into_iter()
        .enumerate()
    {
        let settings = Settings {
            name: format!("fleet-{writers}-{evaluators}"),
            // Runs out all the time.
            turn: Duration::from_millis(5),
            entries_max: 30,
            ..busy(&server.url())
        };
        let fleet = fleet(settings, place as u64, true);
        let many = (writers, evaluators);
        the_episodes_are_those_of_memory(&server, &fleet, many, async {}).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_settled_comes_again_while_nobody_dies() {
    let server = RedisServer::start(&[]);
    let fleet = fleet(busy(&server.url()), 11, false);
    let again = the_episodes_are_those_of_memory(&server, &fleet, (2, 3), async {}).await;
    assert_eq!(again, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_evaluators_at_once_find_the_same() {
    let server = RedisServer::start(&[]);
    let fleet = fleet(busy(&server.url()), 12, false);
    let taken = AtomicUsize::new(0);
    let trouble = async {
        while !fleet.over.load(Ordering::SeqCst) {
            // Whoever evaluates does not know that the next does, too.
            end_turn(&server, &fleet.settings.name);
            taken.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
    };
    the_episodes_are_those_of_memory(&server, &fleet, (2, 3), trouble).await;
    assert!(taken.load(Ordering::SeqCst) > 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_and_half_answered_connections_change_nothing() {
    let server = RedisServer::start(&[]);
    let proxy = FaultProxy::start(server.address());
    let settings = Settings {
        turn: Duration::from_millis(20),
        ..busy(&server.url_at(proxy.address()))
    };
    let fleet = fleet(settings, 13, false);
    let trouble = async {
        for round in 1..=20 {
            wait_until_async("some more events", BOUND, async || {
                let enough = fleet.written.load(Ordering::SeqCst) >= round * 30;
                (enough || fleet.over.load(Ordering::SeqCst)).then_some(())
            })
            .await;
            match round % 3 {
                0 => proxy.cut(),
                1 => proxy.halve_answers(3),
                _ => proxy.cut_answer_after(round * 37),
            }
        }
    };
    the_episodes_are_those_of_memory(&server, &fleet, (2, 2), trouble).await;
    assert!(proxy.accepted() > 20, "{}", proxy.accepted());
}
