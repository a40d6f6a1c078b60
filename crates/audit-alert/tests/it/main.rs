//! Alerts, from episodes to receivers.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests: a broken expectation is their answer, and their tasks end with them"
)]

mod any_order;
mod dispatch;
mod life;
mod made;
mod mail;
mod office;
mod policy;
mod posts;
mod receiver;
