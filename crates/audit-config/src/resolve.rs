//! Checked values to settings, and what between keys cannot work.

use crate::keys;
use crate::place::Origin;
use crate::problem::{ConfigProblem, ConfigWarning};
use crate::settings::{
    BatchSettings, BreakerSettings, CompatSettings, IngestSettings, LogFormat, OnMismatch,
    OnRestartKeys, PostgresSettings, ProofSettings, QueueBackend, QueueSettings, RedisSettings,
    ReloadSettings, Settings, StoreSettings,
};
use crate::values::{Value, Values};
use audit_runtime::Secret;

/// Fills the settings; defaults that depend on other keys are settled here.
pub(crate) fn resolve(values: &mut Values, problems: &mut Vec<ConfigProblem>) -> Settings {
    let deployed = values.is("store.backend", "postgres");
    derive(values, deployed);
    relations(values, problems);
    let sources = crate::sources::resolve(values, &mut |path, reason| {
        problems.push(within(values, "sources", path, reason));
    });
    let mut problem = |key: &'static str, path, reason| {
        problems.push(within(values, key, path, reason));
    };
    let detection = crate::detection::resolve(values, &mut problem);
    let alerts = crate::alerts::resolve(values, &mut problem);
    let anywhere = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    Settings {
        data_dir: values.text("dataDir").unwrap_or_default().into(),
        keys_dir: values.text("keys.dir").map(Into::into),
        listen: values.address("listen").unwrap_or(anywhere),
        deployment_id: values.text("deploymentId"),
        log_format: if values.is("logFormat", "json") {
            LogFormat::Json
        } else {
            LogFormat::Human
        },
        log_filter: values.text("logFilter").unwrap_or_default(),
        ledgers: values.small("ledgers").unwrap_or(1),
        lanes: values.small("lanes").unwrap_or(1),
        batch: BatchSettings {
            deliveries: values.small("batch.deliveries"),
            bytes_max: values.small("batch.bytesMax").unwrap_or_default(),
        },
        breaker: BreakerSettings {
            failures: values.small("breaker.failures").unwrap_or(1),
            pause: values.millis("breaker.pauseMs"),
        },
        store: store(values),
        queue: queue(values),
        ingest: IngestSettings {
            listen: values.address("ingest.listen").unwrap_or(anywhere),
            spool_bytes_max: values.whole("ingest.spoolBytesMax").unwrap_or_default(),
            events_per_second_per_key: values.small("ingest.eventsPerSecondPerKey"),
            critical_per_second_per_key: values
                .small("ingest.criticalPerSecondPerKey")
                .unwrap_or_default(),
        },
        compat: CompatSettings {
            organization_id: values.text("compat.organizationId"),
            anonymous_writers: values.ranges("compat.anonymousWriters"),
            anonymous_per_second: values
                .small("compat.anonymousPerSecond")
                .unwrap_or_default(),
        },
        http_body_bytes_max: values.whole("http.bodyBytesMax").unwrap_or_default(),
        http_items_max: values.whole("http.itemsMax").unwrap_or_default(),
        accept_max_ahead: values.millis("accept.maxAheadMs"),
        drain_delay: values.millis("shutdown.drainDelayMs"),
        shutdown_grace: values.millis("shutdown.graceMs"),
        sources,
        reload: ReloadSettings {
            poll: values.millis("configuration.pollMs"),
            watch: values.millis("configuration.watchMs"),
            on_restart_keys: if values.is("configuration.onRestartKeys", "refuse") {
                OnRestartKeys::Refuse
            } else {
                OnRestartKeys::Defer
            },
        },
        proofs: ProofSettings {
            smart_logs: on_mismatch(values, "proofs.smartLogs"),
            pake: on_mismatch(values, "proofs.pake"),
        },
        detection,
        alerts,
    }
}

/// A problem of a key, or within it.
pub(crate) fn within(values: &Values, key: &str, path: String, reason: String) -> ConfigProblem {
    let place = values.given(key).and_then(|given| match &given.origin {
        Origin::File { place, .. } => place.clone(),
        Origin::Flag(_) | Origin::Derived => None,
    });
    ConfigProblem {
        place,
        ..ConfigProblem::new(path, reason)
    }
}

fn on_mismatch(values: &Values, key: &str) -> OnMismatch {
    match values.text(key).as_deref() {
        Some("record") => OnMismatch::Record,
        Some("deadLetter") => OnMismatch::DeadLetter,
        _ => OnMismatch::Alert,
    }
}

/// Twice a statement's time-out and this much, when the usual hold is too short for it.
const HOLD_MARGIN_MILLIS: u64 = 10_000;
const HOLD_MILLIS: u64 = 60_000;
/// What is remembered of one group, when as much is remembered at all.
const OBSERVATIONS_PER_GROUP: u64 = 10_000;

fn derive(values: &mut Values, deployed: bool) {
    values.derive("ledgers", Value::Whole(if deployed { 4 } else { 1 }));
    if let Some(ledgers) = values.whole("ledgers") {
        values.derive("lanes", Value::Whole(ledgers));
    }
    let twice = values
        .whole("store.statementTimeoutMs")
        .unwrap_or_default()
        .saturating_mul(2);
    let hold = if twice < HOLD_MILLIS {
        HOLD_MILLIS
    } else {
        twice.saturating_add(HOLD_MARGIN_MILLIS)
    };
    values.derive("queue.holdMs", Value::Whole(hold));
    let observations = values
        .whole("detection.observationsMax")
        .unwrap_or(OBSERVATIONS_PER_GROUP);
    values.derive(
        "detection.observationsPerGroupMax",
        Value::Whole(observations.min(OBSERVATIONS_PER_GROUP)),
    );
}

fn store(values: &Values) -> StoreSettings {
    let settings = PostgresSettings {
        url: values
            .secret("store.url")
            .unwrap_or_else(|| Secret::new("")),
        connections_max: values.small("store.maxConnections").unwrap_or(2),
        connect_timeout: values.millis("store.connectTimeoutMs"),
        statement_timeout: values.millis("store.statementTimeoutMs"),
        replica_url: values.secret("store.replicaUrl"),
    };
    if values.is("store.backend", "postgres") {
        StoreSettings::Postgres(settings)
    } else {
        StoreSettings::Sqlite
    }
}

fn queue(values: &Values) -> QueueSettings {
    let settings = RedisSettings {
        url: values
            .secret("queue.url")
            .unwrap_or_else(|| Secret::new("")),
        name: values.text("queue.queueName").unwrap_or_default(),
        accept_loss: values.flag("queue.acceptLoss"),
        hold: values.millis("queue.holdMs"),
    };
    QueueSettings {
        events_max: values.whole("queue.eventsMax").unwrap_or_default(),
        bytes_max: values.whole("queue.bytesMax").unwrap_or_default(),
        backend: if values.is("queue.backend", "redis") {
            QueueBackend::Redis(settings)
        } else {
            QueueBackend::Embedded
        },
    }
}

/// Keys that only one backend has, with that backend.
const OF_A_BACKEND: [(&str, &str, &[&str]); 2] = [
    (
        "store.backend",
        "postgres",
        &[
            "store.url",
            "store.maxConnections",
            "store.connectTimeoutMs",
            "store.statementTimeoutMs",
            "store.replicaUrl",
        ],
    ),
    (
        "queue.backend",
        "redis",
        &[
            "queue.url",
            "queue.queueName",
            "queue.acceptLoss",
            "queue.holdMs",
        ],
    ),
];

/// What was given and changes nothing, because another backend was chosen.
pub(crate) fn idle(values: &Values) -> Vec<ConfigWarning> {
    let mut warnings = Vec::new();
    for (backend, needed, keys) in OF_A_BACKEND {
        let chosen = values.text(backend).unwrap_or_default();
        for given in keys.iter().filter_map(|key| values.given(key)) {
            if let Origin::File { key, place } = &given.origin
                && chosen != needed
            {
                warnings.push(ConfigWarning {
                    key: (*key).to_owned(),
                    text: format!("accepted, without effect: {key} ({backend} is {chosen})"),
                    place: place.clone(),
                });
            }
        }
    }
    warnings
}

/// What each key allows by itself and does not work together.
fn relations(values: &Values, problems: &mut Vec<ConfigProblem>) {
    let mut problem = |key: &str, reason: String| {
        problems.push(within(values, key, key.to_owned(), reason));
    };
    let postgres = values.is("store.backend", "postgres");
    let redis = values.is("queue.backend", "redis");
    for (needed, backend, url) in [
        (postgres, "postgres", "store.url"),
        (redis, "redis", "queue.url"),
    ] {
        if needed && values.secret(url).is_none() {
            problem(url, format!("is needed for {backend}"));
        }
    }
    if postgres != redis {
        let reason =
            "store and queue are both local (sqlite, embedded) or both shared (postgres, redis)";
        problem("queue.backend", reason.to_owned());
    }
    let organization = values.text("compat.organizationId");
    let writers = values.ranges("compat.anonymousWriters").unwrap_or_default();
    if organization.is_none() && !writers.is_empty() {
        let reason = "is needed with compat.anonymousWriters: they write for one organisation";
        problem("compat.organizationId", reason.to_owned());
    }
    // Ours: whoever could write to it could forge what we say about ourselves.
    if organization.as_deref() == Some("_audit") {
        let reason = "_audit is this system's own organisation";
        problem("compat.organizationId", reason.to_owned());
    }
    // A lane gives a commit half of the hold: what it still waits for must not be handed to another (DESIGN §3.3), and the
    // database's own time-out must come first, so that it is the database which says what became of the commit.
    let hold = values.whole("queue.holdMs").unwrap_or_default();
    let statement = values.whole("store.statementTimeoutMs").unwrap_or_default();
    if postgres && redis && hold <= statement.saturating_mul(2) {
        problem(
            "queue.holdMs",
            format!(
                "must be more than twice store.statementTimeoutMs ({hold} is not more than 2 x {statement})"
            ),
        );
    }
    if hold > keys::HOLD_MILLIS_MAX {
        problem(
            "store.statementTimeoutMs",
            "leaves no room for queue.holdMs, which is more than twice as long and at most 3600000"
                .to_owned(),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_is_read() {
        let mut values = Values::default();
        resolve(&mut values, &mut Vec::new());
        let asked = values.asked.borrow().clone();
        let known: BTreeSet<_> = keys::all().map(|key| key.path).collect();
        assert_eq!(
            known.difference(&asked).collect::<Vec<_>>(),
            Vec::<&&str>::new()
        );
    }
}
