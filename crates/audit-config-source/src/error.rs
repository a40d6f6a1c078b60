//! What can go wrong between a place and a configuration.

use std::path::Path;
use std::time::Duration;

use audit_runtime::{Fault, Faulty};

use crate::digest::Sha256;

/// A text that names no place. Never repeats what may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// Nothing.
    #[error("no place is named")]
    Empty,
    /// Another scheme.
    #[error("`{scheme}` is no scheme of a configuration: it is a path, `file://` or `s3://`")]
    Scheme {
        /// It.
        scheme: String,
    },
    /// A `file://` of another machine, or a relative one.
    #[error("a `file://` names an absolute path of this machine (`file:///etc/audit.toml`)")]
    Host,
    /// Percent-encoding that is none.
    #[error("a `%` in a `file://` begins two hexadecimal digits")]
    Percent,
    /// No bucket's name.
    #[error("the bucket's name may have letters, digits, `.`, `-` and `_`, and no credentials")]
    Bucket,
    /// No key.
    #[error(
        "an object is named as `s3://bucket/key`, with a key of 1 to 1024 bytes and without `..`"
    )]
    Key,
}

/// A setting that cannot be used; says why and not what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", name.map(|name| format!("{name} ")).unwrap_or_default())]
pub struct SettingError {
    name: Option<&'static str>,
    reason: String,
}

impl SettingError {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self {
            name: None,
            reason: reason.into(),
        }
    }

    /// The same of a variable.
    #[must_use]
    pub fn of(self, name: &'static str) -> Self {
        Self {
            name: Some(name),
            ..self
        }
    }
}

/// A document that is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// Other bytes.
    #[error("the SHA-256 is {actual} and should be {expected}")]
    Digest {
        /// What was asked for.
        expected: Sha256,
        /// What came.
        actual: Sha256,
    },
    /// A key is set, and there is no signature.
    #[error("there is no signature at {place}")]
    Unsigned {
        /// Where it should be.
        place: String,
    },
    /// Something that is no signature.
    #[error("what is at {place} is no signature: 64 bytes, or these in base64{}", bytes.map(|n| format!(", and not {n} bytes")).unwrap_or_default())]
    Malformed {
        /// Where it is.
        place: String,
        /// How long it is, when it is not far too long.
        bytes: Option<usize>,
    },
    /// The key did not sign these bytes.
    #[error("the signature is not of the key {key} over the document with SHA-256 {actual}")]
    Signature {
        /// The public key, in hexadecimal.
        key: String,
        /// What came.
        actual: Sha256,
    },
}

/// A source that gave no document. The place is the caller's, who asked: [`ConfigSource::place`](crate::ConfigSource::place).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The server or the file system does not answer, or broke off before the document began.
    #[error("cannot be read")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No answer, or not all of it, within the time.
    #[error("did not answer within {} ms", after.as_millis())]
    TimedOut {
        /// The time.
        after: Duration,
    },
    /// Less came than was announced.
    #[error("broke off after {received} bytes{}", expected.map(|all| format!(" of {all}")).unwrap_or_default())]
    Truncated {
        /// Bytes that came.
        received: u64,
        /// Bytes that were announced.
        expected: Option<u64>,
    },
    /// Nothing is there.
    #[error("does not exist{}", of(code.as_ref()))]
    Missing {
        /// The server's word for it.
        code: Option<String>,
    },
    /// These credentials, or this user, may not.
    #[error("refuses us{}", of(code.as_ref()))]
    Denied {
        /// The server's word for it.
        code: Option<String>,
    },
    /// There are no credentials to ask with.
    #[error(
        "there are no credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set, and {reason}"
    )]
    NoCredentials {
        /// What came of asking the instance.
        reason: String,
    },
    /// An answer that is none of the others.
    #[error("answers with {status}{}", of(code.as_ref()))]
    Answer {
        /// The status of HTTP.
        status: u16,
        /// The server's word for it, or ours.
        code: Option<String>,
    },
    /// More than [`DOCUMENT_BYTES_MAX`](crate::DOCUMENT_BYTES_MAX).
    #[error("has more than {bytes_max} bytes")]
    TooLarge {
        /// The bound.
        bytes_max: u64,
    },
    /// No UTF-8.
    #[error("is no UTF-8 text, from byte {at} on")]
    NotText {
        /// How many bytes are.
        at: usize,
    },
    /// Not what was asked for.
    #[error("is not the configuration that was asked for: {0}")]
    Check(CheckError),
    /// The source cannot be set up as it is told.
    #[error("cannot be used: {0}")]
    Setting(SettingError),
}

fn of(code: Option<&String>) -> String {
    code.map(|code| format!(" ({code})")).unwrap_or_default()
}

impl Faulty for SourceError {
    fn fault(&self) -> Fault {
        match self {
            Self::Unreachable(_) | Self::TimedOut { .. } => Fault::Outage,
            Self::Truncated { .. } => Fault::Transient,
            // Too many requests, or the server's own trouble.
            Self::Answer { status, .. } if *status == 429 || *status >= 500 => Fault::Transient,
            Self::Missing { .. }
            | Self::Denied { .. }
            | Self::NoCredentials { .. }
            | Self::Answer { .. }
            | Self::TooLarge { .. }
            | Self::NotText { .. }
            | Self::Check(_)
            | Self::Setting(_) => Fault::Rejected,
        }
    }
}

/// A kept copy that cannot be written or is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeptError {
    /// The file system.
    #[error("{path} cannot be {action}")]
    Io {
        /// The file or directory.
        path: Box<Path>,
        /// What was to be done with it.
        action: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// The list of copies is not what was written.
    #[error("{path} is no list of kept copies: {reason}")]
    List {
        /// The list.
        path: Box<Path>,
        /// What is wrong.
        reason: String,
    },
    /// Somebody changed a copy.
    #[error("{path} was altered: its SHA-256 is {actual}")]
    Altered {
        /// The copy, whose name is the SHA-256 that it should have.
        path: Box<Path>,
        /// What it has.
        actual: Sha256,
    },
    /// The list names a copy that is gone.
    #[error("{path} is gone")]
    Gone {
        /// The copy.
        path: Box<Path>,
    },
    /// It is not what is asked for now.
    #[error("{path} is not the configuration that was asked for: {reason}")]
    Check {
        /// The copy.
        path: Box<Path>,
        /// Why not.
        reason: CheckError,
    },
    /// It cannot be the last good one, because it is not kept.
    #[error("no copy with SHA-256 {sha256} is kept")]
    Unknown {
        /// Its digest.
        sha256: Sha256,
    },
}

impl Faulty for KeptError {
    fn fault(&self) -> Fault {
        match self {
            Self::Io { .. } => Fault::Outage,
            Self::List { .. }
            | Self::Altered { .. }
            | Self::Gone { .. }
            | Self::Check { .. }
            | Self::Unknown { .. } => Fault::Rejected,
        }
    }
}

/// No configuration from anywhere; names every attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no configuration: {}", attempts.join("; "))]
pub struct LoadError {
    /// What was tried and what came of it, in order.
    pub attempts: Vec<String>,
}
