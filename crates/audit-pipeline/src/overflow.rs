//! What happens to events that the broker does not take: the spool, and the way past the mark for critical ones.
//!
//! Two cases, and they are different. *The broker is away*: every frame goes to the spool on this disk, and from there to
//! the broker when it is back, under the same id. *The broker is past its mark*: ordinary events are refused, and `critical`
//! ones are committed straight to the store, through a ledger of their own.
//!
//! A frame that goes past the mark is put into the spool first, and drained from there like any other: the broker counts it
//! when there is room again, and a lane recognises it by its receipt. So nothing is lost whatever dies in between, and the
//! books stay exact without anybody counting twice.

mod direct;
mod drain;
mod queue;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use audit_queue::{Consumer, Depth, FrameLookup, Producer};
use tokio::time::Instant;

pub use direct::{Direct, DirectParts};
pub use drain::drain;
pub use queue::{OverflowQueue, PastMark};

use crate::metric;

/// Bounds of the overflow.
#[derive(Debug, Clone)]
pub struct OverflowSettings {
    /// How long the broker may take for a frame before it counts as away.
    pub broker_timeout: Duration,
    /// How long a critical event may take straight to the store before it is left to the spool.
    pub direct_timeout: Duration,
    /// Critical events of one API key that may go straight to the store each second.
    pub critical_per_second: u32,
}

impl Default for OverflowSettings {
    fn default() -> Self {
        Self {
            broker_timeout: Duration::from_secs(2),
            direct_timeout: Duration::from_secs(5),
            critical_per_second: 100,
        }
    }
}

/// The spool: a durable queue on this disk. The three are one object.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each port's own comment says it")]
pub struct Spool {
    pub producer: Arc<dyn Producer>,
    pub consumer: Arc<dyn Consumer>,
    pub frames: Arc<dyn FrameLookup>,
}

/// Whether the broker takes frames, and what waits in the spool; shared by those who enqueue and the one who drains.
#[derive(Debug, Clone, Default)]
pub struct OverflowState {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    away: Option<(Instant, String)>,
    spool: Depth,
}

/// How things stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverflowHealth {
    /// For how long the broker has been away, and why, when it is.
    pub away: Option<(Duration, String)>,
    /// What waits in the spool, as last seen.
    pub spool: Depth,
}

impl OverflowState {
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // Two values that are whole after any panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How things stand.
    #[must_use]
    pub fn health(&self) -> OverflowHealth {
        let inner = self.lock();
        OverflowHealth {
            away: inner
                .away
                .as_ref()
                .map(|(since, reason)| (since.elapsed(), reason.clone())),
            spool: inner.spool,
        }
    }

    fn is_away(&self) -> bool {
        self.lock().away.is_some()
    }

    fn went_away(&self, error: &audit_queue::QueueError) {
        let mut inner = self.lock();
        if inner.away.is_none() {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "the broker is away; the spool takes over"
            );
            inner.away = Some((Instant::now(), error.to_string()));
            metrics::gauge!(metric::BROKER_AWAY).set(1.0);
        }
    }

    fn came_back(&self) {
        let mut inner = self.lock();
        if let Some((since, _)) = inner.away.take() {
            tracing::info!(after = ?since.elapsed(), "the broker is back");
            metrics::gauge!(metric::BROKER_AWAY).set(0.0);
        }
    }

    fn spool_holds(&self, depth: Depth) {
        self.lock().spool = depth;
        let events = depth.events.saturating_add(depth.events_internal);
        let shown = u32::try_from(events).unwrap_or(u32::MAX);
        metrics::gauge!(metric::SPOOL_EVENTS).set(f64::from(shown));
    }
}

/// Both waiting at once.
fn sum(broker: Depth, spool: Depth) -> Depth {
    Depth {
        // A frame in the spool was accepted, and is counted by the broker only when it gets there.
        enqueued: broker.enqueued.saturating_add(spool.events),
        enqueued_internal: broker
            .enqueued_internal
            .saturating_add(spool.events_internal),
        frames: broker.frames.saturating_add(spool.frames),
        events: broker.events.saturating_add(spool.events),
        events_internal: broker.events_internal.saturating_add(spool.events_internal),
        bytes: broker.bytes.saturating_add(spool.bytes),
        oldest_micros: match (broker.oldest_micros, spool.oldest_micros) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        },
    }
}
