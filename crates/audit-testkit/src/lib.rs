//! Shared test tools. **A dev-dependency only**: nothing here has a place in a release build, and the rooms test says so.
//!
//! What it is not: no mock of anything that can run for real. Stores, queues and binaries under test are the real ones; this crate starts
//! them, gets between them and their callers, and feeds them.
//!
//! | module | for |
//! |---|---|
//! | [`child`] | processes under test: kill -9, SIGTERM, bounded waits, captured output |
//! | [`wait`] | waiting for a condition instead of for a time |
//! | [`net`] | free ports |
//! | [`redis`] | a Redis of the test's own |
//! | `s3` (feature `s3`) | a server that speaks S3, on a directory |
//! | [`fault_proxy`] | cutting, freezing, halving and refusing connections to any server |
//! | [`postgres`] | a private PostgreSQL server: kill -9, restart, a standby |
//! | [`pgbouncer`] | a pooler in front of it |
//! | [`script`], [`faulty_queue`], [`faulty_store`] | the real ports, failing as a script says |
//! | [`clock`] | time and random bytes that do what the test says |
//! | [`disk`] | a small file system that can be full |
//! | [`wrong_clock`] | a process whose clock is off |
//! | [`events`] | load, the same for the same seed |
//! | [`data`] | real records that are not part of this repository |
//! | [`rooms`], [`tidy`] | the rules of the house as checks |
//!
//! ```
//! use audit_runtime::Clock;
//! use audit_testkit::{clock::ManualClock, events::EventSource};
//!
//! let clock = ManualClock::at_micros(1_700_000_000_000_000);
//! clock.advance(std::time::Duration::from_secs(1));
//! assert_eq!(clock.now_micros(), 1_700_000_001_000_000);
//! assert_eq!(EventSource::new(7).take(3).collect::<Vec<_>>(), EventSource::new(7).take(3).collect::<Vec<_>>());
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test tools: a panic is how a test learns that something is wrong"
)]

pub mod child;
pub mod clock;
pub mod data;
pub mod disk;
pub mod events;
pub mod fault_proxy;
pub mod faulty_queue;
pub mod faulty_store;
pub mod net;
pub mod node;
pub mod pgbouncer;
pub mod postgres;
pub mod redis;
pub mod rooms;
#[cfg(feature = "s3")]
pub mod s3;
pub mod script;
pub mod tidy;
pub mod wait;
pub mod wrong_clock;

pub use tempfile::{TempDir, tempdir};
