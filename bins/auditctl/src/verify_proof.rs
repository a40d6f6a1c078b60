//! `verify-proof`: checks a saved proof offline. It speaks to nobody, and believes only the key it is given.

use std::path::{Path, PathBuf};

use audit_integrity::entry::Salt;
use audit_integrity::proof::{PROOF_LABEL, Proof, ProofError, Proven, verify_event, verify_proof};
use serde::Serialize;

use crate::error::{CliError, Verdict};
use crate::output::{Output, Rows, Text, Tone};
use crate::prove::{BUNDLE_FORMAT, Bundle};

/// Largest file that is read: an event of 64 KiB, escaped, with its proof.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Arguments of `verify-proof`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What `auditctl prove` wrote: a bundle, or a bare tlog-proof.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// File with verifier keys, one a line, that you got from somewhere you trust (`DIR/verifier.key` of the worker).
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "pin",
        conflicts_with = "pin"
    )]
    key: Option<PathBuf>,
    /// The verifier key line itself.
    #[arg(long, value_name = "KEYLINE")]
    pin: Option<String>,
    /// The leaf input, for a bare tlog-proof.
    #[arg(long, value_name = "FILE")]
    entry: Option<PathBuf>,
}

/// The steps, in the order in which they are done; each needs those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    File,
    Signature,
    Entry,
    Place,
    Inclusion,
    Body,
    Event,
    Header,
}

const STEPS: [(Step, &str); 8] = [
    (Step::File, "the file is a proof"),
    (Step::Signature, "a given key signed the checkpoint"),
    (Step::Entry, "the entry is well-formed"),
    (Step::Place, "the entry names this position of this ledger"),
    (Step::Inclusion, "the entry is in the signed tree"),
    (
        Step::Body,
        "the event is the one that the entry was sealed with",
    ),
    (Step::Event, "the event is in canonical form"),
    (Step::Header, "the entry's header says what the event says"),
];

/// The report, for `-o json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leaf_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint_size: Option<u64>,
}

/// What a file holds.
enum Subject {
    /// Event and proof.
    Event {
        entry: Vec<u8>,
        salt: Salt,
        canonical: Vec<u8>,
        proof: Proof,
    },
    /// The proof of an entry alone.
    Entry { entry: Vec<u8>, proof: Proof },
}

/// A failed step, and why.
struct Failure(Step, String);

/// Runs the command.
pub(crate) fn run(output: &Output, args: &Args) -> Result<Verdict, CliError> {
    let keys = keys(args)?;
    let text = read(&args.file)?;
    let (last, checked) = match subject(&text, args)? {
        Ok(subject) => (last_step(&subject), check(&subject, &keys)),
        Err(failure) => (Step::Header, Err(failure)),
    };
    write(output, last, &checked)?;
    Ok(if checked.is_ok() {
        Verdict::Fine
    } else {
        Verdict::Finding
    })
}

fn keys(args: &Args) -> Result<Vec<String>, CliError> {
    let text = match (&args.key, &args.pin) {
        (Some(path), _) => read(path)?,
        (None, Some(pin)) => pin.clone(),
        (None, None) => String::new(),
    };
    let keys: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    if keys.is_empty() {
        return Err(CliError::Usage(
            "no verifier key is given; a key file holds one a line".to_owned(),
        ));
    }
    Ok(keys)
}

/// `Err` outside: wrong use. `Err` inside: the file is no proof, which is a finding.
fn subject(text: &str, args: &Args) -> Result<Result<Subject, Failure>, CliError> {
    if text.starts_with(PROOF_LABEL) {
        let Some(path) = &args.entry else {
            return Err(CliError::Usage(
                "this is a bare tlog-proof: name the file with the leaf input (--entry), or make a bundle with `auditctl prove`"
                    .to_owned(),
            ));
        };
        let entry = read(path)?.into_bytes();
        return Ok(parse(text).map(|proof| Subject::Entry { entry, proof }));
    }
    Ok(bundle(text))
}

fn bundle(text: &str) -> Result<Subject, Failure> {
    let file = |reason: String| Failure(Step::File, reason);
    let bundle: Bundle = serde_json::from_str(text).map_err(|error| file(error.to_string()))?;
    if bundle.format != BUNDLE_FORMAT {
        return Err(file(format!(
            "its format is {}, not {BUNDLE_FORMAT}",
            bundle.format
        )));
    }
    let mut salt = [0; 16];
    hex::decode_to_slice(&bundle.salt, &mut salt)
        .map_err(|error| file(format!("the salt: {error}")))?;
    let proof = parse(&bundle.proof)?;
    Ok(Subject::Event {
        entry: bundle.entry.into_bytes(),
        salt: Salt(salt),
        canonical: bundle.canonical.into_bytes(),
        proof,
    })
}

fn parse(text: &str) -> Result<Proof, Failure> {
    text.parse()
        .map_err(|error: ProofError| Failure(Step::File, error.to_string()))
}

/// Checks with the key of the checkpoint's ledger; a key file may hold those of several ledgers.
fn check(subject: &Subject, keys: &[String]) -> Result<Proven, Failure> {
    let (Subject::Event { proof, .. } | Subject::Entry { proof, .. }) = subject;
    let origin = proof.note.lines().next().unwrap_or_default();
    let Some(key) = keys
        .iter()
        .find(|key| key.split('+').next() == Some(origin))
    else {
        return Err(Failure(
            Step::Signature,
            format!("none of the given keys is of {origin}"),
        ));
    };
    let result = match subject {
        Subject::Event {
            entry,
            salt,
            canonical,
            proof,
        } => verify_event(entry, salt, canonical, proof, key),
        Subject::Entry { entry, proof } => verify_proof(proof, entry, key),
    };
    result.map_err(|error| Failure(step(&error), chain(&error)))
}

fn step(error: &ProofError) -> Step {
    match error {
        ProofError::Malformed { .. } => Step::File,
        ProofError::Note { .. } => Step::Signature,
        ProofError::Entry { .. } => Step::Entry,
        ProofError::OtherPlace => Step::Place,
        ProofError::NotIncluded => Step::Inclusion,
        ProofError::OtherBody => Step::Body,
        ProofError::NotAnEvent { .. } => Step::Event,
        // Whatever a later version adds: nothing behind it was checked.
        _ => Step::Header,
    }
}

fn last_step(subject: &Subject) -> Step {
    match subject {
        Subject::Event { .. } => Step::Header,
        Subject::Entry { .. } => Step::Inclusion,
    }
}

fn write(output: &Output, last: Step, checked: &Result<Proven, Failure>) -> Result<(), CliError> {
    let failed = checked.as_ref().err();
    let mut rows = Rows::new(&["step", "result"]);
    for (step, name) in STEPS.into_iter().filter(|(step, _)| *step <= last) {
        let (result, tone) = match failed {
            Some(Failure(at, reason)) if *at == step => (format!("FAILED: {reason}"), Tone::Bad),
            Some(Failure(at, _)) if *at < step => ("not reached".to_owned(), Tone::Plain),
            _ => ("ok".to_owned(), Tone::Good),
        };
        rows.push(vec![name.into(), Text::toned(result, tone)]);
    }
    output.rows_or(&rows, &report(checked))?;
    match checked {
        Ok(proven) => output.remark(&format!(
            "proven: event {} is entry {} of {}, under the signed checkpoint of size {}",
            proven.header.id,
            proven.header.index.0,
            proven.checkpoint.checkpoint.origin.as_str(),
            proven.checkpoint.checkpoint.size
        )),
        Err(_) => output.remark("NOT proven"),
    }
}

fn report(checked: &Result<Proven, Failure>) -> Report {
    let proven = checked.as_ref().ok();
    let failure = checked.as_ref().err();
    let name = |step: Step| {
        STEPS
            .iter()
            .find(|(known, _)| *known == step)
            .map(|(_, name)| (*name).to_owned())
    };
    Report {
        valid: proven.is_some(),
        failed: failure.and_then(|failure| name(failure.0)),
        reason: failure.map(|failure| failure.1.clone()),
        event_id: proven.map(|proven| proven.header.id.to_string()),
        origin: proven.map(|proven| proven.checkpoint.checkpoint.origin.as_str().to_owned()),
        leaf_index: proven.map(|proven| proven.header.index.0),
        checkpoint_size: proven.map(|proven| proven.checkpoint.checkpoint.size),
    }
}

fn read(path: &Path) -> Result<String, CliError> {
    let bytes = std::fs::metadata(path)
        .map_err(|error| CliError::file("read", path, &error))?
        .len();
    if bytes > FILE_BYTES_MAX {
        return Err(CliError::Usage(format!(
            "{} is too large for what it should be",
            path.display()
        )));
    }
    std::fs::read_to_string(path).map_err(|error| CliError::file("read", path, &error))
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
