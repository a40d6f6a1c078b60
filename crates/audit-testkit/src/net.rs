//! Ports.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// An address on which nobody listened a moment ago. Prefer letting the program bind port 0 and say what it got; this is
/// for programs that cannot.
#[must_use]
pub fn free_address() -> SocketAddr {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback address can be bound");
    listener
        .local_addr()
        .expect("a bound socket has an address")
}

/// The port of [`free_address`].
#[must_use]
pub fn free_port() -> u16 {
    free_address().port()
}
