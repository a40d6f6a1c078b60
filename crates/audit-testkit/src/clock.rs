//! Time and random bytes that do what the test says.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use audit_runtime::{Clock, Random};

/// Stands still until it is told to go on. Cheap to clone; clones show the same time.
#[derive(Debug, Clone)]
pub struct ManualClock {
    micros: Arc<AtomicI64>,
}

impl ManualClock {
    /// Shows this time (microseconds since 1970-01-01T00:00:00Z).
    #[must_use]
    pub fn at_micros(micros: i64) -> Self {
        Self {
            micros: Arc::new(AtomicI64::new(micros)),
        }
    }

    /// Goes on.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).expect("less than 292,000 years");
        self.micros.fetch_add(by, Ordering::SeqCst);
    }

    /// Shows another time, an earlier one too: clocks do that.
    pub fn set_micros(&self, micros: i64) {
        self.micros.store(micros, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_micros(&self) -> i64 {
        self.micros.load(Ordering::SeqCst)
    }
}

/// The same bytes for the same seed (SplitMix64). For tests only: anybody can foretell them.
#[derive(Debug, Clone)]
pub struct SeededRandom {
    state: Arc<Mutex<u64>>,
}

impl SeededRandom {
    /// From this seed on.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            state: Arc::new(Mutex::new(seed)),
        }
    }

    /// The next number.
    #[must_use]
    pub fn next_u64(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        self.next_u64() % bound
    }
}

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk
                .iter_mut()
                .zip(self.next_u64().to_le_bytes())
                .for_each(|(byte, random)| *byte = random);
        }
    }
}
