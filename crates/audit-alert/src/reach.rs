//! Which addresses a handler may connect to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

/// Which addresses a handler may connect to: public ones, and ranges that the operator allows.
///
/// A receiver's address is configuration, and whoever writes it is not always whoever may reach the machines around this one: without
/// this guard a webhook would be a way to the metadata service of a cloud, or to whatever listens on the loopback.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    allowed: Vec<IpNet>,
}

/// The address is not one that a handler may connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfReach(&'static str);

impl fmt::Display for OutOfReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the receiver's address is {}, which is not allowed",
            self.0
        )
    }
}

impl Reach {
    /// Public addresses, and these ranges. Plain HTTP is spoken within these ranges only.
    #[must_use]
    pub fn with(allowed: Vec<IpNet>) -> Self {
        Self { allowed }
    }

    /// The address to connect to. One of IPv4 in the form of IPv6 is judged, and connected to, as what it is.
    pub(crate) fn check(&self, address: SocketAddr) -> Result<Reached, OutOfReach> {
        let ip = address.ip().to_canonical();
        let address = SocketAddr::new(ip, address.port());
        let allowed = self.allowed.iter().any(|range| range.contains(&ip));
        match kind(ip) {
            Some(special) if !allowed => Err(OutOfReach(special)),
            _ => Ok(Reached { address, allowed }),
        }
    }
}

/// An address that may be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reached {
    pub(crate) address: SocketAddr,
    /// It is in a range that the operator allows, beyond public addresses.
    pub(crate) allowed: bool,
}

/// What kind of special address it is; `None` for a public one. After IANA's registries of special-purpose addresses.
fn kind(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => kind_4(ip),
        IpAddr::V6(ip) => kind_6(ip),
    }
}

fn kind_4(ip: Ipv4Addr) -> Option<&'static str> {
    match ip.octets() {
        [0, ..] => Some("unspecified"),
        [127, ..] => Some("loopback"),
        [10, ..] | [192, 168, ..] => Some("private"),
        [172, second, ..] if (16..32).contains(&second) => Some("private"),
        [100, second, ..] if (64..128).contains(&second) => Some("shared between customers"),
        [169, 254, ..] => Some("link-local"),
        [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some("reserved"),
        // Relays of 6to4, which lead anywhere.
        [192, 88, 99, _] => Some("reserved"),
        [198, 18 | 19, ..] => Some("reserved"),
        [224..=239, ..] => Some("multicast"),
        [240..=255, ..] => Some("reserved"),
        _ => None,
    }
}

fn kind_6(ip: Ipv6Addr) -> Option<&'static str> {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("unspecified"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("loopback"),
        // An IPv4 address behind a translator.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => kind_4(embedded(high, low)),
        [0xfe80..=0xfebf, ..] => Some("link-local"),
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Some("private"),
        [0xff00..=0xffff, ..] => Some("multicast"),
        // Teredo, ORCHID, benchmarks, documentation, 6to4: reserved, or an IPv4 address in disguise.
        [0x2001, ..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x2002, ..] | [0x3fff, ..=0x0fff, ..] => {
            Some("reserved")
        }
        [0x2000..=0x3fff, ..] => None,
        _ => Some("reserved"),
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ip: &str, reach: &Reach) -> Result<bool, String> {
        let address = SocketAddr::new(ip.parse().unwrap(), 443);
        let reached = reach.check(address);
        reached
            .map(|reached| reached.allowed)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn only_public_addresses_are_reached() {
        for ip in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "169.253.1.1",
            "2606:4700::1111",
            "2a00::1",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2001:200::1",
        ] {
            assert_eq!(check(ip, &Reach::default()), Ok(false), "{ip}");
        }
        for ip in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.1",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::2",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:10.1.2.3",
            "64:ff9b::127.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fdff::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ] {
            assert!(check(ip, &Reach::default()).is_err(), "{ip}");
        }
    }

    #[test]
    fn an_allowed_range_is_reached_in_either_writing() {
        let reach = Reach::with(vec![
            "127.0.0.0/8".parse().unwrap(),
            "fd00::/16".parse().unwrap(),
        ]);
        for ip in ["127.0.0.1", "::ffff:127.0.0.1", "fd00::7"] {
            assert_eq!(check(ip, &reach), Ok(true), "{ip}");
        }
        for ip in ["10.0.0.1", "::1", "fd01::7"] {
            assert!(check(ip, &reach).is_err(), "{ip}");
        }
        assert_eq!(
            check("169.254.169.254", &reach).unwrap_err(),
            "the receiver's address is link-local, which is not allowed"
        );
    }
}
