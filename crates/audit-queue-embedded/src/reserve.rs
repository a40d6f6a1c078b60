//! Disk space set aside, so that a full disk does not keep the queue from being emptied.
//!
//! Taking a frame out is a write too: it needs a few pages of the log. When even that finds no room the reserve is given
//! up; until it has been regained nothing is put in, so that only taking out uses what it gave.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

/// See the module.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    bytes: u64,
    state: Kept,
}

#[derive(Debug, PartialEq, Eq)]
enum Kept {
    /// It is there.
    Whole,
    /// It was given up.
    GivenUp,
    /// None is wanted, or the file system cannot set space aside.
    None,
}

impl Reserve {
    /// Sets the space aside when there is any; on a disk that is full already it counts as given up.
    pub(crate) fn set_aside(queue: &Path, bytes: u64) -> Self {
        let mut path = queue.as_os_str().to_owned();
        path.push(".reserve");
        let mut reserve = Self {
            path: path.into(),
            bytes,
            state: Kept::None,
        };
        if bytes > 0 {
            reserve.state = Kept::GivenUp;
            if let Err(error) = reserve.regain() {
                tracing::warn!(%error, "the queue has no reserve of disk space");
                if error.kind() != io::ErrorKind::StorageFull {
                    reserve.state = Kept::None;
                }
            }
        }
        reserve
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.state == Kept::GivenUp
    }

    /// Whether there was one to give up.
    pub(crate) fn give_up(&mut self) -> bool {
        let given_up = self.state == Kept::Whole && std::fs::remove_file(&self.path).is_ok();
        if given_up {
            tracing::error!(
                "the disk is full: the queue lives on its reserve and takes nothing in"
            );
            self.state = Kept::GivenUp;
        }
        given_up
    }

    /// Takes the space back; an error when there is too little.
    pub(crate) fn regain(&mut self) -> io::Result<()> {
        if self.state == Kept::GivenUp {
            let file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&self.path)?;
            if let Err(error) = fallocate(&file, FallocateFlags::empty(), 0, self.bytes) {
                // A part of it would only take room away.
                std::fs::remove_file(&self.path)?;
                return Err(error.into());
            }
            self.state = Kept::Whole;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_set_aside_given_up_once_and_regained() {
        let dir = tempfile::tempdir().unwrap();
        let queue = dir.path().join("q");
        let kept = || {
            std::fs::metadata(dir.path().join("q.reserve"))
                .map(|file| file.len())
                .ok()
        };
        let mut reserve = Reserve::set_aside(&queue, 65_536);
        assert_eq!((reserve.is_given_up(), kept()), (false, Some(65_536)));
        assert!(reserve.give_up());
        assert_eq!((reserve.is_given_up(), kept()), (true, None));
        assert!(!reserve.give_up(), "there is only one");
        reserve.regain().unwrap();
        assert_eq!((reserve.is_given_up(), kept()), (false, Some(65_536)));
        reserve.regain().unwrap();
    }

    #[test]
    fn without_a_reserve_nothing_waits_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut reserve = Reserve::set_aside(&dir.path().join("q"), 0);
        assert!(!reserve.is_given_up() && !reserve.give_up() && reserve.regain().is_ok());
    }

    #[test]
    fn more_than_the_disk_has_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::set_aside(&dir.path().join("q"), 1 << 62);
        assert!(!dir.path().join("q.reserve").exists(), "{reserve:?}");
    }
}
