//! Keys of the systems that this one replaces: what each is here. Their files load as they are, and nothing in them is
//! ignored without a word.

mod alerting;
mod connections;
mod convert;
mod duties;
mod processing;
mod server;
mod watching;

use crate::key::Kind;
use crate::values::Value;

pub(crate) use convert::convert;

/// A key of another system.
pub(crate) struct Foreign {
    pub(crate) path: &'static str,
    pub(crate) kind: Kind,
    pub(crate) becomes: Becomes,
}

/// What it means here.
pub(crate) enum Becomes {
    /// The value of one of our keys.
    Same(&'static str),
    /// A part of the value of one of our keys; `convert` says how.
    Part(&'static str),
    /// What always holds here, if it has the value that says so.
    Holds(Held),
    /// Nothing, because something else stands in its place.
    Never(&'static str),
    /// Nothing yet.
    NotYet,
}

/// What always holds.
pub(crate) struct Held {
    values: &'static [&'static str],
    pub(crate) why: &'static str,
}

impl Held {
    /// Whether a value asks for what holds.
    pub(crate) fn is(&self, value: &Value) -> bool {
        match value {
            Value::Flag(flag) => self.values.contains(&flag.to_string().as_str()),
            Value::Text(text) => self.values.contains(&text.as_str()),
            _ => false,
        }
    }
}

const SECTIONS: [&[Foreign]; 5] = [
    connections::KEYS,
    processing::KEYS,
    watching::KEYS,
    duties::KEYS,
    server::KEYS,
];

/// All of them. Where several give the same value of ours, the last one wins.
pub(crate) fn all() -> impl Iterator<Item = &'static Foreign> {
    SECTIONS.into_iter().flatten()
}

/// The key at a path.
pub(crate) fn find(path: &str) -> Option<&'static Foreign> {
    all().find(|key| key.path == path)
}

const fn same(path: &'static str, kind: Kind, ours: &'static str) -> Foreign {
    Foreign {
        path,
        kind,
        becomes: Becomes::Same(ours),
    }
}

const fn part(path: &'static str, kind: Kind, ours: &'static str) -> Foreign {
    Foreign {
        path,
        kind,
        becomes: Becomes::Part(ours),
    }
}

const fn holds(
    path: &'static str,
    kind: Kind,
    values: &'static [&'static str],
    why: &'static str,
) -> Foreign {
    Foreign {
        path,
        kind,
        becomes: Becomes::Holds(Held { values, why }),
    }
}

const fn never(path: &'static str, kind: Kind, instead: &'static str) -> Foreign {
    Foreign {
        path,
        kind,
        becomes: Becomes::Never(instead),
    }
}

const fn later(path: &'static str, kind: Kind) -> Foreign {
    Foreign {
        path,
        kind,
        becomes: Becomes::NotYet,
    }
}

/// A number that their documents do not bound.
const ANY_NUMBER: Kind = Kind::Number {
    min: 0.0,
    max: 1e15,
};

/// A number that must be whole, likewise.
const ANY_COUNT: Kind = Kind::Whole {
    min: 0,
    max: 1 << 50,
    unit: "",
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::keys;

    #[test]
    fn no_key_stands_twice_is_ours_or_is_a_section_of_another() {
        let paths: BTreeSet<_> = all().map(|key| key.path).collect();
        assert_eq!(paths.len(), all().count());
        for path in &paths {
            assert!(keys::find(path).is_none(), "{path}");
            let inside = format!("{path}.");
            assert!(
                !paths.iter().any(|other| other.starts_with(&inside)),
                "{path}"
            );
        }
    }

    #[test]
    fn what_it_becomes_is_a_key_of_ours() {
        for key in all() {
            if let Becomes::Same(ours) | Becomes::Part(ours) = key.becomes {
                assert!(keys::find(ours).is_some(), "{} -> {ours}", key.path);
            }
        }
    }
}
