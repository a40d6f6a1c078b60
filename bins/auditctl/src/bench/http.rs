//! The load generator: one HTTP/1.1 connection a task, bodies made before the clock starts, nothing parsed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::error::CliError;

/// Where and how requests are sent.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// The server.
    pub(super) address: SocketAddr,
    /// Path and parameters.
    pub(super) path: &'static str,
    /// The API key.
    pub(super) key: String,
}

/// What a run of requests came to.
#[derive(Debug, Clone, Default)]
pub(super) struct Load {
    /// From the first request to the last answer.
    pub(super) elapsed: Duration,
    /// Of every request, sorted.
    pub(super) latencies: Vec<Duration>,
    /// Answers that asked to come again.
    pub(super) refused: u64,
}

impl Load {
    /// The time below which so many percent of all answers came.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        let index =
            (self.latencies.len() * percent / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(index).copied().unwrap_or_default()
    }
}

/// One connection.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    target: Target,
}

impl Connection {
    async fn open(target: &Target, drivers: &mut JoinSet<()>) -> Result<Self, CliError> {
        let failed = |error: &dyn std::error::Error| CliError::Unreachable {
            url: target.address.to_string(),
            reason: error.to_string(),
        };
        let stream = TcpStream::connect(target.address)
            .await
            .map_err(|error| failed(&error))?;
        stream.set_nodelay(true).map_err(|error| failed(&error))?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(&error))?;
        drivers.spawn(async move { drop(connection.await) });
        Ok(Self {
            sender,
            target: target.clone(),
        })
    }

    /// Sends until it is taken; how often it was refused before.
    async fn post(&mut self, body: &Bytes) -> Result<u64, CliError> {
        let mut refused = 0;
        loop {
            let (status, answer) = self.once(body.clone()).await?;
            match status {
                status if status.is_success() && status != StatusCode::MULTI_STATUS => {
                    return Ok(refused);
                }
                StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                    refused += 1;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                status => {
                    let said = String::from_utf8_lossy(&answer).chars().take(300).collect();
                    return Err(CliError::Request {
                        status: status.as_u16(),
                        said,
                    });
                }
            }
        }
    }

    async fn once(&mut self, body: Bytes) -> Result<(StatusCode, Bytes), CliError> {
        let address = self.target.address;
        let failed = |reason: String| CliError::Unreachable {
            url: address.to_string(),
            reason,
        };
        let request = Request::post(self.target.path)
            .header("host", address.to_string())
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", self.target.key))
            .body(Full::new(body))
            .map_err(|error| failed(error.to_string()))?;
        self.sender
            .ready()
            .await
            .map_err(|error| failed(error.to_string()))?;
        let response = self
            .sender
            .send_request(request)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let status = response.status();
        let answer = response
            .into_body()
            .collect()
            .await
            .map_err(|error| failed(error.to_string()))?
            .to_bytes();
        Ok((status, answer))
    }
}

/// Sends every body once, as fast as the connections can.
pub(super) async fn flood(
    target: &Target,
    bodies: &[Bytes],
    connections: u64,
) -> Result<Load, CliError> {
    let bodies: Arc<[Bytes]> = bodies.into();
    let next = Arc::new(AtomicUsize::new(0));
    let mut drivers = JoinSet::new();
    let mut ready = Vec::new();
    for _ in 0..connections {
        ready.push(Connection::open(target, &mut drivers).await?);
    }
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for mut connection in ready {
        let (bodies, next) = (Arc::clone(&bodies), Arc::clone(&next));
        tasks.spawn(async move {
            let mut load = Load::default();
            while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                let sent = Instant::now();
                load.refused += connection.post(body).await?;
                load.latencies.push(sent.elapsed());
            }
            Ok::<_, CliError>(load)
        });
    }
    gather(tasks, began).await
}

/// Sends the bodies at fixed times, `every` apart, whether or not earlier ones are answered; latency counts from the time a
/// body was due, so a stalled server cannot hide behind a waiting client.
pub(super) async fn pace(
    target: &Target,
    bodies: Vec<Bytes>,
    every: Duration,
) -> Result<Load, CliError> {
    let mut drivers = JoinSet::new();
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for (number, body) in bodies.into_iter().enumerate() {
        let due = began + every * u32::try_from(number).unwrap_or(u32::MAX);
        tokio::time::sleep_until(due.into()).await;
        let mut connection = Connection::open(target, &mut drivers).await?;
        tasks.spawn(async move {
            let refused = connection.post(&body).await?;
            Ok::<_, CliError>(Load {
                refused,
                latencies: vec![due.elapsed()],
                elapsed: Duration::ZERO,
            })
        });
    }
    gather(tasks, began).await
}

async fn gather(
    mut tasks: JoinSet<Result<Load, CliError>>,
    began: Instant,
) -> Result<Load, CliError> {
    let mut all = Load::default();
    while let Some(joined) = tasks.join_next().await {
        let part =
            joined.map_err(|error| CliError::Usage(format!("a sender ended: {error}")))??;
        all.refused += part.refused;
        all.latencies.extend(part.latencies);
    }
    all.elapsed = began.elapsed();
    all.latencies.sort_unstable();
    Ok(all)
}

/// A handler that reads the body and answers: what the HTTP stack and this client reach with nothing behind them.
pub(super) async fn reference_server(tasks: &mut JoinSet<()>) -> Result<SocketAddr, CliError> {
    let failed = |error: std::io::Error| CliError::Usage(format!("no free port: {error}"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let answer = |body: Bytes| async move {
        (
            StatusCode::ACCEPTED,
            format!("{{\"accepted\":1,\"bytes\":{}}}", body.len()),
        )
    };
    let app = axum::Router::new().route("/v1/events", axum::routing::post(answer));
    tasks.spawn(async move {
        let service = axum::serve(
            axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true))),
            app,
        );
        drop(service.await);
    });
    Ok(address)
}
