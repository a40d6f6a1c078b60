//! The configuration file of a deployment, for commands that work on its servers directly.

use std::path::Path;

use audit_config::{ConfigFile, Configuration, Format, Settings, Surroundings};

use crate::error::CliError;

/// Reads it as the server programs do; environment and secret files stand where its values name them.
pub(crate) fn read(path: &Path) -> Result<Settings, CliError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::Usage(format!("{name} cannot be read: {error}")))?;
    let file = ConfigFile {
        name: &name,
        text: &text,
        format: Format::of(&name, &text),
    };
    let read = Configuration::read(Some(file), &[], &Surroundings).into_settings();
    let (settings, _warnings) = read.map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        CliError::Usage(lines.join("\n"))
    })?;
    Ok(settings)
}
