//! A desk over a real store.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use audit_alert::{Alert, Desk, Notice, Policy, Recipient, Step, Trail};
use audit_event::{EventId, OrganizationId, Timestamp};
use audit_integrity::digest::sha256;
use audit_integrity::ledger::{LeafIndex, LedgerId};
use audit_monitor::{Episode, EpisodeId, Evidence, Group, Level, Phase, Position};
use audit_runtime::Clock;
use audit_store::{AlertFilter, AlertLevel, Alerts};
use audit_store_sqlite::{Options, SqliteStore};
use audit_testkit::clock::ManualClock;
use tempfile::TempDir;
use tokio::sync::watch;

/// 2024-03-05T10:00:00Z, a Tuesday.
pub(crate) const START: i64 = 1_709_632_800_000_000;
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// Everything that was told to the trail; as long as it is away it takes nothing.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) steps: Mutex<Vec<Step>>,
    pub(crate) away: Mutex<bool>,
}

#[async_trait]
impl Trail for Recorded {
    async fn record(&self, step: &Step) -> Result<(), String> {
        if *self.away.lock().unwrap() {
            return Err("away".to_owned());
        }
        self.steps.lock().unwrap().push(step.clone());
        Ok(())
    }
}

impl Recorded {
    pub(crate) fn actions(&self) -> Vec<String> {
        let steps = self.steps.lock().unwrap();
        steps.iter().map(|step| step.action.clone()).collect()
    }
}

pub(crate) struct Office {
    pub(crate) desk: Desk,
    pub(crate) alerts: Arc<dyn Alerts>,
    pub(crate) clock: ManualClock,
    pub(crate) trail: Arc<Recorded>,
    policy: watch::Sender<Arc<Policy>>,
    // Behind the ports; closed and removed with the office.
    _store: SqliteStore,
    _dir: TempDir,
}

impl Office {
    pub(crate) fn new(policy: Policy) -> Self {
        let clock = ManualClock::at_micros(START);
        Self::with_clock(policy, clock.clone(), Arc::new(clock))
    }

    /// The store goes by another clock.
    pub(crate) fn with_clock(policy: Policy, clock: ManualClock, time: Arc<dyn Clock>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("store"), Options::default(), time).unwrap();
        let alerts = store.store().alerts;
        let policy = policy.checked().expect("a policy");
        let policy = watch::Sender::new(Arc::new(policy));
        let trail = Arc::new(Recorded::default());
        let desk = Desk::new(
            Arc::clone(&alerts),
            policy.subscribe(),
            Arc::clone(&trail) as Arc<dyn Trail>,
            Arc::new(clock.clone()),
        );
        Self {
            desk,
            alerts,
            clock,
            trail,
            policy,
            _store: store,
            _dir: dir,
        }
    }

    /// Another process at the same store.
    pub(crate) fn other_desk(&self) -> Desk {
        let trail = Arc::clone(&self.trail) as Arc<dyn Trail>;
        let clock = Arc::new(self.clock.clone());
        Desk::new(
            Arc::clone(&self.alerts),
            self.policy.subscribe(),
            trail,
            clock,
        )
    }

    pub(crate) fn change_policy(&self, policy: Policy) {
        self.policy.send_replace(Arc::new(policy));
    }

    pub(crate) async fn all(&self) -> Vec<Alert> {
        let filter = AlertFilter {
            limit: 1_000,
            ..AlertFilter::default()
        };
        self.desk.list(&filter).await.expect("alerts")
    }

    /// What waits for a handler, in order; it is taken and told.
    pub(crate) async fn told(&self, handler: &str) -> Vec<Notice> {
        let mut told = Vec::new();
        loop {
            let taken = self
                .alerts
                .take(handler, MINUTE, 100)
                .await
                .expect("the outbox");
            if taken.is_empty() {
                return told;
            }
            for delivery in taken {
                self.alerts.delivered(delivery.number).await.expect("told");
                told.push(serde_json::from_str(&delivery.what.payload).expect("a notice"));
            }
        }
    }

    /// The same as names of what became of it.
    pub(crate) async fn kinds(&self, handler: &str) -> Vec<String> {
        let told = self.told(handler).await;
        told.iter().map(|notice| notice.kind.to_string()).collect()
    }
}

/// A handler that hears of everything.
pub(crate) fn hears_all(name: &str) -> Recipient {
    Recipient {
        name: name.to_owned(),
        at_least: AlertLevel::Informational,
        organizations: Vec::new(),
        rules: Vec::new(),
        kinds: Vec::new(),
    }
}

/// The episode of that number of a user.
pub(crate) fn episode(user: &str, number: u8, phase: Phase) -> Episode {
    let at = |second: i64| Timestamp::clamped(START + second * 1_000_000);
    let evidence = |leaf: u64| Evidence {
        at: at(i64::from(number) * 100),
        event: EventId::from_bytes([number; 16]),
        position: Position {
            ledger: LedgerId::Events(0),
            leaf: LeafIndex(leaf),
        },
    };
    let closed = phase == Phase::Closed;
    let events = if closed { 9 } else { 5 };
    Episode {
        id: EpisodeId(sha256(&[user.as_bytes(), &[number]])),
        phase,
        rule: "failed-authentication".to_owned(),
        rule_hash: sha256(&[b"rule"]),
        title: "Failed logins".to_owned(),
        level: Level::High,
        group: Arc::new(Group {
            organization: OrganizationId::new("acme"),
            values: vec![("principalId".to_owned(), Some(user.to_owned()))],
        }),
        first: evidence(1),
        last: at(i64::from(number) * 100 + if closed { 50 } else { 0 }),
        events,
        value: 5.0,
        evidence: vec![evidence(1)],
        late: false,
    }
}

impl Office {
    /// Takes every step that waits for the trail.
    pub(crate) async fn told_steps(&self) {
        loop {
            let taken = self
                .alerts
                .take(audit_alert::TRAIL, MINUTE, 100)
                .await
                .unwrap();
            if taken.is_empty() {
                return;
            }
            for delivery in taken {
                self.alerts.delivered(delivery.number).await.unwrap();
            }
        }
    }
}
