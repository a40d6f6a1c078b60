//! The HTTP surface over real parts: SQLite, the embedded queue, keys on disk, lanes, signer, directory; asked with a real
//! client over real sockets.

mod rig;

mod access;
mod acks;
mod apart;
mod bad_input;
mod bodies;
mod documents;
mod operate;
mod search;
mod slow;
mod tiles;
