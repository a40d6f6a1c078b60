//! Settings, and why a queue cannot be opened.

use std::path::PathBuf;
use std::time::Duration;

use audit_queue::{FrameLimits, Marks};

/// Settings of an embedded queue.
#[derive(Debug, Clone)]
pub struct Options {
    /// Mark: producers' events that may wait (DESIGN §3.3). A frame that would pass it is refused unless nothing waits.
    pub events_max: u64,
    /// Mark: bytes of producers' frames, as kept, that may wait.
    pub bytes_max: u64,
    /// Bytes of frames kept in memory for a consumer that keeps up.
    pub tail_bytes_max: usize,
    /// Bytes of frames that may be on their way to the writer; further enqueues wait for room.
    pub pending_bytes_max: usize,
    /// How many ids of settled frames are remembered.
    pub settled_ids_kept: usize,
    /// How long a batch is held without being renewed.
    pub hold: Duration,
    /// Bounds of a frame.
    pub frame: FrameLimits,
    /// Disk space set aside in a file of its own, so that settling goes on when the disk is full; 0: none.
    pub reserve_bytes: u64,
    /// Hard ceiling of the file, in pages of 4,096 bytes; `None`: the file system's.
    pub pages_max: Option<u32>,
}

impl Options {
    pub(crate) const fn marks(&self) -> Marks {
        Marks {
            events_max: self.events_max,
            bytes_max: self.bytes_max,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            events_max: 1_000_000,
            bytes_max: 512 << 20,
            tail_bytes_max: 8 << 20,
            pending_bytes_max: 32 << 20,
            settled_ids_kept: 10_000,
            hold: Duration::from_secs(60),
            frame: FrameLimits::default(),
            reserve_bytes: 16 << 20,
            pages_max: None,
        }
    }
}

/// The queue cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another handle of this one, has it open.
    #[error("the queue {} is in use", .0.display())]
    InUse(PathBuf),
    /// The file was written by a newer version of this program.
    #[error("the queue {} has format {found}, newer than this program", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
    },
    /// The lock file beside it cannot be opened, or the writer cannot be started.
    #[error("the queue {} cannot be opened", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// SQLite refuses it.
    #[error("the queue {} cannot be read", .path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
}
