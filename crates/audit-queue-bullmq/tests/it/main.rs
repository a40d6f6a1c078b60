//! BullMQ queues, filled, watched and operated by the real packages of both versions.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what is made for tests is part of the tests"
)]

mod ends;
mod fetching;
mod made;
mod many;
mod places;
mod stalls;
mod strange;
