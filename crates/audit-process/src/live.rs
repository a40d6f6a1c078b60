//! The settings in force, and putting others in their place while the process runs.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use audit::{Audit, ReconfigureError};
use audit_config::Settings;
use audit_event::OrganizationId;
use audit_http::{AnonymousWriters, HttpSettings};
use audit_runtime::{Random, SystemRandom};
use audit_telemetry::logs::{FilterError, Logs, check_filter};
use tokio::sync::watch;

/// What of a running process its settings can be put into.
#[derive(Debug)]
pub struct Live {
    audit: Audit,
    logs: Logs,
    /// What the surface listens on; it cannot be another without a restart.
    listen: SocketAddr,
    http: watch::Sender<Arc<HttpSettings>>,
    /// Held through an application, so that there is one at a time.
    in_force: Mutex<Settings>,
}

/// Settings cannot be applied; those before stay in force, all of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// `logFilter` is none.
    #[error("logFilter")]
    LogFilter(#[from] FilterError),
    /// The parts do not take them.
    #[error(transparent)]
    Parts(#[from] ReconfigureError),
}

impl Live {
    /// A process that has started by these settings.
    #[must_use]
    pub fn new(audit: Audit, logs: Logs, settings: &Settings, listen: SocketAddr) -> Self {
        let mut cursor_key = [0; 32];
        SystemRandom.fill(&mut cursor_key);
        let began = HttpSettings::with_cursor_key(cursor_key);
        let writers = anonymous_writers(settings, listen);
        let http = Arc::new(http_settings(&began, settings, writers));
        Self {
            audit,
            logs,
            listen,
            http: watch::Sender::new(http),
            in_force: Mutex::new(settings.clone()),
        }
    }

    /// What the HTTP surface goes by.
    #[must_use]
    pub fn http(&self) -> watch::Receiver<Arc<HttpSettings>> {
        self.http.subscribe()
    }

    /// How long the process says that it is not ready before it stops listening.
    #[must_use]
    pub fn drain_delay(&self) -> Duration {
        self.in_force().drain_delay
    }

    /// The settings in force. What needs a restart is in them as it was last given, whether or not there was one.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.in_force().clone()
    }

    fn in_force(&self) -> MutexGuard<'_, Settings> {
        // Replaced as a whole, so whole after any panic.
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether [`Self::apply`] would take these settings, without doing so.
    ///
    /// # Errors
    /// Why it would not.
    pub fn check(&self, settings: &Settings) -> Result<(), ApplyError> {
        check_filter(&settings.log_filter)?;
        Ok(self.audit.check_settings(settings)?)
    }

    /// The parts; every component's state, and the versions of configurations in the store that settings name.
    #[must_use]
    pub const fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Has the process go by these settings, as far as it can while it runs; see [`Audit::reconfigure`]. Whatever can be refused
    /// comes first. The same settings again change nothing: counters of rates go on, connections stay.
    ///
    /// # Errors
    /// When they cannot be applied; those before stay in force then.
    pub fn apply(&self, settings: &Settings) -> Result<(), ApplyError> {
        let mut in_force = self.in_force();
        check_filter(&settings.log_filter)?;
        self.audit.reconfigure(settings)?;
        if settings.log_filter != in_force.log_filter {
            // It was just read, and the logs live as long as the process.
            self.logs.set_filter(&settings.log_filter)?;
        }
        let before = Arc::clone(&self.http.borrow());
        let writers = if settings.compat == in_force.compat {
            before.anonymous_writers.clone()
        } else {
            anonymous_writers(settings, self.listen)
        };
        let http = http_settings(&before, settings, writers);
        self.http.send_replace(Arc::new(http));
        *in_force = settings.clone();
        Ok(())
    }
}

fn http_settings(
    before: &HttpSettings,
    settings: &Settings,
    anonymous_writers: Option<Arc<AnonymousWriters>>,
) -> HttpSettings {
    HttpSettings {
        body_bytes_max: usize::try_from(settings.http_body_bytes_max).unwrap_or(usize::MAX),
        items_max: usize::try_from(settings.http_items_max).unwrap_or(usize::MAX),
        anonymous_writers,
        ..before.clone()
    }
}

/// Whoever may send without a key here. Told whenever it is set, because it is a door.
fn anonymous_writers(settings: &Settings, listen: SocketAddr) -> Option<Arc<AnonymousWriters>> {
    let compat = &settings.compat;
    let (organization, ranges) = compat.anonymous_at(listen)?;
    tracing::warn!(
        organization,
        ?ranges,
        "events of this organisation are taken from these addresses without an API key"
    );
    let organization = OrganizationId::new(organization);
    let writers = AnonymousWriters::new(ranges, organization, compat.anonymous_per_second);
    let writers = if compat.anonymous_writers.is_some() {
        writers
    } else {
        writers.not_through_proxies()
    };
    Some(Arc::new(writers))
}

#[cfg(test)]
mod tests {
    use audit_telemetry::logs::{LogFormat, install};

    use super::*;

    fn settings(text: &str) -> Settings {
        Settings::from_json(text, &|_name| None).expect("it is fine")
    }

    #[tokio::test]
    async fn settings_are_applied_whole_or_not_at_all() {
        let dir = tempfile::tempdir().expect("a directory");
        let audit = Audit::builder(dir.path()).start().await.expect("it starts");
        let began = settings(r#"{"compat":{"organizationId":"shop"},"logFilter":"error"}"#);
        let logs = install(LogFormat::Human, &began.log_filter).expect("the only logs");
        let live = Live::new(audit.clone(), logs, &began, began.listen);
        let http = live.http();
        let first = Arc::clone(&http.borrow());
        assert!(first.anonymous_writers.is_some() && !tracing::enabled!(tracing::Level::INFO));

        for refused in [
            r#"{"logFilter":"audit=loudly","http":{"itemsMax":7}}"#,
            r#"{"store":{"backend":"postgres","url":"postgres://h/d"},"logFilter":"info",
                "queue":{"backend":"redis","url":"redis://h"},"http":{"itemsMax":7}}"#,
        ] {
            live.check(&settings(refused)).expect_err(refused);
            live.apply(&settings(refused)).expect_err(refused);
            assert!(Arc::ptr_eq(&first, &http.borrow()), "{refused}");
            assert!(!tracing::enabled!(tracing::Level::INFO), "{refused}");
            assert_eq!(live.settings(), began, "{refused}");
        }

        let next = settings(
            r#"{"compat":{"organizationId":"shop"},"logFilter":"info","http":{"itemsMax":7,"bodyBytesMax":2048},
                "shutdown":{"drainDelayMs":5}}"#,
        );
        live.check(&next).expect("it would be");
        assert!(Arc::ptr_eq(&first, &http.borrow()), "only a look");
        live.apply(&next).expect("taken up");
        let now = Arc::clone(&http.borrow());
        assert_eq!((now.items_max, now.body_bytes_max), (7, 2_048));
        assert_eq!(now.cursor_key, first.cursor_key, "pages go on");
        let writers = |http: &HttpSettings| http.anonymous_writers.clone().expect("a door");
        assert!(Arc::ptr_eq(&writers(&first), &writers(&now)), "rates go on");
        assert!(tracing::enabled!(tracing::Level::INFO));
        assert_eq!(live.drain_delay(), Duration::from_millis(5));

        live.apply(&settings("{}")).expect("taken up");
        assert!(
            http.borrow().anonymous_writers.is_none(),
            "the door is shut"
        );
        assert!(audit.shutdown().await);
    }
}
