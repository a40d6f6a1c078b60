//! From configuration to what detection and alerts go by.

use std::sync::Arc;
use std::time::Duration;

use audit_alert::handlers::{
    Alertmanager, Email, EmailSettings, LogHandler, Ntfy, PagerDuty, Slack, SmtpTls, Webhook,
};
use audit_alert::{
    AlertHandler, Authorities, DispatchSettings, Escalation, HttpClient, Policy, Reach, Recipient,
    Suppression, level_of,
};
use audit_config::{
    AlertHandlerKind, AlertHandlerSettings, AlertSettings, CustomsSettings, DetectionSettings,
    OnMismatch, Secret, Settings,
};
use audit_event::OrganizationId;
use audit_monitor::{Customs, Level, Limits, RuleTuning, Settings as AllCustoms, Tuning};
use audit_runtime::{Clock, SystemClock};
use audit_store::AlertLevel;

use super::{DetectionOptions, Thresholds};

/// What is done about proofs of one scheme.
type PolicyOf = fn(&Settings) -> OnMismatch;

/// Names of the built-in rules about producers' proofs, by the key of `proofs.*` that switches them.
const PROOF_RULES: [(&str, PolicyOf); 2] = [
    ("proof-mismatch-smart-logs", |settings| {
        settings.proofs.smart_logs
    }),
    ("proof-mismatch-pake", |settings| settings.proofs.pake),
];

/// How long an alert that Alertmanager was told of stays there without another word.
const ALERTMANAGER_KEEPS: Duration = Duration::from_secs(86_400);

/// A setting of detection or alerts that cannot be; no secret in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct DetectionProblem {
    /// The key.
    pub key: String,
    /// What is wrong.
    pub reason: String,
}

fn problem(key: impl Into<String>, reason: impl ToString) -> DetectionProblem {
    DetectionProblem {
        key: key.into(),
        reason: reason.to_string(),
    }
}

/// Whether detection and alerts can go by these settings; rules are judged where they are read. Connects to nothing.
///
/// # Errors
/// The first thing that cannot be.
pub fn check_detection(settings: &Settings) -> Result<(), DetectionProblem> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    options_of(settings, &clock).map(drop)
}

/// Everything but the rules, which are read from where they are. Connects to nothing.
pub(crate) fn options_of(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> Result<DetectionOptions, DetectionProblem> {
    let (detection, alerts) = (&settings.detection, &settings.alerts);
    let handlers = alerts.handlers.iter().map(|handler| {
        let opened = open(handler, clock);
        let opened = opened
            .map_err(|reason| problem("alerts.handlers", format!("{}: {reason}", handler.name)));
        opened.map(|opened| (handler.name.clone(), opened))
    });
    let handlers = handlers.collect::<Result<Vec<_>, _>>()?;
    let usual = DispatchSettings::default();
    let slowest = alerts.handlers.iter().map(|handler| handler.timeout);
    let timeout = slowest.fold(usual.timeout, Duration::max);
    Ok(DetectionOptions {
        // They come with the files.
        rules: Arc::default(),
        customs: customs_of(detection)?,
        limits: Limits {
            allowed_lateness: detection.allowed_lateness,
            groups_max: detection.groups_max,
            entries_per_group_max: detection.observations_per_group_max,
            entries_max: detection.observations_max,
            ..Limits::default()
        },
        policy: policy_of(alerts)?,
        handlers,
        dispatch: DispatchSettings {
            attempts_max: alerts.attempts_max,
            // Its own time is over first, so that it can say why.
            timeout: timeout.saturating_add(Duration::from_secs(1)),
            ..usual
        },
        thresholds: Thresholds {
            queue_depth: alerts.system.queue_depth,
            dead_letters: alerts.system.dead_letters,
            error_share: alerts.system.error_share.as_f64(),
            latency: alerts.system.latency,
            detection_behind: alerts.system.detection_behind,
        },
        keep_resolved: alerts.keep_resolved,
    })
}

/// What is changed about rules. A mismatch that is only to be recorded raises nothing.
pub(crate) fn tuning_of(settings: &Settings) -> Tuning {
    let rules = settings.detection.tuning.iter().map(|tuned| {
        let change = RuleTuning {
            enabled: tuned.enabled,
            threshold: tuned.threshold,
            window: tuned.window,
            severity: tuned.level.map(|level| rule_level(level.name())),
            organizations: tuned
                .organizations
                .as_ref()
                .map(|names| organizations(names)),
        };
        (tuned.rule.clone(), change)
    });
    let mut tuning = Tuning {
        rules: rules.collect(),
    };
    if settings.detection.built_in {
        for (rule, policy) in PROOF_RULES {
            if policy(settings) == OnMismatch::Record {
                tuning.rules.entry(rule.to_owned()).or_default().enabled = Some(false);
            }
        }
    }
    tuning
}

fn customs_of(settings: &DetectionSettings) -> Result<AllCustoms, DetectionProblem> {
    let of = |key: &str, settings: &CustomsSettings| {
        let customs = Customs::default().in_zone(&settings.time_zone);
        let customs = customs.map_err(|unknown| problem(key, unknown))?;
        Ok(customs
            .working(settings.working_from, settings.working_to)
            .on_days(settings.working_days)
            .within(settings.internal_networks.clone()))
    };
    let organizations = settings.organizations.iter().map(|one| {
        let customs = of("detection.organizations", &one.customs)?;
        Ok((OrganizationId::new(one.organization_id.as_str()), customs))
    });
    Ok(AllCustoms {
        everyone: of("detection.timeZone", &settings.everyone)?,
        organizations: organizations.collect::<Result<_, _>>()?,
    })
}

fn policy_of(settings: &AlertSettings) -> Result<Policy, DetectionProblem> {
    let suppressions = settings.suppressions.iter().map(|one| {
        let suppression = Suppression::new(&one.name, &one.starts, one.lasts, &one.time_zone);
        let suppression = suppression.map_err(|wrong| problem("alerts.suppressions", wrong))?;
        Ok(suppression
            .of_rules(one.rules.clone())
            .of_organizations(organizations(&one.organizations)))
    });
    let policy = Policy {
        cooldown: settings.cooldown,
        escalation: settings
            .escalation
            .iter()
            .map(|step| Escalation {
                after: step.after,
                raise_to: step.raise_to.map(|level| alert_level(level.name())),
                handlers: step.handlers.clone(),
            })
            .collect(),
        suppressions: suppressions.collect::<Result<_, _>>()?,
        handlers: settings.handlers.iter().map(recipient).collect(),
    };
    policy.checked().map_err(|problems| {
        let all: Vec<_> = problems.iter().map(ToString::to_string).collect();
        problem("alerts", all.join("; "))
    })
}

fn recipient(settings: &AlertHandlerSettings) -> Recipient {
    Recipient {
        name: settings.name.clone(),
        at_least: alert_level(settings.at_least.name()),
        organizations: organizations(&settings.organizations),
        rules: settings.rules.clone(),
        kinds: Vec::new(),
    }
}

fn organizations(names: &[String]) -> Vec<OrganizationId> {
    names
        .iter()
        .map(|name| OrganizationId::new(name.as_str()))
        .collect()
}

/// The same five names everywhere.
fn rule_level(name: &str) -> Level {
    Level::from_name(name).unwrap_or(Level::Medium)
}

fn alert_level(name: &str) -> AlertLevel {
    level_of(name).unwrap_or(AlertLevel::Medium)
}

/// The handler of these settings. Errors show no address and no secret.
fn open(
    settings: &AlertHandlerSettings,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn AlertHandler>, String> {
    let client = || {
        let reach = Reach::with(settings.allowed_networks.clone());
        let client = HttpClient::new(reach, &Authorities::System, Arc::clone(clock));
        let client = client.map_err(|error| error.to_string())?;
        Ok::<_, String>(client.with_timeout(settings.timeout))
    };
    let url = || settings.url.as_ref().ok_or("an address is needed");
    let secret = settings.secret.clone();
    let text = |error: &dyn std::error::Error| error.to_string();
    Ok(match settings.kind {
        AlertHandlerKind::Webhook => {
            let secrets: Vec<Secret> = secret.into_iter().collect();
            Arc::new(Webhook::new(client()?, url()?, &secrets).map_err(|error| text(&error))?)
        }
        AlertHandlerKind::Slack => {
            Arc::new(Slack::new(client()?, url()?).map_err(|error| text(&error))?)
        }
        AlertHandlerKind::Pagerduty => {
            let key = secret.ok_or("a routing key is needed")?;
            let handler = PagerDuty::new(client()?, key, settings.url.as_ref());
            Arc::new(handler.map_err(|error| text(&error))?)
        }
        AlertHandlerKind::Alertmanager => {
            let handler = Alertmanager::new(client()?, url()?, secret, ALERTMANAGER_KEEPS);
            Arc::new(handler.map_err(|error| text(&error))?)
        }
        AlertHandlerKind::Ntfy => {
            Arc::new(Ntfy::new(client()?, url()?, secret).map_err(|error| text(&error))?)
        }
        AlertHandlerKind::Email => {
            Arc::new(Email::new(&mail(settings, url()?)?).map_err(|error| text(&error))?)
        }
        AlertHandlerKind::Log => Arc::new(LogHandler),
    })
}

fn mail(settings: &AlertHandlerSettings, url: &Secret) -> Result<EmailSettings, String> {
    let (tls, usual, place) = match url.expose().split_once("://") {
        Some(("smtps", place)) => (SmtpTls::Implicit, 465, place),
        Some(("smtp", place)) => (SmtpTls::StartTls, 587, place),
        _ => return Err("the address begins with smtp:// or smtps://".to_owned()),
    };
    let place = place.trim_end_matches('/');
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) => {
            let port = port.parse().map_err(|_not_one| "the port is no number")?;
            (host, port)
        }
        None => (place, usual),
    };
    let user = settings.username.clone().zip(settings.password.clone());
    Ok(EmailSettings {
        host: host.to_owned(),
        port,
        tls,
        authorities: Authorities::System,
        credentials: user,
        from: settings.from.clone().unwrap_or_default(),
        to: settings.to.clone(),
        timeout: settings.timeout,
    })
}
