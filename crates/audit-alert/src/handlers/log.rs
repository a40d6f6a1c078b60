//! Alerts in the log.

use async_trait::async_trait;
use audit_store::AlertLevel;

use super::text;
use crate::handler::{AlertHandler, HandlerError};
use crate::notice::Notice;

/// Writes each notice into the log of the process: those of level high and critical as errors, medium as warnings, others as information.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogHandler;

#[async_trait]
impl AlertHandler for LogHandler {
    async fn handle(&self, notice: &Notice) -> Result<(), HandlerError> {
        let headline = text::headline(notice);
        let (alert, key) = (notice.alert.id, notice.key.as_str());
        match notice.alert.level {
            AlertLevel::High | AlertLevel::Critical => {
                tracing::error!(%alert, key, "alert {headline}");
            }
            AlertLevel::Medium => tracing::warn!(%alert, key, "alert {headline}"),
            AlertLevel::Low | AlertLevel::Informational => {
                tracing::info!(%alert, key, "alert {headline}");
            }
        }
        Ok(())
    }
}
