//! What holds for every ledger, and the committed bytes that other languages can check.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod ledger;
mod pake_envelopes;
mod producers;
mod properties;
mod robustness;
mod rows;
mod vector_files;
mod vector_inputs;
mod vectors;
mod verification;
