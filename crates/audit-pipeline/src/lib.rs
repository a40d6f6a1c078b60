//! The flows of an event, over ports only: *accept* (read, judge, stamp, enqueue), *settle* (receive, process, seal,
//! commit, let go), and what follows a commit: signer, directory, verification runs, followers.
//!
//! What it is not: it knows no database, no broker and no protocol; products stand behind `audit-store`'s and
//! `audit-queue`'s ports. It reads no configuration text and asks only the clock and the random source it is handed.
//!
//! Order, retries and crash points are here and nowhere else. The crash points `C1`, `C2`, ... in the code are explained
//! in `docs/crash-points.md`.

pub mod accept;
pub mod checkpointed;
pub mod dead_letters;
pub mod detection;
pub mod directory;
pub mod followed;
pub mod follower;
mod frontier;
pub mod health;
pub mod hubs;
pub mod lane;
pub mod metric;
mod outward;
pub mod overflow;
pub mod processor;
pub mod rates;
pub mod signer;
pub mod sources;
pub mod status;
pub mod steward;
pub mod verification;

pub use accept::{
    AcceptError, AcceptParts, AcceptRequest, AcceptSettings, Accepted, Acceptor, Ack, Caller, Item,
    ItemResult, ItemStatus, own_event,
};
pub use checkpointed::Checkpointed;
pub use detection::{Detection, DetectionError, DetectionParts, Feed};
pub use directory::{Directory, DirectoryError, DirectoryPorts};
pub use follower::TextFollower;
pub use health::Health;
pub use hubs::{Address, EventOutcome, FrameOutcome, Settlements};
pub use lane::{Lane, LaneParts, LaneSettings, LaneSwitch, OnMismatch, ProofPolicy};
pub use overflow::{OverflowHealth, OverflowSettings, OverflowState, Spool};
pub use processor::{Annotations, HealthCheck, Plugin, Processor, Refusal, Registry};
pub use rates::KeyRates;
pub use signer::{SignError, Signer, SignerPorts};
pub use sources::{Source, SourceStanding, Sources};
pub use steward::Steward;
pub use verification::{Verification, VerificationPorts, VerifyError, VerifyRequest};
