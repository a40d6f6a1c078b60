//! The two ways in: for every frame, and for critical ones past the mark.

use std::sync::Arc;

use async_trait::async_trait;
use audit_queue::{Depth, Durability, Frame, FrameId, FrameLookup, Producer, QueueError};

use super::direct::Direct;
use super::{OverflowSettings, OverflowState, Spool, sum};
use crate::metric;
use crate::outward::ask;
use crate::rates::KeyRates;

/// The broker, and the spool in its place while it is away.
#[derive(Debug)]
pub struct OverflowQueue {
    broker: Arc<dyn Producer>,
    broker_frames: Arc<dyn FrameLookup>,
    spool: Spool,
    state: OverflowState,
    settings: OverflowSettings,
}

impl OverflowQueue {
    /// Over a broker and a spool; `state` is what the drain shares.
    #[must_use]
    pub fn new(
        broker: Arc<dyn Producer>,
        broker_frames: Arc<dyn FrameLookup>,
        spool: Spool,
        state: OverflowState,
        settings: OverflowSettings,
    ) -> Self {
        Self {
            broker,
            broker_frames,
            spool,
            state,
            settings,
        }
    }
}

/// Whether the broker's answer stands, or means that it is away.
const fn stands(error: &QueueError) -> bool {
    match error {
        QueueError::Full { .. } | QueueError::Refused(_) | QueueError::Closed => true,
        // A lost answer may have been a yes: the spool sends the frame again, and its id tells the broker.
        QueueError::Unknown(_)
        | QueueError::Unavailable(_)
        | QueueError::Busy(_)
        | QueueError::NoSpace(_) => false,
        _ => false,
    }
}

#[async_trait]
impl Producer for OverflowQueue {
    async fn enqueue(&self, frame: Frame) -> Result<Durability, QueueError> {
        if !self.state.is_away() {
            let enqueuing = self.broker.enqueue(frame.clone());
            match ask(self.settings.broker_timeout, enqueuing).await {
                Err(error) if !stands(&error) => self.state.went_away(&error),
                answer => return answer,
            }
        }
        let events = frame.events.len();
        let durability = self.spool.producer.enqueue(frame).await?;
        count(events, "broker_away");
        Ok(durability)
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        // The spool first: a frame drained in between is counted twice rather than missed.
        let spool = self.spool.producer.depth().await?;
        let broker = ask(self.settings.broker_timeout, self.broker.depth()).await?;
        Ok(sum(broker, spool))
    }

    async fn pending(&self) -> Result<Option<u64>, QueueError> {
        ask(self.settings.broker_timeout, self.broker.pending()).await
    }
}

#[async_trait]
impl FrameLookup for OverflowQueue {
    async fn is_waiting(&self, id: FrameId) -> Result<bool, QueueError> {
        if self.spool.frames.is_waiting(id).await? {
            return Ok(true);
        }
        self.broker_frames.is_waiting(id).await
    }
}

/// The way past the mark: durable in the spool at once, and stored as soon as the store takes it.
#[derive(Debug)]
pub struct PastMark {
    spool: Spool,
    direct: Arc<Direct>,
    rates: Arc<KeyRates>,
    settings: OverflowSettings,
}

impl PastMark {
    /// Through a spool and a ledger of its own.
    #[must_use]
    pub fn new(spool: Spool, direct: Arc<Direct>, settings: OverflowSettings) -> Self {
        Self {
            spool,
            direct,
            rates: Arc::new(KeyRates::per_second(settings.critical_per_second)),
            settings,
        }
    }

    /// What bounds each key here, to be replaced while it works.
    #[must_use]
    pub fn rates(&self) -> Arc<KeyRates> {
        Arc::clone(&self.rates)
    }

    /// Whether every key in the frame is within its bound.
    fn admits(&self, frame: &Frame) -> bool {
        frame
            .events
            .chunk_by(|a, b| a.api_key_id == b.api_key_id)
            .all(|run| {
                let key = run.first().map_or("", |event| event.api_key_id.as_str());
                self.rates.admit(key, run.len()).is_ok()
            })
    }
}

#[async_trait]
impl Producer for PastMark {
    async fn enqueue(&self, frame: Frame) -> Result<Durability, QueueError> {
        let durability = self.spool.producer.enqueue(frame.clone()).await?;
        let events = frame.events.len();
        // Whatever becomes of the short way, the spool has the frame: it is accepted.
        if self.admits(&frame)
            && self
                .direct
                .commit(frame, self.settings.direct_timeout)
                .await
        {
            count(events, "stored_directly");
        } else {
            count(events, "spooled");
        }
        Ok(durability)
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        self.spool.producer.depth().await
    }
}

fn count(events: usize, how: &'static str) {
    metrics::counter!(metric::OVERFLOWED, "how" => how)
        .increment(u64::try_from(events).unwrap_or(u64::MAX));
}
