//! The list against the sentences of the port, its own promises, crashes and bad connections, on real servers.

mod back;
mod faults;
mod lane;
mod made;
mod mirror;
mod port;
mod redelivery;
