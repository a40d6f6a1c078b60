//! Reading a configuration file, and printing what it comes to.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use audit_config::{Configuration, Override, Surroundings};

use crate::options::Output;

/// Reads a file, if there is one, and the flags over it.
pub(crate) fn read(
    file: Option<&Path>,
    flags: &[(&'static str, &'static str, String)],
) -> Configuration {
    let overrides: Vec<_> = flags
        .iter()
        .map(|(flag, key, value)| Override { flag, key, value })
        .collect();
    match file {
        Some(path) => Configuration::of_file(path, &overrides, &Surroundings),
        None => Configuration::read(None, &overrides, &Surroundings),
    }
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
