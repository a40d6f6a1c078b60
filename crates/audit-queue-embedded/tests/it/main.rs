//! The embedded queue against its contract, crashes and a full disk.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "what is made for tests is part of the tests"
)]

mod conformance;
mod delivery;
mod full_disk;
mod kill;
mod made;
mod model;
