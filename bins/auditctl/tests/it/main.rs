//! `auditctl` as a process: arguments, exit codes and output.

mod exit_codes;
mod fake;
mod proofs;
mod run;
mod sending;
