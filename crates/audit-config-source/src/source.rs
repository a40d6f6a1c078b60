//! The port, and which source is for which place.

use std::sync::Arc;

use async_trait::async_trait;

use crate::check::Check;
use crate::document::{Document, Fetched, Mark};
use crate::error::SourceError;
use crate::file::FileSource;
use crate::place::Place;
use crate::s3::S3Source;
use crate::settings::SourceSettings;

/// **Port.** One place that a configuration comes from.
///
/// What it gives was checked by digest and signature as the operator asked, and not parsed. Only reads; calls may overlap and
/// may be dropped half-way. Bounded in bytes and in time by itself; it tries once, whoever asks tries again as
/// [`fault`](audit_runtime::Faulty::fault) says.
#[async_trait]
pub trait ConfigSource: Send + Sync + std::fmt::Debug {
    /// Where it is, for people; never with credentials.
    fn place(&self) -> String;

    /// What is there now. `Unchanged` when it is what was there when `known` was given; a document that was refused by its
    /// check gives no mark, so it is refused again.
    ///
    /// # Errors
    /// When nothing came, not all of it, or not what was asked for.
    async fn fetch(&self, known: Option<&Mark>) -> Result<Fetched, SourceError>;

    /// An earlier version; `None` where the source keeps none, or not this one.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    async fn fetch_version(&self, version: &str) -> Result<Option<Document>, SourceError>;
}

/// The source of a place. Reads nothing yet.
///
/// # Errors
/// When the settings cannot work.
pub fn open(
    place: &Place,
    settings: &SourceSettings,
    check: Check,
) -> Result<Arc<dyn ConfigSource>, SourceError> {
    Ok(match place {
        Place::File(path) => Arc::new(FileSource::new(path.clone(), settings.timeout, check)),
        Place::S3 { bucket, key } => Arc::new(S3Source::new(bucket, key, settings, check)?),
    })
}
