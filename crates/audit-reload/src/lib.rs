//! From one configuration to the next while processes run: together, watched, and taken back when it hurts.
//!
//! What it is not: it does not know where a configuration comes from (`audit-config-source`), what it means (`audit-config`), or
//! how a part takes a new value (whoever implements [`Target`]).
//!
//! # How a change goes
//! 1. A process sees another document at the source, or is asked to look. It reads it; what is wrong with it is told, and nothing
//!    changes.
//! 2. It publishes the document's digest as the next *version* in the store. Of two processes that publish at the same time one
//!    wins; nobody publishes while a version is watched.
//! 3. Every process of the deployment that shares this configuration gets the document (from the source, or from its own kept
//!    copies), applies what needs no restart, and reports.
//! 4. Until the watch ends each looks at its own parts. Only a part that a changed key concerns counts, and only if it worked
//!    before: a database that is away for a moment does not take back a change of the log's filter.
//! 5. The watch ends well: the version is in force, and the document is the last good one. Or a process reports that it failed:
//!    the version is rolled back, which is a new version with the document before, for all. Any process may conclude; one does.
//!
//! The versions are read and written over the store as it was configured *before* the change, so that a change that makes the
//! store unreachable can still be taken back.

mod concern;
mod history;
mod ports;
mod reloader;
mod standing;
mod versions;

pub use history::{Chapter, chapters};
pub use ports::{Chronicle, Component, Read, Target};
pub use reloader::{Parts, Published, Refusal, Reloader, Request, Running};
pub use standing::Standing;
