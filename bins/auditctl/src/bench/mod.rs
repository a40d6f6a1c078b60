//! `bench`: measures a real worker, with a reference for every number in the same run.

mod deployed;
mod events;
mod fsync;
mod http;
mod measure;
mod process;
mod report;
mod worker;

use std::path::PathBuf;

use crate::error::{CliError, Verdict};
use crate::output::Output;

/// What to measure.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Action {
    /// The embedded form: one worker process on an empty directory.
    Embedded(Args),
    /// The deployed form: an ingest and a worker over a PostgreSQL and a Redis, in a database and a queue of their own.
    Deployed(deployed::Args),
}

/// Arguments of `bench embedded`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Events of the batch measurement.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1_000..=5_000_000))]
    events: u64,
    /// Events a batch.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    batch: u64,
    /// Connections that send batches.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=256))]
    batch_connections: u64,
    /// Single events of the request measurement.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(100..=5_000_000))]
    singles: u64,
    /// Connections that send single events.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1_024))]
    connections: u64,
    /// Events a second while `ack=sealed` is measured; a tenth of the rate measured before when not given.
    #[arg(long, value_name = "EVENTS_A_SECOND")]
    rate: Option<u64>,
    /// Seconds that `ack=sealed` is measured.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Directory on the disk to measure; the system's directory for temporary files when not given.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The worker to start; the one beside this program when not given.
    #[arg(long, value_name = "PROGRAM")]
    worker: Option<PathBuf>,
}

/// Runs the command.
pub(crate) async fn run(output: &Output, action: &Action) -> Result<Verdict, CliError> {
    match action {
        Action::Embedded(args) => {
            let report = measure::embedded(args).await?;
            report::write(output, &report)?;
            Ok(Verdict::Fine)
        }
        Action::Deployed(args) => deployed::run(output, args).await,
    }
}
