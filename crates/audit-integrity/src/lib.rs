//! Digests, entries, the Merkle ledger, checkpoints, proofs and verification of audit events.
//!
//! What it is not: it does not know where events are kept, what time it is, or how to wait. Keys are handed in. An
//! auditor compiles this crate and `audit-event`, and verifies an export offline.
//!
//! An event is *sealed* into a position of a ledger: its salted digest stands in an entry, the entry is a leaf of an
//! RFC 6962 tree, and the tree's root is signed as a C2SP checkpoint. Whoever has the ledger's verifier key can check
//! an event with its proof, offline and without trusting who hands it over:
//!
//! ```
//! use audit_event::{EventDraft, Timestamp};
//! use audit_integrity::checkpoint::{Checkpoint, SigningKey};
//! use audit_integrity::entry::{Place, Salt, seal};
//! use audit_integrity::ledger::{LeafIndex, LedgerId, Origin};
//! use audit_integrity::{claim::claim_of, head::CompactRange, proof::{Proof, verify_event}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let canonical = br#"{"action":"login","id":"0190a1b2-c3d4-7e5f-8a6b-000000000001","receivedAt":"2026-01-02T03:04:06.000000Z","status":"success","timestamp":"2026-01-02T03:04:05.000000Z"}"#;
//! let draft = EventDraft::from_canonical(canonical.to_vec()).map_err(|problems| format!("{problems:?}"))?;
//!
//! // A lane seals it into the first position of ledger 0. Salt and time come from outside.
//! let sealed_at = Timestamp::from_micros(1_767_323_047_000_000).ok_or("no such time")?;
//! let place = Place { ledger: LedgerId::Events(0), index: LeafIndex(0), sealed_at, salt: Salt([7; 16]) };
//! let claim = claim_of(draft.event());
//! let sealed = seal(draft, claim, &place);
//! let mut range = CompactRange::default();
//! range.push(sealed.leaf_hash);
//!
//! // The signer signs the tree.
//! let origin = Origin::new("audit.example/prod", LedgerId::Events(0));
//! let key = SigningKey::from_seed(&origin, &zeroize::Zeroizing::new([1; 32]));
//! let checkpoint = Checkpoint { origin, size: range.size(), root: range.root() };
//! let note = key.sign(&checkpoint.to_body())?.note;
//!
//! // An auditor checks the event. In a tree of one leaf the proof needs no hashes; else `tree::Question` gives them.
//! let proof = Proof { extra: None, index: LeafIndex(0), hashes: vec![], note };
//! let proven = verify_event(&sealed.entry, &place.salt, canonical, &proof, &key.verifier_key())?;
//! assert_eq!(proven.header.id.to_string(), "0190a1b2-c3d4-7e5f-8a6b-000000000001");
//! assert!(verify_event(&sealed.entry, &place.salt, b"{}", &proof, &key.verifier_key()).is_err());
//! # Ok(())
//! # }
//! ```
//!
//! The bytes are specified in `docs/event-format.md`; `tests/vectors/` holds worked examples that other languages can
//! check.

pub mod bundle;
pub mod checkpoint;
pub mod claim;
pub mod control;
pub mod digest;
pub mod documents;
pub mod entry;
pub mod head;
mod header;
mod json;
pub mod keys;
pub mod ledger;
pub mod pake_envelope;
pub mod producer;
pub mod proof;
pub mod row;
mod said;
mod spans;
pub mod tile;
pub mod tree;
pub mod verify;
