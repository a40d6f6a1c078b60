//! Copies of configurations that were in force, for when their source is away, and to go back to.
//!
//! ```text
//! config/list.json     which copies there are, oldest first, and which is the last good one
//! config/<sha256>      the exact bytes of one
//! config/.lock         held while list and copies change
//! ```
//! A copy is written before the list names it, and the list before a copy is removed, so that after a crash every copy that the
//! list names is there; a file that no list names is removed with the next change.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::check::{Check, Signature};
use crate::digest::Sha256;
use crate::disk;
use crate::document::{DOCUMENT_BYTES_MAX, Document};
use crate::error::KeptError;

/// Copies kept at most; the oldest go, but never the last good one.
pub const KEPT_MAX: usize = 20;

const LIST: &str = "list.json";
const LOCK: &str = ".lock";
/// Twenty entries, each with a key of 1 KiB and a version.
const LIST_BYTES_MAX: u64 = 1 << 18;

/// The kept copies of one process. Every call blocks on a few small files; what it wrote is on the disk when it returns. Calls may
/// overlap, also of several processes.
#[derive(Debug, Clone)]
pub struct KeptCopies {
    dir: PathBuf,
    check: Check,
    /// Held while files change; a lock of the file system does not keep out threads of one process on every system.
    changing: Arc<Mutex<()>>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    last_good: Option<String>,
    copies: Vec<Entry>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    sha256: String,
    name: String,
    version: Option<String>,
    etag: Option<String>,
    /// In base64.
    signature: Option<String>,
}

impl KeptCopies {
    /// The copies in `dir`, which is made with the first of them. A copy counts only when `check` takes it, as it would from
    /// its source.
    #[must_use]
    pub fn open(dir: impl Into<PathBuf>, check: Check) -> Self {
        Self {
            dir: dir.into(),
            check,
            changing: Arc::default(),
        }
    }

    /// Where they are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Keeps a document as the newest; one with the same bytes is replaced. Does not make it the last good one.
    ///
    /// # Errors
    /// When it cannot be written; what was kept before is as it was.
    pub fn keep(&self, document: &Document) -> Result<(), KeptError> {
        disk::private_dir(&self.dir)?;
        self.change(|list| {
            disk::write(&self.copy(document.sha256), document.text.as_bytes())?;
            let entry = Entry::of(document);
            list.copies.retain(|kept| kept.sha256 != entry.sha256);
            list.copies.push(entry);
            list.shorten();
            Ok(())
        })
    }

    /// Makes a kept copy the last good one: what a start falls back to.
    ///
    /// # Errors
    /// When it is not kept, or this cannot be written.
    pub fn mark_good(&self, sha256: Sha256) -> Result<(), KeptError> {
        if !self.dir.exists() {
            return Err(KeptError::Unknown { sha256 });
        }
        self.change(|list| {
            let name = sha256.to_string();
            if !list.copies.iter().any(|kept| kept.sha256 == name) {
                return Err(KeptError::Unknown { sha256 });
            }
            list.last_good = Some(name);
            Ok(())
        })
    }

    /// The last good one; `None` when there never was one.
    ///
    /// # Errors
    /// When there is one that cannot be used.
    pub fn last_good(&self) -> Result<Option<Document>, KeptError> {
        let list = self.list()?;
        let entry = list
            .last_good
            .as_ref()
            .and_then(|good| list.copies.iter().find(|kept| kept.sha256 == *good));
        entry.map(|entry| self.read(entry)).transpose()
    }

    /// A kept copy by its digest; `None` when it is not, or no longer, kept.
    ///
    /// # Errors
    /// When it is kept and cannot be used.
    pub fn get(&self, sha256: &Sha256) -> Result<Option<Document>, KeptError> {
        let (list, name) = (self.list()?, sha256.to_string());
        let entry = list.copies.iter().find(|kept| kept.sha256 == name);
        entry.map(|entry| self.read(entry)).transpose()
    }

    fn copy(&self, sha256: Sha256) -> PathBuf {
        self.dir.join(sha256.to_string())
    }

    /// A copy, judged by its name and by the check.
    fn read(&self, entry: &Entry) -> Result<Document, KeptError> {
        let wrong = |reason: String| KeptError::List {
            path: self.dir.join(LIST).into(),
            reason,
        };
        let named: Sha256 = entry
            .sha256
            .parse()
            .map_err(|_no| wrong(entry.sha256.clone()))?;
        let path = self.copy(named);
        let bytes = disk::read(&path, DOCUMENT_BYTES_MAX)?;
        let Some(bytes) = bytes else {
            return Err(KeptError::Gone { path: path.into() });
        };
        let actual = Sha256::of(&bytes);
        if actual != named {
            let path = path.into();
            return Err(KeptError::Altered { path, actual });
        }
        let signature = entry.signature.as_ref();
        let signature =
            signature.and_then(|text| BASE64_STANDARD.decode(text).ok()?.try_into().ok());
        let signature = signature.map(Signature);
        let signed_in = self.dir.join(LIST).display().to_string();
        self.check
            .judge(&bytes, actual, signature.as_ref(), &signed_in)
            .map_err(|reason| KeptError::Check {
                path: path.into(),
                reason,
            })?;
        let document = Document::new(entry.name.clone(), bytes);
        let document = document.map_err(|error| wrong(error.to_string()))?;
        Ok(Document {
            version: entry.version.clone(),
            etag: entry.etag.clone(),
            signature,
            ..document
        })
    }

    fn list(&self) -> Result<List, KeptError> {
        let path = self.dir.join(LIST);
        let Some(bytes) = disk::read(&path, LIST_BYTES_MAX)? else {
            return Ok(List::default());
        };
        serde_json::from_slice(&bytes).map_err(|error| KeptError::List {
            path: path.into(),
            reason: error.to_string(),
        })
    }

    /// Changes the list, alone; then removes what it no longer names.
    fn change(
        &self,
        change: impl FnOnce(&mut List) -> Result<(), KeptError>,
    ) -> Result<(), KeptError> {
        let alone = self.changing.lock();
        let _alone = alone.unwrap_or_else(PoisonError::into_inner);
        let _lock = self.lock()?;
        let mut list = match self.list() {
            // Copies are for an outage. A damaged list must not keep new ones out.
            Err(error @ KeptError::List { .. }) => {
                tracing::warn!(%error, "the list of kept configurations begins anew");
                List::default()
            }
            list => list?,
        };
        change(&mut list)?;
        let path = self.dir.join(LIST);
        let text = serde_json::to_vec_pretty(&list).map_err(|error| KeptError::List {
            path: path.as_path().into(),
            reason: error.to_string(),
        })?;
        disk::write(&path, &text)?;
        self.remove_unlisted(&list)
    }

    fn lock(&self) -> Result<File, KeptError> {
        let path = self.dir.join(LOCK);
        let open = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        open.and_then(|file| file.lock().map(|()| file))
            .map_err(|source| KeptError::Io {
                path: path.into(),
                action: "locked",
                source,
            })
    }

    fn remove_unlisted(&self, list: &List) -> Result<(), KeptError> {
        let files = std::fs::read_dir(&self.dir).map_err(|source| KeptError::Io {
            path: self.dir.as_path().into(),
            action: "read",
            source,
        })?;
        for file in files.filter_map(Result::ok) {
            let name = file.file_name().to_string_lossy().into_owned();
            // Whatever else somebody put here stays.
            let is_copy = name
                .parse::<Sha256>()
                .is_ok_and(|sha256| sha256.to_string() == name);
            if is_copy && !list.copies.iter().any(|kept| kept.sha256 == name) {
                disk::remove(&file.path())?;
            }
        }
        Ok(())
    }
}

impl List {
    /// Lets the oldest go that are not the last good one.
    fn shorten(&mut self) {
        let mut over = self.copies.len().saturating_sub(KEPT_MAX);
        let good = self.last_good.clone();
        self.copies.retain(|kept| {
            let goes = over > 0 && good.as_ref() != Some(&kept.sha256);
            over -= usize::from(goes);
            !goes
        });
    }
}

impl Entry {
    fn of(document: &Document) -> Self {
        Self {
            sha256: document.sha256.to_string(),
            name: document.name.clone(),
            version: document.version.clone(),
            etag: document.etag.clone(),
            signature: document.signature.map(Signature::to_base64),
        }
    }
}
