//! `auditctl` as a process: arguments, exit codes and output.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what is made for tests is part of the tests"
)]

mod alerts;
mod bench;
mod cloudtrail;
mod configuration;
mod deployment;
mod envelopes;
mod exit_codes;
mod fake;
mod journey;
mod proofs;
mod rules;
mod run;
mod sending;
mod worker;
