//! RFC 9457 problem details: the only shape errors take, and the only text of ours that a client sees.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// A problem as answered. `type` is left out: it is `about:blank`, and `code` is what programs branch on.
/// Boxed, because it travels in every `Result` and is rare.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct HttpProblem(Box<Members>);

#[derive(Debug, Clone, Serialize)]
struct Members {
    #[serde(skip)]
    status_code: StatusCode,
    #[serde(skip)]
    retry_after_secs: Option<u64>,
    status: u16,
    title: &'static str,
    code: &'static str,
    detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ItemProblem>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<serde_json::Value>,
}

/// One thing that is wrong with the input.
#[derive(Debug, Clone, Serialize)]
pub struct ItemProblem {
    /// JSON pointer (RFC 6901), "" for the whole.
    pub path: String,
    /// For programs.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

impl From<&audit_event::Problem> for ItemProblem {
    fn from(problem: &audit_event::Problem) -> Self {
        Self {
            path: problem.path.as_str().to_owned(),
            code: problem.code.as_str(),
            message: problem.message.clone(),
        }
    }
}

impl HttpProblem {
    /// A problem with a code for programs and a sentence for people.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Members {
            status_code: status,
            retry_after_secs: None,
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or("Error"),
            code,
            detail: detail.into(),
            errors: Vec::new(),
            addresses: Vec::new(),
        }))
    }

    /// 400.
    #[must_use]
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 404, also for what the caller may not see.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("there is no such {what}, or this key may not see it"),
        )
    }

    /// 503 with `Retry-After`.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_after(1)
    }

    /// Says when to come back.
    #[must_use]
    pub fn retry_after(mut self, secs: u64) -> Self {
        self.0.retry_after_secs = Some(secs);
        self
    }

    /// Whether the same request may do later.
    pub(crate) fn is_for_now(&self) -> bool {
        self.0.status_code == StatusCode::SERVICE_UNAVAILABLE
    }

    /// As the problem of one item, with what that means for the others.
    pub(crate) fn as_item(&self, consequence: &str) -> ItemProblem {
        ItemProblem {
            path: String::new(),
            code: self.0.code,
            message: format!("{}; {consequence}", self.0.detail),
        }
    }

    /// Lists what is wrong.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<ItemProblem>) -> Self {
        self.0.errors = errors;
        self
    }

    /// Lists the addresses that match (409).
    #[must_use]
    pub fn with_addresses(mut self, addresses: Vec<serde_json::Value>) -> Self {
        self.0.addresses = addresses;
        self
    }
}

impl IntoResponse for HttpProblem {
    fn into_response(self) -> Response {
        let retry_after = self.0.retry_after_secs;
        let mut response = (self.0.status_code, Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(secs) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        if self.0.status_code == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"audit\""),
            );
        }
        response
    }
}

/// Errors of the store: logged with their whole chain, told without any of it.
impl From<audit_store::StoreError> for HttpProblem {
    fn from(error: audit_store::StoreError) -> Self {
        use audit_store::StoreError;
        match &error {
            StoreError::TooBroad => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "search_too_broad",
                "no index serves this search within the time limit: narrow the time range or name an organisation",
            ),
            StoreError::Refused { reason } => Self::bad_request("refused", reason.clone()),
            StoreError::Unavailable { .. } | StoreError::Busy { .. } => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the store does not answer"
                );
                Self::unavailable("the store does not answer now")
            }
            _ => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the store answers nonsense"
                );
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "stored data cannot be read; the log says more",
                )
            }
        }
    }
}

impl From<audit_queue::QueueError> for HttpProblem {
    fn from(error: audit_queue::QueueError) -> Self {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the queue does not answer"
        );
        Self::unavailable("the queue does not answer now")
    }
}

/// What every handler returns.
pub type HttpResult<T = Response> = Result<T, HttpProblem>;
