//! Queues made for tests, and Node beside them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use audit_queue::{Batch, Budget, Consumer, Payload, Refused};
use audit_queue_bullmq::{BullmqQueue, Settings};
use audit_runtime::SystemRandom;
use audit_testkit::node::Peer;
use audit_testkit::redis::{RedisServer, Reply};
use serde_json::{Value, json};

/// Long enough for a slow machine.
pub(crate) const BOUND: Duration = Duration::from_secs(60);
pub(crate) const VERSIONS: [u32; 2] = [5, 6];

pub(crate) fn settings(url: &str) -> Settings {
    Settings::at(url.parse().unwrap(), "audit", "smart_logs")
}

/// Finds jobs of the dead soon.
pub(crate) fn quick(url: &str) -> Settings {
    Settings {
        hold: Duration::from_millis(300),
        stalled_interval: Duration::from_millis(100),
        ..settings(url)
    }
}

pub(crate) fn open(settings: Settings) -> Arc<BullmqQueue> {
    Arc::new(BullmqQueue::new(settings, Arc::new(SystemRandom)).unwrap())
}

pub(crate) fn on(server: &RedisServer) -> Arc<BullmqQueue> {
    open(settings(&server.url()))
}

pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/node")
        .join(name)
}

pub(crate) fn asked(server: &RedisServer, version: u32) -> Value {
    json!({"version": version, "port": server.address().port(), "queue": "audit"})
}

/// What Node does with the queue, one thing after the other, and what came of each.
pub(crate) fn ask(server: &RedisServer, version: u32, actions: Value) -> Vec<Value> {
    let mut asked = asked(server, version);
    asked["do"] = actions;
    results(&asked)
}

/// One process of Node answers all tests.
pub(crate) fn results(asked: &Value) -> Vec<Value> {
    static NODE: LazyLock<Peer> = LazyLock::new(|| Peer::start(&script("ask.mjs")));
    let said = NODE.ask(asked);
    let results = said["results"].as_array();
    results.unwrap_or_else(|| panic!("{said}")).clone()
}

/// As [`ask`], for one thing.
pub(crate) fn ask_one(server: &RedisServer, version: u32, action: Value) -> Value {
    ask(server, version, json!([action])).remove(0)
}

pub(crate) fn budget(deliveries: usize) -> Budget {
    Budget {
        deliveries,
        bytes: 1 << 30,
        wait: Duration::ZERO,
    }
}

pub(crate) fn patient(deliveries: usize) -> Budget {
    Budget {
        wait: BOUND,
        ..budget(deliveries)
    }
}

pub(crate) fn bytes(payload: &Payload) -> &[u8] {
    match payload {
        Payload::Foreign { bytes, form, .. } => {
            assert_eq!(*form, "smart_logs");
            bytes
        }
        Payload::Refused { bytes, .. } => bytes,
        other => panic!("{other:?}"),
    }
}

/// The field `n` of each event.
pub(crate) fn numbers(batch: &Batch) -> Vec<u64> {
    let number = |payload: &Payload| {
        let data: Value = serde_json::from_slice(bytes(payload)).unwrap();
        data["n"].as_u64().unwrap()
    };
    let deliveries = batch.deliveries.iter();
    deliveries
        .map(|delivery| number(&delivery.payload))
        .collect()
}

/// Settles, and says of each delivery for which `why` has something that it was refused.
pub(crate) async fn settle(queue: &BullmqQueue, batch: Batch, why: Option<&str>) {
    let refused = batch.deliveries.iter().filter_map(|delivery| {
        Some(Refused {
            source: delivery.source.clone(),
            reason: why?.into(),
        })
    });
    let refused = refused.collect();
    let batch = Batch { refused, ..batch };
    queue.settle(batch).await.unwrap();
}

/// Receives and settles everything that waits; how often each position came.
pub(crate) async fn drain(queue: &BullmqQueue) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    loop {
        let batch = queue.receive(budget(500)).await.unwrap();
        if batch.deliveries.is_empty() {
            return all;
        }
        for delivery in &batch.deliveries {
            let data = bytes(&delivery.payload).to_vec();
            all.insert(delivery.source.0.clone(), data);
        }
        queue.settle(batch).await.unwrap();
    }
}

pub(crate) fn key(name: &str) -> String {
    format!("bull:audit:{name}")
}

/// No job is left with a worker, nor under a lock.
pub(crate) fn nobody_works(server: &RedisServer) {
    assert_eq!(server.command(&["LLEN", &key("active")]).text(), "0");
    let locks = server.command(&["KEYS", &key("*:lock")]);
    assert_eq!(locks.list(), []);
}

/// For commands whose answer says nothing but that they were carried out.
pub(crate) fn tell(server: &RedisServer, command: &[&str]) {
    let answer = server.command(command);
    assert!(
        !matches!(answer, Reply::Error(_)),
        "{command:?}: {answer:?}"
    );
}
