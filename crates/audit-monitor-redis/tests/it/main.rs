//! Windows in Redis against their contract, many writers and evaluators, crashes and bad connections, on real servers.

#![expect(
    clippy::unwrap_used,
    reason = "what is made for tests is part of the tests"
)]

mod conformance;
mod fleet;
mod forgetting;
mod made;
