//! `list-source`: what an operator does with the Redis list of a replaced worker.

use std::path::PathBuf;
use std::sync::Arc;

use audit_config::{Settings, SourceQueue, SourceSettings};
use audit_queue::QueueError;
use audit_queue_redis::list::RedisList;
use audit_redis::Address;
use audit_runtime::SystemRandom;
use serde_json::json;

use crate::config;
use crate::error::{CliError, Verdict};
use crate::output::{Output, Rows};

/// What to do with the list.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Action {
    /// Shows what waits, is held and has failed.
    Status(Which),
    /// Moves the oldest of the failed back to the queue, where they are new items.
    RetryFailed {
        #[command(flatten)]
        which: Which,
        /// So many at most.
        #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
        items: u64,
    },
    /// Gives what nobody holds any more back to the queue, for going back to the old worker. No worker of ours may run.
    HandBack(Which),
}

/// Which list.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// Configuration file of the deployment.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Its key, when the configuration has several lists.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

/// Runs the command.
pub(crate) async fn run(output: &Output, action: &Action) -> Result<Verdict, CliError> {
    let (Action::Status(which) | Action::RetryFailed { which, .. } | Action::HandBack(which)) =
        action;
    let settings = config::read(&which.config)?;
    let list = open(find(&settings, which.key.as_deref())?)?;
    let moved = match action {
        Action::Status(_) => None,
        Action::RetryFailed { items, .. } => Some(list.retry_failed(*items).await),
        Action::HandBack(_) => Some(list.hand_back().await),
    };
    if let Some(moved) = moved.transpose().map_err(|error| failed(&error))? {
        output.remark(&format!("{moved} items moved back to the queue"))?;
    }
    let depth = list.depth().await.map_err(|error| failed(&error))?;
    list.close().await;
    let mut rows = Rows::new(&["waiting", "held", "failed", "dropped", "overflow"]);
    let numbers = [
        depth.waiting,
        depth.held,
        depth.failed,
        depth.dropped,
        depth.overflow,
    ];
    rows.push(numbers.map(|number| number.to_string().into()).to_vec());
    output.rows_or(
        &rows,
        &json!({
            "waiting": depth.waiting, "held": depth.held, "failed": depth.failed,
            "dropped": depth.dropped, "overflow": depth.overflow,
        }),
    )?;
    if matches!(action, Action::HandBack(_)) && depth.held > 0 {
        output.remark(&format!(
            "{} items are still held; wait a minute after the last worker ended and run it again",
            depth.held
        ))?;
        return Ok(Verdict::Finding);
    }
    Ok(Verdict::Fine)
}

fn find<'s>(settings: &'s Settings, wanted: Option<&str>) -> Result<&'s SourceSettings, CliError> {
    let is_it = |source: &&SourceSettings| match &source.queue {
        SourceQueue::RedisList { key, .. } => wanted.is_none_or(|wanted| wanted == key),
        SourceQueue::Bullmq { .. } => false,
    };
    let mut lists = settings.sources.iter().filter(is_it);
    match (lists.next(), lists.next()) {
        (Some(list), None) => Ok(list),
        (None, _) => Err(CliError::Usage(
            "the configuration has no such source of kind redisList".to_owned(),
        )),
        (Some(_), Some(_)) => Err(CliError::Usage(
            "the configuration has several lists; name one with --key".to_owned(),
        )),
    }
}

fn open(source: &SourceSettings) -> Result<RedisList, CliError> {
    let usage = |error: &dyn std::fmt::Display| CliError::Usage(error.to_string());
    let address: Address = source.url.expose().parse().map_err(|error| usage(&error))?;
    let mut settings = audit_queue_redis::list::Settings::at(address);
    if let SourceQueue::RedisList {
        key, failed_key, ..
    } = &source.queue
    {
        settings.queue.clone_from(key);
        settings.failed.clone_from(failed_key);
    }
    RedisList::new(settings, Arc::new(SystemRandom)).map_err(|error| usage(&error))
}

fn failed(error: &QueueError) -> CliError {
    CliError::Server {
        what: "list",
        reason: error.to_string(),
    }
}
