//! From PostgreSQL's answers to the errors of the ports.

use std::path::PathBuf;
use std::time::Duration;

use audit_store::error::Source;
use audit_store::{CommitError, StoreError};
use tokio_postgres::error::SqlState;

use crate::pool::PoolError;
use crate::sqlstate::{Meaning, meaning};

/// A setting cannot be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The address is neither a URL nor `key=value` pairs that PostgreSQL would take. Its source never shows the text.
    #[error("cannot read the connection string")]
    Connection {
        /// Why.
        #[source]
        source: tokio_postgres::Error,
    },
    /// The address names no server.
    #[error("the connection string names no host")]
    NoHost,
    /// A bound of nothing.
    #[error("{name} must not be zero")]
    Zero {
        /// Which.
        name: &'static str,
    },
}

/// A store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A setting is wrong.
    #[error("the settings of the store are wrong")]
    Settings(#[from] SettingsError),
    /// A file of certificate authorities cannot be read.
    #[error("cannot read the certificate authorities in {}", path.display())]
    Authorities {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: Source,
    },
    /// TLS is asked for, and nobody is believed.
    #[error("there is no certificate authority to believe")]
    NoAuthorities,
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {what}")]
    Tls {
        /// Which part.
        what: &'static str,
        /// Why.
        #[source]
        source: Source,
    },
    /// The server is away, or does not let us in: worth another try.
    #[error("cannot reach {server}")]
    Unavailable {
        /// Which, without the password.
        server: String,
        /// Why.
        #[source]
        source: Box<StoreError>,
    },
    /// The server is too old.
    #[error("PostgreSQL {found} is too old: 15 is needed")]
    TooOld {
        /// What it says it is.
        found: String,
    },
    /// The server would acknowledge what it has not on disk.
    #[error("the server has {setting} = {value}: what it acknowledges may be lost")]
    NotDurable {
        /// Which of its settings.
        setting: String,
        /// What it is.
        value: String,
    },
    /// Its schema cannot be read or migrated.
    #[error("cannot migrate {server}")]
    Schema {
        /// Which, without the password.
        server: String,
        /// Why.
        #[source]
        source: Box<StoreError>,
    },
    /// A later version of this program has migrated it.
    #[error("the store has migration {found}, this program knows {known}: use the newer program")]
    Newer {
        /// The greatest number applied.
        found: u32,
        /// The greatest number known.
        known: u32,
    },
}

/// What the server answered. Without its detail and hint, which may quote a row.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message} (SQLSTATE {})", code.code())]
pub(crate) struct ServerError {
    pub(crate) code: SqlState,
    pub(crate) message: String,
    pub(crate) constraint: Option<String>,
    pub(crate) table: Option<String>,
    /// Line of a COPY, from 1.
    pub(crate) line: Option<usize>,
}

/// The server did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {0:?}")]
pub(crate) struct NoAnswer(pub(crate) Duration);

/// What went wrong, before the port's own error is made of it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server said no.
    Server(ServerError),
    /// There is no connection, or it broke, or it was silent.
    Link(Source),
    /// Our own rule, or data that cannot be what it must be.
    Store(StoreError),
    /// A rule of the commit.
    Commit(CommitError),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            return Self::Link(Box::new(error));
        };
        Self::Server(ServerError {
            code: said.code().clone(),
            message: said.message().to_owned(),
            constraint: said.constraint().map(str::to_owned),
            table: said.table().map(str::to_owned),
            line: said.where_().and_then(line_of),
        })
    }
}

/// The line of `COPY audit_event, line 17, column ...`.
fn line_of(place: &str) -> Option<usize> {
    let (_, rest) = place.split_once("COPY audit_event, line ")?;
    let digits: String = rest
        .chars()
        .take_while(|digit| digit.is_ascii_digit())
        .collect();
    digits.parse().ok()
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => error.into(),
            other => Self::Link(Box::new(other)),
        }
    }
}

impl From<NoAnswer> for Failure {
    fn from(error: NoAnswer) -> Self {
        Self::Link(Box::new(error))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        Self::Commit(error)
    }
}

impl Failure {
    /// What the server meant; `None` when it was not the server.
    pub(crate) fn meaning(&self) -> Option<Meaning> {
        match self {
            Self::Server(error) => Some(meaning(error)),
            _ => None,
        }
    }

    /// As the error of a read or small write.
    pub(crate) fn into_store(self, what: &'static str) -> StoreError {
        match self {
            Self::Server(error) => match meaning(&error) {
                Meaning::Busy => StoreError::Busy {
                    what,
                    source: Box::new(error),
                },
                _ => StoreError::Unavailable {
                    what,
                    source: Box::new(error),
                },
            },
            Self::Link(source) => StoreError::Unavailable { what, source },
            Self::Store(error) => error,
            Self::Commit(error) => StoreError::Unavailable {
                what,
                source: Box::new(error),
            },
        }
    }

    /// As the error of a commit that certainly did not happen.
    pub(crate) fn into_commit(self) -> CommitError {
        match self {
            Self::Server(error) => match meaning(&error) {
                Meaning::Busy => CommitError::Busy(Box::new(error)),
                _ => CommitError::Unavailable(Box::new(error)),
            },
            Self::Link(source) => CommitError::Unavailable(source),
            Self::Store(error) => CommitError::Unavailable(Box::new(error)),
            Self::Commit(error) => error,
        }
    }
}

/// Stored data that is not what it must be.
pub(crate) fn malformed(what: impl Into<String>) -> StoreError {
    StoreError::Malformed { what: what.into() }
}

/// A request that breaks a rule.
pub(crate) fn refused(reason: impl Into<String>) -> StoreError {
    StoreError::Refused {
        reason: reason.into(),
    }
}
