//! A configuration that was read: settings, problems, warnings, and what to print.

use std::path::Path;
use std::sync::Arc;

use crate::foreign;
use crate::key::Kind;
use crate::keys;
use crate::lookup::{Lookup, bounded};
use crate::node::{Broken, Node};
use crate::place::{Origin, Text};
use crate::problem::{ConfigProblem, ConfigWarning};
use crate::read::{Read, read};
use crate::resolve::{idle, resolve, within};
use crate::settings::Settings;
use crate::values::{Value, Values};
use crate::{json, toml_text};

/// How a configuration is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object.
    Json,
    /// TOML 1.0.
    Toml,
}

impl Format {
    /// By the end of the file's name, else by the text: one that begins with a brace is JSON.
    #[must_use]
    pub fn of(file: &str, text: &str) -> Self {
        let end = file.rsplit_once('.').map_or("", |(_, end)| end);
        if end.eq_ignore_ascii_case("json") {
            Self::Json
        } else if end.eq_ignore_ascii_case("toml") {
            Self::Toml
        } else if text.trim_start().starts_with('{') {
            Self::Json
        } else {
            Self::Toml
        }
    }
}

/// A configuration file.
#[derive(Debug, Clone, Copy)]
pub struct ConfigFile<'t> {
    /// Its name, as problems show it.
    pub name: &'t str,
    /// What it holds.
    pub text: &'t str,
    /// How it is written.
    pub format: Format,
}

/// A flag that wins over the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Override<'t> {
    /// The flag, as `--listen`.
    pub flag: &'static str,
    /// The key that it is.
    pub key: &'t str,
    /// Its value.
    pub value: &'t str,
}

/// Bytes of a configuration file at most.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What became of a configuration. Holds secrets; `Debug`, the trees and the texts show none.
#[derive(Debug)]
pub struct Configuration {
    pub(crate) values: Values,
    pub(crate) settings: Settings,
    pub(crate) problems: Vec<ConfigProblem>,
    pub(crate) warnings: Vec<ConfigWarning>,
}

impl Configuration {
    /// Reads a file (none gives the defaults) and the flags over it.
    ///
    /// Never fails: what is wrong is told by [`problems`](Self::problems), all at once.
    #[must_use]
    pub fn read(
        file: Option<ConfigFile<'_>>,
        overrides: &[Override<'_>],
        lookup: &dyn Lookup,
    ) -> Self {
        let Read {
            mut ours,
            theirs,
            mut problems,
            mut warnings,
        } = file.map_or_else(Read::default, |file| read_file(file, lookup));
        for flag in overrides {
            override_with(flag, &mut ours, &mut problems);
        }
        foreign::convert(&theirs, &mut ours, &mut warnings);
        let unread = problems.iter().any(|problem| problem.key == "(file)");
        let mut between = Vec::new();
        let settings = resolve(&mut ours, &mut between);
        warnings.extend(idle(&ours));
        // Between keys of a file that could not be read there is nothing to find.
        if !unread {
            problems.extend(between);
        }
        Self {
            values: ours,
            settings,
            problems,
            warnings,
        }
    }

    /// Reads the file of a path (at most 1 MiB; its format as [`Format::of`] says) and the flags over it. A file that cannot be
    /// read is a problem like others.
    #[must_use]
    pub fn of_file(path: &Path, overrides: &[Override<'_>], lookup: &dyn Lookup) -> Self {
        let name = path.display().to_string();
        let text = match bounded(path, FILE_BYTES_MAX) {
            Ok(Some(text)) => text,
            Ok(None) => {
                let reason = format!("has more than {FILE_BYTES_MAX} bytes");
                return Self::unread(name, reason);
            }
            Err(error) => return Self::unread(name, format!("cannot be read: {error}")),
        };
        let file = ConfigFile {
            name: &name,
            text: &text,
            format: Format::of(&name, &text),
        };
        Self::read(Some(file), overrides, lookup)
    }

    /// What stands for a configuration that did not come: one problem, which says why not.
    #[must_use]
    pub fn unread(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            problems: vec![ConfigProblem::new(name, reason)],
            ..Self::read(None, &[], &|_name: &str| None)
        }
    }

    /// What is wrong, in the order of the file; then what does not work together.
    #[must_use]
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }

    /// Adds what somebody else found wrong with a key, or with a path within it; told where the key was given. For what only those can
    /// judge who would use it: time zones, schedules, filters.
    pub fn refuse(&mut self, path: &str, reason: impl Into<String>) {
        let keys = path.match_indices('.').map(|(end, _)| &path[..end]);
        let key = keys
            .chain([path])
            .rfind(|key| self.values.given(key).is_some());
        let problem = within(
            &self.values,
            key.unwrap_or(path),
            path.to_owned(),
            reason.into(),
        );
        self.problems.push(problem);
    }

    /// What is worth saying although it is right: literal passwords, keys without effect.
    #[must_use]
    pub fn warnings(&self) -> &[ConfigWarning] {
        &self.warnings
    }

    /// What holds. Means nothing while there are problems.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The settings and the warnings, when nothing is wrong.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn into_settings(self) -> Result<(Settings, Vec<ConfigWarning>), Vec<ConfigProblem>> {
        if self.problems.is_empty() {
            Ok((self.settings, self.warnings))
        } else {
            Err(self.problems)
        }
    }
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
        let file = ConfigFile {
            name: "configuration",
            text,
            format: Format::Json,
        };
        let read = Configuration::read(Some(file), &[], &variable);
        read.into_settings().map(|(settings, _)| settings)
    }
}

fn read_file(file: ConfigFile<'_>, lookup: &dyn Lookup) -> Read {
    let text = Text {
        file: Arc::from(file.name),
        // A mark of the byte order, which editors of one system leave behind, is no part of either format.
        text: file.text.strip_prefix('\u{feff}').unwrap_or(file.text),
    };
    let root: Result<Node, Broken> = match file.format {
        Format::Json => json::parse(text.text),
        Format::Toml => toml_text::parse(text.text),
    };
    match root {
        Ok(root) => read(&root, &text, lookup),
        Err(Broken { at, reason }) => {
            let mut read = Read::default();
            read.problems.push(ConfigProblem {
                place: Some(text.place(at)),
                ..ConfigProblem::new("(file)", reason)
            });
            read
        }
    }
}

fn override_with(flag: &Override<'_>, ours: &mut Values, problems: &mut Vec<ConfigProblem>) {
    let Some(key) = keys::find(flag.key) else {
        problems.push(ConfigProblem::new(flag.flag, "is no key"));
        return;
    };
    let value = match key.kind {
        Kind::Address => flag.value.parse().ok().map(Value::Address),
        Kind::Text if !flag.value.is_empty() => Some(Value::Text(flag.value.to_owned())),
        _ => None,
    };
    match value {
        Some(value) => ours.put(key.path, value, Origin::Flag(flag.flag)),
        None => problems.push(ConfigProblem::new(
            flag.flag,
            format!("must be {}", key.kind.right()),
        )),
    }
}
