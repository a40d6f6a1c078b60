//! Reading a configuration file, and printing what it comes to.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use audit_config::{ConfigFile, ConfigProblem, Configuration, Format, Override, Surroundings};
use zeroize::Zeroizing;

use crate::options::Output;

/// Bytes of a configuration file at most.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads a file, if there is one, and the flags over it.
pub(crate) fn read(
    file: Option<&Path>,
    flags: &[(&'static str, &'static str, String)],
) -> Configuration {
    let overrides: Vec<_> = flags
        .iter()
        .map(|(flag, key, value)| Override { flag, key, value })
        .collect();
    let Some(path) = file else {
        return Configuration::read(None, &overrides, &Surroundings);
    };
    let name = path.display().to_string();
    let text = match text_of(path) {
        Ok(text) => text,
        Err(reason) => return Configuration::unreadable(ConfigProblem::new(&name, reason)),
    };
    let file = ConfigFile {
        name: &name,
        text: &text,
        format: Format::of(&name, &text),
    };
    Configuration::read(Some(file), &overrides, &Surroundings)
}

fn text_of(path: &Path) -> Result<Zeroizing<String>, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(cannot)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("has more than {FILE_BYTES_MAX} bytes"));
    }
    Ok(text)
}

/// Prints what a file comes to; fails when it would not be taken.
pub(crate) fn check(
    path: &Path,
    output: Output,
    flags: &[(&'static str, &'static str, String)],
) -> ExitCode {
    let read = read(Some(path), flags);
    let printed = match output {
        Output::Human => print(&read.report()),
        Output::Json => print(&format!("{:#}\n", read.report_json())),
    };
    if printed == ExitCode::SUCCESS && !read.problems().is_empty() {
        return ExitCode::FAILURE;
    }
    printed
}

/// Writes to the standard output, whose reader may have gone.
pub(crate) fn print(text: &str) -> ExitCode {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
