//! Rule files of one's own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use audit_monitor::{RuleSet, built_in_files};

use super::Fault;
use crate::error::CliError;

/// Rule files that a directory may hold; more is hardly meant.
const FILES_MAX: usize = 10_000;

/// Which rules are tried.
#[derive(Debug, clap::Args)]
pub(super) struct Sources {
    /// Sigma files, or directories: of these every `.yml` and `.yaml` below them.
    #[arg(value_name = "FILE|DIR", required_unless_present = "built_in")]
    rules: Vec<PathBuf>,
    /// Also the rules that ship with the product.
    #[arg(long)]
    built_in: bool,
}

impl Sources {
    /// Loads them together, so that they may refer to each other.
    pub(super) fn load(&self) -> Result<Arc<RuleSet>, CliError> {
        let mut files: Vec<(String, String)> = Vec::new();
        if self.built_in {
            let own = built_in_files();
            files.extend(own.map(|(name, text)| (format!("built-in/{name}"), text.to_owned())));
        }
        for path in &self.rules {
            for path in expand(path)? {
                let text = std::fs::read_to_string(&path)
                    .map_err(|error| CliError::file("read", &path, &error))?;
                files.push((path.display().to_string(), text));
            }
        }
        Ok(Arc::new(RuleSet::load(files.into_iter())))
    }
}

/// What could not be loaded.
pub(super) fn faults_of(rules: &RuleSet) -> Vec<Fault> {
    let problems = rules.problems().iter();
    problems
        .map(|problem| Fault {
            file: problem.file.clone(),
            line: problem.line,
            reason: problem.reason.clone(),
        })
        .collect()
}

/// A file is itself; a directory is its rule files, in the order of their names.
fn expand(path: &Path) -> Result<Vec<PathBuf>, CliError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    let mut below = vec![path.to_owned()];
    while let Some(directory) = below.pop() {
        let unreadable = |error: std::io::Error| CliError::file("read", &directory, &error);
        for entry in std::fs::read_dir(&directory).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let path = entry.path();
            // A link to a directory is not followed: it may lead back.
            if entry.file_type().map_err(unreadable)?.is_dir() {
                below.push(path);
            } else if path
                .extension()
                .is_some_and(|name| name == "yml" || name == "yaml")
            {
                found.push(path);
            }
        }
        if found.len() + below.len() > FILES_MAX {
            return Err(CliError::Usage(format!(
                "{} holds more than {FILES_MAX} rule files",
                path.display()
            )));
        }
    }
    if found.is_empty() {
        return Err(CliError::Usage(format!(
            "{} holds no .yml or .yaml file",
            path.display()
        )));
    }
    found.sort();
    Ok(found)
}
