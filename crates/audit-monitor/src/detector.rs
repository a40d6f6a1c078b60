//! The rules in use.

use std::sync::Arc;

use crate::calendar::Settings;
use crate::engine::{Engine, Limits};
use crate::matcher::Matcher;
use crate::rules::RuleSet;

/// One set of rules, as what finds them in events and as what counts them in windows: both are replaced together.
#[derive(Debug)]
pub struct Detector {
    matcher: Matcher,
    engine: Arc<Engine>,
}

impl Detector {
    /// Of a set of rules.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>, settings: Settings, limits: Limits) -> Self {
        Self {
            matcher: Matcher::new(Arc::clone(&rules), settings),
            engine: Arc::new(Engine::new(rules, limits)),
        }
    }

    /// What finds rules in events.
    #[must_use]
    pub fn matcher(&self) -> &Matcher {
        &self.matcher
    }

    /// What counts in windows.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }
}
