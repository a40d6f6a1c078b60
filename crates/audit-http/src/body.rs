//! Reading a body: what type it is, decompressed, with a bound on what comes out.

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, BufReader};
use tokio_util::io::StreamReader;

use crate::problem::HttpProblem;

/// What a request body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    /// One JSON document.
    Json,
    /// One JSON value a line.
    NdJson,
}

/// The media type of an ingest request; none counts as JSON, as the field's clients leave it out.
pub(crate) fn media(headers: &HeaderMap) -> Result<Media, HttpProblem> {
    let unsupported = || {
        let detail = "send application/json, or application/x-ndjson with one event a line";
        HttpProblem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            detail,
        )
    };
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(Media::Json);
    };
    let value = value.to_str().map_err(|_not_ascii| unsupported())?;
    let mut parts = value
        .split(';')
        .map(|part| part.trim().to_ascii_lowercase());
    let essence = parts.next().unwrap_or_default();
    let utf8 = parts.all(|part| {
        !part.starts_with("charset=")
            || part.trim_start_matches("charset=").trim_matches('"') == "utf-8"
    });
    match essence.as_str() {
        "application/json" if utf8 => Ok(Media::Json),
        "application/x-ndjson"
        | "application/ndjson"
        | "application/jsonl"
        | "application/json-seq"
            if utf8 =>
        {
            Ok(Media::NdJson)
        }
        _ => Err(unsupported()),
    }
}

/// A reader of the decompressed body.
pub(crate) type BodyReader = std::pin::Pin<Box<dyn AsyncRead + Send>>;

/// Decompresses as `Content-Encoding` says. What is read must be bounded by the caller.
pub(crate) fn reader(headers: &HeaderMap, body: Body) -> Result<BodyReader, HttpProblem> {
    let stream = body.into_data_stream().map_err(std::io::Error::other);
    let raw = BufReader::new(StreamReader::new(stream));
    let encoding = headers
        .get(header::CONTENT_ENCODING)
        .map(|value| value.to_str().unwrap_or("?").trim().to_ascii_lowercase());
    match encoding.as_deref() {
        None | Some("" | "identity") => Ok(Box::pin(raw)),
        Some("gzip" | "x-gzip") => {
            let mut decoder = GzipDecoder::new(raw);
            // Members one after the other are one body (RFC 1952, section 2.2).
            decoder.multiple_members(true);
            Ok(Box::pin(decoder))
        }
        Some("zstd") => Ok(Box::pin(ZstdDecoder::new(raw))),
        Some(_) => {
            let detail = "send the body as it is, or with Content-Encoding gzip or zstd";
            Err(HttpProblem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_encoding",
                detail,
            ))
        }
    }
}

/// Reads a whole body of at most `max` bytes after decompression: a bomb stops here, not in memory.
pub(crate) async fn read_whole(
    headers: &HeaderMap,
    body: Body,
    max: usize,
) -> Result<Bytes, HttpProblem> {
    let mut reader = reader(headers, body)?;
    let mut whole = BytesMut::with_capacity(expected(headers).min(max));
    loop {
        if whole.len() > max {
            return Err(too_large(max));
        }
        whole.reserve(16 << 10);
        if reader
            .read_buf(&mut whole)
            .await
            .map_err(|error| broken(&error))?
            == 0
        {
            return Ok(whole.freeze());
        }
    }
}

fn expected(headers: &HeaderMap) -> usize {
    headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .unwrap_or(4 << 10)
}

pub(crate) fn too_large(max: usize) -> HttpProblem {
    let detail = format!("the body is larger than {max} bytes; send it in parts");
    HttpProblem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

/// A body that ends early or does not decompress is the sender's fault.
pub(crate) fn broken(error: &std::io::Error) -> HttpProblem {
    tracing::debug!(%error, "a body could not be read");
    HttpProblem::bad_request(
        "body_unreadable",
        "the body ended early, or is not in the encoding it says",
    )
}

/// Bytes of a body that is not events.
const SMALL_BODY_MAX: usize = 1 << 20;

/// Reads a small JSON body; an empty one counts as `{}`.
pub(crate) async fn read_json<T: serde::de::DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
) -> Result<T, HttpProblem> {
    let bytes = read_whole(headers, body, SMALL_BODY_MAX).await?;
    let text = if bytes.iter().all(u8::is_ascii_whitespace) {
        b"{}".as_slice()
    } else {
        bytes.as_ref()
    };
    // The deserializer names members and places of the sender's own body.
    serde_json::from_slice(text)
        .map_err(|error| HttpProblem::bad_request("bad_body", error.to_string()))
}
