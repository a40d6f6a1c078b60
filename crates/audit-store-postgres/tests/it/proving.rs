//! The proving side on a real server: signer, directory, verification, and what they say of a database that was tampered with.

mod deployment;
#[path = "../../../audit-store-sqlite/tests/it/proving/parts.rs"]
mod parts;
mod tamper_columns;
mod tamper_history;
// The table of cases, and what a deployment is made of, are one for all stores.
#[path = "../../../audit-store-sqlite/tests/it/proving/tamper_rows.rs"]
mod tamper_rows;
