//! What ends a command early, with its exit code and what to do next.

use std::path::PathBuf;
use std::process::ExitCode;

/// How a command that ran to its end went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Exit code 0.
    Fine,
    /// Exit code 1: something was found (verification failed, events rejected). The output says what.
    Finding,
}

/// Why a command could not run to its end. Its text says what to do next.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// Exit code 2: arguments, files or permissions of the caller.
    #[error("{0}")]
    Usage(String),
    /// Exit code 2: the server knows no such key, or the key may not do this.
    #[error("{said} (the key was read from {}); name another file with --key-file, or make a key with `auditctl keys create`", key_file.display())]
    Refused {
        /// What the server said.
        said: String,
        /// Where the key came from.
        key_file: PathBuf,
    },
    /// Exit code 2: the server does not take the request as it is.
    #[error("the server refuses this with {status}: {said}")]
    Request {
        /// HTTP status.
        status: u16,
        /// Its problem document, in one line.
        said: String,
    },
    /// Exit code 3: a server that the configuration names does not answer.
    #[error("cannot use the {what} that the configuration names: {reason}")]
    Server {
        /// What it is.
        what: &'static str,
        /// Why not.
        reason: String,
    },
    /// Exit code 3: nobody answers, or the answer is that nobody can.
    #[error("cannot reach {url}: {reason}; is the worker running? name another address with --url")]
    Unreachable {
        /// The address tried.
        url: String,
        /// Why.
        reason: String,
    },
    /// Exit code 3: the server is there and cannot do it now.
    #[error(
        "{url} is not able to answer now ({status}): {said}; try again, or look at `auditctl status`"
    )]
    Unavailable {
        /// The address tried.
        url: String,
        /// HTTP status.
        status: u16,
        /// Its problem document, in one line.
        said: String,
    },
    /// Exit code 3: the server's answer cannot be understood.
    #[error(
        "the answer of {url} is not understood: {reason}; is this an Audit Worker of the same version?"
    )]
    Answer {
        /// The address tried.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Exit code 1: asked for and not there.
    #[error("{0}")]
    NotFound(String),
    /// Standard output went away (`| head`): not worth a message.
    #[error("the output is closed")]
    OutputClosed,
}

impl CliError {
    /// Wraps a failed file operation with the file's name.
    pub(crate) fn file(doing: &str, path: &std::path::Path, source: &std::io::Error) -> Self {
        Self::Usage(format!("cannot {doing} {}: {source}", path.display()))
    }

    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::OutputClosed => 0,
            Self::NotFound(_) => 1,
            Self::Usage(_) | Self::Refused { .. } | Self::Request { .. } => 2,
            Self::Server { .. }
            | Self::Unreachable { .. }
            | Self::Unavailable { .. }
            | Self::Answer { .. } => 3,
        }
    }
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Fine => Self::SUCCESS,
            Verdict::Finding => Self::from(1),
        }
    }
}
