//! Push notifications in the form of ntfy, as smart-logs sent them.

use async_trait::async_trait;
use audit_runtime::Secret;
use audit_store::{AlertLevel, AlertState};
use bytes::Bytes;
use http::HeaderMap;

use super::text;
use crate::alert::{Alert, AlertSource};
use crate::handler::{AlertHandler, HandlerError};
use crate::http_client::{HttpClient, Post, Receiver, UrlProblem};
use crate::notice::{Notice, NoticeKind};

/// Pushes an alert to `<url>/<organization>` when it is raised or escalated, with the headers of smart-logs' notifier.
#[derive(Debug, Clone)]
pub struct Ntfy {
    client: HttpClient,
    receiver: Receiver,
    bearer: Option<Secret>,
}

impl Ntfy {
    /// To the topics below this address.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub fn new(
        client: HttpClient,
        url: &Secret,
        bearer: Option<Secret>,
    ) -> Result<Self, UrlProblem> {
        let receiver = Receiver::new(url)?;
        Ok(Self {
            client,
            receiver,
            bearer,
        })
    }
}

/// `warning,<type>,<severity>,<source>,<status>` in the words of the replaced system.
fn tags(alert: &Alert) -> String {
    let (kind, source) = match alert.source {
        AlertSource::Rule => ("SECURITY", "audit-monitoring"),
        AlertSource::System => ("SYSTEM", "audit-worker"),
    };
    let severity = match alert.level {
        AlertLevel::Informational => "INFO",
        AlertLevel::Low => "LOW",
        AlertLevel::Medium => "MEDIUM",
        AlertLevel::High => "HIGH",
        AlertLevel::Critical => "CRITICAL",
    };
    let status = match alert.state {
        AlertState::Open => "active",
        AlertState::Acknowledged => "acknowledged",
        AlertState::Resolved => "resolved",
    };
    format!("warning,{kind},{severity},{source},{status}")
}

/// What a header can hold everywhere.
fn ascii(text: &str) -> String {
    let fits = |c: char| {
        if c.is_ascii() && !c.is_control() {
            c
        } else {
            '?'
        }
    };
    text.chars().map(fits).collect()
}

#[async_trait]
impl AlertHandler for Ntfy {
    async fn handle(&self, notice: &Notice) -> Result<(), HandlerError> {
        if !matches!(notice.kind, NoticeKind::Raised | NoticeKind::Escalated) {
            return Ok(());
        }
        let alert = &notice.alert;
        let mut post = Post {
            headers: HeaderMap::new(),
            body: Bytes::from(text::description(notice)),
        };
        post.set("content-type", "text/plain; charset=utf-8");
        post.set("title", &ascii(&text::one_line(&alert.title, 200)));
        post.set("tags", &tags(alert));
        if alert.level == AlertLevel::Critical {
            post.set("priority", "5");
        }
        if let Some(bearer) = &self.bearer {
            post.set_secret("authorization", &format!("Bearer {}", bearer.expose()));
        }
        let topic = self.receiver.below(&[&text::origin(alert)]);
        self.client.post(&topic, post).await
    }
}
