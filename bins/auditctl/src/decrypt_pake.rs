//! `decrypt-pake`: opens PAKE's encryption envelopes. It speaks to nobody.

use std::io::{BufRead, Read as _};
use std::path::{Path, PathBuf};

use audit_integrity::pake_envelope::{EnvelopeKey, Mode, Opened};
use serde_json::json;
use zeroize::Zeroizing;

use crate::error::{CliError, Verdict};
use crate::output::{Format, Output, printable};

/// Longer lines are no envelopes: an event has at most 65,535 bytes.
const LINE_BYTES_MAX: u64 = 1 << 20;
/// 64 digits and a line end, with room for a slip to be told as one.
const KEY_BYTES_MAX: u64 = 1 << 10;

/// Arguments of `decrypt-pake`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// File with PAKE's encryption key, 64 hexadecimal digits.
    #[arg(long, value_name = "FILE")]
    encryption_key: PathBuf,
}

/// Runs the command: one envelope a line from standard input, one answer a line.
pub(crate) fn run(output: &Output, args: &Args) -> Result<Verdict, CliError> {
    let key = key(&args.encryption_key)?;
    let mut input = std::io::stdin().lock();
    let (mut verdict, mut number) = (Verdict::Fine, 0_u64);
    loop {
        number += 1;
        let Some(line) = line(&mut input)? else {
            return Ok(verdict);
        };
        let envelope = line.trim();
        if envelope.is_empty() {
            continue;
        }
        match key.open(envelope) {
            Ok(opened) => write(output, number, &opened)?,
            Err(error) => {
                verdict = Verdict::Finding;
                complain(number, &error.to_string());
                if output.format == Format::Json {
                    output.json_line(&json!({ "line": number, "error": error.to_string() }))?;
                }
            }
        }
    }
}

fn key(path: &Path) -> Result<EnvelopeKey, CliError> {
    let failed = |error| CliError::file("read", path, &error);
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut text = Zeroizing::new(String::new());
    file.take(KEY_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(failed)?;
    EnvelopeKey::from_hex(text.trim())
        .map_err(|error| CliError::Usage(format!("{}: {error}", path.display())))
}

/// The next line; `None` at the end.
fn line(input: &mut impl BufRead) -> Result<Option<String>, CliError> {
    let mut line = String::new();
    let read = input.take(LINE_BYTES_MAX).read_line(&mut line);
    let read = read.map_err(|error| CliError::Usage(format!("standard input: {error}")))?;
    if u64::try_from(read).unwrap_or(u64::MAX) == LINE_BYTES_MAX {
        return Err(CliError::Usage(
            "standard input: a line of more than 1 MiB is no envelope".to_owned(),
        ));
    }
    Ok((read > 0).then_some(line))
}

fn write(output: &Output, line: u64, opened: &Opened) -> Result<(), CliError> {
    let text = String::from_utf8_lossy(&opened.plaintext);
    if output.format != Format::Json {
        return output.line(&printable(&text));
    }
    let mode = match opened.mode {
        Mode::Legacy => "legacy",
        Mode::Raw => "raw",
    };
    output.json_line(&json!({ "line": line, "mode": mode, "plaintext": text }))
}

#[expect(
    clippy::print_stderr,
    reason = "what was opened goes to standard output; what was not must not be mixed into it"
)]
fn complain(line: u64, why: &str) {
    eprintln!("auditctl: line {line}: {why}");
}
