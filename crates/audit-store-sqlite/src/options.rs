//! Settings of a store, checked types with defaults for everything.

use std::time::Duration;

/// Settings of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Page cache of the write connection, in KiB. Indexes that fit in it are updated without reading the file.
    pub write_cache_kib: u32,
    /// Page cache of each read connection, in KiB.
    pub read_cache_kib: u32,
    /// Read connections, and so the reads that run at once; at least 1.
    pub readers: u32,
    /// How long a statement waits for a lock held by another process (a shell, a backup).
    pub busy_timeout: Duration,
    /// How long one search may take before it is too broad.
    pub search_timeout: Duration,
    /// The log is copied into the database file when it has grown to so many bytes.
    pub checkpoint_bytes: u64,
    /// The log is cut back to nothing when it has grown to so many bytes in spite of that (a reader held it).
    pub truncate_bytes: u64,
    /// Disk space kept aside, released when the disk is full so that draining can go on.
    pub ballast_bytes: u64,
    /// Apply migrations when opening; off only for the command that applies them itself.
    pub migrate: bool,
    /// Whether there is a full-text index (`search.db`).
    pub text_index: bool,
    /// The database file grows to at most so many pages of 4,096 bytes; no limit when `None`.
    pub pages_max: Option<u32>,
}

impl Default for Options {
    /// Sized so that a worker stays far below 150 MiB: 24 MiB for writing, 4 times 4 MiB for reading.
    fn default() -> Self {
        Self {
            write_cache_kib: 24 * 1024,
            read_cache_kib: 4 * 1024,
            readers: 4,
            busy_timeout: Duration::from_secs(5),
            search_timeout: Duration::from_secs(5),
            checkpoint_bytes: 16 << 20,
            truncate_bytes: 64 << 20,
            ballast_bytes: 4 << 20,
            migrate: true,
            text_index: true,
            pages_max: None,
        }
    }
}
