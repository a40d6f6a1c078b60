//! A small HTTP client that connects to the address it has checked, follows nothing, and reads no more than it must.

mod connection;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use audit_runtime::{Clock, Secret};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use url::Url;

use crate::handler::HandlerError;
use crate::reach::Reach;

pub use tls::{Authorities, TlsError};

/// What all handlers that speak HTTP share: where they may connect to, whom they trust, and how late it is.
#[derive(Clone)]
pub struct HttpClient {
    reach: Reach,
    tls: tokio_rustls::TlsConnector,
    clock: Arc<dyn Clock>,
    timeout: Duration,
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpClient")
            .field("reach", &self.reach)
            .finish_non_exhaustive()
    }
}

/// The address of a receiver cannot be used. The address itself is not in the message: it may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlProblem {
    /// Not a URL.
    #[error("not a URL")]
    NotAUrl,
    /// Of another scheme.
    #[error("neither https nor http")]
    Scheme,
    /// User and password belong elsewhere.
    #[error("a user or password in the URL")]
    Credentials,
}

/// The address of a receiver; it may hold a secret, and is never shown.
#[derive(Clone)]
pub(crate) struct Receiver(Url);

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Receiver(..)")
    }
}

impl Receiver {
    pub(crate) fn new(url: &Secret) -> Result<Self, UrlProblem> {
        let url = Url::parse(url.expose()).map_err(|_not_one| UrlProblem::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UrlProblem::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlProblem::Credentials);
        }
        Ok(Self(url))
    }

    /// The same with these segments behind its path.
    pub(crate) fn below(&self, segments: &[&str]) -> Self {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        Self(url)
    }
}

/// A request that is sent as it is.
pub(crate) struct Post {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Post {
    /// Of JSON.
    pub(crate) fn json(body: &serde_json::Value) -> Self {
        let mut post = Self {
            headers: HeaderMap::new(),
            body: Bytes::from(body.to_string()),
        };
        post.set("content-type", "application/json");
        post
    }

    /// With this header; a value that cannot be one is left out, which no caller's is.
    pub(crate) fn set(&mut self, name: &'static str, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
    }

    /// With this header, which is not shown.
    pub(crate) fn set_secret(&mut self, name: &'static str, value: &str) {
        if let Ok(mut value) = HeaderValue::from_str(value) {
            value.set_sensitive(true);
            self.headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// How long a receiver has for everything, unless another time is set. A dispatcher's time-out may be shorter.
const TIMEOUT: Duration = Duration::from_secs(30);

impl HttpClient {
    /// A client that reaches these addresses and trusts these authorities.
    ///
    /// # Errors
    /// When no connection could be checked.
    pub fn new(
        reach: Reach,
        authorities: &Authorities,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TlsError> {
        Ok(Self {
            reach,
            tls: tls::connector(authorities)?,
            clock,
            timeout: TIMEOUT,
        })
    }

    /// Gives a receiver so long for everything: its name, its connection, its answer. 30 s otherwise.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Microseconds since the epoch.
    pub(crate) fn now_micros(&self) -> i64 {
        self.clock.now_micros()
    }

    /// Sends it. Any 2xx is `Ok`: the body of an answer says nothing that we need.
    pub(crate) async fn post(&self, to: &Receiver, post: Post) -> Result<(), HandlerError> {
        let answer = tokio::time::timeout(self.timeout, self.send(&to.0, post)).await;
        let answer =
            answer.map_err(|_elapsed| HandlerError::later("the receiver took too long"))??;
        self.judge(&answer)
    }

    fn judge(&self, answer: &Answer) -> Result<(), HandlerError> {
        let status = answer.status;
        let reason = format!("the receiver answered {}", status.as_u16());
        match status.as_u16() {
            200..=299 => Ok(()),
            // Following it would be connecting to an address that nobody configured.
            300..=399 => Err(HandlerError::refused(format!(
                "{reason}: redirects are not followed"
            ))),
            400 | 410 | 413 | 422 => Err(HandlerError::refused(reason)),
            // Also 401, 403 and 404: what is configured wrongly, here or there, is put right some time.
            _ => Err(HandlerError::Later {
                after: self.retry_after(answer.retry_after.as_ref()),
                reason,
            }),
        }
    }

    /// Seconds, or a date (RFC 9110 section 10.2.3).
    fn retry_after(&self, value: Option<&HeaderValue>) -> Option<Duration> {
        let text = value?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = httpdate::parse_http_date(text).ok()?;
        let date = date.duration_since(std::time::UNIX_EPOCH).ok()?;
        let now = Duration::from_micros(u64::try_from(self.now_micros()).unwrap_or_default());
        Some(date.saturating_sub(now))
    }
}

/// The head of an answer.
pub(crate) struct Answer {
    status: StatusCode,
    retry_after: Option<HeaderValue>,
}
