//! One handler's way through its outbox.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use audit_runtime::{Backoff, Random, ShutdownSignal};
use audit_store::{Alerts, Delivery};
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};

use super::DispatchSettings;
use crate::handler::{AlertHandler, HandlerError};
use crate::metric;
use crate::notice::Notice;
use crate::trail::{Step, Trail};

/// Who is told.
#[derive(Clone, Copy)]
pub(super) enum Told<'a> {
    /// Somebody, of notices; given up some time.
    Handler(&'a dyn AlertHandler),
    /// The audit trail, of steps; never given up.
    Trail(&'a dyn Trail),
}

pub(super) struct Course<'a> {
    pub(super) alerts: &'a dyn Alerts,
    pub(super) name: &'a str,
    pub(super) told: Told<'a>,
    pub(super) settings: &'a DispatchSettings,
    pub(super) random: &'a dyn Random,
}

/// Wait after the store could not be read, at most.
const STORE_WAIT_MAX: Duration = Duration::from_secs(30);
/// Bytes of a reason that are kept.
const REASON_BYTES_MAX: usize = 500;

impl Course<'_> {
    pub(super) async fn run(&self, shutdown: &ShutdownSignal) {
        let mut under_way = FuturesUnordered::new();
        let mut store = Backoff::new(self.settings.idle, STORE_WAIT_MAX);
        let most = usize::try_from(self.settings.groups_max)
            .unwrap_or(1)
            .max(1);
        while !shutdown.is_begun() {
            let free = u32::try_from(most.saturating_sub(under_way.len())).unwrap_or(0);
            let taken = match free {
                0 => Ok(Vec::new()),
                _ => {
                    let take = self.alerts.take(self.name, self.hold(), free);
                    go_on(take, &mut under_way).await
                }
            };
            let wait = match taken {
                Ok(deliveries) => {
                    store.reset();
                    under_way.extend(deliveries.into_iter().map(|taken| self.tell(taken)));
                    self.settings.idle
                }
                Err(error) => {
                    tracing::warn!(handler = self.name, %error, "the outbox of alerts cannot be read");
                    store.next_wait(self.random).max(self.settings.idle)
                }
            };
            // One that is told makes room, and may let the next one of its group go.
            tokio::select! {
                Some(()) = under_way.next() => {}
                () = tokio::time::sleep(wait) => {}
                () = shutdown.begun() => {}
            }
        }
        let finish = async { while under_way.next().await.is_some() {} };
        if tokio::time::timeout(self.settings.drain, finish)
            .await
            .is_err()
        {
            tracing::warn!(handler = self.name, "notices under way will be told again");
        }
    }

    /// Longer than a handler has, and than it takes to say what became of it.
    fn hold(&self) -> Duration {
        self.settings.hold.max(self.settings.timeout * 2)
    }

    async fn tell(&self, taken: Delivery) {
        let told = AssertUnwindSafe(self.attempt(&taken)).catch_unwind();
        let told = match tokio::time::timeout(self.settings.timeout, told).await {
            Ok(Ok(told)) => told,
            Ok(Err(_panic)) => Err(HandlerError::later("the handler panicked")),
            Err(_elapsed) => Err(HandlerError::later("the handler took too long")),
        };
        let outcome = match &told {
            Ok(()) => "told",
            Err(HandlerError::Refused { .. }) => "given_up",
            Err(HandlerError::Later { .. }) if self.was_last(&taken) => "given_up",
            Err(HandlerError::Later { .. }) => "put_off",
        };
        let settled = match told {
            Ok(()) => self.alerts.delivered(taken.number).await,
            Err(HandlerError::Later { after, reason }) if outcome == "put_off" => {
                let wait = self.wait(taken.attempts, after);
                let reason = shortened(&reason);
                tracing::info!(
                    handler = self.name,
                    key = taken.what.key,
                    reason,
                    "an alert could not be told yet"
                );
                self.alerts.put_off(&taken, wait, reason).await
            }
            Err(HandlerError::Later { reason, .. } | HandlerError::Refused { reason }) => {
                let reason = shortened(&reason);
                tracing::error!(
                    handler = self.name,
                    key = taken.what.key,
                    reason,
                    "an alert was given up"
                );
                self.alerts.give_up(&taken, reason).await
            }
        };
        metrics::counter!(metric::DELIVERIES, "handler" => self.name.to_owned(), "outcome" => outcome)
            .increment(1);
        if let Err(error) = settled {
            // Its hold ends, and it is told again under the same key.
            tracing::warn!(handler = self.name, key = taken.what.key, %error, "what became of an alert's notice was not kept");
        }
    }

    async fn attempt(&self, taken: &Delivery) -> Result<(), HandlerError> {
        let payload = &taken.what.payload;
        match self.told {
            Told::Handler(handler) => {
                let notice: Notice = read(payload)?;
                handler.handle(&notice).await
            }
            Told::Trail(trail) => {
                let step: Step = read(payload)?;
                trail.record(&step).await.map_err(HandlerError::later)
            }
        }
    }

    fn was_last(&self, taken: &Delivery) -> bool {
        match self.told {
            Told::Handler(_) => taken.attempts >= self.settings.attempts_max,
            Told::Trail(_) => false,
        }
    }

    /// Twice the last one, less a random part; not before the receiver wants it, within bounds.
    fn wait(&self, attempts: u32, after: Option<Duration>) -> Duration {
        let doubled = 1_u32
            .checked_shl(attempts.saturating_sub(1).min(20))
            .unwrap_or(u32::MAX);
        let step = self.settings.first_wait.saturating_mul(doubled);
        let step = step.min(self.settings.wait_max);
        // A backoff of one step: a random part of it.
        let random = Backoff::new(step / 2, step / 2).next_wait(self.random);
        let wanted = after.unwrap_or_default().min(self.settings.wait_max);
        (step / 2 + random).max(wanted)
    }
}

/// Waits for the store, and lets those that are under way go on meanwhile. Dropped half-way it would leave held what it took.
async fn go_on<T>(
    store: impl Future<Output = T>,
    under_way: &mut FuturesUnordered<impl Future<Output = ()>>,
) -> T {
    tokio::pin!(store);
    loop {
        tokio::select! {
            done = &mut store => return done,
            Some(()) = under_way.next() => {}
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(payload: &str) -> Result<T, HandlerError> {
    serde_json::from_str(payload)
        .map_err(|error| HandlerError::refused(format!("what was kept cannot be read: {error}")))
}

fn shortened(reason: &str) -> &str {
    reason
        .get(..reason.floor_char_boundary(REASON_BYTES_MAX))
        .unwrap_or_default()
}
