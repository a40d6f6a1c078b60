//! The anchor in files: the newest checkpoint of every ledger, outside the database.
//!
//! It catches a database that was rolled back or rewritten, as long as whoever did that could not write here too. Putting the
//! directory on another machine or a write-once medium makes that so.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use audit_integrity::checkpoint::{AnchorError, CheckpointAnchor, SignedCheckpoint};
use audit_integrity::ledger::{Digest, LedgerId};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::error::KeyDirError;
use crate::files::{FILE_MODE, private_dir, read_secret, write_whole};

/// Marks a directory as an anchor, so that a file system that is not mounted is no empty anchor.
const MARKER: &str = "audit-anchor";
/// Locked over read, compare and write by whichever process appends.
const LOCK: &str = ".lock";

/// One file a ledger with its newest note.
#[derive(Debug, Clone)]
pub struct FileAnchor {
    place: Arc<Place>,
}

#[derive(Debug)]
struct Place {
    dir: PathBuf,
    /// Held over read, compare and write: two appends must not pass each other.
    appending: Mutex<()>,
}

impl FileAnchor {
    /// Makes the anchor at first start. Blocks.
    ///
    /// # Errors
    /// When the directory cannot be made or others may enter it.
    pub fn create(dir: &Path) -> Result<Self, KeyDirError> {
        private_dir(dir)?;
        if read_secret(&dir.join(MARKER))?.is_none() {
            write_whole(&dir.join(MARKER), b"audit-anchor/1\n", FILE_MODE)?;
        }
        Ok(Self::at(dir))
    }

    /// The anchor that was made at `dir`; when it is not there every call answers `Unavailable`.
    #[must_use]
    pub fn at(dir: &Path) -> Self {
        Self {
            place: Arc::new(Place {
                dir: dir.to_owned(),
                appending: Mutex::new(()),
            }),
        }
    }
}

#[async_trait]
impl CheckpointAnchor for FileAnchor {
    async fn append(
        &self,
        ledger: LedgerId,
        checkpoint: &SignedCheckpoint,
    ) -> Result<(), AnchorError> {
        let (place, checkpoint) = (Arc::clone(&self.place), checkpoint.clone());
        let dir = self.place.dir.clone();
        let write = tokio::task::spawn_blocking(move || place.append(ledger, &checkpoint));
        write.await.map_err(|error| unavailable(&dir, error))?
    }

    async fn newest(&self, ledger: LedgerId) -> Result<Option<String>, AnchorError> {
        let place = Arc::clone(&self.place);
        let dir = self.place.dir.clone();
        let read = tokio::task::spawn_blocking(move || place.newest(ledger));
        Ok(read
            .await
            .map_err(|error| unavailable(&dir, error))??
            .map(|kept| kept.note))
    }
}

/// A note as kept, with what it says.
struct Kept {
    size: u64,
    root: Digest,
    note: String,
}

impl Place {
    fn path(&self, ledger: LedgerId) -> PathBuf {
        self.dir.join(match ledger {
            LedgerId::Events(n) => format!("ledger-{n}.note"),
            LedgerId::Directory => "directory.note".to_owned(),
        })
    }

    fn newest(&self, ledger: LedgerId) -> Result<Option<Kept>, AnchorError> {
        let path = self.path(ledger);
        let note = read_secret(&path).map_err(|error| unavailable(&path, error))?;
        let Some(note) = note else {
            return self.never_appended().map(|()| None);
        };
        let kept = String::from_utf8(note.to_vec()).ok().and_then(read_note);
        kept.map(Some).ok_or_else(|| {
            unavailable(
                &path,
                KeyDirError::Malformed {
                    path: path.as_path().into(),
                },
            )
        })
    }

    /// No note means "never one" only where an anchor is.
    fn never_appended(&self) -> Result<(), AnchorError> {
        let marker = self.dir.join(MARKER);
        match read_secret(&marker) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(unavailable(
                &marker,
                KeyDirError::Missing {
                    path: marker.as_path().into(),
                },
            )),
            Err(error) => Err(unavailable(&marker, error)),
        }
    }

    /// Keeps other processes out for as long as the file lives. Never waits: whoever holds it may have been stopped, and the
    /// signer asks again at its next look.
    fn lock(&self) -> Result<File, AnchorError> {
        let path = self.dir.join(LOCK);
        let open = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let file = open.map_err(|error| unavailable(&path, error))?;
        file.try_lock().map_err(|error| unavailable(&path, error))?;
        Ok(file)
    }

    fn append(&self, ledger: LedgerId, offered: &SignedCheckpoint) -> Result<(), AnchorError> {
        let _appending = self
            .appending
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let _lock = self.lock()?;
        let tree = &offered.checkpoint;
        if let Some(kept) = self.newest(ledger)? {
            let conflict = AnchorError::Conflict {
                kept: kept.size,
                offered: tree.size,
            };
            match kept.size.cmp(&tree.size) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal if kept.root == tree.root => return Ok(()),
                std::cmp::Ordering::Equal | std::cmp::Ordering::Greater => return Err(conflict),
            }
        }
        let path = self.path(ledger);
        write_whole(&path, offered.note.as_bytes(), FILE_MODE)
            .map_err(|error| unavailable(&path, error))
    }
}

/// Size and root of a note. Signatures are for whoever believes it; the anchor only keeps the greatest.
fn read_note(note: String) -> Option<Kept> {
    let (body, signatures) = note.split_once("\n\n")?;
    if !(signatures.starts_with('\u{2014}') && signatures.ends_with('\n')) {
        return None;
    }
    let mut lines = body.split('\n').skip(1);
    let size = lines.next()?;
    let number: u64 = size.parse().ok()?;
    let root = BASE64_STANDARD.decode(lines.next()?).ok()?;
    let root = Digest(root.try_into().ok()?);
    (number.to_string() == size).then_some(Kept {
        size: number,
        root,
        note,
    })
}

fn unavailable(
    place: &Path,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> AnchorError {
    AnchorError::Unavailable {
        place: place.display().to_string(),
        source: source.into(),
    }
}
