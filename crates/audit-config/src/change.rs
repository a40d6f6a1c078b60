//! From one configuration to the next: what changes, and what of it a running process can take.

use serde_json::{Value as Json, json};

use crate::configuration::Configuration;
use crate::key::Reload;
use crate::keys;
use crate::place::Origin;
use crate::resolve::resolve;
use crate::tree::redacted;

/// One key that is not what it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Path of the key.
    pub key: &'static str,
    /// What held, without secrets; nothing when nothing did.
    pub before: Option<Json>,
    /// What holds, without secrets. The same as [`Self::before`] when only what is not shown changed.
    pub after: Option<Json>,
    /// Whether it takes a new start of the process.
    pub needs_restart: bool,
}

impl Change {
    /// For answers, history and audit events.
    #[must_use]
    pub fn to_json(&self) -> Json {
        json!({
            "key": self.key,
            "before": self.before,
            "after": self.after,
            "needsRestart": self.needs_restart,
        })
    }
}

impl Configuration {
    /// Every key whose value is another than before, in the order of the documents.
    #[must_use]
    pub fn changes_since(&self, before: &Self) -> Vec<Change> {
        let changed = keys::all().filter_map(|key| {
            let (was, is) = (
                before.values.effective(key.path),
                self.values.effective(key.path),
            );
            (was != is).then(|| Change {
                key: key.path,
                before: was.as_ref().map(redacted),
                after: is.as_ref().map(redacted),
                needs_restart: key.reload == Reload::Restart,
            })
        });
        changed.collect()
    }

    /// This configuration with what needs a restart left as it was `before`: what a running process can take. It has problems
    /// when the two do not work together; then nothing can be taken without a restart.
    #[must_use]
    pub fn without_restart(&self, before: &Self) -> Self {
        let mut values = self.values.clone();
        // What followed from other keys follows anew, but for what needs a restart: that stays as the process was started.
        values.retain(|given| !matches!(given.origin, Origin::Derived));
        for key in keys::all().filter(|key| key.reload == Reload::Restart) {
            values.take_from(&before.values, key.path);
        }
        let mut problems = Vec::new();
        let settings = resolve(&mut values, &mut problems);
        Self {
            values,
            settings,
            problems,
            warnings: self.warnings().to_vec(),
        }
    }
}
