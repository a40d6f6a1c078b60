//! The key directory: every key of a deployment in files that only its user can read, and the file anchor.
//!
//! What it is not: it decides nothing about ledgers and knows no database. The key ring will stand behind the same ports
//! ([`audit_integrity::keys::KeySource`], [`audit_integrity::checkpoint::CheckpointAnchor`]).
//!
//! ```text
//! DIR/                        0700
//!   deployment-id             written last when the directory is made
//!   lane.key                  key of the head MACs, hexadecimal
//!   signing/ledger-0.key      C2SP signer key of one ledger; signing/directory.key
//!   producers/SCHEME/KEYID    secrets shared with producers, put there by the operator
//!   verifier.key              C2SP verifier keys, one a line: public, hand it out
//! ```
//!
//! Every secret file is 0600; anything wider is refused with the command that mends it. A file appears whole or not at all:
//! it is written beside its place, fsync'd, renamed, and the directory is fsync'd. One process at a time opens or completes
//! the directory; the caller's lock sees to that. Afterwards any number may read it, and appends to the anchor lock it.

mod anchor;
mod deployment;
mod directory;
mod error;
mod files;
mod producers;

pub use anchor::FileAnchor;
pub use directory::KeyDir;
pub use error::KeyDirError;
