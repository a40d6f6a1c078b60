//! What this system raises alerts about that are of itself: the same life as any other alert.

use std::sync::Arc;
use std::time::Duration;

use audit_alert::{Desk, SystemFinding};
use audit_integrity::head::LedgerState;
use audit_integrity::ledger::LedgerId;
use audit_monitor::Shortage;
use audit_pipeline::detection::Shortages;
use audit_runtime::{BreakerState, ShutdownSignal};
use audit_store::receipts::Totals;
use audit_store::{AlertLevel, DeadLetterFilter, DeadLetterReason, StoreError, Via};
use tokio::sync::watch;

use super::running::{DetectionPorts, Opened};

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Below so many settled events between two looks no share of them says anything.
const SHARE_EVENTS_MIN: u64 = 20;

/// An alert is raised past each of these.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Events waiting.
    pub queue_depth: u64,
    /// Dead letters waiting.
    pub dead_letters: u64,
    /// Share of the events settled since the last look that became dead letters, 0 to 1.
    pub error_share: f64,
    /// Age of the oldest event that waits.
    pub latency: Duration,
    /// Stored events that detection has not seen.
    pub detection_behind: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            queue_depth: 100_000,
            dead_letters: 10,
            error_share: 0.05,
            latency: Duration::from_secs(30),
            detection_behind: 1_000_000,
        }
    }
}

/// Looks at this process and at what it shares with the others.
pub(crate) struct SystemWatch {
    ports: DetectionPorts,
    windows: Opened,
    shortages: Shortages,
    desk: Arc<Desk>,
    thresholds: watch::Receiver<(Thresholds, Duration)>,
    /// Totals at the last look.
    settled: Option<Totals>,
    /// The breaker has opened since its alert was last looked at: while it is open no alert can be kept.
    was_open: bool,
}

impl SystemWatch {
    pub(crate) fn new(
        ports: DetectionPorts,
        (windows, shortages): (Opened, Shortages),
        desk: Arc<Desk>,
        thresholds: watch::Receiver<(Thresholds, Duration)>,
    ) -> Self {
        Self {
            ports,
            windows,
            shortages,
            desk,
            thresholds,
            settled: None,
            was_open: false,
        }
    }

    /// Looks until stop is said.
    pub(crate) async fn run(mut self, stop: ShutdownSignal) {
        while self.pause(&stop).await {
            if let Err(error) = self.look().await {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, "the system cannot be looked at now");
            }
        }
    }

    /// Between two looks the breaker may open and close again.
    async fn pause(&mut self, stop: &ShutdownSignal) -> bool {
        let until = tokio::time::Instant::now() + LOOK_EVERY;
        while tokio::time::Instant::now() < until {
            self.was_open |= self.ports.breaker.state() == BreakerState::Open;
            if !stop.pause(Duration::from_millis(500)).await {
                return false;
            }
        }
        true
    }

    async fn look(&mut self) -> Result<(), StoreError> {
        let mut findings = self.of_this_process();
        findings.push(self.of_memory());
        findings.extend(self.of_the_queue().await);
        findings.extend(self.of_the_store().await?);
        for finding in &findings {
            self.desk.system(finding).await?;
        }
        self.was_open = false;
        Ok(())
    }

    fn of_this_process(&self) -> Vec<SystemFinding> {
        let owner = &self.ports.owner;
        let mut findings = vec![finding(
            "breaker-open",
            owner,
            AlertLevel::High,
            self.was_open,
            "The store was away",
            format!("the circuit breaker of {owner} opened: the store took no writes"),
        )];
        findings.extend(self.ports.lanes.iter().map(|(ledger, lane)| {
            finding(
                "lane-stopped",
                &format!("{owner} ledger {ledger}"),
                AlertLevel::Critical,
                lane.is_stopped(),
                "A lane stopped and waits for an operator",
                format!("the log of {owner} says why; mend the cause and confirm"),
            )
        }));
        findings
    }

    /// What windows forgot because a bound of theirs said so: what is raised of it may be too little.
    fn of_memory(&self) -> SystemFinding {
        let taken = self.shortages.take();
        let told = taken.iter().map(|notice| {
            let what = match notice.shortage {
                Shortage::GroupEvicted => "groups forgotten",
                Shortage::WindowCut => "events forgotten",
                Shortage::Hurried => "events evaluated early",
            };
            format!("{}: {} {what}", notice.rule, notice.count)
        });
        finding(
            "detection-short",
            &self.ports.owner,
            AlertLevel::Medium,
            !taken.is_empty(),
            "Detection is short of memory",
            told.collect::<Vec<_>>().join("; "),
        )
    }

    async fn of_the_queue(&self) -> Vec<SystemFinding> {
        let Ok(depth) = self.ports.queue.depth().await else {
            return Vec::new();
        };
        let (thresholds, _) = *self.thresholds.borrow();
        let now = self.ports.clock.now_micros();
        let age = depth.oldest_micros.map_or(0, |oldest| now - oldest);
        let age = Duration::from_micros(u64::try_from(age).unwrap_or(0));
        vec![
            finding(
                "queue-depth",
                "queue",
                AlertLevel::Medium,
                depth.events > thresholds.queue_depth,
                "Many events wait",
                format!(
                    "{} events wait, more than {}",
                    depth.events, thresholds.queue_depth
                ),
            ),
            finding(
                "latency",
                "queue",
                AlertLevel::Medium,
                age > thresholds.latency,
                "Events wait for long",
                format!("the oldest waits for {} s", age.as_secs()),
            ),
        ]
    }

    async fn of_the_store(&mut self) -> Result<Vec<SystemFinding>, StoreError> {
        let store = self.ports.store.clone();
        let (thresholds, _) = *self.thresholds.borrow();
        let waiting = store.dead_letters.waiting().await?;
        let mut findings = vec![finding(
            "dead-letters",
            "store",
            AlertLevel::High,
            waiting > thresholds.dead_letters,
            "Events could not be stored",
            format!(
                "{waiting} dead letters wait, more than {}",
                thresholds.dead_letters
            ),
        )];
        let mismatched = store
            .dead_letters
            .list(&DeadLetterFilter {
                reason: Some(DeadLetterReason::ProofMismatch),
                limit: 1,
                ..DeadLetterFilter::default()
            })
            .await?;
        findings.push(finding(
            "proof-mismatch",
            "store",
            AlertLevel::Critical,
            !mismatched.is_empty(),
            "Events came with a hash or signature that does not match",
            "they are in the dead letters".to_owned(),
        ));
        findings.push(self.error_rate(thresholds.error_share).await?);
        findings.push(self.verification().await?);
        let (mut behind, mut known) = (0_u64, true);
        for info in store.ledgers.ledgers().await? {
            findings.push(finding(
                "ledger-diverged",
                &format!("ledger {}", info.ledger),
                AlertLevel::Critical,
                info.head.state == LedgerState::Diverged,
                "A ledger was altered",
                "it is not what its signed checkpoint says; verify it".to_owned(),
            ));
            if matches!(info.ledger, LedgerId::Events(_)) {
                let next = match self.windows.get() {
                    Some(windows) => windows.cursor(info.ledger).await.ok(),
                    None => None,
                };
                match next {
                    Some(next) => behind += info.head.size.saturating_sub(next.0),
                    None => known = false,
                }
            }
        }
        if known {
            findings.push(finding(
                "detection-behind",
                "detection",
                AlertLevel::Medium,
                behind > thresholds.detection_behind,
                "Detection is behind",
                format!("{behind} stored events were not looked at yet"),
            ));
        }
        Ok(findings)
    }

    async fn error_rate(&mut self, share_max: f64) -> Result<SystemFinding, StoreError> {
        let receipts = &self.ports.store.receipts;
        let now = receipts.totals(Via::Queue).await? + receipts.totals(Via::Source).await?;
        let before = self.settled.replace(now).unwrap_or(now);
        let events = now.events.saturating_sub(before.events);
        let dead = now.dead_lettered.saturating_sub(before.dead_lettered);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let share = dead as f64 / events.max(1) as f64;
        Ok(finding(
            "error-rate",
            &self.ports.owner,
            AlertLevel::High,
            events >= SHARE_EVENTS_MIN && share > share_max,
            "Many events cannot be stored",
            format!("{dead} of the last {events} events became dead letters"),
        ))
    }

    /// The newest verification run that has ended.
    async fn verification(&self) -> Result<SystemFinding, StoreError> {
        let runs = &self.ports.store.runs;
        let mut failed = None;
        for (id, _) in runs.list(10).await? {
            // The member is written by us, as text; whoever altered it altered a report, not a ledger.
            let report = runs.get(&id).await?.unwrap_or_default();
            let says = |result: &str| report.contains(&format!("\"result\":\"{result}\""));
            if says("fail") {
                failed = Some(id);
            }
            if says("fail") || says("pass") {
                break;
            }
        }
        let detail = failed
            .as_ref()
            .map(|id| format!("run {id} found what does not match"));
        Ok(finding(
            "verification-failed",
            "ledgers",
            AlertLevel::Critical,
            failed.is_some(),
            "A verification found what was altered",
            detail.unwrap_or_default(),
        ))
    }
}

fn finding(
    kind: &str,
    subject: &str,
    level: AlertLevel,
    active: bool,
    title: &str,
    detail: String,
) -> SystemFinding {
    SystemFinding {
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        level,
        title: title.to_owned(),
        detail,
        active,
    }
}
