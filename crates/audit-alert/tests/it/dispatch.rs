//! From the outbox to handlers that hang, fail and die.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use audit_alert::handlers::Webhook;
use audit_alert::{
    AlertHandler, DispatchSettings, Dispatcher, HandlerError, Notice, NoticeKind, Policy, TRAIL,
    Trail, handler_fn,
};
use audit_monitor::{EpisodeSink, Phase};
use audit_runtime::{Secret, Shutdown, SystemClock};
use audit_store::{AlertId, OutboxState};
use audit_testkit::clock::{ManualClock, SeededRandom};
use audit_testkit::wait::wait_until_async;
use tokio::task::JoinHandle;

use crate::office::{Office, START, episode, hears_all};
use crate::receiver::{Does, Receiver};

const BOUND: Duration = Duration::from_secs(30);

fn quick() -> DispatchSettings {
    DispatchSettings {
        attempts_max: 100,
        first_wait: Duration::from_millis(2),
        wait_max: Duration::from_millis(20),
        timeout: Duration::from_secs(10),
        hold: Duration::from_secs(20),
        groups_max: 4,
        idle: Duration::from_millis(5),
        drain: Duration::from_secs(5),
    }
}

/// An office whose store goes by the time that passes, with these handlers.
fn office(names: &[&str]) -> Office {
    let policy = Policy {
        handlers: names.iter().map(|name| hears_all(name)).collect(),
        ..Policy::default()
    };
    Office::with_clock(policy, ManualClock::at_micros(START), Arc::new(SystemClock))
}

type Handlers = Vec<(&'static str, Arc<dyn AlertHandler>)>;

/// A process that tells; stopped in the usual way or dropped as it is.
struct Process {
    shutdown: Shutdown,
    task: JoinHandle<()>,
}

impl Process {
    fn start(office: &Office, handlers: Handlers, settings: DispatchSettings) -> Self {
        let handlers = handlers
            .into_iter()
            .map(|(name, handler)| (name.to_owned(), handler));
        let dispatcher = Dispatcher::new(
            Arc::clone(&office.alerts),
            handlers.collect(),
            settings,
            Arc::new(SeededRandom::new(7)),
            Arc::clone(&office.trail) as Arc<dyn Trail>,
        );
        let shutdown = Shutdown::new();
        let signal = shutdown.signal();
        let task = tokio::spawn(async move { dispatcher.run(signal).await });
        Self { shutdown, task }
    }

    async fn stop(self) {
        self.shutdown.begin();
        let stopped = tokio::time::timeout(BOUND, self.task).await;
        stopped.expect("it stops").expect("it does not panic");
    }

    async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// Keeps what it is told.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<Notice>>>);

impl Heard {
    fn all(&self) -> Vec<Notice> {
        self.0.lock().unwrap().clone()
    }

    fn hear(&self, notice: Notice) {
        self.0.lock().unwrap().push(notice);
    }

    fn handler(&self) -> Arc<dyn AlertHandler> {
        let heard = self.clone();
        Arc::new(handler_fn(move |notice| {
            heard.hear(notice);
            async { Ok(()) }
        }))
    }

    async fn wait_for(&self, count: usize) -> Vec<Notice> {
        wait_until_async(&format!("{count} notices"), BOUND, async || {
            let all = self.all();
            (all.len() >= count).then_some(all)
        })
        .await
    }
}

/// Raises, ends, acknowledges and resolves an alert of each of these users.
async fn lives(office: &Office, users: &[&str]) {
    for user in users {
        office
            .desk
            .raise(&[episode(user, 1, Phase::Opened)])
            .await
            .unwrap();
        office
            .desk
            .raise(&[episode(user, 1, Phase::Closed)])
            .await
            .unwrap();
        let id = AlertId(episode(user, 1, Phase::Closed).id.0.0);
        office
            .desk
            .acknowledge(id, None, "user-7", None)
            .await
            .unwrap();
        office.desk.resolve(id, None, "user-7", None).await.unwrap();
    }
}

const LIFE: [NoticeKind; 4] = [
    NoticeKind::Raised,
    NoticeKind::Ended,
    NoticeKind::Acknowledged,
    NoticeKind::Resolved,
];

/// Whether each alert's notices came in order, each under one key; repeated ones count once, where they came last.
fn assert_whole(heard: &[Notice], alerts: usize) {
    let mut of: BTreeMap<AlertId, Vec<&Notice>> = BTreeMap::new();
    for notice in heard {
        let known = of.entry(notice.alert.id).or_default();
        match known.last() {
            Some(last) if last.kind == notice.kind => {
                assert_eq!(last.key, notice.key, "the same notice has the same key");
                assert_eq!(last.alert, notice.alert, "and says the same");
            }
            _ => known.push(notice),
        }
    }
    assert_eq!(of.len(), alerts);
    for notices in of.values() {
        let kinds: Vec<_> = notices.iter().map(|notice| notice.kind).collect();
        assert_eq!(kinds, LIFE);
    }
}

async fn state(office: &Office, handler: &str) -> Option<OutboxState> {
    let outbox = office.alerts.outbox().await.unwrap();
    outbox.into_iter().find(|state| state.handler == handler)
}

async fn wait_until_empty(office: &Office, handler: &str) {
    wait_until_async("an empty outbox", BOUND, async || {
        let state = state(office, handler).await;
        state.is_none_or(|state| state.waiting == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn every_notice_reaches_a_receiver_that_fails_in_every_way() {
    let office = office(&["hook"]);
    let ways = [
        Does::Answers("500 Oops", ""),
        Does::Closes,
        Does::ClosesEarly,
        Does::Answers("429 Busy", "retry-after: 0\r\n"),
        Does::Answers("200 OK", ""),
        Does::Answers("503 Away", ""),
        Does::Answers("200 OK", ""),
        Does::Babbles,
    ];
    let receiver = Receiver::start(&ways).await;
    let client = crate::posts::client(&["127.0.0.1/32"]);
    let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let hook = Webhook::new(client, &Secret::new(receiver.url("/")), &[secret]).unwrap();
    let users = ["eve", "bob", "mallory"];
    lives(&office, &users).await;
    let process = Process::start(&office, vec![("hook", Arc::new(hook))], quick());
    wait_until_empty(&office, "hook").await;
    process.stop().await;
    let came = receiver.came();
    assert_eq!(came.len(), users.len() * 4 + 6, "six ways were failures");
    for came in &came {
        assert_eq!(came.header("webhook-id"), came.json()["key"].as_str());
    }
    let heard: Vec<Notice> = came
        .iter()
        .map(|came| serde_json::from_str(&came.body).unwrap())
        .collect();
    assert_whole(&heard, users.len());
    assert_eq!(
        office.trail.actions().len(),
        users.len() * 3,
        "raised, acknowledged, resolved"
    );
}

#[tokio::test]
async fn a_handler_that_is_dead_delays_no_other_one() {
    let office = office(&["dead", "failing", "panicking", "alive"]);
    let heard = Heard::default();
    let hanging = Arc::new(handler_fn(|_notice| std::future::pending()));
    let failing = Arc::new(handler_fn(|_notice| async {
        Err(HandlerError::later("away"))
    }));
    let panicking = Arc::new(handler_fn(|_notice| async { panic!("on purpose") }));
    let handlers: Handlers = vec![
        ("dead", hanging),
        ("failing", failing),
        ("panicking", panicking),
        ("alive", heard.handler()),
    ];
    let patient = DispatchSettings {
        timeout: Duration::from_secs(3_600),
        drain: Duration::ZERO,
        ..quick()
    };
    let process = Process::start(&office, handlers, patient);
    let users = ["eve", "bob", "mallory", "trudy", "oscar", "peggy"];
    lives(&office, &users).await;
    heard.wait_for(users.len() * 4).await;
    assert_whole(&heard.all(), users.len());
    process.stop().await;
    for handler in ["dead", "failing", "panicking"] {
        let waiting = state(&office, handler).await.unwrap().waiting;
        assert_eq!(
            waiting,
            users.len() as u64 * 4,
            "{handler} has all of them left"
        );
    }
}

#[tokio::test]
async fn a_slow_group_delays_no_other_one_and_a_handler_that_takes_too_long_is_left() {
    let office = office(&["pager"]);
    let heard = Heard::default();
    let slow = heard.clone();
    let handler = handler_fn(move |notice: Notice| {
        let slow = slow.clone();
        async move {
            if notice.alert.group[0].value.as_deref() == Some("eve") {
                std::future::pending::<()>().await;
            }
            slow.hear(notice);
            Ok(())
        }
    });
    let impatient = DispatchSettings {
        timeout: Duration::from_millis(100),
        attempts_max: 2,
        ..quick()
    };
    let process = Process::start(&office, vec![("pager", Arc::new(handler))], impatient);
    lives(&office, &["eve", "bob", "mallory"]).await;
    assert_whole(&heard.wait_for(8).await, 2);
    wait_until_empty(&office, "pager").await;
    process.stop().await;
    let dead = office.alerts.given_up("pager", 10).await.unwrap();
    assert_eq!(dead.len(), 4, "given up one after the other");
    assert!(
        dead.iter()
            .all(|delivery| delivery.error == "the handler took too long")
    );
}

#[tokio::test]
async fn what_was_under_way_when_the_process_died_is_told_again_in_order() {
    let office = office(&["pager"]);
    let heard = Heard::default();
    lives(&office, &["eve", "bob"]).await;
    // Tells three, hears the fourth, and dies before it can say so.
    let calls = Arc::new(AtomicUsize::new(0));
    let (dying, count) = (heard.clone(), Arc::clone(&calls));
    let handler = handler_fn(move |notice: Notice| {
        let (dying, count) = (dying.clone(), Arc::clone(&count));
        async move {
            dying.hear(notice);
            if count.fetch_add(1, Ordering::SeqCst) >= 3 {
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    });
    let brief = DispatchSettings {
        timeout: Duration::from_millis(250),
        hold: Duration::from_millis(500),
        ..quick()
    };
    let process = Process::start(&office, vec![("pager", Arc::new(handler))], brief.clone());
    heard.wait_for(4).await;
    process.kill().await;
    let before = heard.all().len();
    let process = Process::start(&office, vec![("pager", heard.handler())], brief);
    wait_until_empty(&office, "pager").await;
    process.stop().await;
    let all = heard.all();
    assert!(
        all.len() > 8,
        "at least one came twice: {before} and {}",
        all.len() - before
    );
    assert_whole(&all, 2);
}

#[tokio::test]
async fn a_process_that_stops_lets_its_handlers_finish() {
    let office = office(&["pager"]);
    let heard = Heard::default();
    let (stopping, hearing) = (Shutdown::new(), heard.clone());
    let (begun, entered) = (stopping.signal(), Arc::new(AtomicUsize::new(0)));
    let inside = Arc::clone(&entered);
    let handler = handler_fn(move |notice: Notice| {
        let (begun, hearing) = (begun.clone(), hearing.clone());
        inside.fetch_add(1, Ordering::SeqCst);
        async move {
            // Still at work when the dispatcher has long heard the word.
            begun.begun().await;
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            hearing.hear(notice);
            Ok(())
        }
    });
    office
        .desk
        .raise(&[episode("eve", 1, Phase::Closed)])
        .await
        .unwrap();
    let process = Process::start(&office, vec![("pager", Arc::new(handler))], quick());
    wait_until_async("the handler's call", BOUND, async || {
        (entered.load(Ordering::SeqCst) > 0).then_some(())
    })
    .await;
    process.shutdown.begin();
    stopping.begin();
    process.stop().await;
    assert_eq!(heard.all().len(), 1);
    let waiting = state(&office, "pager")
        .await
        .map_or(0, |state| state.waiting);
    assert_eq!(waiting, 0, "and it is known");
}

#[tokio::test]
async fn what_is_refused_is_given_up_and_told_when_it_is_revived() {
    let office = office(&["pager"]);
    let heard = Heard::default();
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let refusing = handler_fn(move |_notice| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Err(HandlerError::refused("not for me")) }
    });
    lives(&office, &["eve"]).await;
    let process = Process::start(&office, vec![("pager", Arc::new(refusing))], quick());
    wait_until_empty(&office, "pager").await;
    process.stop().await;
    assert_eq!(calls.load(Ordering::SeqCst), 4, "one attempt each");
    let dead = office.alerts.given_up("pager", 10).await.unwrap();
    assert_eq!(
        dead.iter()
            .map(|delivery| delivery.error.as_str())
            .collect::<Vec<_>>(),
        ["not for me"; 4]
    );
    assert_eq!(office.alerts.revive("pager").await.unwrap(), 4);
    let process = Process::start(&office, vec![("pager", heard.handler())], quick());
    wait_until_empty(&office, "pager").await;
    process.stop().await;
    assert_whole(&heard.all(), 1);
}

#[tokio::test]
async fn a_receiver_that_asks_for_time_gets_it_within_bounds() {
    for (asked, max, least) in [(300, 1_000, 300), (3_600_000, 300, 300)] {
        let office = office(&["pager"]);
        let calls: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let times = Arc::clone(&calls);
        let handler = handler_fn(move |_notice| {
            let mut times = times.lock().unwrap();
            times.push(Instant::now());
            let first = times.len() == 1;
            async move {
                match first {
                    true => Err(HandlerError::Later {
                        after: Some(Duration::from_millis(asked)),
                        reason: "busy".to_owned(),
                    }),
                    false => Ok(()),
                }
            }
        });
        office
            .desk
            .raise(&[episode("eve", 1, Phase::Closed)])
            .await
            .unwrap();
        let settings = DispatchSettings {
            wait_max: Duration::from_millis(max),
            ..quick()
        };
        let process = Process::start(&office, vec![("pager", Arc::new(handler))], settings);
        wait_until_empty(&office, "pager").await;
        process.stop().await;
        let calls = calls.lock().unwrap();
        assert_eq!(calls.len(), 2);
        assert!(
            calls[1] - calls[0] >= Duration::from_millis(least),
            "{asked} ms were asked for"
        );
    }
}

#[tokio::test]
async fn steps_wait_for_the_trail_as_long_as_it_takes() {
    let office = office(&[]);
    office
        .desk
        .raise(&[episode("eve", 1, Phase::Closed)])
        .await
        .unwrap();
    let id = AlertId(episode("eve", 1, Phase::Closed).id.0.0);
    office.desk.resolve(id, None, "user-7", None).await.unwrap();
    *office.trail.away.lock().unwrap() = true;
    let settings = DispatchSettings {
        attempts_max: 1,
        ..quick()
    };
    let process = Process::start(&office, Vec::new(), settings);
    wait_until_async("some attempts", BOUND, async || {
        let state = state(&office, TRAIL).await.unwrap();
        assert_eq!((state.waiting, state.dead), (1, 0), "it is never given up");
        let tried = office.alerts.take(TRAIL, Duration::ZERO, 1).await.unwrap();
        tried
            .first()
            .is_some_and(|step| step.attempts > 3)
            .then_some(())
    })
    .await;
    *office.trail.away.lock().unwrap() = false;
    wait_until_empty(&office, TRAIL).await;
    process.stop().await;
    assert_eq!(office.trail.actions(), ["alert.raised", "alert.resolved"]);
}
