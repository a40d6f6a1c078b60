//! Reading a body: what type it is, decompressed, with a bound on what comes in and on what comes out.

use std::time::Duration;

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, BufReader};
use tokio_util::io::StreamReader;

use crate::budget::Held;
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
        let charset = part.strip_prefix("charset=");
        charset.is_none_or(|charset| charset.trim_matches('"') == "utf-8")
    });
    match essence.as_str() {
        "application/json" if utf8 => Ok(Media::Json),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" if utf8 => {
            Ok(Media::NdJson)
        }
        _ => Err(unsupported()),
    }
}

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, HttpProblem> {
    let value = headers.get(header::CONTENT_ENCODING);
    let name = value.map(|value| value.to_str().unwrap_or("?").trim().to_ascii_lowercase());
    match name.as_deref() {
        None | Some("" | "identity") => Ok(Encoding::Identity),
        Some("gzip" | "x-gzip") => Ok(Encoding::Gzip),
        Some("zstd") => Ok(Encoding::Zstd),
        Some(_) => Err(HttpProblem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_encoding",
            "send the body as it is, or with Content-Encoding gzip or zstd",
        )),
    }
}

/// A reader of a decompressed body.
pub(crate) type BodyReader = std::pin::Pin<Box<dyn AsyncRead + Send>>;

fn unpack<R: tokio::io::AsyncBufRead + Send + 'static>(encoding: Encoding, raw: R) -> BodyReader {
    match encoding {
        Encoding::Identity => Box::pin(raw),
        Encoding::Gzip => {
            let mut decoder = GzipDecoder::new(raw);
            // Members one after the other are one body (RFC 1952, section 2.2).
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
        Encoding::Zstd => {
            let mut decoder = ZstdDecoder::new(raw);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
    }
}

/// Decompresses while the body arrives. What is read must be bounded by the caller.
pub(crate) fn reader(headers: &HeaderMap, body: Body) -> Result<BodyReader, HttpProblem> {
    let stream = body.into_data_stream().map_err(std::io::Error::other);
    let raw = BufReader::new(StreamReader::new(stream));
    Ok(unpack(encoding(headers)?, raw))
}

/// Reads a whole body of at most `max` bytes, before and after decompression: a bomb stops here, not in memory.
pub(crate) async fn read_whole(
    headers: &HeaderMap,
    body: Body,
    max: usize,
    held: &mut Held,
) -> Result<Bytes, HttpProblem> {
    let encoding = encoding(headers)?;
    let raw = read_raw(body.into_data_stream(), max, held).await?;
    if encoding == Encoding::Identity {
        return Ok(raw);
    }
    let mut reader = unpack(encoding, std::io::Cursor::new(raw));
    let mut whole = BytesMut::new();
    loop {
        held.grow(CHUNK)?;
        whole.reserve(CHUNK);
        let before = whole.len();
        while whole.len() < before + CHUNK {
            if reader
                .read_buf(&mut whole)
                .await
                .map_err(|error| broken(&error))?
                == 0
            {
                return Ok(whole.freeze());
            }
            if whole.len() > max {
                return Err(too_large(max));
            }
        }
        // Unpacking from memory never waits, and the others want the processor too.
        tokio::task::yield_now().await;
    }
}

/// Bytes unpacked between two pauses.
const CHUNK: usize = 64 << 10;

/// The bytes as sent; a body of one piece, as small ones are, is not copied.
async fn read_raw(
    mut stream: BodyDataStream,
    max: usize,
    held: &mut Held,
) -> Result<Bytes, HttpProblem> {
    let mut whole = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| broken(&std::io::Error::other(error)))?;
        if whole.len() + joined.len() + piece.len() > max {
            drain(stream).await;
            return Err(too_large(max));
        }
        held.grow(piece.len())?;
        if whole.is_empty() && joined.is_empty() {
            whole = piece;
        } else {
            joined.extend_from_slice(&std::mem::take(&mut whole));
            joined.extend_from_slice(&piece);
        }
    }
    Ok(if joined.is_empty() {
        whole
    } else {
        joined.freeze()
    })
}

/// Bytes of a refused body that are read and dropped, and how long that may take. A connection that is closed while its
/// peer still sends is reset, and the peer never sees why it was refused.
const DRAINED_MAX: usize = 64 << 20;
const DRAINING_MAX: Duration = Duration::from_secs(5);

async fn drain(mut stream: BodyDataStream) {
    let draining = async {
        let mut left = DRAINED_MAX;
        while let Some(Ok(piece)) = stream.next().await {
            match left.checked_sub(piece.len()) {
                Some(less) => left = less,
                None => return,
            }
        }
    };
    // Whether it ended or not, the answer is the same.
    drop(tokio::time::timeout(DRAINING_MAX, draining).await);
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

pub(crate) fn slow() -> HttpProblem {
    let detail = "the body did not arrive in time";
    HttpProblem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail)
}

/// Bytes of a body that is not events.
const SMALL_BODY_MAX: usize = 1 << 20;

/// Reads a small JSON body; an empty one counts as `{}`.
pub(crate) async fn read_json<T: serde::de::DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    held: &mut Held,
) -> Result<T, HttpProblem> {
    if media(headers)? != Media::Json {
        return Err(HttpProblem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "send application/json",
        ));
    }
    let bytes = read_whole(headers, body, SMALL_BODY_MAX, held).await?;
    let text = if bytes.iter().all(u8::is_ascii_whitespace) {
        b"{}".as_slice()
    } else {
        bytes.as_ref()
    };
    // The deserializer names members and places of the sender's own body.
    serde_json::from_slice(text)
        .map_err(|error| HttpProblem::bad_request("bad_body", error.to_string()))
}
