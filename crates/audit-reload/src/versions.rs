//! The versions, over the store as it was before a change and, when that does not answer, as it is after it.

use std::sync::Arc;

use audit_store::{ConfigReport, ConfigVersion, ConfigVersions, NewConfigVersion, StoreError};

/// Both lead to the same store: a process never talks to another deployment's.
#[derive(Debug, Clone)]
pub(crate) struct Versions {
    pub(crate) config: String,
    /// Over the settings that are known to be good.
    trusted: Arc<dyn ConfigVersions>,
    /// Over those that are watched.
    candidate: Option<Arc<dyn ConfigVersions>>,
}

/// Asks the trusted way, then the other one if the store is away on the first.
macro_rules! ask {
    ($self:ident, $method:ident ( $($argument:expr),* )) => {{
        match ($self.trusted.$method(&$self.config, $($argument),*).await, &$self.candidate) {
            (Err(StoreError::Unavailable { .. }), Some(candidate)) => {
                candidate.$method(&$self.config, $($argument),*).await
            }
            (answer, _) => answer,
        }
    }};
}

impl Versions {
    pub(crate) fn new(config: String, trusted: Arc<dyn ConfigVersions>) -> Self {
        Self {
            config,
            trusted,
            candidate: None,
        }
    }

    pub(crate) fn consider(&mut self, candidate: Arc<dyn ConfigVersions>) {
        self.candidate = Some(candidate);
    }

    /// What was considered is good now.
    pub(crate) fn trust(&mut self) {
        if let Some(candidate) = self.candidate.take() {
            self.trusted = candidate;
        }
    }

    pub(crate) async fn newest(&self) -> Result<Option<ConfigVersion>, StoreError> {
        ask!(self, newest())
    }

    pub(crate) async fn list(&self, max: u32) -> Result<Vec<ConfigVersion>, StoreError> {
        ask!(self, list(max))
    }

    pub(crate) async fn publish(&self, new: &NewConfigVersion) -> Result<bool, StoreError> {
        ask!(self, publish(new))
    }

    pub(crate) async fn confirm(&self, number: u64) -> Result<bool, StoreError> {
        ask!(self, confirm(number))
    }

    pub(crate) async fn roll_back(
        &self,
        reason: &str,
        instead: &NewConfigVersion,
    ) -> Result<bool, StoreError> {
        ask!(self, roll_back(reason, instead))
    }

    pub(crate) async fn report(&self, report: &ConfigReport) -> Result<(), StoreError> {
        ask!(self, report(report))
    }

    pub(crate) async fn reports(&self, number: u64) -> Result<Vec<ConfigReport>, StoreError> {
        ask!(self, reports(number))
    }
}
