//! Logs on standard error: for people, or one JSON object a line. Standard output stays free for answers.

use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry};

use crate::{InstallError, redact};

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// What is logged, while the process runs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Logs {
    filter: reload::Handle<EnvFilter, Registry>,
}

impl Logs {
    /// Logs by this filter from now on, in the syntax of `tracing`'s `EnvFilter`.
    ///
    /// # Errors
    /// When it cannot be read, or the process ends; the filter before it stays in force then.
    pub fn set_filter(&self, filter: &str) -> Result<(), FilterError> {
        let filter = parse(filter)?;
        self.filter.reload(filter).map_err(FilterError::Gone)
    }
}

/// A log filter cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// It cannot be read.
    #[error("the log filter cannot be read")]
    Unreadable(#[source] tracing_subscriber::filter::ParseError),
    /// There are no logs any more.
    #[error("the logs are gone")]
    Gone(#[source] reload::Error),
}

/// Whether a filter can be read.
///
/// # Errors
/// When it cannot.
pub fn check_filter(filter: &str) -> Result<(), FilterError> {
    parse(filter).map(|_filter| ())
}

fn parse(filter: &str) -> Result<EnvFilter, FilterError> {
    EnvFilter::builder()
        .parse(filter)
        .map_err(FilterError::Unreadable)
}

/// Sets up the process's logs. For binaries only, once.
///
/// # Errors
/// When the filter cannot be read, or logs are set up already.
pub fn install(format: LogFormat, filter: &str) -> Result<Logs, InstallError> {
    let (filter, handle) = reload::Layer::new(parse(filter)?);
    let layer = tracing_subscriber::fmt::layer().with_writer(Redacting(io::stderr));
    let installed = match format {
        LogFormat::Human => {
            let layer = layer.with_ansi(io::IsTerminal::is_terminal(&io::stderr()));
            tracing_subscriber::registry()
                .with(filter)
                .with(layer)
                .try_init()
        }
        LogFormat::Json => {
            let layer = layer.json().flatten_event(true).with_current_span(false);
            tracing_subscriber::registry()
                .with(filter)
                .with(layer)
                .try_init()
        }
    };
    installed.map_err(InstallError::LogsTaken)?;
    Ok(Logs { filter: handle })
}

/// Writes to another writer what [`redact`] leaves of each line.
struct Redacting<M>(M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Redacting<M> {
    type Writer = RedactingWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        RedactingWriter(self.0.make_writer())
    }
}

struct RedactingWriter<W>(W);

impl<W: Write> Write for RedactingWriter<W> {
    /// The formatting layer hands over whole lines, so a secret is never cut in two here.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(&redact(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .lock()
                .expect("not poisoned")
                .extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_secret_in_a_field_never_reaches_the_log() {
        let (kept, secret) = (Kept::default(), "S".repeat(43));
        let writer = kept.clone();
        let layer = tracing_subscriber::fmt::layer()
            .json()
            .with_writer(Redacting(move || writer.clone()));
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(
                header = format!("Bearer ak_0123456789abcdef_{secret}"),
                "who goes there"
            );
        });
        let line = String::from_utf8(kept.0.lock().expect("not poisoned").clone()).expect("UTF-8");
        assert!(
            line.contains("Bearer ak_0123456789abcdef_[redacted]"),
            "{line}"
        );
        assert!(!line.contains(&secret), "{line}");
    }

    #[test]
    fn a_new_filter_holds_at_once_and_an_unreadable_one_changes_nothing() {
        let kept = Kept::default();
        let writer = kept.clone();
        let (filter, handle) = reload::Layer::new(parse("info").expect("a filter"));
        let logs = Logs { filter: handle };
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(Redacting(move || writer.clone()));
        let subscriber = tracing_subscriber::registry().with(filter).with(layer);
        tracing::subscriber::with_default(subscriber, || {
            let say = |round: u32| {
                tracing::debug!(round, "in detail");
                tracing::warn!(round, "in general");
            };
            say(1);
            logs.set_filter("debug").expect("a filter");
            say(2);
            let refused = logs.set_filter("audit=loudly").expect_err("no level");
            assert!(matches!(refused, FilterError::Unreadable(_)), "{refused}");
            say(3);
            logs.set_filter("error").expect("a filter");
            say(4);
        });
        let text = String::from_utf8(kept.0.lock().expect("not poisoned").clone()).expect("UTF-8");
        let said = |what: &str| -> Vec<u32> {
            let lines = text.lines().filter(|line| line.contains(what));
            let rounds = lines.filter_map(|line| line.rsplit_once("round=")?.1.trim().parse().ok());
            rounds.collect()
        };
        assert_eq!(said("in detail"), [2, 3], "{text}");
        assert_eq!(said("in general"), [1, 2, 3], "{text}");
    }
}
