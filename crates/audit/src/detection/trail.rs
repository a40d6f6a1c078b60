//! Steps in the life of alerts, as events of our own.

use std::sync::Arc;

use async_trait::async_trait;
use audit_alert::{Step, Trail};
use audit_pipeline::{Acceptor, ItemStatus, own_event};

/// Sends steps through the front door, like everybody's events.
pub(crate) struct OwnTrail(pub(crate) Arc<Acceptor>);

#[async_trait]
impl Trail for OwnTrail {
    async fn record(&self, step: &Step) -> Result<(), String> {
        let event = own_event(step.to_event().to_string());
        let answer = self
            .0
            .accept(event)
            .await
            .map_err(|error| error.to_string())?;
        if answer.frame.is_some() {
            return Ok(());
        }
        let is_refused = |status| status == ItemStatus::Rejected;
        if answer.results.iter().any(|item| is_refused(item.status)) {
            // It will not be taken later either, and nothing may wait behind it for ever.
            tracing::error!(
                step.identity,
                ?answer,
                "a step of an alert is not in the trail"
            );
            return Ok(());
        }
        Err("not taken now".to_owned())
    }
}
