//! Everything that the PostgreSQL store promises, on a real server.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what is made for tests is part of the tests"
)]

mod canonical;
mod compat_views;
mod conformance;
mod elsewhere;
mod faults;
mod growth;
mod load;
mod migrations;
mod partitions;
mod place;
mod plans;
#[cfg(test)]
mod proving;
#[cfg(test)]
mod reconfigured;
mod sessions;
mod takeover;
mod tiles;
mod tls;
