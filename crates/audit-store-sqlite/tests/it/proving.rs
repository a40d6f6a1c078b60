//! The proving side on real files: signer, directory, verification, and what they say of a database that was tampered with.

mod deployment;
mod following;
mod parts;
mod runs;
mod signing;
mod tamper_columns;
mod tamper_history;
mod tamper_rows;
