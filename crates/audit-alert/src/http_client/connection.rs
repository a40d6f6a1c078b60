//! One connection for one request. Alerts are rare: a connection that is kept open would more often be dead than of use.

use std::net::SocketAddr;
use std::time::Duration;

use http::header::{HOST, RETRY_AFTER};
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::CertificateError;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use url::{Host, Url};

use super::{Answer, HttpClient, Post};
use crate::handler::HandlerError;
use crate::reach::Reached;

/// Bytes of the head of an answer, at most. Its body is not read.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long one address has to take a connection, when a name has several.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;

impl HttpClient {
    pub(super) async fn send(&self, to: &Url, post: Post) -> Result<Answer, HandlerError> {
        let host = to.host().ok_or_else(|| HandlerError::refused("no host"))?;
        let port = to.port_or_known_default().unwrap_or(443);
        let reached = self.resolve(&host, port).await?;
        let secure = to.scheme() == "https";
        if !secure && !reached.iter().all(|reached| reached.allowed) {
            return Err(HandlerError::refused(
                "plain HTTP is spoken within allowed ranges only",
            ));
        }
        let stream = connect(&reached).await?;
        let request = request(to, post)?;
        if !secure {
            return exchange(stream, request).await;
        }
        let name = server_name(&host)?;
        let stream = self.tls.connect(name, stream).await;
        let stream = stream.map_err(|error| insecure(&error))?;
        exchange(stream, request).await
    }

    /// The addresses of a host that may be connected to: what is checked here is what is connected to, and no name is asked for again.
    async fn resolve(&self, host: &Host<&str>, port: u16) -> Result<Vec<Reached>, HandlerError> {
        let addresses: Vec<SocketAddr> = match host {
            Host::Ipv4(ip) => vec![SocketAddr::new((*ip).into(), port)],
            Host::Ipv6(ip) => vec![SocketAddr::new((*ip).into(), port)],
            Host::Domain(name) => lookup_host((*name, port))
                .await
                .map_err(|error| failed("the receiver's name is not known", &error))?
                .collect(),
        };
        let mut refused = None;
        let mut reached = Vec::new();
        for address in addresses {
            match self.reach.check(address) {
                Ok(address) => reached.push(address),
                Err(error) => refused = Some(error),
            }
        }
        match (reached.is_empty(), refused) {
            (true, Some(refused)) => Err(HandlerError::refused(refused.to_string())),
            (true, None) => Err(HandlerError::later("the receiver's name has no address")),
            (false, _) => Ok(reached),
        }
    }
}

async fn connect(reached: &[Reached]) -> Result<TcpStream, HandlerError> {
    let mut last = HandlerError::later("no connection in time");
    for reached in reached.iter().take(ADDRESSES_MAX) {
        let connecting = TcpStream::connect(reached.address);
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = failed("no connection", &error),
            Err(_elapsed) => {}
        }
    }
    Err(last)
}

fn server_name(host: &Host<&str>) -> Result<ServerName<'static>, HandlerError> {
    match host {
        Host::Ipv4(ip) => Ok(ServerName::from(std::net::IpAddr::from(*ip))),
        Host::Ipv6(ip) => Ok(ServerName::from(std::net::IpAddr::from(*ip))),
        Host::Domain(name) => ServerName::try_from((*name).to_owned()).map_err(|_invalid| {
            HandlerError::refused("the receiver's name is not one of a server")
        }),
    }
}

fn request(to: &Url, post: Post) -> Result<Request<Full<bytes::Bytes>>, HandlerError> {
    let bad = |_error| HandlerError::refused("the receiver's address cannot be asked for");
    let target = match to.query() {
        Some(query) => format!("{}?{query}", to.path()),
        None => to.path().to_owned(),
    };
    let host = match (to.host_str(), to.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    };
    let host = HeaderValue::from_str(&host).map_err(|error| bad(http::Error::from(error)))?;
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(target)
        .body(Full::new(post.body))
        .map_err(bad)?;
    *request.headers_mut() = post.headers;
    request.headers_mut().insert(HOST, host);
    request.headers_mut().insert(
        http::header::USER_AGENT,
        HeaderValue::from_static("audit-worker"),
    );
    request
        .headers_mut()
        .insert(http::header::CONNECTION, HeaderValue::from_static("close"));
    Ok(request)
}

async fn exchange<S>(
    stream: S,
    request: Request<Full<bytes::Bytes>>,
) -> Result<Answer, HandlerError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let handshake = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake
        .await
        .map_err(|error| failed("no HTTP connection", &error))?;
    let sent = sender.send_request(request);
    tokio::pin!(connection, sent);
    // The connection does the work. When it ends first the answer is there, or will never be.
    let response = tokio::select! {
        response = &mut sent => response,
        _ended = &mut connection => sent.await,
    };
    let response = response.map_err(|error| failed("no answer", &error))?;
    Ok(Answer {
        status: response.status(),
        retry_after: response.headers().get(RETRY_AFTER).cloned(),
    })
}

/// The library would name the host.
fn insecure(error: &std::io::Error) -> HandlerError {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => HandlerError::later("no secure connection: the certificate is of another name"),
        _ => failed("no secure connection", error),
    }
}

/// With what the library says, which names no address and no path.
fn failed(what: &str, error: &dyn std::error::Error) -> HandlerError {
    HandlerError::later(format!("{what}: {error}"))
}
