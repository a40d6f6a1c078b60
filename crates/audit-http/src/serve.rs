//! The router with its outer layers, and the server.

use std::sync::Arc;
use std::time::Duration;

use audit_runtime::{ShutdownSignal, Tasks};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};

use crate::compat::anonymous::Peer;
use crate::guard::{Guard, guarded};
use crate::problem::HttpProblem;
use crate::routes::{self, Route};
use crate::state::AppState;

/// Connections at once; more wait in the listener's queue. Below the usual limit of 1,024 descriptors of a process.
const CONNECTIONS_MAX: usize = 768;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The whole HTTP surface.
pub fn router(state: AppState) -> Router {
    layered(state, |_route| true)
}

/// What `audit-ingest` serves: [`routes::INGEST`].
pub fn ingest_router(state: AppState) -> Router {
    layered(state, |route| {
        routes::INGEST.contains(&(route.method, route.path))
    })
}

fn layered(state: AppState, wanted: impl Fn(&Route) -> bool) -> Router {
    let guard = Guard::new(&state);
    let outer = ServiceBuilder::new()
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(from_fn_with_state(guard, guarded))
        .layer(CatchPanicLayer::custom(
            |_panic: Box<dyn std::any::Any + Send>| internal(),
        ));
    routes::table(wanted)
        .fallback(|| async { HttpProblem::not_found("route") })
        .method_not_allowed_fallback(|| async {
            HttpProblem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this path takes other methods",
            )
        })
        // Bodies are bounded where they are read, after decompression.
        .layer(DefaultBodyLimit::disable())
        .layer(outer)
        .with_state(state)
}

fn internal() -> Response {
    tracing::error!("a handler panicked");
    HttpProblem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "the log says more",
    )
    .into_response()
}

/// Serves until shutdown begins, then lets requests in work finish.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: ShutdownSignal,
    tasks: &Tasks,
) -> std::io::Result<()> {
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(10));
    let graceful = GracefulShutdown::new();
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let accept = async || {
        let place = Arc::clone(&connections).acquire_owned().await;
        let (stream, peer) = listener.accept().await?;
        std::io::Result::Ok((stream, Peer(peer), place))
    };
    loop {
        let (stream, peer, place) = tokio::select! {
            () = shutdown.begun() => break,
            accepted = accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, or the peer is gone already: wait a little, the others go on.
                    tracing::warn!(%error, "a connection was not taken");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        // Small answers must not wait for more bytes.
        drop(stream.set_nodelay(true));
        let service = ServiceBuilder::new()
            .map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
                request.extensions_mut().insert(peer);
                request
            })
            .service(router.clone());
        let service = TowerToHyperService::new(service);
        let connection = builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        let connection = graceful.watch(connection);
        tasks.spawn("connection", async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(place);
        });
    }
    graceful.shutdown().await;
    Ok(())
}
