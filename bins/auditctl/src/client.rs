//! Talks to the HTTP API: the key, the errors, and nothing about any command.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde::de::DeserializeOwned;

use crate::error::CliError;

/// Longest wait for a connection; a worker on the same machine answers in microseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for an answer. `ack=sealed` and a broad search stay well below.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Parameters of a URL.
pub(crate) type Parameters = Vec<(String, String)>;

/// A client of one worker.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    key: String,
    key_file: PathBuf,
}

impl Client {
    /// Reads the key file; nothing is sent yet.
    pub(crate) fn new(url: &str, key_file: &Path) -> Result<Self, CliError> {
        if !url.starts_with("http://") {
            return Err(CliError::Usage(format!(
                "the address must begin with http://, not {url}; reach a worker behind TLS through a tunnel or a local proxy"
            )));
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .build()
            .map_err(|error| CliError::Usage(chain(&error)))?;
        let key = read_key(key_file)?;
        Ok(Self {
            http,
            url: url.trim_end_matches('/').to_owned(),
            key,
            key_file: key_file.to_owned(),
        })
    }

    /// The address, for messages.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A request with the key in it.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(&self.key)
    }

    /// GET, and the answer as it came.
    pub(crate) async fn get_bytes(
        &self,
        path: &str,
        parameters: &Parameters,
    ) -> Result<Vec<u8>, CliError> {
        let response = self
            .send(self.request(Method::GET, path).query(parameters))
            .await?;
        self.body(response).await
    }

    /// GET, and the answer as JSON.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        parameters: &Parameters,
    ) -> Result<T, CliError> {
        self.decode(&self.get_bytes(path, parameters).await?)
    }

    /// A request with a JSON body (or none), and the answer as JSON; an empty answer is `null`.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<T, CliError> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = self.send(request).await?;
        let bytes = self.body(response).await?;
        self.decode(if bytes.is_empty() { b"null" } else { &bytes })
    }

    /// Sends, and turns every refusal into the error that says what to do.
    pub(crate) async fn send(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<Response, CliError> {
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refusal(response).await)
    }

    /// The error that a refusal means.
    pub(crate) async fn refusal(&self, response: Response) -> CliError {
        let status = response.status();
        let said = problem_line(status, &response.bytes().await.unwrap_or_default());
        self.refusal_said(status, said)
    }

    /// The error that a refusal with this text means.
    pub(crate) fn refusal_said(&self, status: StatusCode, said: String) -> CliError {
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => CliError::Refused {
                said,
                key_file: self.key_file.clone(),
            },
            StatusCode::NOT_FOUND => CliError::NotFound(said),
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                CliError::Unavailable {
                    url: self.url.clone(),
                    status: status.as_u16(),
                    said,
                }
            }
            status => CliError::Request {
                status: status.as_u16(),
                said,
            },
        }
    }

    /// The error of a request that got no answer.
    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> CliError {
        CliError::Unreachable {
            url: self.url.clone(),
            reason: chain(error),
        }
    }

    /// Reads JSON, or says that the other side is no worker.
    pub(crate) fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, CliError> {
        serde_json::from_slice(bytes).map_err(|error| CliError::Answer {
            url: self.url.clone(),
            reason: error.to_string(),
        })
    }

    async fn body(&self, response: Response) -> Result<Vec<u8>, CliError> {
        Ok(response
            .bytes()
            .await
            .map_err(|error| self.unreachable(&error))?
            .to_vec())
    }
}

/// The key in a file: its first line that is neither empty nor a comment.
pub(crate) fn read_key(path: &Path) -> Result<String, CliError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        CliError::Usage(format!(
            "cannot read the API key from {}: {error}; the worker's start prints where its key file is, name it with --key-file",
            path.display()
        ))
    })?;
    let key = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#'));
    key.map(str::to_owned)
        .ok_or_else(|| CliError::Usage(format!("{} holds no API key", path.display())))
}

/// A problem document (RFC 9457) in one line; the beginning of the text when it is none.
pub(crate) fn problem_line(status: StatusCode, body: &[u8]) -> String {
    let Ok(problem) = serde_json::from_slice::<serde_json::Value>(body) else {
        let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
        return if text.trim().is_empty() {
            status.to_string()
        } else {
            text
        };
    };
    let text = |name: &str| {
        problem
            .get(name)
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
    };
    let mut line = match (text("title"), text("detail")) {
        ("", "") => status.to_string(),
        (title, "") => title.to_owned(),
        ("", detail) => detail.to_owned(),
        (title, detail) => format!("{title}: {detail}"),
    };
    for error in problem
        .get("errors")
        .and_then(serde_json::Value::as_array)
        .into_iter()
        .flatten()
    {
        let part = |name: &str| {
            error
                .get(name)
                .and_then(serde_json::Value::as_str)
                .unwrap_or_default()
        };
        line.push_str(&format!("; {} {}", part("path"), part("message")));
    }
    line
}

/// An error with everything behind it: what reqwest prints alone does not say "connection refused".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_document_becomes_one_line_that_names_every_path() {
        let body = br#"{"title":"Invalid","detail":"two","errors":[{"path":"/a","message":"no"},{"path":"/b","message":"bad"}]}"#;
        assert_eq!(
            problem_line(StatusCode::BAD_REQUEST, body),
            "Invalid: two; /a no; /b bad"
        );
        assert_eq!(problem_line(StatusCode::BAD_GATEWAY, b"<html>"), "<html>");
        assert_eq!(
            problem_line(StatusCode::BAD_GATEWAY, b""),
            "502 Bad Gateway"
        );
    }

    #[test]
    fn only_plain_http_is_spoken_and_the_message_says_what_to_do() {
        let error =
            Client::new("https://example.test", Path::new("/nonexistent")).expect_err("refused");
        assert!(error.to_string().contains("tunnel"), "{error}");
    }

    #[test]
    fn a_missing_key_file_is_named() {
        let error = Client::new("http://example.test", Path::new("/nonexistent/admin.key"))
            .expect_err("refused");
        assert!(
            error.to_string().contains("/nonexistent/admin.key"),
            "{error}"
        );
        assert_eq!(error.exit_code(), 2);
    }
}
