//! Raw configuration text to checked settings.
//!
//! What it is not: it runs nothing, and reads neither files nor the environment; it is handed the text and a look-up of
//! variables. Every key has a default; an unknown key is an error that names the nearest known one; all problems are told
//! at once. `docs/configuration.md` says the same for operators.

mod keys;
mod nearest;
mod raw;
mod secret;
mod settings;
mod substitute;

pub use secret::Secret;
pub use settings::{
    IngestSettings, LogFormat, PostgresSettings, QueueBackend, QueueSettings, RedisSettings,
    Settings, StoreSettings,
};

use raw::Reader;

/// Something wrong with a configuration. Never holds a value: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct ConfigProblem {
    /// The key's path, `(file)` for the whole file.
    pub key: String,
    /// What is wrong, and what would be right.
    pub reason: String,
}

impl Settings {
    /// Reads a JSON configuration over the defaults. `variable` finds what `${NAME}` stands for, usually in the environment.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn from_json(
        text: &str,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<ConfigProblem>> {
        let mut reader = Reader::new(text, variable)?;
        let settings = keys::read(&mut reader);
        reader.finish()?;
        Ok(settings)
    }
}
