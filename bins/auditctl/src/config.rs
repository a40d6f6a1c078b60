//! The configuration file of a deployment, for commands that work on its servers directly.

use std::path::Path;

use audit_config::{Configuration, Settings, Surroundings};

use crate::error::CliError;

/// Reads it as the server programs do; environment and secret files stand where its values name them.
pub(crate) fn read(path: &Path) -> Result<Settings, CliError> {
    let read = Configuration::of_file(path, &[], &Surroundings).into_settings();
    let (settings, _warnings) = read.map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        CliError::Usage(lines.join("\n"))
    })?;
    Ok(settings)
}
