//! Everything that the PostgreSQL store promises, on a real server.

#![expect(
    clippy::unwrap_used,
    reason = "what is made for tests is part of the tests"
)]

mod conformance;
mod place;
