//! The router with its outer layers, and the server.

use std::time::Duration;

use audit_runtime::{ShutdownSignal, Tasks};
use axum::Router;
use axum::error_handling::HandleErrorLayer;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};

use crate::problem::HttpProblem;
use crate::routes;
use crate::state::AppState;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The whole HTTP surface.
pub fn router(state: AppState) -> Router {
    let concurrency = state.settings.concurrency_max;
    // Longer than any wait a handler allows itself, so that it only ends what hangs.
    let longest = state.settings.request_timeout + Duration::from_secs(65);
    let outer = ServiceBuilder::new()
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(CatchPanicLayer::custom(
            |_panic: Box<dyn std::any::Any + Send>| internal(),
        ))
        .layer(HandleErrorLayer::new(|_elapsed| async { timed_out() }))
        .layer(tower::timeout::TimeoutLayer::new(longest))
        .layer(GlobalConcurrencyLimitLayer::new(concurrency));
    routes::table()
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

fn timed_out() -> Response {
    HttpProblem::new(
        StatusCode::REQUEST_TIMEOUT,
        "timeout",
        "the request took too long",
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
    loop {
        let stream = tokio::select! {
            () = shutdown.begun() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
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
        let service =
            TowerToHyperService::new(router.clone().into_service::<hyper::body::Incoming>());
        let connection = builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        let connection = graceful.watch(connection);
        tasks.spawn("connection", async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    graceful.shutdown().await;
    Ok(())
}
