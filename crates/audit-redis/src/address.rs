//! Where Redis is, and how to show it without its secrets.

use std::fmt;
use std::str::FromStr;

use deadpool_redis::redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

/// Where Redis is. Parsed from one of
///
/// * `redis://[[user]:password@]host[:port][/db]`, `rediss://...` with TLS (certificate and name are checked);
/// * `redis+sentinel://[[user]:password@]host[:port],host...[/service[/db]]`: the hosts are Sentinels (port 26379 unless said), the
///   service is `mymaster` unless said, user and password are those of Redis itself; `rediss+sentinel://` for TLS to Redis and to them;
/// * `redis+cluster://[[user]:password@]host[:port],host...`: some nodes of a Cluster; `rediss+cluster://` likewise.
///
/// `Debug` and `Display` show everything but the password.
#[derive(Clone)]
pub struct Address {
    pub(crate) kind: Kind,
    pub(crate) tls: Option<Tls>,
}

/// What a TLS connection trusts and shows; without it the system's certificates and nothing.
#[derive(Clone)]
pub struct Tls {
    /// Certificates of the authorities to trust instead of the system's, PEM.
    pub authorities: Option<Vec<u8>>,
    /// Our certificate and its private key, PEM.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("authorities", &self.authorities.is_some())
            .field("client", &self.client.is_some())
            .finish()
    }
}

#[derive(Clone)]
pub(crate) enum Kind {
    Single(ConnectionInfo),
    Sentinel {
        sentinels: Vec<ConnectionInfo>,
        service: String,
        /// User, password and database are those of Redis; its host is not used.
        node: ConnectionInfo,
    },
    Cluster(Vec<ConnectionInfo>),
}

/// The text is no address of Redis. It does not say the text, in which a password may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It begins with something else.
    #[error(
        "a Redis address begins with redis://, rediss://, redis+sentinel:// or redis+cluster://"
    )]
    Scheme,
    /// A host, port or database cannot be read.
    #[error("the Redis address has a host, port or database that cannot be read")]
    Unreadable,
}

const SENTINEL_PORT: u16 = 26379;

impl Address {
    /// The same with these certificates.
    #[must_use]
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The same with a password that the Sentinels themselves ask for.
    #[must_use]
    pub fn with_sentinel_password(mut self, password: &str) -> Self {
        if let Kind::Sentinel { sentinels, .. } = &mut self.kind {
            for sentinel in sentinels {
                let settings = sentinel.redis_settings().clone().set_password(password);
                *sentinel = sentinel.clone().set_redis_settings(settings);
            }
        }
        self
    }

    /// Whether it is that of a Cluster, where keys of one script have to be in one slot.
    #[must_use]
    pub const fn is_cluster(&self) -> bool {
        matches!(self.kind, Kind::Cluster(_))
    }

    pub(crate) fn is_tls(&self) -> bool {
        let is_tls = |info: &ConnectionInfo| matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        match &self.kind {
            Kind::Single(info) => is_tls(info),
            Kind::Sentinel { node, .. } => is_tls(node),
            Kind::Cluster(nodes) => nodes.iter().any(is_tls),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::Scheme)?;
        let kind = match scheme {
            "redis" | "rediss" => Kind::Single(info(text)?),
            "redis+sentinel" => sentinel("redis", rest)?,
            "rediss+sentinel" => sentinel("rediss", rest)?,
            "redis+cluster" => cluster("redis", rest)?,
            "rediss+cluster" => cluster("rediss", rest)?,
            _ => return Err(AddressError::Scheme),
        };
        Ok(Self { kind, tls: None })
    }
}

/// Its own error may say the text.
fn info(url: &str) -> Result<ConnectionInfo, AddressError> {
    url.into_connection_info()
        .map_err(|_unsaid| AddressError::Unreadable)
}

struct Parts<'a> {
    /// With its `@`, or empty.
    credentials: &'a str,
    hosts: Vec<&'a str>,
    path: &'a str,
}

fn parts(rest: &str) -> Result<Parts<'_>, AddressError> {
    // Options are for one server's address only; a name of a service with one in it would be found nowhere.
    if rest.contains(['?', '#']) {
        return Err(AddressError::Unreadable);
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let at = authority.rfind('@').map_or(0, |at| at + 1);
    let (credentials, hosts) = authority.split_at(at);
    let hosts: Vec<&str> = hosts.split(',').collect();
    if hosts.iter().any(|host| host.is_empty()) {
        return Err(AddressError::Unreadable);
    }
    Ok(Parts {
        credentials,
        hosts,
        path,
    })
}

fn cluster(scheme: &str, rest: &str) -> Result<Kind, AddressError> {
    let parts = parts(rest)?;
    if !parts.path.is_empty() {
        return Err(AddressError::Unreadable);
    }
    let node = |host: &&str| info(&format!("{scheme}://{}{host}", parts.credentials));
    let nodes = parts.hosts.iter().map(node).collect::<Result<_, _>>()?;
    Ok(Kind::Cluster(nodes))
}

fn sentinel(scheme: &str, rest: &str) -> Result<Kind, AddressError> {
    let parts = parts(rest)?;
    let (service, db) = parts.path.split_once('/').unwrap_or((parts.path, "0"));
    let service = if service.is_empty() {
        "mymaster"
    } else {
        service
    };
    let sentinel = |host: &&str| {
        let ends_in_port = host
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if ends_in_port {
            info(&format!("{scheme}://{host}"))
        } else {
            info(&format!("{scheme}://{host}:{SENTINEL_PORT}"))
        }
    };
    Ok(Kind::Sentinel {
        sentinels: parts.hosts.iter().map(sentinel).collect::<Result<_, _>>()?,
        service: service.to_owned(),
        node: info(&format!("{scheme}://{}unused/{db}", parts.credentials))?,
    })
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.is_tls() { "s" } else { "" };
        match &self.kind {
            Kind::Single(info) => {
                write!(f, "redis{s}://{}{}", user(info), host(info))?;
                write!(f, "/{}", info.redis_settings().db())
            }
            Kind::Sentinel {
                sentinels,
                service,
                node,
            } => {
                write!(f, "redis{s}+sentinel://{}{}", user(node), hosts(sentinels))?;
                write!(f, "/{service}/{}", node.redis_settings().db())
            }
            Kind::Cluster(nodes) => {
                let user = nodes.first().map(user).unwrap_or_default();
                write!(f, "redis{s}+cluster://{user}{}", hosts(nodes))
            }
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self}, {:?})", self.tls)
    }
}

fn user(info: &ConnectionInfo) -> String {
    let settings = info.redis_settings();
    match (settings.username(), settings.password()) {
        (Some(user), Some(_)) => format!("{user}:***@"),
        (Some(user), None) => format!("{user}@"),
        (None, Some(_)) => ":***@".into(),
        (None, None) => String::new(),
    }
}

fn host(info: &ConnectionInfo) -> String {
    info.addr().to_string()
}

fn hosts(infos: &[ConnectionInfo]) -> String {
    infos.iter().map(host).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, shown: Result<&str, AddressError>) {
        let read = text.parse::<Address>().map(|address| {
            assert!(!format!("{address:?}").contains("hush"));
            address.to_string()
        });
        assert_eq!(read.as_deref().map_err(|error| *error), shown, "{text}");
    }

    #[test]
    fn addresses_are_read_and_shown_without_their_password() {
        check("redis://localhost", Ok("redis://localhost:6379/0"));
        check(
            "redis://:hush@10.0.0.1:7000/3",
            Ok("redis://:***@10.0.0.1:7000/3"),
        );
        check(
            "rediss://anna:hu%40sh@redis.example",
            Ok("rediss://anna:***@redis.example:6379/0"),
        );
        check(
            "redis+sentinel://:hush@a,b:5000/audit/2",
            Ok("redis+sentinel://:***@a:26379,b:5000/audit/2"),
        );
        check(
            "rediss+sentinel://a",
            Ok("rediss+sentinel://a:26379/mymaster/0"),
        );
        check(
            "redis+cluster://u:hush@a:7000,b:7001",
            Ok("redis+cluster://u:***@a:7000,b:7001"),
        );
    }

    #[test]
    fn what_is_no_address_is_refused_without_saying_it() {
        check("hush", Err(AddressError::Scheme));
        check("http://:hush@a", Err(AddressError::Scheme));
        check("redis://:hush@a:port", Err(AddressError::Unreadable));
        check("redis://a/db", Err(AddressError::Unreadable));
        check("redis+cluster://a,,b", Err(AddressError::Unreadable));
        check("redis+cluster://a/1", Err(AddressError::Unreadable));
        check("redis+sentinel://a:x", Err(AddressError::Unreadable));
        check(
            "redis+sentinel://a/audit?db=1",
            Err(AddressError::Unreadable),
        );
    }
}
