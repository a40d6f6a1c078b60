//! What came from a source.

use std::fmt;

use crate::check::Signature;
use crate::digest::Sha256;
use crate::error::SourceError;

/// Bytes of a configuration at most; the same bound that `audit-config` has for a file.
pub const DOCUMENT_BYTES_MAX: u64 = 1 << 20;

/// A configuration as it came: checked, not yet parsed. May hold literal passwords; `Debug` shows none of the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    /// Where it is from, as problems show it: the path, or `s3://bucket/key`.
    pub name: String,
    /// All of it, at most [`DOCUMENT_BYTES_MAX`].
    pub text: String,
    /// Of the text's bytes, which are the bytes that came.
    pub sha256: Sha256,
    /// The object's version, where the bucket keeps versions.
    pub version: Option<String>,
    /// What the server calls this content, with its quotes.
    pub etag: Option<String>,
    /// The signature that it was checked with, when a key asked for one.
    pub signature: Option<Signature>,
}

impl Document {
    /// Bytes that are text.
    pub(crate) fn new(name: String, bytes: Vec<u8>) -> Result<Self, SourceError> {
        let sha256 = Sha256::of(&bytes);
        let text = String::from_utf8(bytes).map_err(|error| SourceError::NotText {
            at: error.utf8_error().valid_up_to(),
        })?;
        Ok(Self {
            name,
            text,
            sha256,
            version: None,
            etag: None,
            signature: None,
        })
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("name", &self.name)
            .field("bytes", &self.text.len())
            .field("sha256", &self.sha256)
            .field("version", &self.version)
            .field("etag", &self.etag)
            .finish_non_exhaustive()
    }
}

/// What a source looked like when it was last fetched; means something to that source only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark(pub(crate) Seen);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The server's own word for the content, which costs no body to compare.
    Etag(String),
    /// Of files, and of servers that say no ETag.
    Digest(Sha256),
}

impl Mark {
    pub(crate) fn of(document: &Document) -> Self {
        Self(match &document.etag {
            Some(etag) => Seen::Etag(etag.clone()),
            None => Seen::Digest(document.sha256),
        })
    }

    pub(crate) fn etag(&self) -> Option<&str> {
        match &self.0 {
            Seen::Etag(etag) => Some(etag),
            Seen::Digest(_) => None,
        }
    }
}

/// What a fetch found.
#[expect(
    clippy::large_enum_variant,
    reason = "one a fetch, and it is taken apart at once"
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// What was there the last time.
    Unchanged,
    /// Something else than the last time, and the mark to ask with the next time.
    Document(Document, Mark),
}
