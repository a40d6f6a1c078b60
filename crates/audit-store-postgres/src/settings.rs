//! Settings of a store, checked types with defaults for everything but the address.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::error::SettingsError;

/// Settings of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the primary is. Lanes commit over connections of their own, so this must not lead through a transaction pooler.
    pub primary: ConnectionString,
    /// Where searches go instead: a read replica, or a pooler in front of either. Answers then lag as the replica does. While it
    /// is away, or has less than the first page of a search had, the primary serves them.
    pub searches: Option<ConnectionString>,
    /// How long that server is left alone after it failed a search.
    pub searches_pause: Duration,
    /// Certificate authorities to believe, as a PEM file; those of the system when `None`.
    pub ca_file: Option<PathBuf>,
    /// Connections for everything but commits (each lane has one more of its own); at least 1. Searches have as many again
    /// when they go elsewhere.
    pub connections_max: u32,
    /// How long a connection may take to be there, from the pool or new.
    pub connect_timeout: Duration,
    /// How long the server works on one statement before it gives up, and we wait for it a little longer than that. Below the
    /// limit of those who call (a lane: 30 s), so that it is the store which says what became of it.
    pub statement_timeout: Duration,
    /// How long a statement waits for a lock.
    pub lock_timeout: Duration,
    /// After so long without a word inside a transaction the server ends the session: a lane that hangs holds nothing up.
    pub idle_in_transaction_timeout: Duration,
    /// How long one search may take before it is too broad.
    pub search_timeout: Duration,
    /// A statement that took longer is logged, by its name and duration.
    pub slow_statement: Duration,
    /// Apply migrations when opening; off for users who may not, and for the command that applies them itself.
    pub migrate: bool,
    /// Which indexes the first migration makes; later it has no effect.
    pub profile: IndexProfile,
    /// Open a server that does not fsync what it commits. For experiments: what it acknowledges may be lost.
    pub accept_loss: bool,
}

impl Settings {
    /// The defaults, for a primary.
    #[must_use]
    pub fn new(primary: ConnectionString) -> Self {
        Self {
            primary,
            searches: None,
            searches_pause: Duration::from_secs(10),
            ca_file: None,
            connections_max: 8,
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(20),
            lock_timeout: Duration::from_secs(5),
            idle_in_transaction_timeout: Duration::from_secs(10),
            search_timeout: Duration::from_secs(5),
            slow_statement: Duration::from_secs(1),
            migrate: true,
            profile: IndexProfile::Full,
            accept_loss: false,
        }
    }

    /// Whether connections made by the others would be as good as those made by these: to the same servers, as the same user, by
    /// the same authorities. How many they are and what they are told may differ.
    pub(crate) fn connect_as(&self, others: &Self) -> bool {
        let told_the_same = Self {
            searches_pause: others.searches_pause,
            connections_max: others.connections_max,
            statement_timeout: others.statement_timeout,
            lock_timeout: others.lock_timeout,
            idle_in_transaction_timeout: others.idle_in_transaction_timeout,
            search_timeout: others.search_timeout,
            slow_statement: others.slow_statement,
            ..self.clone()
        };
        told_the_same == *others
    }

    /// The first value that cannot be.
    ///
    /// # Errors
    /// Which, and why.
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        let zero = [
            ("connections_max", self.connections_max == 0),
            ("connect_timeout", self.connect_timeout.is_zero()),
            ("statement_timeout", self.statement_timeout.is_zero()),
            ("lock_timeout", self.lock_timeout.is_zero()),
            (
                "idle_in_transaction_timeout",
                self.idle_in_transaction_timeout.is_zero(),
            ),
            ("search_timeout", self.search_timeout.is_zero()),
        ];
        match zero.into_iter().find(|(_, zero)| *zero) {
            Some((name, _)) => Err(SettingsError::Zero { name }),
            None => Ok(()),
        }
    }
}

/// Which searches have an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IndexProfile {
    /// All of DESIGN §3.5.
    #[default]
    Full,
    /// Without those of targets and of `details`, which cost the most: such searches walk another index.
    Lean,
}

/// Where a server is and who we are there: a URL (`postgres://user:password@host/database?...`) or `key=value` pairs, as
/// PostgreSQL's own tools take them.
///
/// `sslmode` is `disable` or anything else: a connection has no TLS, or TLS with a certificate that was checked fully
/// (`verify-full`). Without `sslmode`, a Unix socket or a loopback address has none, and every other address has it. Neither
/// `Debug` nor `Display` shows the password.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectionString {
    config: Config,
}

impl ConnectionString {
    /// For connecting: with keep-alives that notice a dead peer within half a minute.
    pub(crate) fn config(&self, settings: &Settings) -> Config {
        let mut config = self.config.clone();
        if config.get_application_name().is_none() {
            config.application_name("audit-worker");
        }
        config
            .connect_timeout(settings.connect_timeout)
            .keepalives(true)
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_secs(30));
        config
    }

    /// Whether connections have TLS.
    #[must_use]
    pub fn uses_tls(&self) -> bool {
        self.config.get_ssl_mode() == SslMode::Require
    }
}

impl FromStr for ConnectionString {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        // Every TLS connection is verified fully, so the stricter words of PostgreSQL's own library all mean `require`.
        let text = ["verify-full", "verify-ca"]
            .iter()
            .fold(text.to_owned(), |text, word| {
                text.replace(&format!("sslmode={word}"), "sslmode=require")
            });
        let mut config = text
            .parse::<Config>()
            .map_err(|source| SettingsError::Connection { source })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(SettingsError::NoHost);
        }
        if config.get_ssl_mode() == SslMode::Prefer {
            // "Prefer" would let whoever is in between decide.
            config.ssl_mode(match is_local(&config) {
                true => SslMode::Disable,
                false => SslMode::Require,
            });
        }
        Ok(Self { config })
    }
}

fn is_local(config: &Config) -> bool {
    let named = config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    });
    let addressed = config
        .get_hostaddrs()
        .iter()
        .all(std::net::IpAddr::is_loopback);
    named && addressed
}

impl fmt::Display for ConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &self.config;
        write!(f, "postgres://")?;
        if let Some(user) = config.get_user() {
            write!(f, "{user}@")?;
        }
        let names = config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(path) => path.display().to_string(),
        });
        let addresses = config.get_hostaddrs().iter().map(ToString::to_string);
        let mut hosts: Vec<_> = names.collect();
        if hosts.is_empty() {
            hosts = addresses.collect();
        }
        write!(f, "{}", hosts.join(","))?;
        if let Some(port) = config.get_ports().first() {
            write!(f, ":{port}")?;
        }
        match config.get_dbname() {
            Some(name) => write!(f, "/{name}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionString({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> ConnectionString {
        text.parse().unwrap()
    }

    #[test]
    fn no_output_has_the_password() {
        for text in [
            "postgres://me:s3cret@db.example:5433/audit",
            "host=db.example port=5433 user=me password=s3cret dbname=audit",
        ] {
            let connection = parsed(text);
            assert_eq!(
                connection.to_string(),
                "postgres://me@db.example:5433/audit"
            );
            let settings = Settings::new(connection);
            assert!(!format!("{settings:?}").contains("s3cret"), "{settings:?}");
        }
        let error = "postgres://me:s3cret@db.example:notaport/audit"
            .parse::<ConnectionString>()
            .unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        assert!(
            !format!("{error:?} {error} {source:?}").contains("s3cret"),
            "{error:?}"
        );
    }

    #[test]
    fn only_the_own_machine_is_trusted_without_tls() {
        for (text, tls) in [
            ("postgres://db.example/audit", true),
            ("postgres://db.example/audit?sslmode=prefer", true),
            ("postgres://db.example/audit?sslmode=verify-full", true),
            ("host=db.example sslmode=verify-ca", true),
            ("postgres://db.example/audit?sslmode=disable", false),
            ("postgres://10.0.0.1/audit", true),
            ("postgres://localhost/audit", false),
            ("postgres://127.0.0.1/audit", false),
            ("postgres://localhost,db.example/audit", true),
            ("host=/run/postgresql dbname=audit", false),
            ("postgres://localhost/audit?sslmode=require", true),
        ] {
            assert_eq!(parsed(text).uses_tls(), tls, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(matches!(
            "dbname=audit".parse::<ConnectionString>(),
            Err(SettingsError::NoHost)
        ));
        let mut settings = Settings::new(parsed("postgres://localhost/audit"));
        settings.check().unwrap();
        settings.connections_max = 0;
        assert!(matches!(
            settings.check(),
            Err(SettingsError::Zero {
                name: "connections_max"
            })
        ));
    }
}
