//! One written value against what its key allows.

use std::collections::BTreeMap;

use crate::key::{Key, Kind};
use crate::lookup::Lookup;
use crate::node::{Member, Node, Raw};
use crate::redact;
use crate::substitute::{Filled, substitute};
use crate::values::Value;
use audit_runtime::Secret;

/// What a written value turned out to be.
pub(crate) enum Checked {
    /// The same as not written.
    Absent,
    Value {
        value: Value,
        /// A password stands in the configuration itself.
        literal_password: bool,
    },
    Wrong(Vec<Wrong>),
}

/// What is wrong with a value, or within it.
#[derive(Debug)]
pub(crate) struct Wrong {
    /// From the value; empty for itself.
    pub(crate) inside: String,
    pub(crate) at: usize,
    pub(crate) reason: String,
    pub(crate) value: Option<String>,
}

impl Wrong {
    fn new(at: usize, reason: String, value: Option<String>) -> Self {
        Self {
            inside: String::new(),
            at,
            reason,
            value,
        }
    }

    fn within(mut self, step: &str) -> Self {
        self.inside = if self.inside.is_empty() {
            step.to_owned()
        } else {
            format!("{step}.{}", self.inside)
        };
        self
    }
}

fn plain(value: Value) -> Checked {
    Checked::Value {
        value,
        literal_password: false,
    }
}

/// Checks a value.
pub(crate) fn check(kind: &Kind, node: &Node, lookup: &dyn Lookup) -> Checked {
    let wrong = |value: Option<String>| {
        let reason = format!("must be {}", kind.right());
        Checked::Wrong(vec![Wrong::new(node.at, reason, value)])
    };
    match (kind, &node.raw) {
        (_, Raw::Null) => Checked::Absent,
        (Kind::Any, _) => plain(Value::Something),
        (_, Raw::Text(text)) => match substitute(text, lookup) {
            Err(reason) => Checked::Wrong(vec![Wrong::new(node.at, reason, None)]),
            Ok(filled) => match of_text(kind, &filled) {
                Some(checked) => checked,
                None => wrong(Some(shown_text(kind, text, &filled))),
            },
        },
        (Kind::Flag, Raw::Flag(flag)) => plain(Value::Flag(*flag)),
        (Kind::Whole { .. } | Kind::Number { .. }, Raw::Number(digits)) => {
            match number(kind, digits) {
                Some(value) => plain(value),
                None => wrong(Some(digits.chars().take(40).collect())),
            }
        }
        (Kind::Texts | Kind::Words(_) | Kind::Urls(_), Raw::List(items)) => {
            list(kind, items, lookup)
        }
        (Kind::Ranges, Raw::List(items)) => match list(&Kind::Texts, items, lookup) {
            Checked::Value {
                value: Value::Texts(texts),
                ..
            } => ranges(&texts).map_or_else(|| wrong(None), plain),
            other => other,
        },
        (Kind::Objects(keys), Raw::List(items)) => objects(keys, items, lookup),
        (_, Raw::Flag(flag)) if !kind.is_secret() => wrong(Some(flag.to_string())),
        (_, Raw::Number(digits)) if !kind.is_secret() => {
            wrong(Some(digits.chars().take(40).collect()))
        }
        _ => wrong(Some(node.what().to_owned())),
    }
}

/// A value that is written as text. Numbers and flags are, when they come out of variables.
fn of_text(kind: &Kind, filled: &Filled) -> Option<Checked> {
    let text = filled.text.as_str();
    match kind {
        Kind::Secret | Kind::Hook(_) | Kind::Url(_) if text.is_empty() => Some(Checked::Absent),
        Kind::Secret => Some(Checked::Value {
            value: Value::Hidden(Secret::new(text)),
            literal_password: !filled.literal.is_empty(),
        }),
        Kind::Hook(schemes) => is_address(schemes, text).then(|| Checked::Value {
            value: Value::Hook(Secret::new(text)),
            literal_password: redact::has_password(&filled.literal),
        }),
        Kind::Url(schemes) => is_address(schemes, text).then(|| Checked::Value {
            value: Value::Secret(Secret::new(text)),
            literal_password: redact::has_password(&filled.literal),
        }),
        _ if text.is_empty() => None,
        Kind::Text => Some(plain(Value::Text(text.to_owned()))),
        Kind::OneOf(words) => words
            .contains(&text)
            .then(|| plain(Value::Text(text.to_owned()))),
        Kind::Address => text
            .parse()
            .ok()
            .map(|address| plain(Value::Address(address))),
        Kind::Flag if filled.any => text.parse().ok().map(|flag| plain(Value::Flag(flag))),
        Kind::Whole { .. } | Kind::Number { .. } if filled.any => number(kind, text).map(plain),
        _ => None,
    }
}

/// Only the beginning is judged here: the rest belongs to who connects with it. `key=value` pairs are PostgreSQL's other form.
fn is_address(schemes: &[&str], text: &str) -> bool {
    match text.split_once("://") {
        Some((scheme, rest)) => schemes.contains(&scheme) && !rest.is_empty(),
        None => schemes.contains(&"postgresql") && text.contains('='),
    }
}

fn number(kind: &Kind, digits: &str) -> Option<Value> {
    match kind {
        Kind::Whole { min, max, .. } => {
            let number = digits.parse().ok()?;
            (*min..=*max)
                .contains(&number)
                .then_some(Value::Whole(number))
        }
        Kind::Number { min, max } => {
            let number = digits.parse().ok()?;
            (*min..=*max)
                .contains(&number)
                .then_some(Value::Number(number))
        }
        _ => None,
    }
}

/// What of a text may be shown. What variables brought is not; the text as it was written is, without defaults.
fn shown_text(kind: &Kind, written: &str, filled: &Filled) -> String {
    match kind {
        Kind::Url(_) | Kind::Urls(_) => redact::address(&filled.text),
        Kind::Hook(_) => redact::hook(&filled.text),
        Kind::Secret => redact::HIDDEN.to_owned(),
        _ if written.contains(":-") => "what `${...}` stands for".to_owned(),
        _ => redact::text(written),
    }
}

fn ranges(texts: &[String]) -> Option<Value> {
    let ranges: Option<Vec<_>> = texts.iter().map(|text| text.parse().ok()).collect();
    ranges.map(Value::Ranges)
}

fn list(kind: &Kind, items: &[Node], lookup: &dyn Lookup) -> Checked {
    let item_kind = match kind {
        Kind::Urls(schemes) => Kind::Url(schemes),
        Kind::Words(words) => Kind::OneOf(words),
        _ => Kind::Text,
    };
    let (mut texts, mut secrets, mut wrongs, mut literal) =
        (Vec::new(), Vec::new(), Vec::new(), false);
    for (index, item) in items.iter().enumerate() {
        match check(&item_kind, item, lookup) {
            Checked::Absent => {}
            Checked::Value {
                value,
                literal_password,
            } => {
                literal |= literal_password;
                match value {
                    Value::Secret(secret) => secrets.push(secret),
                    Value::Text(text) => texts.push(text),
                    _ => {}
                }
            }
            Checked::Wrong(inside) => {
                wrongs.extend(
                    inside
                        .into_iter()
                        .map(|wrong| wrong.within(&index.to_string())),
                );
            }
        }
    }
    if !wrongs.is_empty() {
        return Checked::Wrong(wrongs);
    }
    Checked::Value {
        value: match kind {
            Kind::Urls(_) => Value::Secrets(secrets),
            _ => Value::Texts(texts),
        },
        literal_password: literal,
    }
}

fn objects(keys: &'static [Key], items: &[Node], lookup: &dyn Lookup) -> Checked {
    let (mut found, mut wrongs, mut literal) = (Vec::new(), Vec::new(), false);
    for (index, item) in items.iter().enumerate() {
        let mut object = BTreeMap::new();
        let mut inside = Vec::new();
        match &item.raw {
            Raw::Table(members) => {
                for member in members {
                    literal |= member_of(keys, member, lookup, &mut object, &mut inside);
                }
            }
            _ => inside.push(Wrong::new(
                item.at,
                "must be an object".to_owned(),
                Some(item.what().to_owned()),
            )),
        }
        for key in keys {
            if let Some(value) = key.default.value(&key.kind) {
                object.entry(key.path).or_insert(value);
            }
        }
        wrongs.extend(
            inside
                .into_iter()
                .map(|wrong| wrong.within(&index.to_string())),
        );
        found.push(object);
    }
    if !wrongs.is_empty() {
        return Checked::Wrong(wrongs);
    }
    Checked::Value {
        value: Value::Objects(found),
        literal_password: literal,
    }
}

/// One member of an object in a list; whether a password stands there.
fn member_of(
    keys: &'static [Key],
    member: &Member,
    lookup: &dyn Lookup,
    object: &mut BTreeMap<&'static str, Value>,
    wrongs: &mut Vec<Wrong>,
) -> bool {
    let Some(key) = keys.iter().find(|key| key.path == member.name) else {
        let known: Vec<&str> = keys.iter().map(|key| key.path).collect();
        let reason = crate::nearest::unknown(&member.name, &known);
        wrongs.push(Wrong::new(member.at, reason, None).within(&member.name));
        return false;
    };
    if object.contains_key(key.path) {
        wrongs.push(Wrong::new(member.at, "stands twice".to_owned(), None).within(key.path));
        return false;
    }
    match check(&key.kind, &member.node, lookup) {
        Checked::Absent => false,
        Checked::Value {
            value,
            literal_password,
        } => {
            object.insert(key.path, value);
            literal_password
        }
        Checked::Wrong(inside) => {
            wrongs.extend(inside.into_iter().map(|wrong| wrong.within(key.path)));
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Reload, Standard, count};

    const MEMBERS: &[Key] = &[
        Key {
            path: "url",
            kind: Kind::Url(&["redis"]),
            default: Standard::None,
            reload: Reload::Restart,
            meaning: "Where.",
        },
        Key {
            path: "depth",
            kind: count(1, 9, ""),
            default: Standard::Whole(3),
            reload: Reload::Restart,
            meaning: "How deep.",
        },
    ];

    fn checked(text: &str) -> Checked {
        let node = crate::json::parse(text).unwrap_or_else(|broken| panic!("{broken:?}"));
        check(&Kind::Objects(MEMBERS), &node, &|_: &str| None)
    }

    #[test]
    fn objects_of_a_list_are_checked_member_by_member_and_have_defaults() {
        let Checked::Value {
            value: Value::Objects(objects),
            literal_password,
        } = checked(r#"[{"url":"redis://:pw@h","depth":null},{"depth":4}]"#)
        else {
            panic!("no objects");
        };
        assert!(literal_password);
        let depths: Vec<_> = objects.iter().map(|object| &object["depth"]).collect();
        assert_eq!(depths, [&Value::Whole(3), &Value::Whole(4)]);
        assert_eq!(
            objects[0]["url"],
            Value::Secret(Secret::new("redis://:pw@h"))
        );
    }

    #[test]
    fn what_is_wrong_in_an_object_of_a_list_has_its_path() {
        let Checked::Wrong(wrongs) =
            checked(r#"[{"url":"hunter2"},7,{"dept":1,"depth":10,"depth":2,"url":"${X}"}]"#)
        else {
            panic!("nothing wrong");
        };
        let told: Vec<_> = wrongs
            .iter()
            .map(|wrong| {
                format!(
                    "{}@{}: {} ({:?})",
                    wrong.inside, wrong.at, wrong.reason, wrong.value
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                "0.url@8: must be an address that begins with redis:// (Some(\"***\"))",
                "1@19: must be an object (Some(\"a number\"))",
                "2.dept@22: unknown key; did you mean depth? (None)",
                "2.depth@39: must be a whole number from 1 to 9 (Some(\"10\"))",
                "2.url@58: the variable X is not set, and there is no default (`${X:-default}`) (None)",
            ]
        );
    }
}
