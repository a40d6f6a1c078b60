//! Every key of a configuration, in the order in which problems are told.

use std::net::SocketAddr;
use std::time::Duration;

use crate::raw::Reader;
use crate::secret::Secret;
use crate::settings::{
    LogFormat, PostgresSettings, QueueBackend, RedisSettings, Settings, StoreSettings,
};

/// Sections of the files of the systems that this one replaces. What is read of them stands beside our own name for it;
/// the rest is told as without effect.
const FOREIGN: [&str; 13] = [
    "compliance",
    "configurationManager",
    "customProcessors",
    "database",
    "enhancedClient",
    "logging",
    "monitoring",
    "observability",
    "plugins",
    "redis",
    "reliableProcessor",
    "security",
    "worker",
];

/// The shortest `queue.holdMs`. A lane renews four times within it, and the slowest renewal waits once for the lease (as long
/// as between two renewals) and once for Redis (5 s): half of 10 s and 5 s.
const HOLD_MILLIS_MIN: u64 = 10_000;
/// The longest: what a dead worker held is late by as much.
const HOLD_MILLIS_MAX: u64 = 3_600_000;

/// Ledgers of a deployment at most; each costs a lane's worth of memory and a connection.
const LEDGERS_MAX: u64 = 256;

#[derive(Clone, Copy, PartialEq)]
enum Store {
    Sqlite,
    Postgres,
}

#[derive(Clone, Copy, PartialEq)]
enum Queue {
    Embedded,
    Redis,
}

pub(crate) fn read(reader: &mut Reader) -> Settings {
    let mut settings = Settings::default();
    process(reader, &mut settings);
    queue(reader, &mut settings);
    store(reader, &mut settings);
    ledgers(reader, &mut settings);
    ingest(reader, &mut settings);
    bounds(reader, &mut settings);
    hold_outlasts_commits(reader, &settings);
    if settings.is_deployed() != matches!(settings.queue.backend, QueueBackend::Redis(_)) {
        let reason =
            "store and queue are both local (sqlite, embedded) or both shared (postgres, redis)";
        reader.problem("queue.backend", reason.to_owned());
    }
    settings.without_effect = reader.without_effect(&FOREIGN);
    settings
}

fn process(reader: &mut Reader, settings: &mut Settings) {
    reader.text("dataDir", |value| settings.data_dir = value.into());
    reader.text("keys.dir", |value| settings.keys_dir = Some(value.into()));
    reader.number("worker.port", 1..=65_535, |port| {
        settings
            .listen
            .set_port(u16::try_from(port).unwrap_or_default());
    });
    address(reader, "listen", &mut settings.listen);
    reader.text("deploymentId", |value| settings.deployment_id = Some(value));
    reader.one_of(
        "logFormat",
        &[("human", LogFormat::Human), ("json", LogFormat::Json)],
        |value| settings.log_format = value,
    );
    reader.text("logFilter", |value| settings.log_filter = value);
}

fn address(reader: &mut Reader, key: &'static str, to: &mut SocketAddr) {
    reader.parsed(key, "an address and port, as 127.0.0.1:3001", |value| {
        *to = value;
    });
}

fn queue(reader: &mut Reader, settings: &mut Settings) {
    reader.number("queue.eventsMax", 1..=1 << 40, |value| {
        settings.queue.events_max = value;
    });
    reader.number("queue.bytesMax", 1 << 20..=1 << 40, |value| {
        settings.queue.bytes_max = value;
    });
    let foreign = foreign_redis(reader);
    let mut backend = if foreign.is_some() {
        Queue::Redis
    } else {
        Queue::Embedded
    };
    let known = [("embedded", Queue::Embedded), ("redis", Queue::Redis)];
    reader.one_of("queue.backend", &known, |value| backend = value);
    let mut url = foreign;
    reader.secret("queue.url", |value| url = Some(value));
    let mut name = "audit-events".to_owned();
    reader.text("reliableProcessor.queueName", |value| name = value);
    reader.text("queue.queueName", |value| name = value);
    let mut accept_loss = false;
    reader.flag("queue.acceptLoss", |value| accept_loss = value);
    let mut hold = Duration::from_secs(60);
    reader.number(
        "queue.holdMs",
        HOLD_MILLIS_MIN..=HOLD_MILLIS_MAX,
        |millis| hold = Duration::from_millis(millis),
    );
    match (backend, url) {
        (Queue::Embedded, _) => {}
        (Queue::Redis, Some(url)) => {
            settings.queue.backend = QueueBackend::Redis(RedisSettings {
                url,
                name,
                accept_loss,
                hold,
            });
        }
        (Queue::Redis, None) => reader.problem("queue.url", "is needed for redis".to_owned()),
    }
}

/// A lane gives a commit half of the hold: what it still waits for must not be handed to another (DESIGN §3.3), and the
/// database's own time-out must come first, so that it is the database which says what became of the commit.
fn hold_outlasts_commits(reader: &mut Reader, settings: &Settings) {
    let (QueueBackend::Redis(redis), StoreSettings::Postgres(postgres)) =
        (&settings.queue.backend, &settings.store)
    else {
        return;
    };
    if redis.hold <= postgres.statement_timeout.saturating_mul(2) {
        let reason = format!(
            "must be more than twice store.statementTimeoutMs ({} is not more than 2 x {})",
            redis.hold.as_millis(),
            postgres.statement_timeout.as_millis()
        );
        reader.problem("queue.holdMs", reason);
    }
}

/// The `redis` section of the replaced worker, as an address.
fn foreign_redis(reader: &mut Reader) -> Option<Secret> {
    let present = reader.has("redis");
    let (mut host, mut port, mut db) = (None, 6_379, 0);
    let mut login = String::new();
    reader.text("redis.host", |value| host = Some(value));
    reader.number("redis.port", 1..=65_535, |value| port = value);
    reader.secret("redis.password", |value| {
        login = format!(":{}@", percent_encoded(value.expose()));
    });
    reader.number("redis.db", 0..=65_535, |value| db = value);
    let host = host.or_else(|| present.then(|| "localhost".to_owned()))?;
    Some(Secret::new(format!("redis://{login}{host}:{port}/{db}")))
}

/// A password as part of an address (RFC 3986: unreserved characters stay).
fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    text.bytes().map(encode).collect()
}

fn store(reader: &mut Reader, settings: &mut Settings) {
    let mut url = None;
    for key in [
        "database.connectionString",
        "enhancedClient.connectionString",
        "enhancedClient.connectionPool.url",
    ] {
        reader.secret(key, |value| url = Some(value));
    }
    let mut backend = if url.is_some() {
        Store::Postgres
    } else {
        Store::Sqlite
    };
    let known = [("sqlite", Store::Sqlite), ("postgres", Store::Postgres)];
    reader.one_of("store.backend", &known, |value| backend = value);
    reader.secret("store.url", |value| url = Some(value));
    let mut postgres = PostgresSettings {
        url: Secret::new(""),
        connections_max: 10,
        connect_timeout: Duration::from_secs(5),
        statement_timeout: Duration::from_secs(20),
        replica_url: None,
    };
    for key in [
        "enhancedClient.maxConnections",
        "enhancedClient.connectionPool.maxConnections",
        "store.maxConnections",
    ] {
        reader.number(key, 2..=10_000, |value| {
            postgres.connections_max = u32::try_from(value).unwrap_or(u32::MAX);
        });
    }
    reader.millis("store.connectTimeoutMs", |value| {
        postgres.connect_timeout = value;
    });
    reader.millis("store.statementTimeoutMs", |value| {
        postgres.statement_timeout = value;
    });
    reader.secret("store.replicaUrl", |value| {
        postgres.replica_url = Some(value);
    });
    match (backend, url) {
        (Store::Sqlite, _) => {}
        (Store::Postgres, Some(url)) => {
            settings.store = StoreSettings::Postgres(PostgresSettings { url, ..postgres });
        }
        (Store::Postgres, None) => reader.problem("store.url", "is needed for postgres".to_owned()),
    }
}

fn ledgers(reader: &mut Reader, settings: &mut Settings) {
    if settings.is_deployed() {
        settings.ledgers = 4;
    }
    let narrow = |value| u16::try_from(value).unwrap_or(u16::MAX);
    reader.number("ledgers", 1..=LEDGERS_MAX, |value| {
        settings.ledgers = narrow(value);
    });
    settings.lanes = settings.ledgers;
    reader.number("lanes", 1..=LEDGERS_MAX, |value| {
        settings.lanes = narrow(value);
    });
}

fn ingest(reader: &mut Reader, settings: &mut Settings) {
    let ingest = &mut settings.ingest;
    address(reader, "ingest.listen", &mut ingest.listen);
    reader.number("ingest.spoolBytesMax", 1 << 20..=1 << 40, |value| {
        ingest.spool_bytes_max = value;
    });
    let narrow = |value| u32::try_from(value).unwrap_or(u32::MAX);
    reader.number("ingest.eventsPerSecondPerKey", 1..=1 << 31, |value| {
        ingest.events_per_second_per_key = Some(narrow(value));
    });
    reader.number("ingest.criticalPerSecondPerKey", 1..=1 << 31, |value| {
        ingest.critical_per_second_per_key = narrow(value);
    });
}

fn bounds(reader: &mut Reader, settings: &mut Settings) {
    reader.number("http.bodyBytesMax", 1 << 10..=1 << 30, |value| {
        settings.http_body_bytes_max = value;
    });
    reader.number("http.itemsMax", 1..=1_000_000, |value| {
        settings.http_items_max = value;
    });
    reader.millis("accept.maxAheadMs", |value| {
        settings.accept_max_ahead = value;
    });
    reader.millis("shutdown.drainDelayMs", |value| {
        settings.drain_delay = value;
    });
    reader.millis("shutdown.graceMs", |value| settings.shutdown_grace = value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_in_the_document_for_operators() {
        let mut reader = Reader::new("{}", &|_name| None).expect("an object");
        read(&mut reader);
        let document = include_str!("../../../docs/configuration.md");
        let missing: Vec<_> = reader
            .known()
            .iter()
            .filter(|key| !document.contains(&format!("`{key}`")))
            .collect();
        assert_eq!(missing, Vec::<&&str>::new());
    }
}
