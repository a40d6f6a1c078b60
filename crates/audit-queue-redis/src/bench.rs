//! What benchmarks need beside the queue itself: taking a queue away, and what the server's work cost.

use std::sync::Arc;
use std::time::Duration;

use audit_queue::QueueError;
use audit_runtime::SystemRandom;

use audit_redis::{Call, Lane, Link};

use crate::script::Keys;
use crate::settings::{Settings, SettingsError};

/// The server of a queue.
#[derive(Debug)]
pub struct Server {
    link: Link,
    keys: Keys,
}

impl Server {
    /// That of a queue of these settings. Connects when it is first used.
    ///
    /// # Errors
    /// When the settings contradict themselves.
    pub fn of(settings: Settings) -> Result<Self, SettingsError> {
        settings.check()?;
        let keys = Keys::of(&settings.name);
        let link = Link::new(settings.link(), keys.frames.clone(), Arc::new(SystemRandom))?;
        Ok(Self { link, keys })
    }

    /// Removes the queue with everything in it; nothing when it is not there.
    ///
    /// # Errors
    /// When Redis is away or says no.
    pub async fn remove_queue(&self) -> Result<(), QueueError> {
        let call = Call::plain("UNLINK").arg(&self.keys.all()[..]);
        let _removed: u64 = self.link.ask(Lane::Ask, &call).await?;
        Ok(())
    }

    /// Processor time of all threads of the server so far; `None` when it does not say.
    pub async fn processor_time(&self) -> Option<Duration> {
        let call = Call::plain("INFO").arg("cpu");
        let said: String = self.link.ask(Lane::Ask, &call).await.ok()?;
        processor_time(&said)
    }
}

fn processor_time(said: &str) -> Option<Duration> {
    let seconds = |name: &str| -> Option<f64> {
        let mut lines = said.lines();
        lines.find_map(|line| line.strip_prefix(name))?.parse().ok()
    };
    let both = seconds("used_cpu_sys:")? + seconds("used_cpu_user:")?;
    Duration::try_from_secs_f64(both).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_server_counts_and_not_its_children() {
        let said = "# CPU\r\nused_cpu_sys:1.500000\r\nused_cpu_user:2.250000\r\nused_cpu_sys_children:9.0\r\nused_cpu_user_children:9.0\r\n";
        assert_eq!(processor_time(said), Some(Duration::from_millis(3750)));
        assert_eq!(processor_time("# CPU\r\nused_cpu_sys:1.0\r\n"), None);
    }
}
