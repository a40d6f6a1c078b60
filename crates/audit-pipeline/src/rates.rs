//! How many events one API key may send in a second.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

/// Keys remembered before those that are idle are forgotten.
const REMEMBERED_MAX: usize = 10_000;

/// Counts events by key, with a burst of one second's worth.
#[derive(Debug)]
pub struct KeyRates {
    limiter: RateLimiter<String, HashMapStateStore<String>, DefaultClock>,
    clock: DefaultClock,
    burst: u32,
}

impl KeyRates {
    /// So many events a second for each key, at least 1.
    #[must_use]
    pub fn per_second(events: u32) -> Self {
        let burst = NonZeroU32::new(events).unwrap_or(NonZeroU32::MIN);
        Self {
            limiter: RateLimiter::hashmap(Quota::per_second(burst)),
            clock: DefaultClock::default(),
            burst: burst.get(),
        }
    }

    /// Counts `events` of a key, or says how long to wait; nothing is counted then.
    ///
    /// More than a second's worth counts as one second's worth: a large batch must be possible at all.
    ///
    /// # Errors
    /// How long until so many fit.
    pub fn admit(&self, key: &str, events: usize) -> Result<(), Duration> {
        let events = u32::try_from(events).unwrap_or(u32::MAX).min(self.burst);
        let Some(events) = NonZeroU32::new(events) else {
            return Ok(());
        };
        if self.limiter.len() > REMEMBERED_MAX {
            self.limiter.retain_recent();
        }
        match self.limiter.check_key_n(&key.to_owned(), events) {
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
}
