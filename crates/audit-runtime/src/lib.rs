//! Time and failure: the clock, random bytes, faults, backoff, the circuit breaker, shutdown, supervised tasks, and text that never prints.
//!
//! What it is not: it knows no event, no store and no protocol. Everything that waits, retries or ends a process in an
//! orderly way goes through here, so that a test can put a paused clock and a seeded random source underneath.

pub mod backoff;
pub mod breaker;
pub mod clock;
pub mod fault;
mod secret;
pub mod shutdown;
pub mod tasks;

pub use backoff::Backoff;
pub use breaker::{Breaker, BreakerSettings, BreakerState};
pub use clock::{Clock, Random, SystemClock, SystemRandom};
pub use fault::{Fault, Faulty};
pub use secret::Secret;
pub use shutdown::{Shutdown, ShutdownSignal};
pub use tasks::Tasks;
