//! Digests, entries, the Merkle ledger, checkpoints, proofs and verification of audit events.
//!
//! What it is not: it does not know where events are kept, what time it is, or how to wait. Keys are handed in. An
//! auditor compiles this crate and `audit-event`, and verifies an export offline.
//!
//! The bytes are specified in `docs/event-format.md`.

pub mod bundle;
pub mod checkpoint;
pub mod claim;
pub mod control;
pub mod digest;
pub mod documents;
pub mod entry;
pub mod head;
mod json;
pub mod keys;
pub mod ledger;
pub mod producer;
pub mod proof;
pub mod row;
mod spans;
pub mod tile;
pub mod tree;
pub mod verify;
