//! Settings.

use std::time::Duration;

use audit_queue::FrameLimits;
use audit_redis::{Address, LinkError, LinkSettings};

/// Settings of a Redis queue. [`Settings::at`] has defaults for all but the address.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where Redis is.
    pub address: Address,
    /// Name of the queue, which its keys begin with, in braces. Whoever shares a queue says the same.
    pub name: String,
    /// Mark: producers' events that may wait (DESIGN §3.3). A frame that would pass it is refused unless nothing waits.
    pub events_max: u64,
    /// Mark: bytes of producers' frames, as kept, that may wait.
    pub bytes_max: u64,
    /// Bytes of frames that may be on their way to Redis; further enqueues wait for room.
    pub pending_bytes_max: usize,
    /// How many ids of settled frames are remembered; about 100 bytes each in Redis.
    pub settled_ids_kept: u32,
    /// How long a batch is held without being renewed.
    pub hold: Duration,
    /// Bounds of a frame.
    pub frame: FrameLimits,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long one answer may take. A connection that exceeds it is replaced.
    pub response_timeout: Duration,
    /// How long a call goes on trying after the broker was first found away.
    pub patience: Duration,
    /// Replicas that an enqueue waits for, at most [`Settings::response_timeout`]; its answer says how many there were. 0: none.
    pub replicas: u16,
    /// The operator knows that Redis may lose what it acknowledged: [`crate::RedisQueue::ready`] does not mind.
    pub accept_loss: bool,
}

impl Settings {
    /// The defaults, at this address.
    #[must_use]
    pub fn at(address: Address) -> Self {
        Self {
            address,
            name: "audit".into(),
            events_max: 1_000_000,
            bytes_max: 512 << 20,
            pending_bytes_max: 32 << 20,
            settled_ids_kept: 100_000,
            hold: Duration::from_secs(60),
            frame: FrameLimits::default(),
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(5),
            patience: Duration::from_secs(3),
            replicas: 0,
            accept_loss: false,
        }
    }

    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        if self.name.is_empty() || self.name.contains(['{', '}']) {
            return Err(SettingsError::Name);
        }
        if self.hold < Duration::from_millis(1) {
            return Err(SettingsError::TooShort("hold"));
        }
        Ok(())
    }

    pub(crate) fn link(&self) -> LinkSettings {
        LinkSettings {
            connect_timeout: self.connect_timeout,
            response_timeout: self.response_timeout,
            patience: self.patience,
            replicas: self.replicas,
            ..LinkSettings::at(self.address.clone())
        }
    }
}

/// No queue can be made of these settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Braces would break the hash tag.
    #[error("the name of the queue is empty or has a brace in it")]
    Name,
    /// Names of the keys of a list.
    #[error("the names of the list's keys are refused: {0}")]
    Keys(&'static str),
    /// A time-out of nothing never succeeds.
    #[error("the {0} is shorter than a millisecond")]
    TooShort(&'static str),
    /// Redis cannot be reached so.
    #[error(transparent)]
    Link(#[from] LinkError),
}
