//! What a way to Redis is made of.

use std::time::Duration;

use crate::address::Address;

/// How Redis is reached and how long it is waited for. [`LinkSettings::at`] has defaults for all but the address.
#[derive(Debug, Clone)]
pub struct LinkSettings {
    /// Where Redis is.
    pub address: Address,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long one answer may take. A connection that exceeds it is replaced.
    pub response_timeout: Duration,
    /// How long a call goes on trying after the broker was first found away.
    pub patience: Duration,
    /// Replicas that [`crate::Link::durability`] waits for, at most [`LinkSettings::response_timeout`]. 0: none.
    pub replicas: u16,
}

impl LinkSettings {
    /// The defaults, at this address.
    #[must_use]
    pub const fn at(address: Address) -> Self {
        Self {
            address,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(5),
            patience: Duration::from_secs(3),
            replicas: 0,
        }
    }

    pub(crate) fn check(&self) -> Result<(), LinkError> {
        for (name, time) in [
            ("connect time-out", self.connect_timeout),
            ("response time-out", self.response_timeout),
        ] {
            if time < Duration::from_millis(1) {
                return Err(LinkError::TooShort(name));
            }
        }
        Ok(())
    }
}

/// No way to Redis can be made of these settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// A time-out of nothing never succeeds.
    #[error("the {0} is shorter than a millisecond")]
    TooShort(&'static str),
    /// Certificates or their key cannot be read, or are not usable with Sentinel or Cluster.
    #[error("the TLS settings are refused: {0}")]
    Tls(String),
    /// The address is not one of Redis.
    #[error("the address is refused: {0}")]
    Address(String),
}
