//! From nodes to checked values: what is known, what is not, and all problems at once.

use std::collections::BTreeSet;

use crate::check::{Checked, check};
use crate::foreign::{self, Becomes, Foreign};
use crate::key::{Key, Kind};
use crate::keys;
use crate::lookup::Lookup;
use crate::nearest::unknown;
use crate::node::{Member, Node, Raw};
use crate::place::{Origin, Text};
use crate::problem::{ConfigProblem, ConfigWarning};
use crate::values::{Value, Values};

/// What a file says, key by key.
#[derive(Default)]
pub(crate) struct Read {
    pub(crate) ours: Values,
    /// Under the names of replaced systems.
    pub(crate) theirs: Values,
    pub(crate) problems: Vec<ConfigProblem>,
    pub(crate) warnings: Vec<ConfigWarning>,
}

/// Reads a whole document.
pub(crate) fn read(root: &Node, text: &Text<'_>, lookup: &dyn Lookup) -> Read {
    let mut reading = Reading {
        text,
        lookup,
        read: Read::default(),
    };
    match &root.raw {
        Raw::Table(members) => reading.section("", members),
        _ => reading.problem(
            "(file)",
            root.at,
            "must be an object",
            Some(root.what().to_owned()),
        ),
    }
    reading.read
}

struct Reading<'r> {
    text: &'r Text<'r>,
    lookup: &'r dyn Lookup,
    read: Read,
}

/// A key, ours or another system's.
#[derive(Clone, Copy)]
enum Known {
    Ours(&'static Key),
    Theirs(&'static Foreign),
}

impl Known {
    fn find(path: &str) -> Option<Self> {
        let ours = keys::find(path).map(Self::Ours);
        ours.or_else(|| foreign::find(path).map(Self::Theirs))
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Ours(key) => key.path,
            Self::Theirs(key) => key.path,
        }
    }

    const fn kind(self) -> &'static Kind {
        match self {
            Self::Ours(key) => &key.kind,
            Self::Theirs(key) => &key.kind,
        }
    }
}

fn all_paths() -> impl Iterator<Item = &'static str> {
    let ours = keys::all().map(|key| key.path);
    ours.chain(foreign::all().map(|key| key.path))
}

fn is_section(path: &str) -> bool {
    all_paths().any(|key| {
        key.strip_prefix(path)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

impl Reading<'_> {
    fn section(&mut self, section: &str, members: &[Member]) {
        let mut names = BTreeSet::new();
        for member in members {
            let path = if section.is_empty() {
                member.name.clone()
            } else {
                format!("{section}.{}", member.name)
            };
            if path == "$schema" {
                // For editors, which find the schema by it.
            } else if names.insert(member.name.as_str()) {
                self.member(&path, member);
            } else {
                self.problem(&path, member.at, "stands twice", None);
            }
        }
    }

    fn member(&mut self, path: &str, member: &Member) {
        if let Some(known) = Known::find(path) {
            self.value(known, &member.node);
        } else if is_section(path) {
            match &member.node.raw {
                Raw::Table(members) => self.section(path, members),
                Raw::Null => {}
                _ => {
                    let what = member.node.what().to_owned();
                    self.problem(path, member.node.at, "must be an object", Some(what));
                }
            }
        } else {
            let reason = nearest_known(path, matches!(member.node.raw, Raw::Table(_)));
            self.problem(path, member.at, &reason, None);
        }
    }

    fn value(&mut self, known: Known, node: &Node) {
        let path = known.path();
        match check(known.kind(), node, self.lookup) {
            Checked::Absent => {}
            Checked::Value {
                value,
                literal_password,
            } => {
                if literal_password {
                    self.warn(path, node.at, format!("literal password in a configuration file: {path}; `${{VAR}}` and `${{file:/path}}` keep it out"));
                }
                self.put(known, value, node.at);
            }
            Checked::Wrong(wrongs) => {
                for wrong in wrongs {
                    let path = match wrong.inside.as_str() {
                        "" => path.to_owned(),
                        inside => format!("{path}.{inside}"),
                    };
                    self.problem(&path, wrong.at, &wrong.reason, wrong.value);
                }
            }
        }
    }

    fn put(&mut self, known: Known, value: Value, at: usize) {
        let origin = Origin::File {
            key: known.path(),
            place: Some(self.text.place(at)),
        };
        match known {
            Known::Ours(key) => self.read.ours.put(key.path, value, origin),
            Known::Theirs(key) => {
                if let Some(text) = without_effect(key, &value) {
                    self.warn(key.path, at, text);
                }
                self.read.theirs.put(key.path, value, origin);
            }
        }
    }

    fn problem(&mut self, key: &str, at: usize, reason: &str, value: Option<String>) {
        self.read.problems.push(ConfigProblem {
            key: key.to_owned(),
            reason: reason.to_owned(),
            value,
            place: Some(self.text.place(at)),
        });
    }

    fn warn(&mut self, key: &str, at: usize, text: String) {
        self.read.warnings.push(ConfigWarning {
            key: key.to_owned(),
            text,
            place: Some(self.text.place(at)),
        });
    }
}

/// What is said of another system's key that changes nothing.
fn without_effect(key: &Foreign, value: &Value) -> Option<String> {
    let path = key.path;
    match &key.becomes {
        Becomes::Same(_) | Becomes::Part(_) => None,
        Becomes::NotYet => Some(format!("accepted, not yet in effect: {path}")),
        Becomes::Never(instead) => Some(format!("accepted, without effect: {path} ({instead})")),
        Becomes::Holds(what) if what.is(value) => None,
        Becomes::Holds(what) => Some(format!("accepted, without effect: {path} ({})", what.why)),
    }
}

/// Suggests a section for an object, a key for anything else, and our own names before others'.
fn nearest_known(path: &str, is_object: bool) -> String {
    let mut candidates: Vec<&str> = Vec::new();
    for known in all_paths() {
        if is_object {
            candidates.extend(
                known
                    .match_indices('.')
                    .filter_map(|(end, _)| known.get(..end)),
            );
        } else {
            candidates.push(known);
        }
    }
    let own: Vec<&str> = candidates
        .iter()
        .copied()
        .filter(|known| is_ours(known))
        .collect();
    let (ours, any) = (unknown(path, &own), unknown(path, &candidates));
    let same_section = |text: &str| {
        let section = path.rsplit_once('.').map_or("", |(section, _)| section);
        !section.is_empty() && text.contains(&format!(" {section}."))
    };
    if same_section(&any) || !ours.contains('?') {
        any
    } else {
        ours
    }
}

fn is_ours(path: &str) -> bool {
    keys::all().any(|key| {
        key.path
            .strip_prefix(path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}
