//! An object of an S3 bucket, and its signature: in its metadata `x-amz-meta-signature`, or in the object `KEY.sig`.

mod credentials;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderMap;
use http::header::{
    CONTENT_LENGTH, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, TRANSFER_ENCODING,
};
use reqwest_of_s3::Response;
use s3::command::Command;
use s3::error::S3Error;
use s3::request::Request as _;
use s3::request::tokio_backend::ReqwestRequest;
use s3::{Bucket, Region};

use crate::check::{Check, Signature};
use crate::document::{DOCUMENT_BYTES_MAX, Document, Fetched, Mark};
use crate::error::{CheckError, SettingError, SourceError};
use crate::settings::{S3Settings, SourceSettings, check_endpoint, check_region};
use crate::source::ConfigSource;
use credentials::CredentialSource;

const VERSION: HeaderName = HeaderName::from_static("x-amz-version-id");
/// Metadata belong to a version of the object, so that a document and its signature change at once.
const SIGNATURE: HeaderName = HeaderName::from_static("x-amz-meta-signature");
/// Of an error's text; S3 says its code in the first line.
const ERROR_BYTES_MAX: u64 = 16 << 10;
/// Of a signature, in base64 and with a line end.
const SIGNATURE_BYTES_MAX: u64 = 256;

/// One object.
pub(crate) struct S3Source {
    /// `s3://bucket/key`.
    place: String,
    key: String,
    /// Where the bucket is; holds no credentials of ours.
    bucket: Bucket,
    credentials: CredentialSource,
    timeout: Duration,
    check: Check,
}

/// What is asked for.
struct Ask<'a> {
    key: &'a str,
    version: Option<&'a str>,
    /// Not when it is still the one with this ETag.
    unless: Option<&'a str>,
    bytes_max: u64,
}

/// What came.
struct Object {
    bytes: Vec<u8>,
    headers: HeaderMap,
}

impl S3Source {
    pub(crate) fn new(
        bucket: &str,
        key: &str,
        settings: &SourceSettings,
        check: Check,
    ) -> Result<Self, SourceError> {
        let SourceSettings { timeout, s3 } = settings;
        Ok(Self {
            place: format!("s3://{bucket}/{key}"),
            key: key.to_owned(),
            bucket: bucket_of(bucket, s3)?,
            credentials: CredentialSource::new(s3),
            timeout: *timeout,
            check,
        })
    }

    async fn fetch_unbounded(&self, known: Option<&Mark>) -> Result<Fetched, SourceError> {
        let ask = Ask {
            unless: known.and_then(Mark::etag),
            ..self.ask()
        };
        let Some(object) = self.get(&ask).await? else {
            return Ok(Fetched::Unchanged);
        };
        let document = self.document(object).await?;
        let mark = Mark::of(&document);
        if known == Some(&mark) {
            return Ok(Fetched::Unchanged);
        }
        Ok(Fetched::Document(document, mark))
    }

    async fn version_unbounded(&self, version: &str) -> Result<Option<Document>, SourceError> {
        let ask = Ask {
            version: Some(version),
            ..self.ask()
        };
        let object = match self.get(&ask).await {
            Ok(Some(object)) => object,
            Ok(None) | Err(SourceError::Missing { .. }) => return Ok(None),
            // A server's words for a version that it never gave, and for one that is a deletion.
            Err(SourceError::Answer {
                status: 400 | 405, ..
            }) => return Ok(None),
            Err(error) => return Err(error),
        };
        // A bucket without versions gives what is there now, whatever version was asked for.
        if text(&object.headers, &VERSION).as_deref() != Some(version) {
            return Ok(None);
        }
        self.document(object).await.map(Some)
    }

    /// The document that an object is, checked.
    async fn document(&self, object: Object) -> Result<Document, SourceError> {
        let Object { bytes, headers } = object;
        let mut document = Document::new(self.place.clone(), bytes)?;
        document.version = text(&headers, &VERSION);
        document.etag = text(&headers, &ETAG);
        let beside = format!("{}.sig", self.place);
        if self.check.signed_by.is_some() {
            document.signature = self.signature(&headers, &beside).await?;
        }
        let (bytes, signature) = (document.text.as_bytes(), document.signature.as_ref());
        self.check
            .judge(bytes, document.sha256, signature, &beside)
            .map_err(SourceError::Check)?;
        Ok(document)
    }

    async fn signature(
        &self,
        headers: &HeaderMap,
        beside: &str,
    ) -> Result<Option<Signature>, SourceError> {
        if let Some(signature) = headers.get(SIGNATURE) {
            let place = format!("{SIGNATURE} of {}", self.place);
            let read = Signature::read(signature.as_bytes(), &place);
            return read.map(Some).map_err(SourceError::Check);
        }
        let ask = Ask {
            key: &format!("{}.sig", self.key),
            bytes_max: SIGNATURE_BYTES_MAX,
            ..self.ask()
        };
        match self.get(&ask).await {
            Ok(Some(object)) => Signature::read(&object.bytes, beside)
                .map(Some)
                .map_err(SourceError::Check),
            Ok(None) | Err(SourceError::Missing { .. }) => Ok(None),
            Err(SourceError::TooLarge { .. }) => Err(SourceError::Check(CheckError::Malformed {
                place: beside.to_owned(),
                bytes: None,
            })),
            Err(error) => Err(error),
        }
    }

    /// The document as it is now.
    fn ask(&self) -> Ask<'_> {
        Ask {
            key: &self.key,
            version: None,
            unless: None,
            bytes_max: DOCUMENT_BYTES_MAX,
        }
    }

    /// An object; `None` when it is still the one that need not come.
    async fn get(&self, ask: &Ask<'_>) -> Result<Option<Object>, SourceError> {
        let Ask {
            key,
            version,
            unless,
            bytes_max,
        } = *ask;
        let mut bucket = self.bucket.clone();
        bucket.set_credentials(self.credentials.get().await?);
        if let Some(version) = version {
            bucket.add_query("versionId", version);
        }
        if let Some(Ok(etag)) = unless.map(HeaderValue::from_str) {
            bucket.extra_headers_mut().insert(IF_NONE_MATCH, etag);
        }
        let request = ReqwestRequest::new(&bucket, key, Command::GetObject).await;
        let response = request.map_err(unreachable)?.response().await;
        let response = response.map_err(unreachable)?;
        let status = response.status().as_u16();
        // Servers that do not know the condition answer with the object, whose body need not come then.
        let is_known = unless.is_some() && text(response.headers(), &ETAG).as_deref() == unless;
        match status {
            304 => Ok(None),
            200 if is_known => Ok(None),
            200 => body(response, bytes_max).await.map(Some),
            _ => Err(refusal(status, response).await),
        }
    }

    async fn within<T>(
        &self,
        fetching: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        let after = self.timeout;
        tokio::time::timeout(after, fetching)
            .await
            .map_err(|_elapsed| SourceError::TimedOut { after })?
    }
}

#[async_trait]
impl ConfigSource for S3Source {
    fn place(&self) -> String {
        self.place.clone()
    }

    async fn fetch(&self, known: Option<&Mark>) -> Result<Fetched, SourceError> {
        self.within(self.fetch_unbounded(known)).await
    }

    async fn fetch_version(&self, version: &str) -> Result<Option<Document>, SourceError> {
        self.within(self.version_unbounded(version)).await
    }
}

impl fmt::Debug for S3Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Source")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

fn bucket_of(name: &str, settings: &S3Settings) -> Result<Bucket, SourceError> {
    let region = settings.region.as_deref().unwrap_or("us-east-1");
    check_region(region).map_err(|error| SourceError::Setting(error.of("the region")))?;
    let of_aws = || {
        let end = if region.starts_with("cn-") { ".cn" } else { "" };
        format!("https://s3.{region}.amazonaws.com{end}")
    };
    let endpoint = settings.endpoint.clone().unwrap_or_else(of_aws);
    check_endpoint(&endpoint).map_err(|error| SourceError::Setting(error.of("the endpoint")))?;
    let path_style = settings
        .path_style
        .unwrap_or_else(|| settings.endpoint.is_some() || name.contains('.'));
    let region = Region::Custom {
        region: region.to_owned(),
        endpoint,
    };
    let cannot =
        |error: &dyn fmt::Display| SourceError::Setting(SettingError::new(error.to_string()));
    let nobody = s3::creds::Credentials::anonymous().map_err(|error| cannot(&error))?;
    let mut bucket = Bucket::new(name, region, nobody).map_err(|error| cannot(&error))?;
    // The whole fetch is bounded here, not each of its requests.
    bucket.set_request_timeout(None);
    Ok(if path_style {
        *bucket.with_path_style()
    } else {
        *bucket
    })
}

/// All of an answer's body, which says how long it is; otherwise one that was cut could not be told from a whole one.
async fn body(mut response: Response, bytes_max: u64) -> Result<Object, SourceError> {
    let headers = response.headers().clone();
    let expected: Option<u64> = text(&headers, &CONTENT_LENGTH).and_then(|n| n.parse().ok());
    if expected.is_some_and(|length| length > bytes_max) {
        return Err(SourceError::TooLarge { bytes_max });
    }
    if expected.is_none() && !headers.contains_key(TRANSFER_ENCODING) {
        return Err(SourceError::Answer {
            status: response.status().as_u16(),
            code: Some("and does not say how long the object is".to_owned()),
        });
    }
    let mut bytes = Vec::new();
    loop {
        let received = bytes.len() as u64;
        match response.chunk().await {
            Ok(Some(chunk)) if received + chunk.len() as u64 > bytes_max => {
                return Err(SourceError::TooLarge { bytes_max });
            }
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) if expected.is_none_or(|expected| expected == received) => {
                return Ok(Object { bytes, headers });
            }
            Ok(None) | Err(_) => return Err(SourceError::Truncated { received, expected }),
        }
    }
}

/// What an answer without an object means.
async fn refusal(status: u16, response: Response) -> SourceError {
    let said = match body(response, ERROR_BYTES_MAX).await {
        Ok(said) => said.bytes,
        // It matters less why an error cannot be read than what its status is.
        Err(_) => Vec::new(),
    };
    let code = code_of(&String::from_utf8_lossy(&said));
    match status {
        404 => SourceError::Missing { code },
        401 | 403 => SourceError::Denied { code },
        _ => SourceError::Answer { status, code },
    }
}

/// The code of S3's `<Error><Code>NoSuchKey</Code>...`. The message beside it may hold the access key's id.
fn code_of(said: &str) -> Option<String> {
    let (_, rest) = said.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let is_code = (1..=64).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric());
    is_code.then(|| code.to_owned())
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

/// Without the layer that repeats the error below it.
fn unreachable(error: S3Error) -> SourceError {
    SourceError::Unreachable(match error {
        S3Error::Reqwest(error) => error.into(),
        error => error.into(),
    })
}
