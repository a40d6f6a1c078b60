//! `bench deployed`: `audit-ingest`, a worker, PostgreSQL and Redis, each number beside a bare COPY of the same rows.

mod costs;
mod measure;
mod place;
mod report;

use std::path::PathBuf;

use crate::error::{CliError, Verdict};
use crate::output::Output;
use place::Place;

/// Connections of the reference.
const CONNECTIONS: usize = 2;

/// Arguments of `bench deployed`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Address of PostgreSQL, as a user who may make databases; the databases it makes are dropped again.
    #[arg(
        long,
        env = "AUDITCTL_POSTGRES",
        hide_env_values = true,
        value_name = "URL"
    )]
    postgres: String,
    /// Address of Redis; the queues it makes are removed again.
    #[arg(
        long,
        env = "AUDITCTL_REDIS",
        hide_env_values = true,
        value_name = "URL"
    )]
    redis: String,
    /// Times that everything is measured; medians are shown.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=99))]
    runs: u64,
    /// Events of each measurement.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1_000..=5_000_000))]
    events: u64,
    /// Events a batch.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    batch: u64,
    /// Connections that send batches.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=256))]
    batch_connections: u64,
    /// Lanes of the measured worker, each on a ledger of its own. The reference has two connections, whatever is said here.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    lanes: u16,
    /// Events a second while the time until stored is measured; half of the rate measured before when not given.
    #[arg(long, value_name = "EVENTS_A_SECOND")]
    rate: Option<u64>,
    /// Seconds that it is measured.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Directory for the processes' own data; the system's directory for temporary files when not given.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Where `worker` and `audit-ingest` are; beside this program when not given.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
}

/// Runs the command.
pub(super) async fn run(output: &Output, args: &Args) -> Result<Verdict, CliError> {
    let place = Place::new(args)?;
    let measured = tokio::select! {
        measured = measure::deployed(args, &place) => measured,
        _interrupted = tokio::signal::ctrl_c() => Err(CliError::Usage("interrupted".to_owned())),
    };
    // Whatever came of it, nothing of ours stays on the servers.
    let cleared = place.clear().await;
    report::write(output, &measured?)?;
    cleared?;
    Ok(Verdict::Fine)
}
