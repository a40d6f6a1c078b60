//! Windows of detection that the processes of a deployment share, in Redis.
//!
//! What it is not: it evaluates nothing itself, [`audit_monitor::MemoryWindows`] does; it reads no ledger and starts no server. It needs
//! Redis 7.0 or later.
//!
//! ```no_run
//! use std::sync::Arc;
//! use audit_integrity::ledger::{LeafIndex, LedgerId};
//! use audit_monitor::{Engine, Limits, RuleSet, WindowStore};
//! use audit_monitor_redis::{Address, RedisWindows, Settings};
//! use audit_runtime::SystemRandom;
//!
//! # async fn wire() -> Result<(), Box<dyn std::error::Error>> {
//! let address: Address = "rediss://user:secret@redis.internal:6379/0".parse()?;
//! let engine = Arc::new(Engine::new(Arc::new(RuleSet::built_in()), Limits::default()));
//! // Connects when it is first used.
//! let windows = RedisWindows::new(Settings::at(address), engine, Arc::new(SystemRandom))?;
//! windows.begin(&[(LedgerId::Events(0), LeafIndex(0))]).await?;
//! // At the end: gives the evaluator's turn up, so that nobody has to wait for it.
//! windows.close().await;
//! # Ok(()) }
//! ```
//!
//! # How it works
//!
//! The state is a fold over a log. Four keys in one hash slot ([`Settings::name`] stands in braces):
//!
//! | key | type | holds |
//! |---|---|---|
//! | `{name:detection}:state` | hash | format version, name of this state, cursor and clock of each source, ends of the log |
//! | `{name:detection}:log` | stream | the batches after the snapshot; entries are numbered, and each has a mark of its own |
//! | `{name:detection}:snapshot` | hash | the windows as bytes, and the entry up to which they are folded |
//! | `{name:detection}:turn` | string | which process evaluates; runs out |
//!
//! *Applying* is one script: it appends the batch and moves the cursor, or refuses. The same call made again is recognised. A batch in
//! which nothing was observed, and whose clock hardly moved, moves only the cursor; its clock goes with the next entry of its source, so
//! that folding finds what applying each would have found.
//!
//! *Evaluating* is [`RedisWindows::raised`](audit_monitor::WindowStore::raised): whoever's turn it is folds what is new into windows in
//! its memory and is given the episodes; the others are given none. When that process calls no longer its turn runs out, and another
//! goes on from the snapshot and the log. The fold is a function of the log alone, so two evaluators at once find the same episodes
//! under the same ids: the turn saves work, nothing depends on it.
//!
//! *Snapshots* are taken while folding, and hold the episodes that are not settled. The script that keeps one refuses to go back, and
//! trims the log. What was settled after the newest snapshot is raised again by the next evaluator.
//!
//! # When Redis forgets
//!
//! It need not be durable. Everything gone is [`audit_monitor::WindowError::Lost`], until somebody begins. The newest batches gone
//! (a restart, a failover) is a cursor that went back: followers read on from there; and an evaluator that is ahead sees it by the mark of
//! its entry, and begins from the snapshot. A part gone, as an eviction does it, or bytes that cannot be read, which another version
//! of the product may have written: the state is given up, which everybody learns as `Lost`.

mod answer;
mod evaluator;
mod script;
mod settings;
mod windows;

pub use audit_redis::{Address, AddressError, LinkError, Tls};
pub use settings::{Settings, SettingsError};
pub use windows::{RedisWindows, Standing};
