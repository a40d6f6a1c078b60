//! Whether the broker is there and keeps what it acknowledges, for readiness.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use audit_pipeline::Health;
use audit_queue_redis::{NotReady, RedisQueue};
use audit_runtime::ShutdownSignal;

use crate::running::Probe;

/// How often it is asked.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// What it means that the broker is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WhenAway {
    /// Nothing is taken.
    Failing,
    /// A spool takes over.
    Degraded,
}

/// Asks the broker in the background, so that readiness never waits for it.
#[derive(Clone)]
pub(super) struct Broker {
    queue: Arc<RedisQueue>,
    when_away: WhenAway,
    health: Arc<Mutex<Health>>,
}

impl Broker {
    pub(super) fn new(queue: Arc<RedisQueue>, when_away: WhenAway) -> Self {
        Self {
            queue,
            when_away,
            health: Arc::new(Mutex::new(Health::Working)),
        }
    }

    pub(super) fn probe(&self) -> Probe {
        let health = Arc::clone(&self.health);
        Arc::new(move || {
            let health = health.lock().unwrap_or_else(PoisonError::into_inner);
            ("broker".to_owned(), health.clone())
        })
    }

    pub(super) async fn watch(self, shutdown: ShutdownSignal) {
        loop {
            let found = self.ask().await;
            *self.health.lock().unwrap_or_else(PoisonError::into_inner) = found;
            if !shutdown.pause(ASK_EVERY).await {
                return;
            }
        }
    }

    async fn ask(&self) -> Health {
        match (self.queue.ready().await, self.when_away) {
            (Ok(_durability), _) => Health::Working,
            (Err(NotReady::Away(_)), WhenAway::Degraded) => {
                Health::Degraded("away; the spool takes over".to_owned())
            }
            // In words for an operator, without an address or a password.
            (Err(error), _) => Health::Failing(error.to_string()),
        }
    }
}
