//! The flows of Audit Worker over ports only: accept, lanes, signer, directory, verification runs, followers.
//!
//! What it is not: it knows no product behind a port, no configuration text and no HTTP. Order, retries and crash points are
//! what it is about, so that a simulation can run it whole.

pub mod checkpointed;
pub mod directory;
mod frontier;
pub mod signer;

pub use checkpointed::Checkpointed;
pub use directory::{Directory, DirectoryError, DirectoryPorts};
pub use signer::{SignError, Signer, SignerPorts};
