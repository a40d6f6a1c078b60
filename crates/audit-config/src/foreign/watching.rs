//! What they watch: `monitoring`, `observability`, `logging`, `analytics`.

use super::{ANY_NUMBER, Foreign, holds, later, never, part, same};
use crate::key::Kind::{Any, Flag, Hook, Number, Objects, OneOf, Secret, Text};
use crate::key::Reload::Now;
use crate::key::{Key, Kind, Standard, count, millis};

const LEVELS: &[&str] = &["trace", "debug", "info", "warn", "error"];
const SHARE: Kind = Number { min: 0.0, max: 1.0 };
const SCRAPED: &str = "/metrics answers whenever it is asked";

const HANDLERS: &str = "alerts.handlers";
const BEARER: &str = "notifications carry monitoring.notification.credentials.secret only";
const ALERTING: &str =
    "alerts always have what alerts.cooldownMs, alerts.escalation and alerts.suppressions say";
/// Up to a month, as `alerts.cooldownMs`.
const MINUTES: Kind = Number {
    min: 0.0,
    max: 44_640.0,
};
const LEVELS_OF_ESCALATION: Kind = count(0, 100, "");

/// Of one of their `suppressionRules`.
const SUPPRESSION_RULE: &[Key] = &[
    rule("name", Text, "Its name."),
    rule("cron", Text, "When it begins."),
    rule(
        "durationMinutes",
        Number {
            min: 1.0 / 60.0,
            max: 44_640.0,
        },
        "How long it lasts.",
    ),
    rule("timezone", Text, "Time zone of `cron`."),
];

const fn rule(path: &'static str, kind: Kind, meaning: &'static str) -> Key {
    Key {
        path,
        kind,
        default: Standard::None,
        reload: Now,
        meaning,
    }
}

pub(super) const KEYS: &[Foreign] = &[
    later("monitoring.enabled", Flag),
    never("monitoring.metricsInterval", ANY_NUMBER, SCRAPED),
    part(
        "monitoring.alertThresholds.errorRate",
        SHARE,
        "alerts.system.errorRatePercent",
    ),
    part(
        "monitoring.alertThresholds.processingLatency",
        ANY_NUMBER,
        "alerts.system.latencyMs",
    ),
    part(
        "monitoring.alertThresholds.queueDepth",
        ANY_NUMBER,
        "alerts.system.queueDepth",
    ),
    later("monitoring.alertThresholds.memoryUsage", SHARE),
    later("monitoring.healthCheckInterval", millis(0, 86_400_000)),
    later("monitoring.patternDetection", Any),
    part("monitoring.notification.enabled", Flag, HANDLERS),
    holds(
        "monitoring.notification.provider",
        OneOf(&["push", "email", "slack", "telegram", "webhook"]),
        &["push"],
        "notifications are sent as the replaced worker sent all of them, in the form of ntfy; alerts.handlers has other kinds",
    ),
    part(
        "monitoring.notification.url",
        Hook(&["https", "http"]),
        HANDLERS,
    ),
    part(
        "monitoring.notification.credentials.secret",
        Secret,
        HANDLERS,
    ),
    never("monitoring.notification.credentials.username", Text, BEARER),
    never(
        "monitoring.notification.credentials.password",
        Secret,
        BEARER,
    ),
    later("monitoring.notification.channels", Any),
    later("monitoring.notification.templates", Any),
    holds(
        "monitoring.smartAlerting.enabled",
        Flag,
        &["true"],
        ALERTING,
    ),
    part(
        "monitoring.smartAlerting.cooldownMinutes",
        MINUTES,
        "alerts.cooldownMs",
    ),
    part(
        "monitoring.smartAlerting.escalationLevels",
        LEVELS_OF_ESCALATION,
        "alerts.escalation",
    ),
    part(
        "monitoring.smartAlerting.suppressionRules",
        Objects(SUPPRESSION_RULE),
        "alerts.suppressions",
    ),
    holds("smartAlerting.enabled", Flag, &["true"], ALERTING),
    part(
        "smartAlerting.cooldownMinutes",
        MINUTES,
        "alerts.cooldownMs",
    ),
    part(
        "smartAlerting.escalationLevels",
        LEVELS_OF_ESCALATION,
        "alerts.escalation",
    ),
    part(
        "smartAlerting.suppressionRules",
        Objects(SUPPRESSION_RULE),
        "alerts.suppressions",
    ),
    later("observability.tracing", Any),
    never("observability.metrics", Any, SCRAPED),
    later("observability.profiling", Any),
    later("observability.dashboard", Any),
    later("analytics.anomalyDetection", Flag),
    later("analytics.behaviorProfiling", Flag),
    later(
        "analytics.alertThresholds.suspiciousActivity",
        Number {
            min: 0.0,
            max: 100.0,
        },
    ),
    later(
        "analytics.alertThresholds.criticalAlert",
        Number {
            min: 0.0,
            max: 100.0,
        },
    ),
    same("server.monitoring.logLevel", OneOf(LEVELS), "logFilter"),
    same("logging.level", OneOf(LEVELS), "logFilter"),
    part("logging.prettyPrint", Flag, "logFormat"),
    later("logging.service", Text),
    later("logging.environment", Text),
    later("logging.version", Text),
    later("logging.shutdownTimeoutMs", ANY_NUMBER),
    later("logging.enableCorrelationIds", Flag),
    later("logging.enableRequestTracking", Flag),
    later("logging.enableDebugMode", Flag),
    later("logging.console", Any),
    later("logging.otlp", Any),
    later("logging.file", Any),
    later("logging.redis", Any),
    later("logging.performance", Any),
    later("logging.batch", Any),
    later("logging.retry", Any),
];
