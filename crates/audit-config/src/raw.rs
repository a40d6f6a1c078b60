//! Reading keys out of a JSON object, remembering what was asked for and what was wrong.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::ConfigProblem;
use crate::nearest::nearest;

/// Durations in a configuration are at most a day: more is a slip of the unit.
const MILLIS_MAX: u64 = 86_400_000;

pub(crate) struct Reader {
    root: Map<String, Value>,
    known: Vec<&'static str>,
    problems: Vec<ConfigProblem>,
}

impl Reader {
    pub(crate) fn new(text: &str) -> Result<Self, Vec<ConfigProblem>> {
        let problem = |reason: String| {
            vec![ConfigProblem {
                key: "(file)".to_owned(),
                reason,
            }]
        };
        let value: Value =
            serde_json::from_str(text).map_err(|error| problem(format!("not JSON: {error}")))?;
        match value {
            Value::Object(root) => Ok(Self {
                root,
                known: Vec::new(),
                problems: Vec::new(),
            }),
            _ => Err(problem("must be a JSON object".to_owned())),
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        match key.split_once('.') {
            None => self.root.remove(key),
            Some((section, name)) => {
                let members = self.root.get_mut(section)?.as_object_mut()?;
                let value = members.remove(name);
                if members.is_empty() {
                    self.root.remove(section);
                }
                value
            }
        }
    }

    fn problem(&mut self, key: &str, reason: String) {
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
