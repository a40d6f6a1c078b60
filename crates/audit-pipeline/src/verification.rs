//! Verification runs: reads what the engine of `audit_integrity::verify` wants, in steps, and keeps the report.

mod directory;
mod ledger;
mod report;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use audit_event::{EventId, Timestamp};
use audit_integrity::checkpoint::{AnchorError, CheckpointAnchor};
use audit_integrity::keys::{KeyError, KeySource};
use audit_integrity::ledger::{LeafIndex, LedgerId, Origin};
use audit_integrity::verify::{Controls, Finding, FindingKind, Outcome, Report, Window};
use audit_runtime::{Clock, Fault, Faulty, Random, Tasks};
use audit_store::{Checkpoints, EventRead, LedgerInfo, LedgerRead, Runs, Store, StoreError};
use tokio::sync::Semaphore;

use crate::metric;

/// How long a run waits for the signer to cover what was committed before it began.
const SEAL_WAIT: Duration = Duration::from_secs(2);
/// Rows outside every ledger, and reused ids, that are told.
const EXTRAS_MAX: u32 = 1_000;

/// What is to be verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyRequest {
    /// Only this ledger; everything when absent.
    pub ledger: Option<LedgerId>,
    /// Only events not before this time (inclusive).
    pub since: Option<Timestamp>,
    /// Only events before this time (exclusive).
    pub until: Option<Timestamp>,
    /// Signed notes that the caller kept.
    pub checkpoints: Vec<String>,
}

/// What verification reads from.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each port's own comment says it")]
pub struct VerificationPorts {
    pub ledgers: Arc<dyn LedgerRead>,
    pub events: Arc<dyn EventRead>,
    pub checkpoints: Arc<dyn Checkpoints>,
    pub runs: Arc<dyn Runs>,
    pub anchor: Arc<dyn CheckpointAnchor>,
    pub keys: Arc<dyn KeySource>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
}

impl VerificationPorts {
    /// The ports of a store, with the rest.
    #[must_use]
    pub fn new(
        store: &Store,
        anchor: Arc<dyn CheckpointAnchor>,
        keys: Arc<dyn KeySource>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            ledgers: Arc::clone(&store.ledgers),
            events: Arc::clone(&store.events),
            checkpoints: Arc::clone(&store.checkpoints),
            runs: Arc::clone(&store.runs),
            anchor,
            keys,
            clock,
            random,
        }
    }
}

/// Runs verifications, one at a time. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Verification {
    ports: VerificationPorts,
    deployment_id: Arc<str>,
    /// One run at a time: each reads everything.
    turn: Arc<Semaphore>,
}

/// A run could not be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The store cannot be read or written.
    #[error("the store")]
    Store(#[from] StoreError),
    /// A key cannot be had.
    #[error("the keys")]
    Keys(#[from] KeyError),
}

impl Faulty for VerifyError {
    fn fault(&self) -> Fault {
        match self {
            Self::Store(error) => error.fault(),
            Self::Keys(_) => Fault::Outage,
        }
    }
}

impl Verification {
    /// Verifies the deployment of this id.
    #[must_use]
    pub fn new(ports: VerificationPorts, deployment_id: &str) -> Self {
        Self {
            ports,
            deployment_id: deployment_id.into(),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Begins a run on `tasks` and gives back its id; [`Self::report`] follows it. The report says `running` before this returns.
    ///
    /// # Errors
    /// When the run cannot be kept.
    pub async fn begin(&self, request: VerifyRequest, tasks: &Tasks) -> Result<String, StoreError> {
        let mut random = [0; 10];
        self.ports.random.fill(&mut random);
        let run = EventId::v7(self.now(), random).to_string();
        self.ports
            .runs
            .put(&run, self.now(), &report::running(0))
            .await?;
        let (this, id) = (self.clone(), run.clone());
        tasks.spawn("verification", async move {
            this.carry_out(&id, &request).await
        });
        Ok(run)
    }

    /// The report of a run as JSON (DESIGN §3.9); `None` when there is none of that id.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn report(&self, run: &str) -> Result<Option<String>, StoreError> {
        self.ports.runs.get(run).await
    }

    async fn carry_out(&self, run: &str, request: &VerifyRequest) {
        let Ok(_turn) = self.turn.acquire().await else {
            return;
        };
        let report = match self.verify_with(request, Some(run)).await {
            Ok(report) => {
                metrics::counter!(metric::VERIFICATION_RUNS, "result" => report.result().as_str())
                    .increment(1);
                report::done(&report)
            }
            Err(error) => {
                metrics::counter!(metric::VERIFICATION_RUNS, "result" => "failed").increment(1);
                tracing::warn!(
                    run,
                    error = &error as &dyn std::error::Error,
                    "verification failed"
                );
                report::failed(&error)
            }
        };
        if let Err(error) = self.ports.runs.put(run, self.now(), &report).await {
            tracing::warn!(
                run,
                error = &error as &dyn std::error::Error,
                "the report of a verification cannot be kept"
            );
        }
    }

    /// Verifies and gives back what was found, without keeping it.
    ///
    /// # Errors
    /// When the store or the keys are away. What is stored wrongly is a finding, never an error.
    pub async fn verify(&self, request: &VerifyRequest) -> Result<Report, VerifyError> {
        self.verify_with(request, None).await
    }

    async fn verify_with(
        &self,
        request: &VerifyRequest,
        run: Option<&str>,
    ) -> Result<Report, VerifyError> {
        let mut report = Report::default();
        let (directory, controls) = self.directory(request).await?;
        let mut progress = Progress {
            this: self,
            run,
            told: 0,
        };
        if request.ledger == Some(LedgerId::Directory) {
            return Ok(directory);
        }
        // Its entries are not events: what is wrong with them is told, what is right is not counted.
        report.merge(without_counts(directory));
        let controls = Arc::new(controls);
        let stored = self.stored_ledgers(&controls, &mut report).await?;
        let mut wanted: BTreeSet<_> = stored
            .iter()
            .copied()
            .chain(controls.opened().map(|(ledger, _)| ledger))
            .collect();
        wanted.extend(self.anchored_ledgers().await);
        wanted.extend(given_ledgers(request, &mut report));
        wanted.remove(&LedgerId::Directory);
        wanted.retain(|ledger| request.ledger.is_none_or(|only| only == *ledger));
        wanted.extend(request.ledger);
        for ledger in wanted {
            let found = self
                .ledger(ledger, request, &controls, &mut progress, report.checked)
                .await?;
            report.merge(found);
        }
        if request.ledger.is_none() {
            self.strays(&stored, &mut report).await?;
        }
        self.reused_ids(request, &mut report).await?;
        Ok(report)
    }

    /// Ids of the ledgers that the store has; where a head cannot be read, those that the directory names and that are there.
    async fn stored_ledgers(
        &self,
        controls: &Controls,
        report: &mut Report,
    ) -> Result<Vec<LedgerId>, VerifyError> {
        match self.ports.ledgers.ledgers().await {
            Ok(infos) => {
                for info in &infos {
                    self.check_origin(info, report);
                }
                Ok(infos.into_iter().map(|info| info.ledger).collect())
            }
            Err(StoreError::Malformed { .. }) => {
                Ok(controls.opened().map(|(ledger, _)| ledger).collect())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Ledgers that the anchor knows, counted from 0 up to the first it does not: the directory may be gone with them.
    async fn anchored_ledgers(&self) -> Vec<LedgerId> {
        let mut known = Vec::new();
        for number in 0..u16::MAX {
            match self.anchored(LedgerId::Events(number)).await {
                Ok(Some(_note)) => known.push(LedgerId::Events(number)),
                _ => break,
            }
        }
        known
    }

    fn check_origin(&self, info: &LedgerInfo, report: &mut Report) {
        let origin = Origin::new(&self.deployment_id, info.ledger);
        if info.origin != origin.as_str() {
            let detail = "the stored name of the ledger was altered".to_owned();
            report.find(finding(
                Outcome::Tampered,
                FindingKind::Edited,
                info.ledger,
                detail,
            ));
        }
    }

    async fn strays(&self, ledgers: &[LedgerId], report: &mut Report) -> Result<(), VerifyError> {
        for row in self.ports.events.strays(ledgers, EXTRAS_MAX).await? {
            let (ledger, leaf) = row.address();
            let mut stray = finding(
                Outcome::Tampered,
                FindingKind::Inserted,
                ledger,
                "a row outside every ledger".to_owned(),
            );
            (stray.leaf_index, stray.event_id) = (Some(leaf), row.event_id());
            report.find(stray);
        }
        Ok(())
    }

    async fn reused_ids(
        &self,
        request: &VerifyRequest,
        report: &mut Report,
    ) -> Result<(), VerifyError> {
        let reused = match self.ports.events.reused_ids(EXTRAS_MAX).await {
            // A row that cannot be read was told with its address already.
            Err(StoreError::Malformed { .. }) => Vec::new(),
            reused => reused?,
        };
        for found in reused
            .into_iter()
            .filter(|found| request.ledger.is_none_or(|only| only == found.ledger))
        {
            let detail =
                "the same organisation and id are stored under another timestamp too".to_owned();
            let mut reused = finding(Outcome::Valid, FindingKind::IdReused, found.ledger, detail);
            (reused.leaf_index, reused.event_id) =
                (Some(found.leaf_index), Some(found.identity.id));
            report.find(reused);
        }
        Ok(())
    }

    async fn anchored(&self, ledger: LedgerId) -> Result<Option<String>, AnchorError> {
        self.ports.anchor.newest(ledger).await
    }

    async fn verifier_key(&self, origin: &Origin) -> Result<Option<String>, VerifyError> {
        match self.ports.keys.verifier_key(origin).await {
            Ok(key) => Ok(Some(key)),
            Err(KeyError::Malformed { .. }) => Ok(None),
            Err(error) => {
                tracing::warn!(
                    origin = origin.as_str(),
                    error = &error as &dyn std::error::Error,
                    "no verifier key"
                );
                Ok(None)
            }
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::clamped(self.ports.clock.now_micros())
    }
}

/// Tells a run's report how far it is, about once in 100,000 events.
struct Progress<'a> {
    this: &'a Verification,
    run: Option<&'a str>,
    told: u64,
}

impl Progress<'_> {
    async fn at(&mut self, checked: u64) -> Result<(), VerifyError> {
        if let Some(run) = self.run
            && checked >= self.told + 100_000
        {
            self.told = checked;
            self.this
                .ports
                .runs
                .put(run, self.this.now(), &report::running(checked))
                .await?;
        }
        Ok(())
    }
}

/// Ledgers that the given notes speak of. A note that is none must not look as if it had been heeded.
fn given_ledgers(request: &VerifyRequest, report: &mut Report) -> Vec<LedgerId> {
    let named: Vec<_> = request
        .checkpoints
        .iter()
        .map(|note| ledger::named_ledger(note))
        .collect();
    for _none in named.iter().filter(|ledger| ledger.is_none()) {
        let detail = "a given checkpoint is no signed checkpoint".to_owned();
        report.find(finding(
            Outcome::Unverifiable,
            FindingKind::BadCheckpoint,
            LedgerId::Directory,
            detail,
        ));
    }
    named.into_iter().flatten().collect()
}

fn window(request: &VerifyRequest) -> Window {
    Window {
        since: request.since,
        until: request.until,
    }
}

fn finding(outcome: Outcome, kind: FindingKind, ledger: LedgerId, detail: String) -> Finding {
    Finding {
        outcome,
        kind,
        ledger,
        leaf_index: None::<LeafIndex>,
        event_id: None,
        detail,
    }
}

fn without_counts(report: Report) -> Report {
    let mut kept = Report::default();
    (kept.against, kept.findings_omitted) = (report.against, report.findings_omitted);
    report
        .findings
        .into_iter()
        .for_each(|finding| kept.find(finding));
    kept
}
