//! Settings.

use std::time::Duration;

use audit_redis::{Address, LinkError, LinkSettings};

/// The largest number of jobs that one script moves: about ten milliseconds in which Redis serves nobody else.
const SCRIPT_JOBS_MAX: usize = 1000;

/// Settings of a BullMQ queue. [`Settings::at`] has defaults for all but address, queue and form.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where Redis is. On a Cluster the prefix must have a hash tag, as BullMQ itself demands.
    pub address: Address,
    /// `prefix` of the producers' `Queue`.
    pub prefix: String,
    /// Name of the producers' `Queue`.
    pub queue: String,
    /// The form of what the jobs carry (`audit_event::Form::as_str`).
    pub form: &'static str,
    /// Queue of the same prefix that refused jobs are shown in as well, as jobs `dead-letter-event`. `None`: nowhere but in the failed
    /// set of their own queue.
    pub dead_letter_queue: Option<String>,
    /// A job with more bytes of data is refused, with the first 4 KiB of them, and stays among the failed whatever its `removeOnFail` says.
    pub item_bytes_max: usize,
    /// Jobs that one script moves at most, up to 1,000; a larger batch takes several.
    pub script_jobs: usize,
    /// BullMQ's `lockDuration`: how long a batch is held without being renewed.
    pub hold: Duration,
    /// BullMQ's `stalledInterval`: how often jobs of dead workers are looked for. They come back after two looks.
    pub stalled_interval: Duration,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long one answer may take. A connection that exceeds it is replaced.
    pub response_timeout: Duration,
    /// How long a call goes on trying after the broker was first found away.
    pub patience: Duration,
}

impl Settings {
    /// The defaults, for this queue.
    #[must_use]
    pub fn at(address: Address, queue: &str, form: &'static str) -> Self {
        let link = LinkSettings::at(address);
        Self {
            connect_timeout: link.connect_timeout,
            response_timeout: link.response_timeout,
            patience: link.patience,
            address: link.address,
            prefix: "bull".into(),
            queue: queue.into(),
            form,
            dead_letter_queue: None,
            item_bytes_max: 1 << 20,
            script_jobs: 500,
            hold: Duration::from_secs(30),
            stalled_interval: Duration::from_secs(30),
        }
    }

    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        let dead = self.dead_letter_queue.as_deref();
        for name in [Some(&*self.queue), dead].into_iter().flatten() {
            if name.is_empty() || name.contains(':') {
                return Err(SettingsError::Queue);
            }
        }
        if dead == Some(&self.queue) {
            return Err(SettingsError::OwnDeadLetters);
        }
        if self.prefix.is_empty() {
            return Err(SettingsError::Prefix);
        }
        if !(1..=SCRIPT_JOBS_MAX).contains(&self.script_jobs) {
            return Err(SettingsError::ScriptJobs);
        }
        for (name, time) in [
            ("hold", self.hold),
            ("stalled interval", self.stalled_interval),
        ] {
            if time < Duration::from_millis(1) {
                return Err(SettingsError::TooShort(name));
            }
        }
        Ok(())
    }

    pub(crate) fn link(&self) -> LinkSettings {
        LinkSettings {
            connect_timeout: self.connect_timeout,
            response_timeout: self.response_timeout,
            patience: self.patience,
            ..LinkSettings::at(self.address.clone())
        }
    }
}

/// No queue can be made of these settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// BullMQ has no such queue.
    #[error("the name of a queue is empty or has a colon in it")]
    Queue,
    /// Refused jobs would be taken again for ever.
    #[error("a queue cannot be the queue of its own dead letters")]
    OwnDeadLetters,
    /// BullMQ always has one.
    #[error("the prefix is empty")]
    Prefix,
    /// None at all, or so many that Redis serves nobody else for too long.
    #[error("a script moves 1 to {SCRIPT_JOBS_MAX} jobs")]
    ScriptJobs,
    /// It would be over before it began.
    #[error("the {0} is shorter than a millisecond")]
    TooShort(&'static str),
    /// Redis cannot be reached so.
    #[error(transparent)]
    Link(#[from] LinkError),
}
