//! Everything that the SQLite store promises, on real files.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what is made for tests is part of the tests"
)]

mod canonical;
mod conformance;
mod full;
mod kill;
mod migrations;
mod opening;
mod place;
#[cfg(test)]
mod proving;
mod reference;
mod steps;
