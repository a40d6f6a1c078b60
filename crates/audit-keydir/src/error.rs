//! Errors of the key directory: each says what the operator can do.

use std::path::PathBuf;

use audit_integrity::keys::KeyError;

/// The key directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyDirError {
    /// Others may read it.
    #[error("{path} may be used by others (mode {mode:04o}); run: chmod {wanted:o} '{path}'")]
    TooOpen {
        /// Which file or directory.
        path: PathDisplay,
        /// Its mode.
        mode: u32,
        /// The mode it must have.
        wanted: u32,
    },
    /// A file that must be there is not.
    #[error("{path} is missing; restore it from the backup of the key directory")]
    Missing {
        /// Which file.
        path: PathDisplay,
    },
    /// What is there is not what it must be.
    #[error("{path} is malformed; restore it from the backup of the key directory")]
    Malformed {
        /// Which file.
        path: PathDisplay,
    },
    /// The directory belongs to another deployment.
    #[error("the key directory belongs to deployment {kept}, not to {asked}")]
    OtherDeployment {
        /// The id in the directory.
        kept: String,
        /// The id asked for.
        asked: String,
    },
    /// The id cannot be part of a key name.
    #[error("a deployment id is 1 to 200 printable characters without spaces and plus signs")]
    BadDeploymentId,
    /// The file system refuses.
    #[error("{path} cannot be {action}")]
    Io {
        /// Which file.
        path: PathDisplay,
        /// What was tried, as a participle.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

/// A path that prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathDisplay(pub PathBuf);

impl std::fmt::Display for PathDisplay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.display().fmt(f)
    }
}

impl From<&std::path::Path> for PathDisplay {
    fn from(path: &std::path::Path) -> Self {
        Self(path.to_owned())
    }
}

impl From<KeyDirError> for KeyError {
    fn from(error: KeyDirError) -> Self {
        match error {
            KeyDirError::Malformed { path } => Self::Malformed {
                place: path.to_string(),
            },
            KeyDirError::TooOpen { ref path, .. }
            | KeyDirError::Missing { ref path }
            | KeyDirError::Io { ref path, .. } => Self::Unavailable {
                place: path.to_string(),
                source: Box::new(error),
            },
            KeyDirError::OtherDeployment { .. } | KeyDirError::BadDeploymentId => {
                Self::Unavailable {
                    place: "deployment id".to_owned(),
                    source: Box::new(error),
                }
            }
        }
    }
}
