//! Whether a failure may be a change's fault.

use std::collections::{BTreeMap, BTreeSet};

use audit_config::Change;

use crate::ports::{Component, Target};

/// Looks in a row at which a part must fail: one may be the moment in which it changes over.
const LOOKS: u32 = 3;

/// The parts that a change concerns, and that worked before it.
#[derive(Debug, Default)]
pub(crate) struct Concern {
    patterns: BTreeSet<&'static str>,
    failing_before: BTreeSet<String>,
    looks: BTreeMap<String, u32>,
}

impl Concern {
    /// Taken before the change is applied.
    pub(crate) fn of(changes: &[Change], target: &dyn Target) -> Self {
        let patterns = changes
            .iter()
            .flat_map(|change| target.concerned_by(change.key))
            .copied();
        let failing = target
            .components()
            .into_iter()
            .filter_map(|(name, why)| why.map(|_| name));
        Self {
            patterns: patterns.collect(),
            failing_before: failing.collect(),
            looks: BTreeMap::new(),
        }
    }

    /// One look; says what fails because of the change, as far as anybody can tell.
    pub(crate) fn look(&mut self, components: Vec<Component>) -> Option<String> {
        let mut fault = None;
        for (name, why) in components {
            let Some(why) = why else {
                // It works with the change: what it does later is judged from here on.
                self.failing_before.remove(&name);
                self.looks.remove(&name);
                continue;
            };
            if !self.concerns(&name) || self.failing_before.contains(&name) {
                continue;
            }
            let looks = self.looks.entry(name.clone()).or_insert(0);
            *looks += 1;
            if *looks >= LOOKS {
                fault.get_or_insert(format!("{name}: {why}"));
            }
        }
        fault
    }

    fn concerns(&self, name: &str) -> bool {
        self.patterns
            .iter()
            .any(|pattern| match pattern.strip_suffix('*') {
                Some(beginning) => name.starts_with(beginning),
                None => name == *pattern,
            })
    }
}
