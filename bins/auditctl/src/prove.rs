//! `prove`: saves what anyone needs to check that an event is in the ledger, except the key.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::error::{CliError, Verdict};
use crate::output::{Format, Output};
use crate::show::{Address, narrowing};

/// Time between two attempts while the entry waits for its checkpoint.
const POLL: Duration = Duration::from_millis(250);
/// Value of [`Bundle::format`].
pub(crate) const BUNDLE_FORMAT: &str = "audit-proof-bundle/1";

/// Arguments of `prove`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Id of the event, or LEDGER/INDEX.
    #[arg(value_name = "ID|LEDGER/INDEX")]
    address: Address,
    /// Where to write the proof.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Only the C2SP tlog-proof, without the event.
    #[arg(long)]
    proof_only: bool,
    /// Seconds to wait for a checkpoint that covers an event just sent.
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    wait: u64,
    /// Whose record, where several organisations use the same id.
    #[arg(long, value_name = "ID")]
    organization: Option<String>,
    /// When it happened, where the same id was used again.
    #[arg(long, value_name = "TIME")]
    timestamp: Option<String>,
}

/// One event with its proof (`docs/event-format.md` sections 4 and 6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Bundle {
    /// [`BUNDLE_FORMAT`].
    pub(crate) format: String,
    /// The canonical event, as text.
    pub(crate) canonical: String,
    /// The body's salt, hexadecimal.
    pub(crate) salt: String,
    /// The leaf input, as text.
    pub(crate) entry: String,
    /// The tlog-proof file.
    pub(crate) proof: String,
}

#[derive(Debug, Deserialize)]
struct Canonical {
    entry: String,
    salt: String,
    body: String,
}

/// Runs the command.
pub(crate) async fn run(
    client: &Client,
    output: &Output,
    args: &Args,
) -> Result<Verdict, CliError> {
    let proof = proof(client, args).await?;
    let content = if args.proof_only {
        proof
    } else {
        let bundle = bundle(client, args, proof).await?;
        let text = serde_json::to_string_pretty(&bundle)
            .map_err(|error| CliError::Usage(error.to_string()))?;
        format!("{text}\n")
    };
    write(&args.out, &content)?;
    if output.format == Format::Json {
        output.json(&serde_json::json!({"file": args.out, "bytes": content.len()}))?;
    } else {
        output.line(&format!(
            "{} written; check it with `auditctl verify-proof {} --key VERIFIER_KEY_FILE`",
            args.out.display(),
            args.out.display()
        ))?;
    }
    Ok(Verdict::Fine)
}

/// Asks until a checkpoint covers the entry.
async fn proof(client: &Client, args: &Args) -> Result<String, CliError> {
    let path = format!("{}/proof", args.address.path());
    let deadline = Instant::now() + Duration::from_secs(args.wait);
    loop {
        match client.get_bytes(&path, &parameters(args)).await {
            Ok(bytes) => {
                return String::from_utf8(bytes).map_err(|error| not_understood(client, &error));
            }
            // Stored but not under a checkpoint yet.
            Err(
                CliError::NotFound(_)
                | CliError::Unavailable { .. }
                | CliError::Request {
                    status: 409 | 425, ..
                },
            ) if Instant::now() < deadline && exists(client, args).await? => {
                tokio::time::sleep(POLL).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// A 404 of the event itself is final.
async fn exists(client: &Client, args: &Args) -> Result<bool, CliError> {
    match client
        .get_bytes(&args.address.path(), &parameters(args))
        .await
    {
        Ok(_) => Ok(true),
        Err(CliError::NotFound(_) | CliError::Request { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn bundle(client: &Client, args: &Args, proof: String) -> Result<Bundle, CliError> {
    let path = format!("{}/canonical", args.address.path());
    let found: Canonical = client.get(&path, &parameters(args)).await?;
    let text = |base64: &str| -> Result<String, CliError> {
        let bytes = STANDARD
            .decode(base64)
            .map_err(|error| not_understood(client, &error))?;
        String::from_utf8(bytes).map_err(|error| not_understood(client, &error))
    };
    Ok(Bundle {
        format: BUNDLE_FORMAT.to_owned(),
        canonical: text(&found.body)?,
        salt: found.salt,
        entry: text(&found.entry)?,
        proof,
    })
}

fn parameters(args: &Args) -> Vec<(String, String)> {
    narrowing(args.organization.as_ref(), args.timestamp.as_ref())
}

fn write(path: &Path, content: &str) -> Result<(), CliError> {
    std::fs::write(path, content).map_err(|error| CliError::file("write", path, &error))
}

fn not_understood(client: &Client, error: &dyn std::error::Error) -> CliError {
    CliError::Answer {
        url: client.url().to_owned(),
        reason: error.to_string(),
    }
}
