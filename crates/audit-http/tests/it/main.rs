//! The HTTP surface over real parts: SQLite, the embedded queue, keys on disk, lanes, signer, directory; asked with a real
//! client over real sockets.

#[cfg(test)]
mod desk;
#[cfg(test)]
mod rig;

#[cfg(test)]
mod access;
#[cfg(test)]
mod acks;
#[cfg(test)]
mod adjusted;
#[cfg(test)]
mod alerts;
#[cfg(test)]
mod apart;
#[cfg(test)]
mod bodies;
#[cfg(test)]
mod breaks;
#[cfg(test)]
mod compat_monitoring;
#[cfg(test)]
mod compat_proofs;
#[cfg(test)]
mod compat_search;
#[cfg(test)]
mod compat_writing;
#[cfg(test)]
mod finding;
#[cfg(test)]
mod operate;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod trying;
#[cfg(test)]
mod witness;
#[cfg(test)]
mod written;
