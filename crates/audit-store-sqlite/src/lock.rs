//! One process a directory: an advisory lock that dies with its holder.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::error::OpenError;

/// The lock of a directory; given back when dropped, and by the kernel when the process dies.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    // Held for its lock only.
    _file: File,
}

impl DirectoryLock {
    /// Takes `DIR/lock`, and writes our process id into it for the next one's error message.
    pub(crate) fn take(directory: &Path) -> Result<Self, OpenError> {
        let path = directory.join("lock");
        let io = |source| OpenError::Io {
            path: path.clone(),
            source,
        };
        // Never truncated before the lock is ours: the holder's id stands in it.
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io)?;
        if let Err(errno) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            return Err(match errno {
                rustix::io::Errno::WOULDBLOCK => OpenError::InUse {
                    pid: holder(&mut file),
                    path,
                },
                other => OpenError::Io {
                    path,
                    source: other.into(),
                },
            });
        }
        write_pid(&mut file).map_err(io)?;
        Ok(Self { _file: file })
    }
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

/// What the holder wrote about itself; the process that asks may be told nothing better than "unknown".
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}

/// Creates the directory, for us alone, when it is missing.
pub(crate) fn make_directory(path: &Path) -> Result<(), OpenError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| OpenError::Io {
            path: PathBuf::from(path),
            source,
        })
}
