//! What they watch: `monitoring`, `observability`, `logging`, `analytics`.

use super::{ANY_NUMBER, Foreign, later, never, part, same};
use crate::key::Kind::{Any, Flag, Number, OneOf, Secret, Text, Url};
use crate::key::{count, millis};

const LEVELS: &[&str] = &["trace", "debug", "info", "warn", "error"];
const SHARE: crate::key::Kind = Number { min: 0.0, max: 1.0 };
const SCRAPED: &str = "/metrics answers whenever it is asked";

pub(super) const KEYS: &[Foreign] = &[
    later("monitoring.enabled", Flag),
    never("monitoring.metricsInterval", ANY_NUMBER, SCRAPED),
    later("monitoring.alertThresholds.errorRate", SHARE),
    later("monitoring.alertThresholds.processingLatency", ANY_NUMBER),
    later("monitoring.alertThresholds.queueDepth", ANY_NUMBER),
    later("monitoring.alertThresholds.memoryUsage", SHARE),
    later("monitoring.healthCheckInterval", millis(0, 86_400_000)),
    later("monitoring.patternDetection", Any),
    later("monitoring.notification.enabled", Flag),
    later(
        "monitoring.notification.provider",
        OneOf(&["push", "email", "slack", "telegram", "webhook"]),
    ),
    later("monitoring.notification.url", Url(&["https", "http"])),
    later("monitoring.notification.credentials.secret", Secret),
    later("monitoring.notification.credentials.username", Text),
    later("monitoring.notification.credentials.password", Secret),
    later("monitoring.notification.channels", Any),
    later("monitoring.notification.templates", Any),
    later("monitoring.smartAlerting.enabled", Flag),
    later("monitoring.smartAlerting.cooldownMinutes", ANY_NUMBER),
    later(
        "monitoring.smartAlerting.escalationLevels",
        count(0, 100, ""),
    ),
    later("monitoring.smartAlerting.suppressionRules", Any),
    later("smartAlerting", Any),
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
