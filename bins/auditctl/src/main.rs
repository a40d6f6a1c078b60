//! `auditctl`: the command line of operators and auditors.
//!
//! Exit codes: 0 fine, 1 a finding (verification failed, events rejected), 2 usage, 3 cannot reach.

mod alerts;
mod bench;
mod client;
mod config;
mod configuration;
mod dead_letters;
mod decrypt_pake;
mod error;
mod events;
mod keys;
mod list_source;
mod migrate;
mod output;
mod progress;
mod prove;
mod query;
mod rules;
mod send;
mod show;
mod status;
mod store;
mod tail;
mod verify;
mod verify_proof;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::client::Client;
use crate::error::{CliError, Verdict};
use crate::output::{Format, Output};

/// Sends, searches, verifies and proves audit events, and operates a worker.
#[derive(Debug, Parser)]
#[command(
    name = "auditctl",
    version,
    after_help = "Exit codes: 0 fine, 1 a finding, 2 usage, 3 cannot reach."
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, clap::Args)]
struct Global {
    /// Address of the worker.
    #[arg(
        long,
        global = true,
        env = "AUDITCTL_URL",
        default_value = "http://127.0.0.1:3001",
        value_name = "URL"
    )]
    url: String,
    /// File that holds the API key.
    #[arg(
        long,
        global = true,
        env = "AUDITCTL_KEY_FILE",
        default_value = "./data/admin.key",
        value_name = "FILE"
    )]
    key_file: PathBuf,
    /// How results are written.
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    output: Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sends events from files, a glob or standard input; a killed send goes on where it was.
    Send(send::Args),
    /// Searches stored events.
    Query(query::Args),
    /// Follows new events.
    Tail(tail::Args),
    /// Shows one event.
    Show(show::Args),
    /// Verifies the ledgers and names every event that was altered.
    Verify(verify::Args),
    /// Saves the proof of one event to a file that anyone can check.
    Prove(prove::Args),
    /// Checks a saved proof offline, with a key that you already trust.
    VerifyProof(verify_proof::Args),
    /// Events that could not be stored.
    #[command(subcommand)]
    DeadLetters(dead_letters::Action),
    /// What detection found, and who was told of it.
    #[command(subcommand)]
    Alerts(alerts::Action),
    /// Rules of detection: those in use, and trying others.
    #[command(subcommand)]
    Rules(rules::Action),
    /// API keys.
    #[command(subcommand)]
    Keys(keys::Action),
    /// The configuration that processes run with, and its versions.
    #[command(subcommand)]
    Config(configuration::Action),
    /// Schema migrations of a store.
    #[command(subcommand)]
    Migrate(migrate::Action),
    /// What an operator does with the Redis list of a replaced worker.
    #[command(subcommand)]
    ListSource(list_source::Action),
    /// Whether every accepted event is accounted for, and the state of the worker.
    Status(status::Args),
    /// Opens encryption envelopes of PAKE, one a line on standard input.
    DecryptPake(decrypt_pake::Args),
    /// Measures a worker, with a reference for every number in the same run.
    #[command(subcommand)]
    Bench(bench::Action),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli).await {
        Ok(verdict) => verdict.into(),
        Err(error) => {
            if !matches!(error, CliError::OutputClosed) {
                complain(&error);
            }
            ExitCode::from(error.exit_code())
        }
    }
}

async fn run(cli: Cli) -> Result<Verdict, CliError> {
    let output = Output::new(cli.global.output);
    let client = || Client::new(&cli.global.url, &cli.global.key_file);
    match cli.command {
        Command::Send(args) => send::run(&client()?, &output, args).await,
        Command::Query(args) => query::run(&client()?, &output, &args).await,
        Command::Tail(args) => tail::run(&client()?, &output, &args).await,
        Command::Show(args) => show::run(&client()?, &output, &args).await,
        Command::Verify(args) => verify::run(&client()?, &output, &args).await,
        Command::Prove(args) => prove::run(&client()?, &output, &args).await,
        Command::VerifyProof(args) => verify_proof::run(&output, &args),
        Command::DecryptPake(args) => decrypt_pake::run(&output, &args),
        Command::DeadLetters(action) => dead_letters::run(&client()?, &output, &action).await,
        Command::Alerts(action) => alerts::run(&client()?, &output, &action).await,
        Command::Rules(action) => rules::run(client, &output, &action).await,
        Command::Keys(action) => keys::run(client, &output, &action).await,
        Command::Config(action) => configuration::run(&client()?, &output, &action).await,
        Command::Migrate(action) => migrate::run(&output, &action).await,
        Command::ListSource(action) => list_source::run(&output, &action).await,
        Command::Status(args) => status::run(client, &output, &args).await,
        Command::Bench(action) => bench::run(&output, &action).await,
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the one place where a command says why it failed"
)]
fn complain(error: &CliError) {
    eprintln!("auditctl: {error}");
}
