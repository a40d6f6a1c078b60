//! The way to Redis that the queues and windows on it share: where it is, connections, scripts, what an outage of it is, and what of it they hold.
//!
//! What it is not: it knows no key and no script of theirs, and starts no server. Adapters for Redis depend on it instead of on each
//! other; nothing else should.

mod address;
mod broken;
mod connect;
mod held;
mod link;
mod promise;
mod script;
mod settings;

pub use address::{Address, AddressError, Tls};
pub use broken::Broken;
pub use held::{Held, Marked, all_ours, own_name};
pub use link::{Lane, Link, Live};
pub use promise::Promise;
pub use script::{Call, Script};
pub use settings::{LinkError, LinkSettings};
