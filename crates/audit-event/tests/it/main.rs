//! The laws of events, from the outside.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod cloudtrail;
mod forms;
mod laws;
mod native;
mod preimages;
mod support;
