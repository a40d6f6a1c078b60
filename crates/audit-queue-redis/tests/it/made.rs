//! Frames and queues made for tests.

use std::sync::Arc;
use std::time::Duration;

use audit_event::Timestamp;
use audit_queue::{Batch, Budget, Consumer, Frame, FrameEvent, FrameId, Payload};
use audit_queue_redis::{RedisQueue, Settings};
use audit_runtime::SystemRandom;
use audit_testkit::redis::RedisServer;

/// Long enough for a slow machine.
pub(crate) const BOUND: Duration = Duration::from_secs(30);

pub(crate) fn settings(url: &str) -> Settings {
    Settings::at(url.parse().unwrap())
}

pub(crate) fn open(settings: Settings) -> Arc<RedisQueue> {
    Arc::new(RedisQueue::new(settings, Arc::new(SystemRandom)).unwrap())
}

pub(crate) fn on(server: &RedisServer) -> Arc<RedisQueue> {
    open(settings(&server.url()))
}

/// A frame of `events` events, its id made from `n`.
pub(crate) fn frame(n: u64, events: usize) -> Frame {
    let event = |index| FrameEvent {
        canonical: format!("{{\"action\":\"record.read\",\"id\":\"{n}-{index}\"}}").into_bytes(),
        api_key_id: "key-1".into(),
    };
    Frame {
        id: id(n),
        internal: false,
        received_at: Timestamp::from_micros(1_700_000_000_000_000).unwrap(),
        traceparent: None,
        events: (0..events).map(event).collect(),
    }
}

pub(crate) fn id(n: u64) -> FrameId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    FrameId(bytes)
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

pub(crate) fn ids(batch: &Batch) -> Vec<FrameId> {
    let id = |payload: &Payload| match payload {
        Payload::Frame(frame) => frame.id,
        other => panic!("{other:?}"),
    };
    batch
        .deliveries
        .iter()
        .map(|delivery| id(&delivery.payload))
        .collect()
}

/// Receives and settles everything that waits.
pub(crate) async fn drain(queue: &RedisQueue) -> Vec<FrameId> {
    let mut all = Vec::new();
    loop {
        let batch = queue.receive(budget(1000)).await.unwrap();
        if batch.deliveries.is_empty() {
            return all;
        }
        all.extend(ids(&batch));
        queue.settle(batch).await.unwrap();
    }
}

/// Makes what every consumer holds look as if its hold had run out: what a minute does, without the minute.
pub(crate) fn age_everything(server: &RedisServer, name: &str) {
    let stream = format!("{{{name}}}:frames");
    let pending = server.command(&["XPENDING", &stream, "lanes", "-", "+", "100000"]);
    let audit_testkit::redis::Reply::List(pending) = pending else {
        return;
    };
    for row in pending {
        let row = row.list();
        let (entry, consumer) = (row[0].text(), row[1].text());
        let claim = [
            "XCLAIM",
            &stream,
            "lanes",
            &consumer,
            "0",
            &entry,
            "IDLE",
            "100000000",
            "JUSTID",
        ];
        assert_eq!(server.command(&claim).list().len(), 1);
    }
}
