//! Audit Worker: queue, lanes, signed ledger, search and verification in one process; alone on its own files, or one of
//! many over PostgreSQL and Redis, as the configuration says.
//!
//! Wiring only; everything else is in the crates.

use std::process::ExitCode;

use audit::{Audit, Registry, deployed};
use audit_config::Settings;
use audit_process::{Options, Started, Surface, run};
use clap::Parser;

/// Takes audit events, keeps them, proves that none was altered.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Command {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    run("worker", Surface::Whole, &Command::parse().options, start)
}

async fn start(settings: &Settings) -> anyhow::Result<Started> {
    let audit = if settings.is_deployed() {
        deployed::start_worker(settings, Registry::default()).await?
    } else {
        let builder = Audit::builder(&settings.data_dir);
        let builder = builder.settings(embedded(settings));
        builder.detection_of(settings).start().await?
    };
    let key_file = audit.ensure_admin_key().await?;
    Ok(Started {
        audit,
        key_file: Some(key_file),
    })
}

fn embedded(settings: &Settings) -> audit::Settings {
    let mut embedded = audit::Settings::new(&settings.data_dir);
    embedded.keys_dir.clone_from(&settings.keys_dir);
    embedded.deployment_id.clone_from(&settings.deployment_id);
    embedded.ledgers = settings.ledgers;
    embedded.queue.events_max = settings.queue.events_max;
    embedded.queue.bytes_max = settings.queue.bytes_max;
    embedded.accept.max_ahead = settings.accept_max_ahead;
    embedded.shutdown_grace = settings.shutdown_grace;
    embedded.lane.batch_by_depth = deployed::batch_by_depth(&settings.batch);
    embedded.lane.batch_bytes_max = settings.batch.bytes_max;
    embedded.lane.proofs = deployed::proofs(settings.proofs);
    embedded.breaker = deployed::breaker(&settings.breaker);
    embedded
}
