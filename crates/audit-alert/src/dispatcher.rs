//! From the outbox to the handlers.

mod course;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use audit_runtime::{Clock as _, Random, ShutdownSignal, SystemClock};
use audit_store::{Alerts, OutboxState};
use futures::future::join_all;

use self::course::{Course, Told};
use crate::handler::AlertHandler;
use crate::metric;
use crate::policy::TRAIL;
use crate::trail::Trail;

/// How notices are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DispatchSettings {
    /// Attempts after which a notice is given up.
    pub attempts_max: u32,
    /// The wait after the first failure; it doubles with each one, and a random part of up to a half is taken off.
    pub first_wait: Duration,
    /// The longest wait, also when a receiver asks for a longer one.
    pub wait_max: Duration,
    /// How long a handler has for one notice.
    pub timeout: Duration,
    /// How long a notice that was taken is held from other processes; at least twice the time-out is used.
    pub hold: Duration,
    /// Groups that a handler is told of at a time.
    pub groups_max: u32,
    /// How often the outbox is looked at while it is empty.
    pub idle: Duration,
    /// How long handlers that are at work have when the process stops.
    pub drain: Duration,
}

impl Default for DispatchSettings {
    /// About a day of attempts.
    fn default() -> Self {
        Self {
            attempts_max: 40,
            first_wait: Duration::from_secs(2),
            wait_max: Duration::from_secs(60 * 60),
            timeout: Duration::from_secs(15),
            hold: Duration::from_secs(60),
            groups_max: 8,
            idle: Duration::from_secs(1),
            drain: Duration::from_secs(5),
        }
    }
}

/// Tells handlers what waits for them in the outbox: each handler by itself, so that a slow or dead one delays no other. Any number of
/// dispatchers, in any processes, may work on one outbox. What waits for a handler that none of them has stays there.
pub struct Dispatcher {
    alerts: Arc<dyn Alerts>,
    handlers: Vec<(String, Arc<dyn AlertHandler>)>,
    settings: DispatchSettings,
    random: Arc<dyn Random>,
    trail: Arc<dyn Trail>,
}

impl fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self
            .handlers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        f.debug_struct("Dispatcher")
            .field("handlers", &names)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// How often the outbox's gauges are renewed.
const GAUGES_EVERY: Duration = Duration::from_secs(10);

impl Dispatcher {
    /// A dispatcher of these handlers, by name, and of the trail, whose steps wait in the same outbox.
    #[must_use]
    pub fn new(
        alerts: Arc<dyn Alerts>,
        handlers: Vec<(String, Arc<dyn AlertHandler>)>,
        settings: DispatchSettings,
        random: Arc<dyn Random>,
        trail: Arc<dyn Trail>,
    ) -> Self {
        Self {
            alerts,
            handlers,
            settings,
            random,
            trail,
        }
    }

    /// Tells until stop is said, then lets those at work finish. Dropped half-way, what was under way is told again later.
    pub async fn run(&self, shutdown: ShutdownSignal) {
        let handlers = self.handlers.iter();
        let handlers =
            handlers.map(|(name, handler)| (name.as_str(), Told::Handler(handler.as_ref())));
        let trail = (TRAIL, Told::Trail(self.trail.as_ref()));
        let courses = handlers.chain(std::iter::once(trail)).map(|(name, told)| {
            let course = Course {
                alerts: self.alerts.as_ref(),
                name,
                told,
                settings: &self.settings,
                random: self.random.as_ref(),
            };
            let shutdown = shutdown.clone();
            async move { course.run(&shutdown).await }
        });
        tokio::join!(join_all(courses), self.show(&shutdown));
    }

    /// Keeps the gauges of the outbox.
    async fn show(&self, shutdown: &ShutdownSignal) {
        loop {
            match self.alerts.outbox().await {
                Ok(outbox) => {
                    let names = self.handlers.iter().map(|(name, _handler)| name.as_str());
                    for name in names.chain([TRAIL]) {
                        show(name, outbox.iter().find(|state| state.handler == name));
                    }
                }
                Err(error) => tracing::warn!(%error, "the outbox of alerts cannot be read"),
            }
            if !shutdown.pause(GAUGES_EVERY).await {
                return;
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn show(handler: &str, state: Option<&OutboxState>) {
    let label = || handler.to_owned();
    let waiting = state.map_or(0, |state| state.waiting);
    let dead = state.map_or(0, |state| state.dead);
    let oldest = state.and_then(|state| state.oldest);
    // The store's clock wrote it. A gauge may be as wrong as the two differ.
    let age = oldest.map_or(0, |oldest| {
        SystemClock
            .now_micros()
            .saturating_sub(oldest.micros())
            .max(0)
    });
    metrics::gauge!(metric::OUTBOX_WAITING, "handler" => label()).set(waiting as f64);
    metrics::gauge!(metric::OUTBOX_GIVEN_UP, "handler" => label()).set(dead as f64);
    metrics::gauge!(metric::OUTBOX_OLDEST_SECONDS, "handler" => label()).set(age as f64 / 1e6);
}
