//! The order at start: the source, the last good copy, what is built in.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use audit_runtime::{Backoff, Fault, Faulty as _, Random};

use crate::check::parsed;
use crate::document::{Document, Fetched, Mark};
use crate::error::{LoadError, SettingError, SourceError};
use crate::kept::KeptCopies;
use crate::settings::Flag;
use crate::source::ConfigSource;

/// How long a start waits for its configuration, and what it may do without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadSettings {
    /// Tries after the first, when the source is away; default 3. Other faults are not tried again.
    pub retries: u32,
    /// The first wait between tries at most, doubled up to `wait_max`; default 200 ms.
    pub wait: Duration,
    /// The longest wait; default 5 s.
    pub wait_max: Duration,
    /// Whether the built-in defaults may stand in when there is neither source nor copy; default not: they are another deployment.
    pub built_in_allowed: bool,
}

impl Default for LoadSettings {
    fn default() -> Self {
        Self {
            retries: 3,
            wait: Duration::from_millis(200),
            wait_max: Duration::from_secs(5),
            built_in_allowed: false,
        }
    }
}

impl LoadSettings {
    /// `CONFIG_RETRIES` and `CONFIG_FALLBACK_ENABLED`.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn from_variables(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingError> {
        let default = Self::default();
        let retries = parsed(variable, "CONFIG_RETRIES")?;
        let fallback = parsed(variable, "CONFIG_FALLBACK_ENABLED")?;
        Ok(Self {
            retries: retries.map_or(default.retries, |Retries(retries)| retries),
            built_in_allowed: fallback.map_or(default.built_in_allowed, |Flag(flag)| flag),
            ..default
        })
    }
}

struct Retries(u32);

impl std::str::FromStr for Retries {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let retries = text.parse().ok().filter(|retries| *retries <= 100);
        let right = "must be a whole number from 0 to 100";
        retries.map(Self).ok_or_else(|| SettingError::new(right))
    }
}

/// Where the configuration in force is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum From {
    /// The source, as it is now.
    Source,
    /// The last good copy, because the source gave nothing.
    KeptCopy,
    /// Neither; the defaults.
    BuiltIn,
}

impl From {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Source, Self::KeptCopy, Self::BuiltIn];

    /// As a label of a metric.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::KeptCopy => "kept_copy",
            Self::BuiltIn => "built_in",
        }
    }
}

impl fmt::Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "the source",
            Self::KeptCopy => "the last good copy",
            Self::BuiltIn => "the built-in defaults",
        })
    }
}

/// What a start found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The configuration; `None` are the built-in defaults.
    pub document: Option<Document>,
    /// To ask the source with for something else; `None` when it is not from the source.
    pub mark: Option<Mark>,
    /// Where it is from.
    pub from: From,
    /// Why it is not from the source.
    pub why: Option<String>,
}

/// Finds a configuration: from the source, tried again with growing waits while it is away; else the last good copy of the same
/// place; else the built-in defaults, when they are allowed. Keeps nothing: whether what came is a configuration, only
/// its reader knows.
///
/// # Errors
/// When there is none; names everything that was tried.
pub async fn load(
    source: &dyn ConfigSource,
    kept: Option<&KeptCopies>,
    settings: &LoadSettings,
    random: &dyn Random,
) -> Result<Loaded, LoadError> {
    let mut attempts = Vec::new();
    match from_source(source, settings, random).await {
        Ok((document, mark)) => {
            return Ok(Loaded {
                document: Some(document),
                mark: Some(mark),
                from: From::Source,
                why: None,
            });
        }
        Err(reason) => attempts.push(reason),
    }
    let instead = |document, from, attempts: Vec<String>| Loaded {
        document,
        mark: None,
        from,
        why: Some(attempts.join("; ")),
    };
    match from_copy(&source.place(), kept).await {
        Ok(copy) => return Ok(instead(Some(copy), From::KeptCopy, attempts)),
        Err(reason) => attempts.push(reason),
    }
    if settings.built_in_allowed {
        return Ok(instead(None, From::BuiltIn, attempts));
    }
    attempts.push("the built-in defaults are not allowed (CONFIG_FALLBACK_ENABLED)".to_owned());
    Err(LoadError { attempts })
}

async fn from_source(
    source: &dyn ConfigSource,
    settings: &LoadSettings,
    random: &dyn Random,
) -> Result<(Document, Mark), String> {
    let mut backoff = Backoff::new(settings.wait, settings.wait_max);
    loop {
        let error = match source.fetch(None).await {
            Ok(Fetched::Document(document, mark)) => return Ok((document, mark)),
            // Without a mark nothing is unchanged; a source that says so has nothing to give.
            Ok(Fetched::Unchanged) => SourceError::Missing { code: None },
            Err(error) => error,
        };
        let away = matches!(error.fault(), Fault::Outage | Fault::Transient);
        if !away || backoff.attempts() >= settings.retries {
            let (place, tries) = (source.place(), backoff.attempts() + 1);
            let why = chain(&error);
            let times = match tries {
                1 => String::new(),
                tries => format!(" ({tries} tries)"),
            };
            return Err(format!("{place} {why}{times}"));
        }
        let wait = backoff.next_wait(random);
        tokio::time::sleep(wait).await;
    }
}

async fn from_copy(place: &str, kept: Option<&KeptCopies>) -> Result<Document, String> {
    let Some(kept) = kept.cloned() else {
        return Err("no copies are kept".to_owned());
    };
    let dir = kept.dir().display().to_string();
    let read = tokio::task::spawn_blocking(move || kept.last_good()).await;
    match read.map_err(|error| format!("the copies in {dir} cannot be read: {error}"))? {
        // A mistyped path must not start something else than it would have without the mistake.
        Ok(Some(copy)) if copy.name != place => Err(format!(
            "the last good copy in {dir} is of another place, {}",
            copy.name
        )),
        Ok(Some(copy)) => Ok(copy),
        Ok(None) => Err(format!("there is no good copy in {dir}")),
        Err(error) => Err(chain(&error)),
    }
}

/// An error with everything below it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(below) = source {
        text.push_str(": ");
        text.push_str(&below.to_string());
        source = below.source();
    }
    text
}
