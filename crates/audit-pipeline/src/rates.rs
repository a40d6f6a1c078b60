//! How many events one API key may send in a second.

use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

/// Keys remembered before those that are idle are forgotten.
const REMEMBERED_MAX: usize = 10_000;

/// Counts events by key, with a burst of one second's worth. The bound can be replaced while others count.
#[derive(Debug)]
pub struct KeyRates {
    /// Held for moments only, never while waiting.
    bound: RwLock<Option<Arc<Bound>>>,
    clock: DefaultClock,
}

#[derive(Debug)]
struct Bound {
    limiter: RateLimiter<String, HashMapStateStore<String>, DefaultClock>,
    burst: u32,
}

impl Bound {
    fn per_second(events: u32) -> Self {
        let burst = NonZeroU32::new(events).unwrap_or(NonZeroU32::MIN);
        Self {
            limiter: RateLimiter::hashmap(Quota::per_second(burst)),
            burst: burst.get(),
        }
    }
}

impl KeyRates {
    /// So many events a second for each key, at least 1.
    #[must_use]
    pub fn per_second(events: u32) -> Self {
        Self::new(Some(events))
    }

    /// So many events a second for each key, at least 1; any number of them when `None`.
    #[must_use]
    pub fn new(events: Option<u32>) -> Self {
        Self {
            bound: RwLock::new(events.map(|events| Arc::new(Bound::per_second(events)))),
            clock: DefaultClock::default(),
        }
    }

    /// Counts by this bound from now on, as [`Self::new`] has it. Under another bound than before every key begins anew; the
    /// same bound changes nothing.
    pub fn set(&self, events: Option<u32>) {
        let bound = events.map(|events| Arc::new(Bound::per_second(events)));
        let mut held = self.bound.write().unwrap_or_else(PoisonError::into_inner);
        let burst = |bound: &Option<Arc<Bound>>| bound.as_ref().map(|bound| bound.burst);
        if burst(&bound) != burst(&held) {
            *held = bound;
        }
    }

    fn bound(&self) -> Option<Arc<Bound>> {
        // Replaced as a whole, so whole after any panic.
        let bound = self.bound.read().unwrap_or_else(PoisonError::into_inner);
        bound.clone()
    }

    /// Counts `events` of a key, or says how long to wait; nothing is counted then.
    ///
    /// More than a second's worth counts as one second's worth: a large batch must be possible at all.
    ///
    /// # Errors
    /// How long until so many fit.
    pub fn admit(&self, key: &str, events: usize) -> Result<(), Duration> {
        let Some(bound) = self.bound() else {
            return Ok(());
        };
        let events = u32::try_from(events).unwrap_or(u32::MAX).min(bound.burst);
        let Some(events) = NonZeroU32::new(events) else {
            return Ok(());
        };
        if bound.limiter.len() > REMEMBERED_MAX {
            bound.limiter.retain_recent();
        }
        match bound.limiter.check_key_n(&key.to_owned(), events) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => Err(not_until.wait_time_from(self.clock.now())),
            // Cannot be: no more than the burst is asked for.
            Err(_too_many) => Err(Duration::from_secs(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_a_seconds_worth_at_once_and_no_other_key_pays_for_it() {
        let rates = KeyRates::per_second(10);
        assert_eq!(rates.admit("a", 6), Ok(()));
        let wait = rates.admit("a", 6).expect_err("only four are left");
        assert!(
            wait > Duration::ZERO && wait <= Duration::from_secs(1),
            "{wait:?}"
        );
        assert_eq!(rates.admit("a", 4), Ok(()), "a refusal counted nothing");
        assert_eq!(
            rates.admit("b", 1_000),
            Ok(()),
            "a large batch is a second's worth"
        );
        assert!(rates.admit("b", 1).is_err());
        assert_eq!(rates.admit("b", 0), Ok(()));
    }

    #[test]
    fn a_new_bound_holds_at_once_and_the_same_one_forgives_nothing() {
        let rates = KeyRates::new(None);
        assert_eq!(rates.admit("a", 1_000_000), Ok(()), "no bound");
        rates.set(Some(10));
        assert_eq!(rates.admit("a", 10), Ok(()));
        assert!(rates.admit("a", 1).is_err());
        rates.set(Some(10));
        assert!(rates.admit("a", 1).is_err(), "as it was");
        rates.set(Some(100));
        assert_eq!(rates.admit("a", 90), Ok(()));
        assert!(rates.admit("a", 90).is_err());
        rates.set(None);
        assert_eq!(rates.admit("a", 1_000_000), Ok(()));
    }
}
