//! A server that answers as a test tells it, for what a healthy worker cannot be made to do: refuse, stall, half-answer.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse, Response};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) uri: String,
    pub(crate) key: String,
    pub(crate) authorization: String,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The idempotency key and the number of events.
    pub(crate) fn batch(&self) -> (String, usize) {
        (
            self.key.clone(),
            self.json().as_array().expect("an array").len(),
        )
    }
}

/// What a request is answered with.
pub(crate) enum Answer {
    /// This.
    Now(u16, &'static [(&'static str, &'static str)], String),
    /// Nothing, ever.
    Never,
}

/// A running server; ends with the test.
pub(crate) struct Fake {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Fake {
    /// Answers every request with what `answer` says; it is given the request and how many came before it.
    pub(crate) fn start(answer: impl Fn(&Seen, usize) -> Answer + Send + Sync + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        let answer = Arc::new(answer);
        let app = axum::Router::new().fallback(
            move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                async move {
                    let header = |name: &str| {
                        headers
                            .get(name)
                            .and_then(|v| v.to_str().ok())
                            .unwrap_or_default()
                            .to_owned()
                    };
                    let seen = Seen {
                        method: method.to_string(),
                        uri: uri.to_string(),
                        key: header("idempotency-key"),
                        authorization: header("authorization"),
                        body: body.to_vec(),
                    };
                    let before = {
                        let mut kept = kept.lock().expect("not poisoned");
                        kept.push(seen.clone());
                        kept.len() - 1
                    };
                    match answer(&seen, before) {
                        Answer::Now(status, headers, body) => respond(status, headers, body),
                        Answer::Never => std::future::pending().await,
                    }
                }
            },
        );
        drop(runtime.spawn(async move { axum::serve(listener, app).await }));
        Self {
            url,
            seen,
            _runtime: runtime,
        }
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("not poisoned").clone()
    }
}

fn respond(status: u16, headers: &[(&'static str, &'static str)], body: String) -> Response {
    let status = axum::http::StatusCode::from_u16(status).expect("a status");
    let mut response = (status, body).into_response();
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(*name, value.parse().expect("a header"));
    }
    response
}

/// The answer of a worker that takes every event, except those that `status` names otherwise.
pub(crate) fn results(seen: &Seen, status: impl Fn(usize) -> &'static str) -> String {
    let count = seen.json().as_array().expect("an array").len();
    let results: Vec<_> = (0..count)
        .map(|index| match status(index) {
            "rejected" => serde_json::json!({"index": index, "status": "rejected",
                "errors": [{"path": "/status", "code": "missing", "message": "is required"}]}),
            status => serde_json::json!({"index": index, "id": "0193a5c0-0000-7000-8000-000000000001", "status": status}),
        })
        .collect();
    serde_json::json!({ "results": results }).to_string()
}
