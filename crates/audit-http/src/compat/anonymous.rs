//! Senders that have no API key: producers of replaced systems that never sent one, told apart by where they are.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use audit_event::OrganizationId;
use audit_pipeline::KeyRates;
use audit_store::Role;
use audit_store::query::OrganizationScope;
use axum::http::HeaderMap;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::auth::Principal;

/// Address of the other end of the connection, as the socket has it. Headers that name another one are nobody's proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// The id under which these senders count; no API key has it.
const KEY_ID: &str = "anonymous";

/// Who may send without a key, for which organisation, and how much (`compat.*` in `docs/configuration.md`).
pub struct AnonymousWriters {
    ranges: Vec<IpNet>,
    organization: OrganizationId,
    rates: KeyRates,
    /// Whether a proxy's address counts as its senders'.
    proxied: bool,
}

/// Headers that a proxy adds: the address of the connection is then its own, and says nothing about the sender.
const BY_PROXIES: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

impl fmt::Debug for AnonymousWriters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnonymousWriters")
            .field("ranges", &self.ranges)
            .field("organization", &self.organization)
            .finish_non_exhaustive()
    }
}

impl AnonymousWriters {
    /// Senders in one of `ranges` may write for `organization` and no other, each so many events a second.
    #[must_use]
    pub fn new(ranges: Vec<IpNet>, organization: OrganizationId, events_per_second: u32) -> Self {
        Self {
            ranges: ranges.into_iter().map(unmapped).collect(),
            organization,
            rates: KeyRates::per_second(events_per_second),
            proxied: true,
        }
    }

    /// The same for ranges that nobody named: what comes through a proxy needs a key, because everybody behind a proxy on this
    /// machine comes from loopback.
    #[must_use]
    pub fn not_through_proxies(mut self) -> Self {
        self.proxied = false;
        self
    }

    /// What a sender at this address may do; `None` when it needs a key.
    pub(crate) fn principal(&self, peer: Peer, headers: &HeaderMap) -> Option<Principal> {
        if !self.proxied && BY_PROXIES.iter().any(|name| headers.contains_key(*name)) {
            return None;
        }
        let address = peer.0.ip().to_canonical();
        let may = self.ranges.iter().any(|range| range.contains(&address));
        may.then(|| Principal {
            key_id: KEY_ID.to_owned(),
            role: Role::Writer,
            scope: OrganizationScope::Only(vec![self.organization.clone()]),
            default_organization: self.organization.clone(),
        })
    }

    /// Counts events of an address, or says how long to wait.
    pub(crate) fn admit(&self, peer: Peer, events: usize) -> Result<(), Duration> {
        self.rates.admit(&one_sender(peer.0.ip()), events)
    }
}

/// A range of IPv4 addresses written as IPv6 ones (`::ffff:10.0.0.0/104`) is the IPv4 range.
fn unmapped(range: IpNet) -> IpNet {
    let IpNet::V6(v6) = range else { return range };
    let v4 = v6.network().to_ipv4_mapped();
    let length = v6.prefix_len().checked_sub(96);
    match (v4, length) {
        (Some(v4), Some(length)) => Ipv4Net::new(v4, length).map_or(range, IpNet::V4),
        _ => range,
    }
}

/// The name an address is counted under. A host on IPv6 has its network's 2^64 addresses to choose from.
fn one_sender(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => Ipv6Net::new(v6, 64)
            .map_or(Ipv6Addr::UNSPECIFIED, |net| net.network())
            .to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer(SocketAddr::new(address.parse().expect("an address"), 4_711))
    }

    fn writers(ranges: &[&str]) -> AnonymousWriters {
        let ranges = ranges.iter().map(|range| range.parse().expect("a range"));
        AnonymousWriters::new(ranges.collect(), OrganizationId::new("shop"), 2)
    }

    #[test]
    fn only_addresses_of_a_range_may() {
        let table = [
            ("10.1.0.0/16", "10.1.255.1", true),
            ("10.1.0.0/16", "10.2.0.1", false),
            ("10.1.0.0/16", "::ffff:10.1.0.1", true),
            ("::ffff:10.1.0.0/112", "10.1.0.1", true),
            ("::ffff:10.1.0.0/112", "::ffff:10.2.0.1", false),
            // All of IPv6 is not all of IPv4 as well, only because a socket for both shows one as the other.
            ("::/0", "::ffff:10.1.0.1", false),
            ("::/0", "2001:db8::1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::1/128", "127.0.0.1", false),
            ("127.0.0.0/8", "127.8.0.1", true),
        ];
        for (range, address, may) in table {
            let found = writers(&[range]).principal(peer(address), &HeaderMap::new());
            assert_eq!(found.is_some(), may, "{address} in {range}");
        }
        assert!(
            writers(&[])
                .principal(peer("127.0.0.1"), &HeaderMap::new())
                .is_none()
        );
        let one = writers(&["127.0.0.0/8"]).principal(peer("127.0.0.1"), &HeaderMap::new());
        let one = one.expect("in the range");
        assert_eq!(one.role, Role::Writer);
        assert_eq!(
            one.scope,
            OrganizationScope::Only(vec![OrganizationId::new("shop")])
        );
    }

    #[test]
    fn every_address_has_its_own_rate_and_a_network_of_ipv6_one() {
        let writers = writers(&["::/0", "0.0.0.0/0"]);
        assert!(writers.admit(peer("10.0.0.1"), 2).is_ok());
        assert!(writers.admit(peer("::ffff:10.0.0.1"), 1).is_err());
        assert!(writers.admit(peer("10.0.0.2"), 2).is_ok());
        assert!(writers.admit(peer("2001:db8::1"), 2).is_ok());
        assert!(writers.admit(peer("2001:db8::2"), 1).is_err());
        assert!(writers.admit(peer("2001:db8:0:1::2"), 1).is_ok());
    }

    #[test]
    fn what_comes_through_a_proxy_is_nobody_s_unless_the_range_was_named() {
        for name in BY_PROXIES {
            let mut headers = HeaderMap::new();
            headers.insert(name, "203.0.113.7".parse().expect("a value"));
            let named = writers(&["127.0.0.0/8"]);
            assert!(named.principal(peer("127.0.0.1"), &headers).is_some());
            let by_default = writers(&["127.0.0.0/8"]).not_through_proxies();
            assert!(
                by_default.principal(peer("127.0.0.1"), &headers).is_none(),
                "{name}"
            );
            let direct = by_default.principal(peer("127.0.0.1"), &HeaderMap::new());
            assert!(direct.is_some());
        }
    }
}
