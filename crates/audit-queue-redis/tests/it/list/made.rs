//! Producers of the list, and lists made for tests.

use std::sync::Arc;

use audit_queue::{Batch, Payload};
use audit_queue_redis::list::{RedisList, Settings};
use audit_runtime::SystemRandom;
use audit_testkit::redis::{RedisServer, Reply};

pub(super) fn settings(url: &str) -> Settings {
    Settings::at(url.parse().unwrap())
}

pub(super) fn open(settings: Settings) -> Arc<RedisList> {
    Arc::new(RedisList::new(settings, Arc::new(SystemRandom)).unwrap())
}

pub(super) fn on(server: &RedisServer) -> Arc<RedisList> {
    open(settings(&server.url()))
}

/// An item as the list worker's producer writes it: its keys, in its order.
pub(super) fn item(n: u64) -> String {
    format!(
        "{{\"user_id\":\"{n}\",\"resource_type\":\"api_key\",\"resource_id\":\"k-{n}\",\"event_type\":\"api_key_created\",\
         \"event_category\":\"info\",\"description\":\"API key created\",\"metadata\":{{}},\"ip_address\":\"10.0.0.1\",\
         \"user_agent\":\"curl/8\",\"created_at\":\"2026-03-01T12:00:00.000Z\"}}"
    )
}

/// One `LPUSH` of each.
pub(super) fn push(server: &RedisServer, numbers: std::ops::Range<u64>) {
    for n in numbers {
        push_text(server, "audit:queue", &item(n));
    }
}

pub(super) fn push_text(server: &RedisServer, key: &str, text: &str) {
    let pushed = server.command(&["LPUSH", key, text]);
    assert!(matches!(pushed, Reply::Number(_)), "{pushed:?}");
}

/// Pushes bytes that are no text: `lua` is the inside of a Lua string.
pub(super) fn push_bytes(server: &RedisServer, key: &str, lua: &str) {
    let script = format!("return redis.call('LPUSH', KEYS[1], '{lua}')");
    let pushed = server.command(&["EVAL", &script, "1", key]);
    assert!(matches!(pushed, Reply::Number(_)), "{pushed:?}");
}

/// What a list holds, newest first.
pub(super) fn listed(server: &RedisServer, key: &str) -> Vec<String> {
    let items = server.command(&["LRANGE", key, "0", "-1"]);
    items.list().iter().map(Reply::text).collect()
}

pub(super) fn items(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(item).collect()
}

/// The items of a batch, as text.
pub(super) fn texts(batch: &Batch) -> Vec<String> {
    let text = |payload: &Payload| match payload {
        Payload::Foreign { bytes, .. } => String::from_utf8(bytes.clone()).unwrap(),
        other => panic!("{other:?}"),
    };
    batch
        .deliveries
        .iter()
        .map(|delivery| text(&delivery.payload))
        .collect()
}

/// Position and time of each.
pub(super) fn stamps(batch: &Batch) -> Vec<(String, i64)> {
    let stamp = |delivery: &audit_queue::Delivery| {
        let (Payload::Foreign {
            received_micros, ..
        }
        | Payload::Refused {
            received_micros, ..
        }) = &delivery.payload
        else {
            panic!("{delivery:?}")
        };
        (delivery.source.0.clone(), *received_micros)
    };
    batch.deliveries.iter().map(stamp).collect()
}

pub(super) fn redelivered(batch: &Batch) -> Vec<u32> {
    let counts = batch.deliveries.iter();
    counts.map(|delivery| delivery.redelivered).collect()
}

/// What names a batch once more: a caller that comes twice.
pub(super) fn copy_of(batch: &Batch) -> Batch {
    Batch::named(batch.partition, batch.token)
}

/// Makes every batch look as if its hold had run out: what a minute does, without the minute.
pub(super) fn age_everything(server: &RedisServer) {
    let held = "{audit:queue}:held";
    let names = server.command(&["ZRANGE", held, "0", "-1"]);
    for name in names.list() {
        let aged = server.command(&["ZADD", held, "XX", "1", &name.text()]);
        assert_eq!(aged, Reply::Number(0));
    }
}
