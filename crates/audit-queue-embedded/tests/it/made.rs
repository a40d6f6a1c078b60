//! Frames and queues made for tests.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use audit_event::Timestamp;
use audit_queue::{Batch, Budget, Consumer, Frame, FrameEvent, FrameId, Payload};
use audit_queue_embedded::{EmbeddedQueue, OpenError, Options};
use audit_runtime::SystemClock;
use audit_testkit::wait::wait_until;

pub(crate) fn open(path: &Path, options: Options) -> EmbeddedQueue {
    // A child that another test has just forked has every open file, a lock that was given up here included, until it becomes
    // its own program.
    wait_until(
        "the queue's lock",
        Duration::from_secs(10),
        || match EmbeddedQueue::open(path, options.clone(), Arc::new(SystemClock)) {
            Err(OpenError::InUse(_)) => None,
            opened => Some(opened.unwrap()),
        },
    )
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
pub(crate) async fn drain(queue: &EmbeddedQueue) -> Vec<FrameId> {
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
