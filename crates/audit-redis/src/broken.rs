//! What went wrong with a call to Redis, and what that means to the caller of the port.

use audit_queue::QueueError;
use deadpool_redis::redis::{ErrorKind, RedisError};

/// A call that was not answered as hoped. It can be said to several callers, so it holds texts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// It did not reach Redis: nothing happened.
    #[error("redis is not reached: {0}")]
    NotSent(String),
    /// It may have been carried out; its answer was lost.
    #[error("the answer of redis was lost: {0}")]
    Unanswered(String),
    /// Redis refuses it at this time: nothing happened.
    #[error("redis refuses: {0}")]
    Refused(String),
    /// Redis has no memory for it: nothing happened.
    #[error("redis refuses: {0}")]
    Full(String),
}

impl Broken {
    /// Of an error that came while the call was under way.
    #[must_use]
    pub fn of_call(error: &RedisError) -> Self {
        let said = error.to_string();
        match error.code() {
            Some("OOM") => return Self::Full(said),
            // READONLY, LOADING, CLUSTERDOWN, NOREPLICAS, MISCONF, MASTERDOWN, BUSY, NOAUTH, NOPERM, ...: scripts are refused before their
            // first line for all of these, and for whatever a later version may say no event is to blame either.
            Some(_) => return Self::Refused(said),
            None => {}
        }
        match error.kind() {
            ErrorKind::AuthenticationFailed
            | ErrorKind::InvalidClientConfig
            | ErrorKind::MasterNameNotFoundBySentinel
            | ErrorKind::NoValidReplicasFoundBySentinel
            | ErrorKind::EmptySentinelList
            | ErrorKind::ClusterConnectionNotFound => Self::NotSent(said),
            _ => Self::Unanswered(said),
        }
    }

    /// Whether trying again soon may help.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        !matches!(self, Self::Full(_))
    }

    /// Whether it may have been carried out.
    #[must_use]
    pub const fn is_unanswered(&self) -> bool {
        matches!(self, Self::Unanswered(_))
    }
}

impl From<Broken> for QueueError {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::NotSent(_) | Broken::Refused(_) => Self::Unavailable(Box::new(broken)),
            Broken::Unanswered(_) => Self::Unknown(Box::new(broken)),
            Broken::Full(_) => Self::NoSpace(Box::new(broken)),
        }
    }
}
