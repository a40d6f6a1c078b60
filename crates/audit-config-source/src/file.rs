//! A file of this machine, and `FILE.sig` beside it.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;

use crate::check::{Check, Signature};
use crate::document::{DOCUMENT_BYTES_MAX, Document, Fetched, Mark};
use crate::error::{CheckError, SourceError};
use crate::source::ConfigSource;

/// A path. The file is read at every fetch and known by its digest: time and size of a file that is written again within
/// one tick of the clock do not tell, and a configuration is small.
#[derive(Debug)]
pub(crate) struct FileSource {
    path: PathBuf,
    timeout: Duration,
    check: Check,
}

impl FileSource {
    pub(crate) const fn new(path: PathBuf, timeout: Duration, check: Check) -> Self {
        Self {
            path,
            timeout,
            check,
        }
    }
}

#[async_trait]
impl ConfigSource for FileSource {
    fn place(&self) -> String {
        self.path.display().to_string()
    }

    async fn fetch(&self, known: Option<&Mark>) -> Result<Fetched, SourceError> {
        let (path, check) = (self.path.clone(), self.check.clone());
        // On a thread of its own, because a file system may be of another machine, and hang.
        let reading = tokio::task::spawn_blocking(move || read(&path, &check));
        let read = tokio::time::timeout(self.timeout, reading).await;
        let after = self.timeout;
        let read = read.map_err(|_elapsed| SourceError::TimedOut { after })?;
        let document = read.map_err(|error| SourceError::Unreachable(error.into()))??;
        let mark = Mark::of(&document);
        if known == Some(&mark) {
            return Ok(Fetched::Unchanged);
        }
        Ok(Fetched::Document(document, mark))
    }

    async fn fetch_version(&self, _version: &str) -> Result<Option<Document>, SourceError> {
        Ok(None)
    }
}

fn read(path: &Path, check: &Check) -> Result<Document, SourceError> {
    let bytes = bounded(path)?;
    let mut document = Document::new(path.display().to_string(), bytes)?;
    let mut place = path.as_os_str().to_owned();
    place.push(".sig");
    let place = PathBuf::from(place);
    document.signature = match &check.signed_by {
        Some(_) => signature(&place)?,
        None => None,
    };
    let place = place.display().to_string();
    let (text, signature) = (document.text.as_bytes(), document.signature.as_ref());
    check
        .judge(text, document.sha256, signature, &place)
        .map_err(SourceError::Check)?;
    Ok(document)
}

fn signature(path: &Path) -> Result<Option<Signature>, SourceError> {
    let place = path.display().to_string();
    match bounded(path) {
        Ok(content) => Signature::read(&content, &place)
            .map(Some)
            .map_err(SourceError::Check),
        Err(SourceError::Missing { .. }) => Ok(None),
        Err(SourceError::TooLarge { .. }) => Err(SourceError::Check(CheckError::Malformed {
            place,
            bytes: None,
        })),
        Err(error) => Err(error),
    }
}

fn bounded(path: &Path) -> Result<Vec<u8>, SourceError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| {
            file.take(DOCUMENT_BYTES_MAX.saturating_add(1))
                .read_to_end(&mut bytes)
        })
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => SourceError::Missing { code: None },
            ErrorKind::PermissionDenied => SourceError::Denied { code: None },
            _ => SourceError::Unreachable(error.into()),
        })?;
    if bytes.len() as u64 > DOCUMENT_BYTES_MAX {
        return Err(SourceError::TooLarge {
            bytes_max: DOCUMENT_BYTES_MAX,
        });
    }
    Ok(bytes)
}
