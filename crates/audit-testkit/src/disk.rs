//! A small file system of the test's own, which can really be full.

use std::fs::{File, remove_file};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A `tmpfs` in a temporary directory; gone with its guard.
#[derive(Debug)]
pub struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    /// One of this size.
    ///
    /// # Panics
    /// When it may not be mounted.
    #[must_use]
    pub fn mount(mebibytes: u32) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let size = format!("size={mebibytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(dir.path())
            .status();
        assert!(
            mounted.is_ok_and(|status| status.success()),
            "this test mounts a small tmpfs: run it as root, or in `unshare --map-root-user --mount`"
        );
        Self { dir }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Takes all the room that is left.
    ///
    /// # Panics
    /// When something else than the room is missing.
    pub fn fill(&self) {
        let mut filler = File::create(self.filler()).expect("a name takes no room");
        for piece in [vec![0; 1 << 20], vec![0; 1 << 10]] {
            loop {
                match filler.write_all(&piece) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("cannot fill {}: {error}", self.dir.path().display()),
                }
            }
        }
    }

    /// Gives the room back.
    ///
    /// # Panics
    /// When it was not taken.
    pub fn free(&self) {
        remove_file(self.filler()).expect("the room was taken");
    }

    /// Makes it larger.
    ///
    /// # Panics
    /// When it may not be mounted anew.
    pub fn grow(&self, mebibytes: u32) {
        let options = format!("remount,size={mebibytes}m");
        let grown = Command::new("mount")
            .args(["-o", &options])
            .arg(self.path())
            .status();
        assert!(
            grown.is_ok_and(|status| status.success()),
            "cannot make {} larger",
            self.path().display()
        );
    }

    fn filler(&self) -> PathBuf {
        self.dir.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open there keeps it until he ends.
        let unmount = Command::new("umount").arg("-l").arg(self.path()).status();
        if !unmount.is_ok_and(|status| status.success()) && !std::thread::panicking() {
            panic!("cannot unmount {}", self.path().display());
        }
    }
}
