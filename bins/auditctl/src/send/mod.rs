//! `send`: events of files, globs or standard input, in batches, each repeated until it is acknowledged.
//!
//! Memory is bounded by a few batches. Ids of events without one come from the `Idempotency-Key`, which is made of the
//! batch's content and its position, so a repeated batch and a resumed run store nothing twice.

mod batch;
mod input;
mod post;
mod split;
mod state;
mod summary;

use std::path::PathBuf;
use std::time::Duration;

use futures::{StreamExt as _, stream};

use self::batch::{Batch, Batches};
pub(crate) use self::input::{Input, expand};
use self::post::Poster;
pub(crate) use self::split::Splitter;
use self::state::State;
use self::summary::Summary;
use crate::client::Client;
use crate::error::{CliError, Verdict};
use crate::output::Output;
use crate::progress;

/// Batches on their way at once: enough to keep the server's group commit busy, few enough to stay small.
const IN_FLIGHT: usize = 4;

/// Arguments of `send`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files, globs, or `-` for standard input. A file holds a JSON array, `{"events": []}`, `{"Records": []}`, one
    /// event a line, or single objects.
    #[arg(required = true, value_name = "FILE|GLOB|-")]
    inputs: Vec<String>,
    /// How the events are written.
    #[arg(long, default_value = "native", value_parser = ["native", "smart_logs", "pake", "list_worker", "cloudtrail"])]
    format: String,
    /// Events a request.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
    /// What an answer promises: on disk in the queue, stored, or under a signed checkpoint.
    #[arg(long, default_value = "stored", value_parser = ["queued", "stored", "sealed"])]
    ack: String,
    /// Where to note how far it got; by default a file in the state directory of the user. Gone when all is sent.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Seconds without any success after which it gives up; a later run goes on.
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    patience: u64,
}

/// Runs the command.
pub(crate) async fn run(client: &Client, output: &Output, args: Args) -> Result<Verdict, CliError> {
    let inputs = expand(&args.inputs)?;
    let mut state = State::open(args.state.as_deref(), client.url(), &args, &inputs)?;
    if state.is_resumed() {
        output.remark(&format!("going on after {} events", state.summary().sent))?;
    }
    let poster = Poster::new(
        client,
        &args.format,
        &args.ack,
        Duration::from_secs(args.patience),
    );
    let bar = progress::bytes(inputs.iter().filter_map(|input| input.bytes()).sum());
    for (number, input) in inputs.iter().enumerate() {
        if !state.is_done(number) {
            send_input(&poster, &mut state, number, input, &bar).await?;
        } else if let Some(bytes) = input.bytes() {
            bar.inc(bytes);
        }
    }
    bar.finish_and_clear();
    let summary = state.finish()?;
    summary.write(output)?;
    Ok(if summary.is_clean() {
        Verdict::Fine
    } else {
        Verdict::Finding
    })
}

async fn send_input(
    poster: &Poster<'_>,
    state: &mut State,
    number: usize,
    input: &Input,
    bar: &indicatif::ProgressBar,
) -> Result<(), CliError> {
    let mut batches = Batches::open(input, state.batch())?;
    state.skip_sent(number, input, &mut batches)?;
    bar.inc(batches.bytes_read());
    let mut read_so_far = batches.bytes_read();
    let mut answers = stream::iter(batches)
        .map(|batch| deliver(poster, batch))
        .buffered(IN_FLIGHT);
    while let Some(answer) = answers.next().await {
        let (batch, outcome) = answer?;
        state.add(number, &batch, outcome)?;
        bar.inc(batch.read_until.saturating_sub(read_so_far));
        read_so_far = batch.read_until;
        bar.set_message(Summary::short(state.summary()));
    }
    state.input_done(number)
}

async fn deliver(
    poster: &Poster<'_>,
    batch: Result<Batch, CliError>,
) -> Result<(Batch, post::Outcome), CliError> {
    let batch = batch?;
    let outcome = poster.deliver(&batch).await?;
    Ok((batch, outcome))
}
