//! The circuit breaker: closed, open, half-open with one probe.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What the breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Everything.
    Closed,
    /// Nothing.
    Open,
    /// One probe.
    HalfOpen,
}

/// Opens after consecutive outages, lets one probe through after a pause, closes when the probe succeeds.
///
/// Shared by the tasks of one backend; the lock is never held across a wait.
#[derive(Debug)]
pub struct Breaker {
    state: Mutex<Inner>,
}

/// When a [`Breaker`] opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Outages in a row.
    pub failures_max: u32,
    /// How long nothing is let through then.
    pub pause: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures_max: 3,
            pause: Duration::from_secs(1),
        }
    }
}

#[derive(Debug)]
struct Inner {
    settings: BreakerSettings,
    failures: u32,
    opened_at: Option<Instant>,
    probing: bool,
}

impl Breaker {
    /// Opens after `failures_max` outages in a row, for `pause`.
    #[must_use]
    pub const fn new(failures_max: u32, pause: Duration) -> Self {
        Self {
            state: Mutex::new(Inner {
                settings: BreakerSettings {
                    failures_max,
                    pause,
                },
                failures: 0,
                opened_at: None,
                probing: false,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while holding this lock leaves plain counters, which are safe to go on with.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens and pauses by these settings from now on, also when it is open: a shorter pause ends sooner.
    pub fn set(&self, settings: BreakerSettings) {
        self.lock().settings = settings;
    }

    /// Whether a call may be made now. In half-open state only the first caller gets `true`, and must report.
    pub fn allows(&self) -> bool {
        let mut inner = self.lock();
        match inner.opened_at {
            None => true,
            Some(at) if at.elapsed() >= inner.settings.pause && !inner.probing => {
                inner.probing = true;
                true
            }
            Some(_) => false,
        }
    }

    /// The call reached the backend.
    pub fn succeeded(&self) {
        let mut inner = self.lock();
        inner.failures = 0;
        inner.opened_at = None;
        inner.probing = false;
    }

    /// The backend was away.
    pub fn failed(&self) {
        let mut inner = self.lock();
        inner.failures = inner.failures.saturating_add(1);
        inner.probing = false;
        if inner.failures >= inner.settings.failures_max {
            inner.opened_at = Some(Instant::now());
        }
    }

    /// The state, for status and metrics.
    pub fn state(&self) -> BreakerState {
        let inner = self.lock();
        match inner.opened_at {
            None => BreakerState::Closed,
            Some(at) if inner.probing || at.elapsed() >= inner.settings.pause => {
                BreakerState::HalfOpen
            }
            Some(_) => BreakerState::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn opens_after_failures_in_a_row_and_lets_one_probe_through() {
        let breaker = Breaker::new(2, Duration::from_secs(1));
        breaker.failed();
        assert!(breaker.allows());
        breaker.failed();
        assert_eq!(
            (breaker.allows(), breaker.state()),
            (false, BreakerState::Open)
        );
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert_eq!(
            (breaker.allows(), breaker.allows()),
            (true, false),
            "one probe only"
        );
        breaker.failed();
        assert!(!breaker.allows(), "a failed probe opens it again");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(breaker.allows());
        breaker.succeeded();
        assert_eq!(
            (breaker.allows(), breaker.state()),
            (true, BreakerState::Closed)
        );
    }

    #[test]
    fn a_success_between_failures_keeps_it_closed() {
        let breaker = Breaker::new(2, Duration::from_secs(1));
        breaker.failed();
        breaker.succeeded();
        breaker.failed();
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn new_settings_hold_at_once_also_while_it_is_open() {
        let breaker = Breaker::new(5, Duration::from_secs(60));
        breaker.failed();
        let settings = |failures_max, seconds| BreakerSettings {
            failures_max,
            pause: Duration::from_secs(seconds),
        };
        breaker.set(settings(2, 60));
        assert!(breaker.allows(), "what failed once is not left alone");
        breaker.failed();
        assert_eq!(breaker.state(), BreakerState::Open);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(!breaker.allows());
        breaker.set(settings(2, 1));
        assert!(breaker.allows(), "the shorter pause is over");
        breaker.succeeded();
        breaker.failed();
        assert!(breaker.allows());
        breaker.failed();
        assert!(!breaker.allows(), "the settings outlive a success");
    }
}
