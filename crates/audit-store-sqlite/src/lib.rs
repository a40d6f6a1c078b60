#![doc = include_str!("../README.md")]

mod alerts;
mod ballast;
pub mod bench;
mod checkpoints;
mod code;
mod commit;
mod config;
mod connection;
mod database;
mod dead_letters;
mod error;
mod events;
mod keys;
mod leases;
mod ledgers;
mod lock;
mod options;
mod outbox;
mod readers;
mod receipts;
mod row;
mod schema;
mod search;
mod step;
mod store;
mod text;
mod work;
mod writer;

pub use error::OpenError;
pub use options::Options;
pub use store::{DATABASE_FILE, SEARCH_FILE, SqliteStore, Stats};
