//! The members of one object of a list.

use std::collections::BTreeMap;
use std::time::Duration;

use ipnet::IpNet;

use crate::values::Value;
use audit_runtime::Secret;

/// Checked members by name; those with a default of their own are there.
#[derive(Debug, Clone)]
pub(crate) struct Members(pub(crate) BTreeMap<&'static str, Value>);

impl Members {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        match self.0.get(name) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    pub(crate) fn secret(&self, name: &str) -> Option<Secret> {
        match self.0.get(name) {
            Some(Value::Secret(secret) | Value::Hidden(secret) | Value::Hook(secret)) => {
                Some(secret.clone())
            }
            _ => None,
        }
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        match self.0.get(name) {
            Some(Value::Flag(flag)) => Some(*flag),
            _ => None,
        }
    }

    pub(crate) fn whole(&self, name: &str) -> Option<u64> {
        match self.0.get(name) {
            Some(Value::Whole(number)) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn millis(&self, name: &str) -> Option<Duration> {
        self.whole(name).map(Duration::from_millis)
    }

    pub(crate) fn texts(&self, name: &str) -> Option<Vec<String>> {
        match self.0.get(name) {
            Some(Value::Texts(texts)) => Some(texts.clone()),
            _ => None,
        }
    }

    pub(crate) fn ranges(&self, name: &str) -> Option<Vec<IpNet>> {
        match self.0.get(name) {
            Some(Value::Ranges(ranges)) => Some(ranges.clone()),
            _ => None,
        }
    }
}
