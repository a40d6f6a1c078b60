//! PagerDuty's Events API, version 2.

use async_trait::async_trait;
use audit_runtime::Secret;
use audit_store::AlertLevel;
use serde_json::{Value, json};

use super::text;
use crate::handler::{AlertHandler, HandlerError};
use crate::http_client::{HttpClient, Post, Receiver, UrlProblem};
use crate::notice::{Notice, NoticeKind};

/// Where PagerDuty takes events.
const ENDPOINT: &str = "https://events.pagerduty.com/v2/enqueue";

/// Triggers an incident for each alert, and acknowledges and resolves it with the alert. The deduplication key is the alert's id.
#[derive(Debug, Clone)]
pub struct PagerDuty {
    client: HttpClient,
    receiver: Receiver,
    routing_key: Secret,
}

impl PagerDuty {
    /// Through the integration of this routing key; `url` only where events go to another place than PagerDuty's own.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub fn new(
        client: HttpClient,
        routing_key: Secret,
        url: Option<&Secret>,
    ) -> Result<Self, UrlProblem> {
        let endpoint = Secret::new(ENDPOINT);
        Ok(Self {
            client,
            receiver: Receiver::new(url.unwrap_or(&endpoint))?,
            routing_key,
        })
    }

    fn event(&self, notice: &Notice, action: &str) -> Value {
        let mut event = json!({
            "routing_key": self.routing_key.expose(),
            "event_action": action,
            "dedup_key": notice.alert.id.to_string(),
        });
        if action == "trigger"
            && let Some(members) = event.as_object_mut()
        {
            members.insert("client".to_owned(), "audit-worker".into());
            members.insert("payload".to_owned(), payload(notice));
        }
        event
    }
}

fn payload(notice: &Notice) -> Value {
    let alert = &notice.alert;
    let severity = match alert.level {
        AlertLevel::Critical => "critical",
        AlertLevel::High => "error",
        AlertLevel::Medium => "warning",
        AlertLevel::Low | AlertLevel::Informational => "info",
    };
    json!({
        "summary": text::headline(notice),
        "source": text::origin(alert),
        "severity": severity,
        "timestamp": notice.at.to_string(),
        "component": "audit-worker",
        "class": alert.rule,
        "custom_details": { "description": text::description(notice), "escalation": alert.escalation },
    })
}

#[async_trait]
impl AlertHandler for PagerDuty {
    async fn handle(&self, notice: &Notice) -> Result<(), HandlerError> {
        let action = match notice.kind {
            NoticeKind::Raised | NoticeKind::Escalated => "trigger",
            NoticeKind::Acknowledged => "acknowledge",
            NoticeKind::Resolved => "resolve",
            // The episode is over, what it showed is not: somebody still has to look.
            NoticeKind::Ended => return Ok(()),
        };
        let post = Post::json(&self.event(notice, action));
        self.client.post(&self.receiver, post).await
    }
}
