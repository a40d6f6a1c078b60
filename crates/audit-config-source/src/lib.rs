//! Where a configuration comes from: a file or an S3 bucket, checked before anybody reads it, and kept for when the source is away.
//!
//! What it is not: it does not know what a configuration means (`audit-config` does), and it decides nothing about one that
//! changed while a process runs. It reads no environment: whoever may hands it a function.
//!
//! ```no_run
//! # async fn example(variable: &dyn Fn(&str) -> Option<String>) -> Result<(), Box<dyn std::error::Error>> {
//! use audit_config_source::{Check, KeptCopies, LoadSettings, Place, SourceSettings, load, open};
//! use audit_runtime::SystemRandom;
//!
//! let place: Place = "s3://settings/audit/worker.json".parse()?;
//! let check = Check::from_variables(variable)?;
//! let source = open(&place, &SourceSettings::from_variables(variable)?, check.clone())?;
//! let kept = KeptCopies::open("data/config", check);
//! let loaded = load(&*source, Some(&kept), &LoadSettings::default(), &SystemRandom).await?;
//! println!("{} from {}", loaded.from, source.place());
//! # Ok(())
//! # }
//! ```
//!
//! Bounds: a document is at most [`DOCUMENT_BYTES_MAX`] long and UTF-8; a fetch ends within [`SourceSettings::timeout`];
//! at most [`KEPT_MAX`] copies are kept.

mod check;
mod digest;
mod disk;
mod document;
mod error;
mod file;
mod kept;
mod load;
mod place;
mod s3;
mod settings;
mod source;

pub use check::{Check, PublicKey, Signature};
pub use digest::Sha256;
pub use document::{DOCUMENT_BYTES_MAX, Document, Fetched, Mark};
pub use error::{CheckError, KeptError, LoadError, PlaceError, SettingError, SourceError};
pub use kept::{KEPT_MAX, KeptCopies};
pub use load::{From, LoadSettings, Loaded, load};
pub use place::Place;
pub use settings::{Credentials, S3Settings, SourceSettings};
pub use source::{ConfigSource, open};
