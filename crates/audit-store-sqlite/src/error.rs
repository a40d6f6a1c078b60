//! From SQLite's result codes to the errors of the ports.

use std::path::PathBuf;

use audit_store::error::Source;
use audit_store::{CommitError, StoreError};
use rusqlite::ErrorCode;

/// A store cannot be opened, closed or backed up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open.
    #[error("the store is in use by process {pid}: {}", path.display())]
    InUse {
        /// The lock file.
        path: PathBuf,
        /// The process that holds it, as it wrote itself down; "unknown" when it did not get to.
        pid: String,
    },
    /// A file or directory cannot be used.
    #[error("cannot use {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// SQLite cannot open it.
    #[error("cannot open the database {}", path.display())]
    Database {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The database belongs to another program.
    #[error("not a database of this program: {}", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
    },
    /// Its schema cannot be read or migrated.
    #[error("cannot migrate {}", path.display())]
    Schema {
        /// Which.
        path: PathBuf,
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

/// What went wrong inside a job, before the port's own error is made of it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// SQLite said no.
    Sql(rusqlite::Error),
    /// Our own rule, or data that cannot be what it must be.
    Store(StoreError),
    /// A rule of the commit.
    Commit(CommitError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
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
    /// As the error of a read or small write.
    pub(crate) fn into_store(self, what: &'static str) -> StoreError {
        match self {
            Self::Sql(error) => store_error(what, error),
            Self::Store(error) => error,
            Self::Commit(error) => StoreError::Unavailable {
                what,
                source: Box::new(error),
            },
        }
    }

    /// As the error of a commit that was rolled back.
    pub(crate) fn into_commit(self) -> CommitError {
        match self {
            Self::Sql(error) if is_busy(&error) => CommitError::Busy(Box::new(error)),
            Self::Sql(error) => CommitError::Unavailable(source_of(error)),
            Self::Store(error) => CommitError::Unavailable(Box::new(error)),
            Self::Commit(error) => error,
        }
    }

    /// Whether there is no room: the disk, the quota, or a limit of size is reached.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Sql(error) if is_full(error))
    }
}

/// No room any more, in words that say what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("the disk of the store is full, or a limit of size is reached")]
struct NoRoom(#[source] rusqlite::Error);

/// The error as a source, with the words an operator needs.
fn source_of(error: rusqlite::Error) -> Source {
    if is_full(&error) {
        return Box::new(NoRoom(error));
    }
    Box::new(error)
}

fn is_full(error: &rusqlite::Error) -> bool {
    // A file size limit (EFBIG) comes as a failed write, not as "full".
    matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull))
        || extended(error) == rusqlite::ffi::SQLITE_IOERR_WRITE
}

/// SQLite's extended result code, 0 when the error is not SQLite's.
pub(crate) fn extended(error: &rusqlite::Error) -> i32 {
    error.sqlite_error().map_or(0, |inner| inner.extended_code)
}

/// Another connection holds a lock.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// The port's error for a failed statement.
pub(crate) fn store_error(what: &'static str, error: rusqlite::Error) -> StoreError {
    if is_busy(&error) {
        return StoreError::Busy {
            what,
            source: Box::new(error),
        };
    }
    match error {
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::Utf8Error(..) => StoreError::Malformed {
            what: format!("{what}: {error}"),
        },
        _ if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            StoreError::TooBroad
        }
        _ => StoreError::Unavailable {
            what,
            source: source_of(error),
        },
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
