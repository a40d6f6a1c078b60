//! Files that people have from the replaced systems, with what they mean here.

use std::path::PathBuf;
use std::time::Duration;

use audit_config::{
    AlertLevel, ConfigFile, Configuration, Format, QueueBackend, Settings, StoreSettings,
    SuppressionSettings,
};
use serde_json::Value;

/// The examples: beside the test data (`AUDIT_TEST_DATA`), else beside the workspace.
fn example(name: &str) -> String {
    let shared = std::env::var_os("AUDIT_TEST_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        |data| PathBuf::from(data).join(".."),
    );
    let file = shared.join("compat/examples").join(name);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn read(name: &str, text: &str) -> (Settings, Vec<String>) {
    let file = ConfigFile {
        name,
        text,
        format: Format::Json,
    };
    let read = Configuration::read(Some(file), &[], &|name: &str| {
        ["DB_PASSWORD", "REDIS_PASSWORD", "ENCRYPTION_KEY"]
            .contains(&name)
            .then(|| "p@ss".to_owned())
    });
    let warnings = read
        .warnings()
        .iter()
        .map(|warning| warning.text.clone())
        .collect();
    match read.into_settings() {
        Ok((settings, _)) => (settings, warnings),
        Err(problems) => panic!("{text}: {problems:?}"),
    }
}

fn fragments(name: &str) -> Vec<(Settings, Vec<String>)> {
    let all: Vec<Value> = serde_json::from_str(&example(name)).expect("a list");
    all.iter()
        .map(|fragment| read(name, &fragment.to_string()))
        .collect()
}

fn postgres(settings: &Settings) -> (&str, u32) {
    match &settings.store {
        StoreSettings::Postgres(postgres) => (postgres.url.expose(), postgres.connections_max),
        StoreSettings::Sqlite => panic!("no PostgreSQL"),
    }
}

fn redis(settings: &Settings) -> (&str, &str) {
    match &settings.queue.backend {
        QueueBackend::Redis(redis) => (redis.url.expose(), &redis.name),
        QueueBackend::Embedded => panic!("no Redis"),
    }
}

const NOT_YET: &str = "accepted, not yet in effect: ";
const WITHOUT: &str = "accepted, without effect: ";

#[test]
fn the_file_of_the_replaced_worker_loads_as_it_is() {
    let (settings, warnings) = read("worker-config.json", &example("worker-config.json"));
    assert_eq!(settings.listen.to_string(), "127.0.0.1:3001");
    assert_eq!(settings.ledgers, 4, "a deployment has four ledgers");
    assert_eq!(
        postgres(&settings),
        ("postgresql://user:pass@localhost:5432/audit_db", 20)
    );
    assert_eq!(
        redis(&settings),
        ("redis://localhost:6379/0", "audit-events")
    );
    assert_eq!(settings.breaker.failures, 5);
    assert_eq!(settings.breaker.pause.as_secs(), 60);
    let system = settings.alerts.system;
    assert_eq!(
        (
            system.error_share.millionths(),
            system.queue_depth,
            system.latency.as_secs(),
            system.dead_letters
        ),
        (50_000, 1_000, 5, 10)
    );
    let literal = |key: &str| {
        format!(
            "literal password in a configuration file: {key}; `${{VAR}}` and `${{file:/path}}` keep it out"
        )
    };
    assert_eq!(
        warnings,
        [
            literal("enhancedClient.connectionString"),
            format!("{NOT_YET}enhancedClient.monitoring"),
            format!(
                "{WITHOUT}enhancedClient.partitioning.enabled (partitions are made by month as events come, see docs/postgresql.md)"
            ),
            literal("security.encryptionKey"),
            format!("{NOT_YET}security.encryptionKey"),
            format!("{NOT_YET}security.algorithm"),
            format!(
                "{WITHOUT}reliableProcessor.concurrency (lanes work side by side, one batch each: lanes)"
            ),
            format!(
                "{WITHOUT}reliableProcessor.deadLetterConfig.queueName (dead letters are kept in the store)"
            ),
        ]
    );
}

/// Keys of the warnings that begin so, without explanations.
fn keys(warnings: &[String], begin: &str) -> Vec<String> {
    let found = warnings
        .iter()
        .filter_map(|warning| warning.strip_prefix(begin));
    sorted(found.map(|rest| rest.split(" (").next().unwrap_or_default()))
}

/// Members come in the order of their names out of a parsed fragment.
fn sorted<'s>(keys: impl IntoIterator<Item = &'s str>) -> Vec<String> {
    let mut keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
    keys.sort();
    keys
}

#[test]
fn every_fragment_of_their_questions_and_answers_loads_with_its_meaning() {
    let found = fragments("faq-fragments.json");
    assert_eq!(found.len(), 14);
    let usual = Settings::default();
    // Passwords from the environment; Redis is where it usually is.
    let (settings, warnings) = &found[0];
    assert_eq!(postgres(settings).0, "postgresql://user:p@ss@host:5432/db");
    assert_eq!(redis(settings).0, "redis://:p%40ss@localhost:6379/0");
    assert_eq!(warnings, &Vec::<String>::new());
    assert_eq!(found[2].0.batch.deliveries, Some(500));
    assert_eq!(
        (
            found[13].0.breaker.failures,
            found[13].0.breaker.pause.as_secs()
        ),
        (5, 60)
    );
    for (index, (settings, _)) in found.iter().enumerate() {
        if ![0, 2, 10, 13].contains(&index) {
            assert_eq!(settings, &usual, "fragment {index} changes nothing yet");
        }
    }
    let not_yet = |index: usize| keys(&found[index].1, NOT_YET);
    let without = |index: usize| keys(&found[index].1, WITHOUT);
    let of = |section: &str, names: &[&str]| -> Vec<String> {
        let mut keys: Vec<String> = names
            .iter()
            .map(|name| format!("{section}.{name}"))
            .collect();
        keys.sort();
        keys
    };
    assert_eq!(
        not_yet(1),
        of(
            "configurationManager",
            &[
                "fallbackEnabled",
                "cacheConfiguration",
                "cacheLocation",
                "startupTimeout",
                "retryAttempts"
            ]
        )
    );
    assert_eq!(
        without(2),
        of(
            "reliableProcessor",
            &[
                "concurrency",
                "batchProcessing.maxBatchWaitMs",
                "batchProcessing.parallelBatches"
            ]
        )
    );
    assert_eq!(
        not_yet(3),
        ["enhancedClient.partitioning.parallelPartitions"]
    );
    // There is no PostgreSQL in this fragment alone.
    assert_eq!(without(3), ["enhancedClient.maxConnections"]);
    assert_eq!(
        without(4),
        ["redis.cluster.enabled", "redis.pipelining.batchSize"]
    );
    assert_eq!(
        not_yet(5),
        of(
            "reliableProcessor.autoScaling",
            &[
                "enabled",
                "strategy",
                "thresholds.scaleUp",
                "thresholds.scaleDown",
                "thresholds.maxConcurrency"
            ]
        )
    );
    assert_eq!(
        not_yet(6),
        of(
            "enhancedClient.partitioning",
            &[
                "retentionMonths",
                "compressionEnabled",
                "compressionAfterDays"
            ]
        )
    );
    assert_eq!(
        not_yet(7),
        of(
            "security",
            &["encryptionKey", "algorithm", "keyDerivation", "iterations"]
        )
    );
    assert_eq!(
        not_yet(8).len(),
        7,
        "immutable logs are in effect: {:?}",
        found[8].1
    );
    assert_eq!(not_yet(9).len(), 6);
    let alerts = &found[10].0.alerts;
    assert_eq!(
        (&found[10].1, alerts.cooldown.as_secs()),
        (&Vec::new(), 15 * 60)
    );
    assert_eq!(
        alerts.suppressions,
        [SuppressionSettings {
            name: "maintenance-window".to_owned(),
            starts: "0 2 * * *".to_owned(),
            lasts: Duration::from_secs(120 * 60),
            time_zone: "UTC".to_owned(),
            rules: Vec::new(),
            organizations: Vec::new(),
        }]
    );
    // Three levels of their ladder: low at once, medium after an hour, high after four.
    let steps: Vec<_> = alerts
        .escalation
        .iter()
        .map(|step| (step.after.as_secs(), step.raise_to))
        .collect();
    assert_eq!(
        steps,
        [
            (3_600, Some(AlertLevel::Medium)),
            (14_400, Some(AlertLevel::High))
        ]
    );
    assert_eq!(not_yet(11), ["customProcessors", "plugins"]);
    assert_eq!(
        not_yet(12),
        of(
            "enhancedClient.connectionPooling",
            &["adaptive", "monitoringEnabled"]
        )
    );
    assert_eq!(
        without(13),
        of(
            "reliableProcessor.circuitBreakerConfig",
            &["monitoringPeriod", "minimumThroughput"]
        )
    );
}

#[test]
fn the_fragments_on_top_of_the_workers_file_load_too() {
    let base: Value = serde_json::from_str(&example("worker-config.json")).expect("JSON");
    for name in ["faq-fragments.json", "pake-fragments.json"] {
        let all: Vec<Value> = serde_json::from_str(&example(name)).expect("a list");
        for fragment in all {
            let mut merged = base.clone();
            merge(&mut merged, &fragment);
            let (settings, _) = read(name, &merged.to_string());
            if fragment["redis"]["cluster"]["enabled"] == true {
                assert_eq!(redis(&settings).0, "redis+cluster://localhost:6379");
            }
            if fragment["enhancedClient"]["maxConnections"] == 200 {
                assert_eq!(postgres(&settings).1, 200);
            }
        }
    }
}

fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (name, value) in over {
                merge(base.entry(name).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}

#[test]
fn the_other_systems_fragment_loads_with_its_meaning() {
    let found = fragments("pake-fragments.json");
    let [(settings, warnings)] = &found[..] else {
        panic!("{} fragments", found.len());
    };
    assert_eq!(settings.batch.deliveries, Some(1_000));
    let unbatched = Settings {
        batch: Settings::default().batch,
        ..settings.clone()
    };
    assert_eq!(unbatched, Settings::default());
    assert_eq!(
        keys(warnings, WITHOUT),
        ["performance.flushInterval", "performance.maxRetries"]
    );
    assert_eq!(keys(warnings, NOT_YET).len(), 11, "{warnings:?}");
}
