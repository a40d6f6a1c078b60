//! Frames, batches and what the cases ask of them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use audit_event::Timestamp;

use super::{Ports, Subject};
use crate::frame::{Frame, FrameEvent, FrameId};
use crate::ports::{Batch, Budget, Delivery, Durability, Payload};

/// A frame of `events` events whose id is made from `n`.
pub(super) fn frame(n: u64, events: usize) -> Frame {
    let event = |index| FrameEvent {
        canonical: format!(
            "{{\"action\":\"record.read\",\"id\":\"{n}-{index}\",\"status\":\"success\"}}"
        )
        .into_bytes(),
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

pub(super) fn id(n: u64) -> FrameId {
    let mut bytes = *b"conform-\0\0\0\0\0\0\0\0";
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    FrameId(bytes)
}

pub(super) fn ids(range: std::ops::Range<u64>) -> Vec<FrameId> {
    range.map(id).collect()
}

/// At once, as much as is there.
pub(super) fn all() -> Budget {
    some(1000)
}

pub(super) fn some(deliveries: usize) -> Budget {
    Budget {
        deliveries,
        bytes: usize::MAX,
        wait: Duration::ZERO,
    }
}

/// Long enough for a slow machine; a queue that works needs a millisecond.
pub(super) fn patient(deliveries: usize) -> Budget {
    Budget {
        wait: Duration::from_secs(30),
        ..some(deliveries)
    }
}

pub(super) fn id_of(delivery: &Delivery) -> FrameId {
    match &delivery.payload {
        Payload::Frame(frame) => frame.id,
        other => panic!("not a frame: {other:?}"),
    }
}

pub(super) fn ids_of(batch: &Batch) -> Vec<FrameId> {
    batch.deliveries.iter().map(id_of).collect()
}

/// The same batch again: what a caller does that settles twice.
pub(super) fn copy_of(batch: &Batch) -> Batch {
    Batch::named(batch.partition, batch.token)
}

/// Lets a call begin; dropping it then is what a cancelled caller does.
pub(super) fn poll_once<T>(future: &mut Pin<Box<dyn Future<Output = T> + Send + '_>>) -> Poll<T> {
    future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
}

impl Ports {
    /// Enqueues one after the other.
    pub(super) async fn put(&self, frames: impl IntoIterator<Item = Frame>) -> Vec<Durability> {
        let mut answers = Vec::new();
        for frame in frames {
            answers.push(self.producer.enqueue(frame).await.unwrap());
        }
        answers
    }

    /// Receives until there is nothing more; the batches stay held.
    pub(super) async fn take_all(&self) -> Vec<Batch> {
        let mut batches = Vec::new();
        loop {
            let batch = self.consumer.receive(all()).await.unwrap();
            if batch.deliveries.is_empty() {
                return batches;
            }
            batches.push(batch);
        }
    }
}

/// The frames that wait: delivered, and after a kill delivered once more, which must be the same.
pub(super) async fn delivered_twice(subject: &mut dyn Subject) -> Vec<FrameId> {
    let first: Vec<FrameId> = subject
        .ports()
        .take_all()
        .await
        .iter()
        .flat_map(ids_of)
        .collect();
    subject.kill().await;
    let second: Vec<FrameId> = subject
        .ports()
        .take_all()
        .await
        .iter()
        .flat_map(ids_of)
        .collect();
    assert_eq!(
        first, second,
        "what was held when the process died is delivered again, in order"
    );
    second
}
