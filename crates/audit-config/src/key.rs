//! What is declared about a key: the one place from which reading, schema, documents and printing come.

use crate::values::Value;

/// One key of a configuration.
#[derive(Debug)]
pub(crate) struct Key {
    /// Path from the root, members joined by dots. Within the objects of a list: from such an object.
    pub(crate) path: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: Standard,
    pub(crate) reload: Reload,
    /// For operators, in Markdown.
    pub(crate) meaning: &'static str,
}

/// What a value must be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Text that is not empty.
    Text,
    /// Text that nobody may see. Empty is the same as absent.
    Secret,
    /// The address of a server whose path and query are secret as well, as those of incoming webhooks are: only scheme and host
    /// are shown. It begins with one of these and `://`. Empty is the same as absent.
    Hook(&'static [&'static str]),
    /// The address of a server, which may hold a password; it begins with one of these and `://`. Nobody may see it whole.
    /// Empty is the same as absent.
    Url(&'static [&'static str]),
    /// As [`Kind::Url`], any number of them.
    Urls(&'static [&'static str]),
    /// Address and port to listen on.
    Address,
    Flag,
    /// A whole number, both bounds included.
    Whole {
        min: u64,
        max: u64,
        /// What is counted; empty when the name says it.
        unit: &'static str,
    },
    /// Any number, both bounds included.
    Number {
        min: f64,
        max: f64,
    },
    OneOf(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// A list of some of these.
    Words(&'static [&'static str]),
    /// A list of ranges of addresses (CIDR).
    Ranges,
    /// A list of objects with these keys.
    Objects(&'static [Key]),
    /// Whatever another system keeps there; not looked into.
    Any,
}

/// What holds when nothing is given.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Standard {
    /// Nothing.
    None,
    /// Depends on other keys; said in words.
    Depends(&'static str),
    Text(&'static str),
    Flag(bool),
    Whole(u64),
    /// A list.
    List(&'static [&'static str]),
}

/// What a change of the key needs while the process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reload {
    /// It can be applied at once.
    Now,
    /// The process must start anew.
    Restart,
}

/// Milliseconds up to a day: more is a slip of the unit.
pub(crate) const MILLIS: Kind = millis(0, 86_400_000);

/// A duration.
pub(crate) const fn millis(min: u64, max: u64) -> Kind {
    Kind::Whole {
        min,
        max,
        unit: "ms",
    }
}

/// A number of things.
pub(crate) const fn count(min: u64, max: u64, unit: &'static str) -> Kind {
    Kind::Whole { min, max, unit }
}

impl Kind {
    /// Whether the value may hold a password.
    pub(crate) const fn is_secret(&self) -> bool {
        matches!(
            self,
            Self::Secret | Self::Hook(_) | Self::Url(_) | Self::Urls(_)
        )
    }

    /// What is right, for people: follows "must be".
    pub(crate) fn right(&self) -> String {
        match self {
            Self::Text => "text that is not empty".to_owned(),
            Self::Secret => "text".to_owned(),
            Self::Hook(schemes) | Self::Url(schemes) => {
                format!("an address that begins with {}", begins(schemes))
            }
            Self::Urls(schemes) => {
                format!("a list of addresses that begin with {}", begins(schemes))
            }
            Self::Address => "an address and port, as 127.0.0.1:3001".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Whole { min, max, .. } => format!("a whole number from {min} to {max}"),
            Self::Number { min, max } => format!("a number from {min} to {max}"),
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
            Self::Texts => "a list of texts, none empty".to_owned(),
            Self::Words(words) => format!("a list of some of {}", words.join(", ")),
            Self::Ranges => "a list of address ranges, as [\"10.1.0.0/16\"]".to_owned(),
            Self::Objects(_) => "a list of objects".to_owned(),
            Self::Any => "anything".to_owned(),
        }
    }
}

fn begins(schemes: &[&str]) -> String {
    let schemes: Vec<String> = schemes
        .iter()
        .map(|scheme| format!("{scheme}://"))
        .collect();
    schemes.join(", ")
}

impl Standard {
    /// The value that holds, when it depends on nothing.
    pub(crate) fn value(&self, kind: &Kind) -> Option<Value> {
        match self {
            Self::None | Self::Depends(_) => None,
            Self::Flag(flag) => Some(Value::Flag(*flag)),
            Self::Whole(number) => Some(match kind {
                #[expect(clippy::cast_precision_loss, reason = "a default is a small number")]
                Kind::Number { .. } => Value::Number(*number as f64),
                _ => Value::Whole(*number),
            }),
            Self::List(texts) => match kind {
                Kind::Ranges => {
                    let ranges: Option<_> = texts.iter().map(|text| text.parse().ok()).collect();
                    ranges.map(Value::Ranges)
                }
                _ => Some(Value::Texts(
                    texts.iter().map(|text| (*text).to_owned()).collect(),
                )),
            },
            Self::Text(text) => match kind {
                Kind::Address => text.parse().ok().map(Value::Address),
                _ => Some(Value::Text((*text).to_owned())),
            },
        }
    }
}

impl Reload {
    /// As documents and answers say it.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Now => "applied now",
            Self::Restart => "needs restart",
        }
    }
}
