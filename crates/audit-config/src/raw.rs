//! Reading keys out of a JSON object, remembering what was asked for and what was wrong.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::ConfigProblem;
use crate::nearest::nearest;
use crate::secret::Secret;
use crate::substitute::substitute;

/// Durations in a configuration are at most a day: more is a slip of the unit.
const MILLIS_MAX: u64 = 86_400_000;

pub(crate) struct Reader {
    root: Map<String, Value>,
    known: Vec<&'static str>,
    problems: Vec<ConfigProblem>,
}

impl Reader {
    pub(crate) fn new(
        text: &str,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<ConfigProblem>> {
        let problem = |reason: String| {
            vec![ConfigProblem {
                key: "(file)".to_owned(),
                reason,
            }]
        };
        let value: Value =
            serde_json::from_str(text).map_err(|error| problem(format!("not JSON: {error}")))?;
        match value {
            Value::Object(mut root) => {
                let mut problems = Vec::new();
                for (key, value) in &mut root {
                    fill_in(key, value, lookup, &mut problems);
                }
                Ok(Self {
                    root,
                    known: Vec::new(),
                    problems,
                })
            }
            _ => Err(problem("must be a JSON object".to_owned())),
        }
    }

    /// The value of a key; `null` is the same as absent.
    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        let value = remove(&mut self.root, key)?;
        (!value.is_null()).then_some(value)
    }

    /// Every key that was asked for.
    #[cfg(test)]
    pub(crate) fn known(&self) -> &[&'static str] {
        &self.known
    }

    /// Whether the file has this section at all.
    pub(crate) fn has(&self, section: &str) -> bool {
        self.root.contains_key(section)
    }

    /// Takes out what is left of sections that other systems' files have and that mean nothing here (yet); tells their paths.
    pub(crate) fn without_effect(&mut self, sections: &[&str]) -> Vec<String> {
        let mut paths = Vec::new();
        for section in sections {
            match self.root.remove(*section) {
                Some(Value::Object(members)) if !members.is_empty() => {
                    paths.extend(members.keys().map(|member| format!("{section}.{member}")));
                }
                Some(Value::Object(_)) | None => {}
                Some(_) => self.problem(section, "must be an object".to_owned()),
            }
        }
        paths
    }

    pub(crate) fn problem(&mut self, key: &str, reason: String) {
        self.problems.push(ConfigProblem {
            key: key.to_owned(),
            reason,
        });
    }

    pub(crate) fn text(&mut self, key: &'static str, set: impl FnOnce(String)) {
        match self.take(key) {
            None => {}
            Some(Value::String(text)) if !text.is_empty() => set(text),
            Some(_) => self.problem(key, "must be text, not empty".to_owned()),
        }
    }

    pub(crate) fn secret(&mut self, key: &'static str, set: impl FnOnce(Secret)) {
        self.text(key, |text| set(Secret::new(text)));
    }

    pub(crate) fn parsed<T: FromStr>(
        &mut self,
        key: &'static str,
        right: &str,
        set: impl FnOnce(T),
    ) {
        match self.take(key) {
            None => {}
            Some(Value::String(text)) => match text.parse() {
                Ok(value) => set(value),
                Err(_) => self.problem(key, format!("must be {right}")),
            },
            Some(_) => self.problem(key, format!("must be text: {right}")),
        }
    }

    pub(crate) fn one_of<T: Copy>(
        &mut self,
        key: &'static str,
        known: &[(&str, T)],
        set: impl FnOnce(T),
    ) {
        let Some(value) = self.take(key) else { return };
        match known.iter().find(|(name, _)| value == *name) {
            Some((_, value)) => set(*value),
            None => {
                let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
                self.problem(key, format!("must be one of {}", names.join(", ")));
            }
        }
    }

    pub(crate) fn number(
        &mut self,
        key: &'static str,
        allowed: RangeInclusive<u64>,
        set: impl FnOnce(u64),
    ) {
        let Some(value) = self.take(key) else { return };
        match value.as_u64().filter(|number| allowed.contains(number)) {
            Some(number) => set(number),
            None => self.problem(
                key,
                format!(
                    "must be a whole number from {} to {}",
                    allowed.start(),
                    allowed.end()
                ),
            ),
        }
    }

    pub(crate) fn flag(&mut self, key: &'static str, set: impl FnOnce(bool)) {
        match self.take(key) {
            None => {}
            Some(Value::Bool(value)) => set(value),
            Some(_) => self.problem(key, "must be true or false".to_owned()),
        }
    }

    pub(crate) fn millis(&mut self, key: &'static str, set: impl FnOnce(Duration)) {
        self.number(key, 0..=MILLIS_MAX, |millis| {
            set(Duration::from_millis(millis))
        });
    }

    /// What was never asked for is unknown.
    pub(crate) fn finish(mut self) -> Result<(), Vec<ConfigProblem>> {
        for (name, value) in std::mem::take(&mut self.root) {
            let section = self.known.iter().any(|known| {
                known
                    .split_once('.')
                    .is_some_and(|(section, _)| section == name)
            });
            match value {
                Value::Object(members) if section => {
                    for member in members.keys() {
                        self.unknown(&format!("{name}.{member}"));
                    }
                }
                _ if section => self.problem(&name, "must be an object".to_owned()),
                _ => self.unknown(&name),
            }
        }
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(self.problems)
        }
    }

    fn unknown(&mut self, key: &str) {
        let reason = match nearest(key, &self.known) {
            Some(known) => format!("unknown key; did you mean {known}?"),
            None => "unknown key".to_owned(),
        };
        self.problem(key, reason);
    }
}

/// Takes a value out by its path, and sections that are empty then.
fn remove(members: &mut Map<String, Value>, path: &str) -> Option<Value> {
    let Some((section, rest)) = path.split_once('.') else {
        return members.remove(path);
    };
    let inner = members.get_mut(section)?.as_object_mut()?;
    let value = remove(inner, rest);
    if inner.is_empty() {
        members.remove(section);
    }
    value
}

/// Substitutes in every text of a value, however deep.
fn fill_in(
    path: &str,
    value: &mut Value,
    lookup: &dyn Fn(&str) -> Option<String>,
    problems: &mut Vec<ConfigProblem>,
) {
    match value {
        Value::String(text) => match substitute(text, lookup) {
            Ok(filled) => *text = filled,
            Err(reason) => problems.push(ConfigProblem {
                key: path.to_owned(),
                reason,
            }),
        },
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                fill_in(&format!("{path}.{index}"), item, lookup, problems);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                fill_in(&format!("{path}.{name}"), member, lookup, problems);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
