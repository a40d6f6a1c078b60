//! Logs on standard error: for people, or one JSON object a line. Standard output stays free for answers.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

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

/// Sets up the process's logs. For binaries only, once.
///
/// # Errors
/// When the filter cannot be read, or logs are set up already.
pub fn install(format: LogFormat, filter: &str) -> Result<(), InstallError> {
    let filter = EnvFilter::builder()
        .parse(filter)
        .map_err(InstallError::Filter)?;
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
    installed.map_err(InstallError::LogsTaken)
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
}
