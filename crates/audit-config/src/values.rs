//! Checked values by key, before they become settings.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::keys;
use crate::members::Members;
use crate::place::Origin;
use audit_runtime::Secret;

/// A value that is what its key allows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    /// An address that may hold a password.
    Secret(Secret),
    /// Of [`Kind::Secret`](crate::key::Kind::Secret): nothing of it is shown.
    Hidden(Secret),
    /// Of [`Kind::Hook`](crate::key::Kind::Hook).
    Hook(Secret),
    Secrets(Vec<Secret>),
    Address(SocketAddr),
    Flag(bool),
    Whole(u64),
    Number(f64),
    Texts(Vec<String>),
    Ranges(Vec<IpNet>),
    Objects(Vec<BTreeMap<&'static str, Self>>),
    /// Of [`Kind::Any`](crate::key::Kind::Any): that there is something.
    Something,
}

/// A value and where it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// What was given, and what stands in for what was not.
#[derive(Debug, Default, Clone)]
pub(crate) struct Values {
    given: BTreeMap<&'static str, Given>,
    /// Every key that was asked for.
    #[cfg(test)]
    pub(crate) asked: std::cell::RefCell<std::collections::BTreeSet<&'static str>>,
}

impl Values {
    /// What stands at a path now; the newest wins.
    pub(crate) fn put(&mut self, path: &'static str, value: Value, origin: Origin) {
        self.given.insert(path, Given { value, origin });
    }

    /// Makes a key what it is in another.
    pub(crate) fn take_from(&mut self, other: &Self, path: &'static str) {
        match other.given.get(path) {
            Some(given) => self.given.insert(path, given.clone()),
            None => self.given.remove(path),
        };
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&Given) -> bool) {
        self.given.retain(|_path, given| keep(given));
    }

    pub(crate) fn given(&self, path: &str) -> Option<&Given> {
        self.given.get(path)
    }

    /// Says what holds for a key whose default depends on others, unless it was given.
    pub(crate) fn derive(&mut self, path: &'static str, value: Value) {
        self.given.entry(path).or_insert(Given {
            value,
            origin: Origin::Derived,
        });
    }

    /// What holds for a key of ours: what was given, else its default.
    pub(crate) fn effective(&self, path: &str) -> Option<Value> {
        let key = keys::find(path);
        debug_assert!(key.is_some(), "no key {path}");
        #[cfg(test)]
        self.asked.borrow_mut().extend(key.map(|key| key.path));
        let given = self.given.get(path).map(|given| given.value.clone());
        given.or_else(|| key.and_then(|key| key.default.value(&key.kind)))
    }

    pub(crate) fn text(&self, path: &str) -> Option<String> {
        match self.effective(path) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Whether a key with a few words to choose from has this one.
    pub(crate) fn is(&self, path: &str, word: &str) -> bool {
        self.text(path).is_some_and(|text| text == word)
    }

    pub(crate) fn secret(&self, path: &str) -> Option<Secret> {
        match self.effective(path) {
            Some(Value::Secret(secret)) => Some(secret),
            _ => None,
        }
    }

    pub(crate) fn texts(&self, path: &str) -> Vec<String> {
        match self.effective(path) {
            Some(Value::Texts(texts)) => texts,
            _ => Vec::new(),
        }
    }

    /// The objects of a list.
    pub(crate) fn objects(&self, path: &str) -> Vec<Members> {
        match self.effective(path) {
            Some(Value::Objects(objects)) => objects.into_iter().map(Members).collect(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn number(&self, path: &str) -> Option<f64> {
        match self.effective(path) {
            Some(Value::Number(number)) => Some(number),
            _ => None,
        }
    }

    pub(crate) fn ranges(&self, path: &str) -> Option<Vec<IpNet>> {
        match self.effective(path) {
            Some(Value::Ranges(ranges)) => Some(ranges),
            _ => None,
        }
    }

    pub(crate) fn flag(&self, path: &str) -> bool {
        matches!(self.effective(path), Some(Value::Flag(true)))
    }

    pub(crate) fn address(&self, path: &str) -> Option<SocketAddr> {
        match self.effective(path) {
            Some(Value::Address(address)) => Some(address),
            _ => None,
        }
    }

    pub(crate) fn whole(&self, path: &str) -> Option<u64> {
        match self.effective(path) {
            Some(Value::Whole(number)) => Some(number),
            _ => None,
        }
    }

    /// A number that its key bounds to what fits.
    pub(crate) fn small<T: TryFrom<u64>>(&self, path: &str) -> Option<T> {
        self.whole(path).and_then(|number| T::try_from(number).ok())
    }

    pub(crate) fn millis(&self, path: &str) -> Duration {
        Duration::from_millis(self.whole(path).unwrap_or_default())
    }
}
