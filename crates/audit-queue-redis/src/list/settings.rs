//! Settings of the list.

use std::time::Duration;

use audit_redis::{Address, LinkSettings};

use crate::settings::SettingsError;

/// Settings of a [`crate::list::RedisList`]. [`Settings::at`] has defaults for all but the address.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where Redis is.
    pub address: Address,
    /// The list that producers push to. On a Cluster all keys named here need one hash tag: `{audit}:queue`, `{audit}:failed`, ...
    pub queue: String,
    /// The list that shows what was refused.
    pub failed: String,
    /// The counter of events that a producer gave up. Read, never written.
    pub dropped: String,
    /// The counter of events that a producer wrote past the queue. Read, never written.
    pub overflow: String,
    /// Where [`crate::list::RedisList::publish_snapshot`] leaves what dashboards read.
    pub metrics: String,
    /// How long a batch is held without being renewed.
    pub hold: Duration,
    /// Bytes of an item that may be an event; a larger one is refused, and kept apart as it came.
    pub item_bytes_max: usize,
    /// Items among the failed, at most; what is refused beyond it is in the store's dead letters only, and counted. 50,000, the bound
    /// of the replaced worker. 0 while such a worker still runs beside: it moves the failed back to the queue every minute.
    pub failed_max: u64,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long one answer may take. A connection that exceeds it is replaced.
    pub response_timeout: Duration,
    /// How long a call goes on trying after the broker was first found away.
    pub patience: Duration,
    /// The operator knows that Redis may lose what it acknowledged: [`crate::list::RedisList::ready`] does not mind.
    pub accept_loss: bool,
}

impl Settings {
    /// The defaults, at this address, with the keys of the replaced worker.
    #[must_use]
    pub fn at(address: Address) -> Self {
        Self {
            address,
            queue: "audit:queue".into(),
            failed: "audit:failed".into(),
            dropped: "audit:dropped_count".into(),
            overflow: "audit:overflow_count".into(),
            metrics: "audit:metrics".into(),
            hold: Duration::from_secs(60),
            item_bytes_max: 1 << 20,
            failed_max: 50_000,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(5),
            patience: Duration::from_secs(3),
            accept_loss: false,
        }
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        if self.hold < Duration::from_millis(1) {
            return Err(SettingsError::TooShort("hold"));
        }
        let keys = self.keys();
        if keys.contains(&&self.metrics) || self.metrics.is_empty() {
            return Err(SettingsError::Keys(
                "that of the metrics is another's, or empty",
            ));
        }
        for (at, key) in keys.iter().enumerate() {
            if key.is_empty() {
                return Err(SettingsError::Keys("one is empty"));
            }
            if keys.iter().take(at).any(|before| before == key) {
                return Err(SettingsError::Keys("two are the same"));
            }
        }
        if tag(&self.queue) == self.queue && self.queue.contains(['{', '}']) {
            return Err(SettingsError::Keys(
                "the queue's has a brace and no hash tag",
            ));
        }
        let clustered = self.address.is_cluster();
        if clustered && keys.iter().any(|key| tag(key) != tag(&self.queue)) {
            return Err(SettingsError::Keys(
                "on a cluster they need one hash tag, such as {audit}:queue",
            ));
        }
        Ok(())
    }

    const fn keys(&self) -> [&String; 4] {
        [&self.queue, &self.failed, &self.dropped, &self.overflow]
    }

    pub(super) fn link(&self) -> LinkSettings {
        LinkSettings {
            connect_timeout: self.connect_timeout,
            response_timeout: self.response_timeout,
            patience: self.patience,
            ..LinkSettings::at(self.address.clone())
        }
    }
}

/// What of a key decides its slot: the first text in braces that is not empty, else all of it.
pub(super) fn tag(key: &str) -> &str {
    let inside = key.split_once('{').and_then(|(_, rest)| {
        let (inside, _) = rest.split_once('}')?;
        Some(inside)
    });
    inside.filter(|inside| !inside.is_empty()).unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_what_redis_takes_for_one() {
        for (key, expected) in [
            ("audit:queue", "audit:queue"),
            ("{audit}:queue", "audit"),
            ("a{b}{c}", "b"),
            ("{}a{b}", "{}a{b}"),
            ("a{b", "a{b"),
            ("a}b{c}", "c"),
        ] {
            assert_eq!(tag(key), expected, "{key}");
        }
    }
}
