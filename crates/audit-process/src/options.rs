//! Flags; a flag wins over the configuration file, which wins over the defaults.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::Surface;

/// What every server program is told on its command line.
#[derive(Debug, Args)]
pub struct Options {
    /// Configuration (JSON or TOML): a path, file:///PATH or s3://BUCKET/KEY; every key has a default [env: CONFIG_PATH]
    #[arg(long, value_name = "PLACE")]
    config: Option<String>,
    /// Where this process keeps what is its own [default: ./data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address and port of the HTTP surface [default: 127.0.0.1:3001, audit-ingest 127.0.0.1:3002]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Checks a configuration, prints what it comes to, and starts nothing: exit code 0 when it would be taken, else 1
    #[arg(long, value_name = "PLACE", conflicts_with_all = ["config", "print_config_schema", "print_default_config"])]
    check_config: Option<String>,
    /// How --check-config prints
    #[arg(short, long, value_enum, default_value_t = Output::Human, requires = "check_config")]
    output: Output,
    /// Prints the JSON Schema of a configuration file and ends
    #[arg(long, conflicts_with = "print_default_config")]
    print_config_schema: bool,
    /// Prints a configuration file that holds every default and ends
    #[arg(long)]
    print_default_config: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Human,
    Json,
}

/// Flags that stand for keys: the flag, its key, its value.
pub(crate) type Flags = Vec<(&'static str, &'static str, String)>;

/// What a program is to do.
pub(crate) enum Asked<'o> {
    Run,
    CheckConfig(&'o str, Output),
    PrintSchema,
    PrintDefaults,
}

impl Options {
    pub(crate) fn asked(&self) -> Asked<'_> {
        match &self.check_config {
            Some(place) => Asked::CheckConfig(place, self.output),
            None if self.print_config_schema => Asked::PrintSchema,
            None if self.print_default_config => Asked::PrintDefaults,
            None => Asked::Run,
        }
    }

    /// Where the configuration is, as `--config` says.
    pub(crate) fn config(&self) -> Option<&str> {
        self.config.as_deref()
    }

    /// What `--data-dir` says.
    pub(crate) fn data_dir(&self) -> Option<&Path> {
        self.data_dir.as_deref()
    }

    /// Those of this command line.
    pub(crate) fn flags(&self, surface: Surface) -> Flags {
        let listen = match surface {
            Surface::Whole => "listen",
            Surface::Ingest => "ingest.listen",
        };
        let data_dir = self
            .data_dir
            .as_ref()
            .map(|dir| ("--data-dir", "dataDir", dir.display().to_string()));
        let listen = self
            .listen
            .map(|address| ("--listen", listen, address.to_string()));
        data_dir.into_iter().chain(listen).collect()
    }
}
