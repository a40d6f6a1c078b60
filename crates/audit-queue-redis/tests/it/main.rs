//! The Redis queue against its contract, crashes and bad connections, on real servers.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what is made for tests is part of the tests"
)]

mod conformance;
mod delivery;
mod faults;
mod list;
mod made;
mod places;
