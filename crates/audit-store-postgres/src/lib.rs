#![doc = include_str!("../README.md")]

mod alerts;
pub mod bench;
mod checkpoints;
mod code;
mod commit;
mod config;
mod copy;
mod database;
mod dead_letters;
mod elsewhere;
mod error;
mod events;
mod identity;
mod keys;
mod lane;
mod leases;
mod ledgers;
mod outbox;
mod partition;
mod pool;
mod receipts;
mod row;
mod schema;
mod search;
mod session;
mod settings;
mod sqlstate;
mod store;
mod tls;
mod value;
mod work;

pub use error::{OpenError, SettingsError};
pub use settings::{ConnectionString, IndexProfile, Settings};
pub use store::PostgresStore;
