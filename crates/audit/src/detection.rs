//! Detection and alerts of a process: what follows the ledgers, what it is told, and what tells others.

#[cfg(feature = "deployed")]
mod rule_files;
mod running;
#[cfg(feature = "deployed")]
mod settings;
mod system;
mod trail;

use std::sync::Arc;
use std::time::Duration;

use audit_alert::{AlertHandler, DispatchSettings, Policy, Recipient};
use audit_monitor::{Detector, Limits, RuleSet, Settings as Customs};
use audit_store::AlertLevel;

#[cfg(feature = "deployed")]
use crate::assembly::DetectionPlan;
#[cfg(feature = "deployed")]
use crate::error::StartError;

pub(crate) use self::running::{Detecting, DetectionPorts, Windows};
#[cfg(feature = "deployed")]
pub(crate) use self::settings::options_of;
#[cfg(feature = "deployed")]
pub use self::settings::{DetectionProblem, check_detection};
pub use self::system::Thresholds;

/// What is looked for in stored events, and who is told. The default has the built-in rules and tells nobody: alerts are kept.
#[derive(Clone)]
pub struct DetectionOptions {
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// Working hours, time zones, networks.
    pub customs: Customs,
    /// Bounds of what is remembered.
    pub limits: Limits,
    /// Who is told of what, and when not. Its handlers are those of `handlers`, by name.
    pub policy: Policy,
    /// Those who are told, by name.
    pub handlers: Vec<(String, Arc<dyn AlertHandler>)>,
    /// How they are told.
    pub dispatch: DispatchSettings,
    /// When this system raises alerts about itself.
    pub thresholds: Thresholds,
    /// How long a resolved alert is kept.
    pub keep_resolved: Duration,
}

const DAY: Duration = Duration::from_secs(86_400);

impl Default for DetectionOptions {
    fn default() -> Self {
        Self {
            rules: Arc::new(RuleSet::built_in()),
            customs: Customs::default(),
            limits: Limits::default(),
            policy: Policy {
                cooldown: Duration::from_secs(300),
                ..Policy::default()
            },
            handlers: Vec::new(),
            dispatch: DispatchSettings::default(),
            thresholds: Thresholds::default(),
            keep_resolved: DAY * 90,
        }
    }
}

impl std::fmt::Debug for DetectionOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DetectionOptions")
            .field("rules", &self.rules.rules().len())
            .field("handlers", &self.names())
            .finish_non_exhaustive()
    }
}

impl DetectionOptions {
    /// Tells this handler of every alert of this level or a higher one.
    pub fn tell(&mut self, name: &str, at_least: AlertLevel, handler: Arc<dyn AlertHandler>) {
        self.policy.handlers.push(Recipient {
            name: name.to_owned(),
            at_least,
            organizations: Vec::new(),
            rules: Vec::new(),
            kinds: Vec::new(),
        });
        self.handlers.push((name.to_owned(), handler));
    }

    fn names(&self) -> Vec<&str> {
        self.handlers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect()
    }

    pub(crate) fn detector(&self) -> Arc<Detector> {
        let rules = Arc::clone(&self.rules);
        Arc::new(Detector::new(
            rules,
            self.customs.clone(),
            self.limits.clone(),
        ))
    }
}

/// As a configuration says.
#[cfg(feature = "deployed")]
pub(crate) fn plan_of(
    settings: Arc<audit_config::Settings>,
    windows: Windows,
    clock: &Arc<dyn audit_runtime::Clock>,
) -> Result<DetectionPlan, StartError> {
    if !settings.detection.enabled {
        return Ok(DetectionPlan::Off);
    }
    let options = options_of(&settings, clock)?;
    Ok(DetectionPlan::Configured(
        Box::new(options),
        windows,
        settings,
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use audit_alert::{Alert, HandlerError, Notice, handler_fn};
    use audit_store::{AlertFilter, AlertState};
    use audit_testkit::wait::wait_until_async;

    use super::*;
    use crate::{Audit, Filter, Status, event};

    const BOUND: Duration = Duration::from_secs(60);

    fn options(told: &Arc<Mutex<Vec<Notice>>>) -> DetectionOptions {
        let mut options = DetectionOptions {
            limits: Limits {
                allowed_lateness: Duration::from_millis(100),
                ..Limits::default()
            },
            ..DetectionOptions::default()
        };
        let told = Arc::clone(told);
        let handler = handler_fn(move |notice| {
            told.lock().expect("the list").push(notice);
            async { Ok::<(), HandlerError>(()) }
        });
        options.tell("pager", AlertLevel::High, Arc::new(handler));
        options
    }

    async fn failed_logins(audit: &Audit, account: &str) {
        for _ in 0..5 {
            let failed = event("auth.login.failure", Status::Failure).principal(account);
            audit.record(failed).await.expect("taken");
        }
    }

    async fn alerts(audit: &Audit) -> Vec<Alert> {
        // Other rules see failed logins, too.
        alerts_of(audit, "failed-authentication").await
    }

    async fn alerts_of(audit: &Audit, rule: &str) -> Vec<Alert> {
        let filter = AlertFilter {
            rule: Some(rule.to_owned()),
            limit: 100,
            ..AlertFilter::default()
        };
        let desk = audit.alerts().expect("it looks");
        let mut all = desk.list(&filter).await.expect("the store answers");
        all.sort_by_key(|alert| alert.first_at);
        all
    }

    async fn until_there_are(audit: &Audit, count: usize) -> Vec<Alert> {
        wait_until_async("the alerts are there", BOUND, || async {
            let alerts = alerts(audit).await;
            (alerts.len() >= count).then_some(alerts)
        })
        .await
    }

    #[tokio::test]
    async fn what_is_recorded_becomes_an_alert_once_and_is_told_also_through_a_restart() {
        let dir = tempfile::tempdir().expect("a directory");
        let told = Arc::<Mutex<Vec<Notice>>>::default();
        // The files are free when the last task has let go of them, which is soon after shutdown.
        let start = || {
            wait_until_async("it starts", BOUND, || async {
                let builder = Audit::builder(dir.path()).detection(Some(options(&told)));
                builder.start().await.ok()
            })
        };
        let audit = start().await;
        failed_logins(&audit, "mallory").await;
        let found = until_there_are(&audit, 1).await;
        assert_eq!((found.len(), found[0].events), (1, 5), "{found:?}");
        assert_eq!(found[0].evidence.len(), 5, "{found:?}");
        let id = found[0].id;
        wait_until_async("somebody is told", BOUND, || async {
            let told = told.lock().expect("the list");
            told.iter()
                .any(|notice| notice.alert.id == id)
                .then_some(())
        })
        .await;
        assert!(audit.shutdown().await);
        drop(audit);

        let audit = start().await;
        failed_logins(&audit, "eve").await;
        let found = until_there_are(&audit, 2).await;
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0].id, id, "the first is what it was");
        let desk = audit.alerts().expect("it looks");
        let known = desk.acknowledge(id, None, "ann", None).await.expect("open");
        assert_eq!(known.state, AlertState::Acknowledged);
        let keys: Vec<_> = {
            let told = told.lock().expect("the list");
            let of_it = told.iter().filter(|notice| notice.alert.id == id);
            of_it.map(|notice| notice.key.clone()).collect()
        };
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(keys.len(), distinct.len(), "told once: {keys:?}");
        // Its life is in the trail.
        wait_until_async("the trail has it", BOUND, || async {
            let all = audit.search(Filter::default()).await.expect("found");
            let has = |action: &str| {
                all.iter().any(|stored| {
                    let text = stored.canonical.clone().unwrap_or_default();
                    let text = String::from_utf8_lossy(&text).into_owned();
                    text.contains(action) && text.contains(&id.to_string())
                })
            };
            (has("alert.raised") && has("alert.acknowledged")).then_some(())
        })
        .await;
        assert!(audit.shutdown().await);
    }

    #[tokio::test]
    async fn windows_that_had_to_forget_are_an_alert() {
        let dir = tempfile::tempdir().expect("a directory");
        let told = Arc::default();
        let mut options = options(&told);
        options.limits.groups_max = 1;
        let builder = Audit::builder(dir.path()).detection(Some(options));
        let audit = builder.start().await.expect("it starts");
        failed_logins(&audit, "mallory").await;
        failed_logins(&audit, "eve").await;
        let short = wait_until_async("it is told", BOUND, || async {
            alerts_of(&audit, "system/detection-short").await.pop()
        })
        .await;
        let detail = short.detail.unwrap_or_default();
        assert!(detail.contains("failed-authentication: "), "{detail}");
        assert!(audit.shutdown().await);
    }

    #[cfg(feature = "deployed")]
    #[tokio::test]
    async fn what_a_tuned_rule_has_seen_is_known_after_a_restart() {
        let dir = tempfile::tempdir().expect("a directory");
        let text = r#"{"detection":{"allowedLatenessMs":100,
            "tuning":[{"rule":"failed-authentication","threshold":10}]}}"#;
        let settings = audit_config::Settings::from_json(text, &|_name| None).expect("it is fine");
        let start = || {
            wait_until_async("it starts", BOUND, || async {
                let builder = Audit::builder(dir.path()).detection_of(&settings);
                builder.start().await.ok()
            })
        };
        let audit = start().await;
        failed_logins(&audit, "mallory").await;
        // One event is enough for this rule: what came before it was seen, too.
        let marker = event("configure", Status::Success).target("role", "admin");
        audit.record(marker).await.expect("taken");
        wait_until_async("all of it was seen", BOUND, || async {
            let marked = alerts_of(&audit, "privilege-change").await;
            (!marked.is_empty()).then_some(())
        })
        .await;
        assert_eq!(alerts(&audit).await.len(), 0, "five are not enough");
        assert!(audit.shutdown().await);
        drop(audit);

        let audit = start().await;
        failed_logins(&audit, "mallory").await;
        let found = until_there_are(&audit, 1).await;
        assert_eq!(found[0].events, 10, "{found:?}");
        assert!(audit.shutdown().await);
    }

    #[tokio::test]
    async fn without_detection_nothing_is_looked_at() {
        let dir = tempfile::tempdir().expect("a directory");
        let builder = Audit::builder(dir.path()).detection(None);
        let audit = builder.start().await.expect("it starts");
        assert!(audit.alerts().is_none());
        assert!(audit.shutdown().await);
    }
}
