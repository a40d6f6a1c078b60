//! Around every request: its place among the others, its bytes, its time, its measurement.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::{Semaphore, watch};

use crate::budget::Budget;
use crate::metric;
use crate::problem::HttpProblem;
use crate::state::{AppState, HttpSettings};

/// Bytes of bodies in memory at once, over all requests: four bodies of the largest size.
const BODIES_AT_ONCE: usize = 4;

/// Paths that move events, and those that ask the store for whoever asks them. A guess at a longer path is bounded as well, and
/// answered 404.
const BOUNDED: [&str; 6] = [
    "/v1/",
    "/api/",
    "/events",
    "/health/database",
    "/health/dependencies",
    "/health/detailed",
];

/// What all requests share.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    places: Arc<Semaphore>,
    bodies: Arc<Bodies>,
    longest: Duration,
}

/// The bytes that bodies may take, by the size of a body that is allowed now.
#[derive(Debug)]
struct Bodies {
    settings: watch::Receiver<Arc<HttpSettings>>,
    /// The size, and its budget; held for moments only.
    current: Mutex<(usize, Budget)>,
}

impl Bodies {
    fn new(settings: watch::Receiver<Arc<HttpSettings>>) -> Self {
        let size = settings.borrow().body_bytes_max;
        Self {
            settings,
            current: Mutex::new((size, budget_of(size))),
        }
    }

    /// Requests that began under another size have that one's budget to their end.
    fn budget(&self) -> Budget {
        let size = self.settings.borrow().body_bytes_max;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0 != size {
            *current = (size, budget_of(size));
        }
        current.1.clone()
    }
}

fn budget_of(size: usize) -> Budget {
    Budget::new(size.saturating_mul(BODIES_AT_ONCE))
}

impl Guard {
    pub(crate) fn new(state: &AppState) -> Self {
        let settings = state.settings();
        Self {
            places: Arc::new(Semaphore::new(settings.concurrency_max)),
            bodies: Arc::new(Bodies::new(state.settings.clone())),
            longest: settings.request_timeout,
        }
    }
}

pub(crate) async fn guarded(
    State(guard): State<Guard>,
    path: Option<MatchedPath>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let is_ingest = request.method() == Method::POST && request.uri().path() == "/v1/events";
    // Health and metrics are asked most when everything else waits.
    let needs_place = BOUNDED
        .iter()
        .any(|begin| request.uri().path().starts_with(begin));
    request.extensions_mut().insert(guard.bodies.budget());
    let place = needs_place.then(|| guard.places.try_acquire());
    let response = match place {
        Some(Err(_all_taken)) => {
            HttpProblem::unavailable("too many requests are in work; try again").into_response()
        }
        // Bounded by its own rules: a long body of lines may take its time, a wait for `ack` says how long.
        _ if is_ingest => next.run(request).await,
        _ => match tokio::time::timeout(guard.longest, next.run(request)).await {
            Ok(response) => response,
            Err(_elapsed) => too_long(),
        },
    };
    measure(path.as_ref(), response.status(), started.elapsed());
    response
}

fn too_long() -> Response {
    let detail = "the request took too long";
    HttpProblem::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail).into_response()
}

fn measure(path: Option<&MatchedPath>, status: StatusCode, took: Duration) {
    // Only paths of the table become labels, so that nobody can make new ones.
    let route = path.map_or("none", MatchedPath::as_str).to_owned();
    let class = match status.as_u16() / 100 {
        2 => "2xx",
        4 => "4xx",
        5 => "5xx",
        _ => "other",
    };
    metrics::counter!(metric::REQUESTS, "route" => route.clone(), "status" => class).increment(1);
    metrics::histogram!(metric::REQUEST_SECONDS, "route" => route).record(took.as_secs_f64());
}
