//! Disk space kept aside: released when the disk is full, so that what is queued can still be drained.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Room that must be free before the ballast is taken back, in multiples of its size.
const ROOM_FACTOR: u64 = 4;
/// Written at once.
const BLOCK: usize = 64 << 10;

/// The ballast file. Owned by the write thread.
#[derive(Debug)]
pub(crate) struct Ballast {
    path: PathBuf,
    bytes: u64,
    held: bool,
}

impl Ballast {
    /// Takes the space, when there is enough; a store opens on a full disk too.
    pub(crate) fn new(directory: &Path, bytes: u64) -> Self {
        let path = directory.join("ballast");
        let held = std::fs::metadata(&path).is_ok_and(|found| found.len() >= bytes) && bytes > 0;
        let mut ballast = Self { path, bytes, held };
        ballast.restore();
        ballast
    }

    /// Whether the space is kept aside now.
    pub(crate) fn held(&self) -> bool {
        self.held
    }

    /// Gives the space back to the disk; `false` when there was none to give.
    pub(crate) fn release(&mut self) -> bool {
        let removed = self.held && std::fs::remove_file(&self.path).is_ok();
        if removed {
            self.held = false;
            tracing::warn!(bytes = self.bytes, "disk full: ballast released");
        }
        removed
    }

    /// Takes the space again when there is plenty.
    pub(crate) fn restore(&mut self) {
        if self.held || self.bytes == 0 || !self.is_room() {
            return;
        }
        match self.write() {
            Ok(()) => self.held = true,
            Err(error) => {
                tracing::warn!(%error, "cannot write the ballast file");
                drop(std::fs::remove_file(&self.path));
            }
        }
    }

    fn is_room(&self) -> bool {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        rustix::fs::statvfs(directory).is_ok_and(|disk| {
            disk.f_bavail.saturating_mul(disk.f_frsize) >= self.bytes.saturating_mul(ROOM_FACTOR)
        })
    }

    /// Real blocks: a sparse file would keep nothing aside.
    fn write(&self) -> std::io::Result<()> {
        let mut file = File::create(&self.path)?;
        let block = [0x5a_u8; BLOCK];
        let mut left = self.bytes;
        while left > 0 {
            let part = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
            file.write_all(block.get(..part).unwrap_or(&block))?;
            left -= part as u64;
        }
        file.sync_all()
    }
}
