//! Slack's incoming webhooks.

use async_trait::async_trait;
use audit_runtime::Secret;
use serde_json::json;

use super::text;
use crate::handler::{AlertHandler, HandlerError};
use crate::http_client::{HttpClient, Post, Receiver, UrlProblem};
use crate::notice::Notice;

/// Posts each notice into the channel of an incoming webhook. Slack has no idempotency keys: a notice that is told again stands there
/// twice.
#[derive(Debug, Clone)]
pub struct Slack {
    client: HttpClient,
    receiver: Receiver,
}

impl Slack {
    /// To this address, which is a secret.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub fn new(client: HttpClient, url: &Secret) -> Result<Self, UrlProblem> {
        let receiver = Receiver::new(url)?;
        Ok(Self { client, receiver })
    }
}

#[async_trait]
impl AlertHandler for Slack {
    async fn handle(&self, notice: &Notice) -> Result<(), HandlerError> {
        let text = format!(
            "*{}*\n{}",
            escaped(&text::headline(notice)),
            escaped(&text::description(notice))
        );
        let post =
            Post::json(&json!({ "text": text, "unfurl_links": false, "unfurl_media": false }));
        self.client.post(&self.receiver, post).await
    }
}

/// As Slack asks for: no producer's text mentions a channel or hides where a link goes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
