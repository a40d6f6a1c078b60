//! `alerts.*`: who is told of what, and when not.

use std::time::Duration;

use ipnet::IpNet;

use audit_runtime::Secret;

/// `alerts.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertSettings {
    /// `alerts.cooldownMs`: how long after one alert of a group was told another one is kept, but not told; zero tells all.
    /// Default 300,000.
    pub cooldown: Duration,
    /// `alerts.keepResolvedDays`: how long an alert is kept after it was resolved; default 90 days.
    pub keep_resolved: Duration,
    /// `alerts.escalation`: what happens while nobody acknowledges an alert; each step later than the one before.
    pub escalation: Vec<EscalationSettings>,
    /// `alerts.suppressions`: when nobody is told.
    pub suppressions: Vec<SuppressionSettings>,
    /// `alerts.handlers`: who is told; no name twice. Whoever can change them reads what happens.
    pub handlers: Vec<AlertHandlerSettings>,
    /// `alerts.attemptsMax`: attempts to tell a handler of something, until it is given up; default 20.
    pub attempts_max: u32,
    /// `alerts.system.*`: when this system raises alerts about itself.
    pub system: SystemAlertSettings,
}

/// How much an alert matters. The lowest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertLevel {
    /// `informational`.
    Informational,
    /// `low`.
    Low,
    /// `medium`.
    Medium,
    /// `high`.
    High,
    /// `critical`.
    Critical,
}

impl AlertLevel {
    const ALL: [Self; 5] = [
        Self::Informational,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::Critical,
    ];
    /// The names of all of them.
    pub(crate) const NAMES: &'static [&'static str] = &[
        Self::ALL[0].name(),
        Self::ALL[1].name(),
        Self::ALL[2].name(),
        Self::ALL[3].name(),
        Self::ALL[4].name(),
    ];

    /// As a configuration, a rule and an alert name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }
}

/// One of `alerts.escalation`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EscalationSettings {
    /// `afterMs`: how long after the raising.
    pub after: Duration,
    /// `raiseTo`: the level that the alert has from then on, unless it has a higher one.
    pub raise_to: Option<AlertLevel>,
    /// `handlers`: that hear of it from then on; each is one of `alerts.handlers`.
    pub handlers: Vec<String>,
}

/// One of `alerts.suppressions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuppressionSettings {
    /// `name`: given as the reason; no name twice.
    pub name: String,
    /// `starts`: a cron expression, not checked here.
    pub starts: String,
    /// `lastsMs`: how long nobody is told; 1 second to 31 days.
    pub lasts: Duration,
    /// `timeZone`: of `starts`, not checked here; default `detection.timeZone`.
    pub time_zone: String,
    /// `rules`: only these; empty for all.
    pub rules: Vec<String>,
    /// `organizations`: only these; empty for all.
    pub organizations: Vec<String>,
}

/// One of `alerts.handlers`. The members that its kind needs are there, and those that it does not have are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertHandlerSettings {
    /// `name`: of metrics, logs and the outbox.
    pub name: String,
    /// `kind`.
    pub kind: AlertHandlerKind,
    /// `url`: where it is; its path and query are secret, too.
    pub url: Option<Secret>,
    /// `secret`: what signs (`webhook`), the routing key (`pagerduty`), the bearer token (`alertmanager`, `ntfy`).
    pub secret: Option<Secret>,
    /// `username`; with a password.
    pub username: Option<String>,
    /// `password`; with a username.
    pub password: Option<Secret>,
    /// `from`: the sender of e-mails.
    pub from: Option<String>,
    /// `to`: who gets them; at least one.
    pub to: Vec<String>,
    /// `atLeast`: the lowest level that it hears of; default `low`.
    pub at_least: AlertLevel,
    /// `organizations`: only these; empty for all.
    pub organizations: Vec<String>,
    /// `rules`: only these; empty for all.
    pub rules: Vec<String>,
    /// `allowedNetworks`: ranges where it may be although they are not public; default none. Whoever can change it and `url` can
    /// have this system send requests within your network.
    pub allowed_networks: Vec<IpNet>,
    /// `timeoutMs`: how long one attempt may take; default 10,000.
    pub timeout: Duration,
}

/// What an alert handler is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertHandlerKind {
    /// `webhook`: Standard Webhooks.
    Webhook,
    /// `slack`: an incoming webhook.
    Slack,
    /// `pagerduty`: Events v2.
    Pagerduty,
    /// `email`: SMTP.
    Email,
    /// `alertmanager`: version 2 of its API.
    Alertmanager,
    /// `ntfy`: as the replaced system sent it, `<url>/<organisation>`.
    Ntfy,
    /// `log`: the process's own log.
    Log,
}

/// `alerts.system.*`: an alert is raised past each of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemAlertSettings {
    /// `alerts.system.queueDepth`, or `monitoring.alertThresholds.queueDepth`: events waiting; default 100,000.
    pub queue_depth: u64,
    /// `alerts.system.deadLetters`, or `reliableProcessor.deadLetterConfig.alertThreshold`: dead letters; default 10.
    pub dead_letters: u64,
    /// `alerts.system.errorRatePercent`, or `monitoring.alertThresholds.errorRate` as a share: events of those taken that could
    /// not be stored; default 5 %.
    pub error_share: Share,
    /// `alerts.system.latencyMs`, or `monitoring.alertThresholds.processingLatency`: age of the oldest waiting event; default
    /// 30,000.
    pub latency: Duration,
    /// `alerts.system.detectionBehind`: stored events that detection has not seen; default 1,000,000.
    pub detection_behind: u64,
}

/// A part of a whole, exact to a millionth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share {
    millionths: u32,
}

/// A percent, in millionths.
const PERCENT: f64 = 10_000.0;

impl Share {
    /// From per cent; what is beyond 0 to 100 is cut.
    pub(crate) fn of_percent(percent: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is between 0 and a million"
        )]
        let millionths = (percent.clamp(0.0, 100.0) * PERCENT).round() as u32;
        Self { millionths }
    }

    /// Between 0 and 1.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.millionths) / 1e6
    }

    /// In millionths, 0 to 1,000,000.
    #[must_use]
    pub const fn millionths(self) -> u32 {
        self.millionths
    }
}
