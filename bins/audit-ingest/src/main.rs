//! Audit Ingest: takes events for a deployment and hands them to its workers.
//!
//! Wiring only; what it does while the broker or the store is away is in `audit-pipeline`'s `overflow`.

use std::process::ExitCode;

use audit::deployed;
use audit_config::Settings;
use audit_process::{Options, Started, Surface, run};
use clap::Parser;

/// Takes audit events for a deployment of Audit Worker.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Command {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    run(
        "audit-ingest",
        Surface::Ingest,
        &Command::parse().options,
        start,
    )
}

async fn start(settings: &Settings) -> anyhow::Result<Started> {
    let audit = deployed::start_ingest(settings).await?;
    Ok(Started {
        audit,
        key_file: None,
    })
}
