//! Prometheus Alertmanager, API version 2.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use audit_event::Timestamp;
use audit_runtime::Secret;
use serde_json::json;

use super::text;
use crate::handler::{AlertHandler, HandlerError};
use crate::http_client::{HttpClient, Post, Receiver, UrlProblem};
use crate::notice::{Notice, NoticeKind};

/// Keeps an alert firing in an Alertmanager until it is resolved.
///
/// Alertmanager tells alerts apart by their labels, so that these never change: `severity` is the level of the raising, later levels are
/// in the annotations. It forgets an alert whose end has come, so that one that nobody resolves fires for `keep` after the last notice.
#[derive(Debug, Clone)]
pub struct Alertmanager {
    client: HttpClient,
    receiver: Receiver,
    bearer: Option<Secret>,
    keep: Duration,
}

impl Alertmanager {
    /// To the Alertmanager at this address, without `/api/v2/alerts`; with a bearer token when it asks for one.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub fn new(
        client: HttpClient,
        url: &Secret,
        bearer: Option<Secret>,
        keep: Duration,
    ) -> Result<Self, UrlProblem> {
        Ok(Self {
            client,
            receiver: Receiver::new(url)?.below(&["api", "v2", "alerts"]),
            bearer,
            keep,
        })
    }

    fn ends_at(&self, notice: &Notice) -> Timestamp {
        let keep = match notice.kind {
            NoticeKind::Resolved => 0,
            _ => i64::try_from(self.keep.as_micros()).unwrap_or(i64::MAX),
        };
        Timestamp::clamped(notice.at.micros().saturating_add(keep))
    }
}

/// The same in each notice of an alert.
fn labels(notice: &Notice) -> BTreeMap<String, String> {
    let alert = &notice.alert;
    let mut labels = BTreeMap::new();
    for field in &alert.group {
        if let Some(value) = &field.value {
            labels.insert(format!("group_{}", label_name(&field.field)), value.clone());
        }
    }
    labels.insert("alertname".to_owned(), alert.rule.clone());
    labels.insert("alert_id".to_owned(), alert.id.to_string());
    labels.insert("organization".to_owned(), text::origin(alert));
    labels.insert(
        "severity".to_owned(),
        crate::wire::level_name(alert.raised_level).to_owned(),
    );
    labels
}

/// Letters, digits and `_`, as Prometheus has them.
fn label_name(field: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    field.chars().map(fits).collect()
}

#[async_trait]
impl AlertHandler for Alertmanager {
    async fn handle(&self, notice: &Notice) -> Result<(), HandlerError> {
        let alert = &notice.alert;
        let mut post = Post::json(&json!([{
            "labels": labels(notice),
            "annotations": {
                "summary": text::headline(notice),
                "description": text::description(notice),
                "level": alert.level_name(),
                "state": alert.state_name(),
                "escalation": alert.escalation.to_string(),
            },
            "startsAt": alert.raised_at.to_string(),
            "endsAt": self.ends_at(notice).to_string(),
        }]));
        if let Some(bearer) = &self.bearer {
            post.set_secret("authorization", &format!("Bearer {}", bearer.expose()));
        }
        self.client.post(&self.receiver, post).await
    }
}
