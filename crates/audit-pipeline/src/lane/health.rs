//! Whether the store takes writes: the breaker, and the probe that closes it again.

use std::time::Duration;

use audit_runtime::{Backoff, Breaker, BreakerState, Fault, Faulty};
use audit_store::StoreError;

use super::{End, Lane, LaneParts};
use crate::metric;
use crate::outward::ask;

/// Probes the store when the breaker allows it; `true` when it takes writes, and the breaker is closed.
pub(super) async fn store_answers(parts: &LaneParts, limit: Duration) -> bool {
    if !parts.breaker.allows() {
        return false;
    }
    // Contained: a probe that neither succeeds nor fails would leave the breaker half-open for ever.
    let answers = match ask(limit, parts.store.writer.probe()).await {
        Ok(()) => {
            parts.breaker.succeeded();
            true
        }
        Err(error) => {
            parts.breaker.failed();
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the store takes no writes"
            );
            false
        }
    };
    show(&parts.breaker);
    answers
}

/// A look-up that failed says as much of the store as a commit does, and it may be all that a lane without work ever asks.
pub(super) fn note_outage(parts: &LaneParts, error: &StoreError) {
    if error.fault() == Fault::Outage {
        parts.breaker.failed();
        show(&parts.breaker);
    }
}

impl Lane {
    /// Closes the breaker when the store is back, for a lane that stands by and would never find out by a commit.
    pub(super) async fn look_at_store(&self) {
        if self.parts.breaker.state() != BreakerState::Closed {
            store_answers(&self.parts, self.settings.call_timeout).await;
        }
    }

    /// Waits, without limit, until the store takes writes; what is held is renewed meanwhile.
    pub(super) async fn wait_for_store(&self, backoff: &mut Backoff) -> Result<(), End> {
        self.parts.breaker.failed();
        show(&self.parts.breaker);
        loop {
            self.pause(backoff.next_wait(&*self.parts.random)).await;
            if self.parts.shutdown.is_begun() {
                return Err(End::Asked);
            }
            if store_answers(&self.parts, self.settings.call_timeout).await {
                return Ok(());
            }
        }
    }
}

fn show(breaker: &Breaker) {
    let state = match breaker.state() {
        BreakerState::Closed => 0.0,
        BreakerState::HalfOpen => 1.0,
        BreakerState::Open => 2.0,
    };
    metrics::gauge!(metric::BREAKER).set(state);
}
