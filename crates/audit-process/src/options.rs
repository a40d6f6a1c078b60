//! Flags; a flag wins over the configuration file, which wins over the defaults.

use std::net::SocketAddr;
use std::path::PathBuf;

use audit_config::{ConfigProblem, Settings};
use clap::Args;

use crate::Surface;

/// What every server program is told on its command line.
#[derive(Debug, Args)]
pub struct Options {
    /// Configuration file (JSON); every key has a default
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where this process keeps what is its own [default: ./data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address and port of the HTTP surface [default: 127.0.0.1:3001, audit-ingest 127.0.0.1:3002]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
}

impl Options {
    /// The settings in force.
    pub(crate) fn settings(&self, surface: Surface) -> Result<Settings, Vec<ConfigProblem>> {
        let mut settings = match &self.config {
            None => Settings::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    vec![ConfigProblem {
                        key: path.display().to_string(),
                        reason: format!("cannot be read: {error}"),
                    }]
                })?;
                Settings::from_json(&text, &variable)?
            }
        };
        if let Some(data_dir) = &self.data_dir {
            settings.data_dir.clone_from(data_dir);
        }
        if let Some(listen) = self.listen {
            match surface {
                Surface::Whole => settings.listen = listen,
                Surface::Ingest => settings.ingest.listen = listen,
            }
        }
        Ok(settings)
    }
}

/// What `${NAME}` in a configuration stands for.
#[expect(
    clippy::disallowed_methods,
    reason = "the binary hands the environment to audit-config, which substitutes"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
