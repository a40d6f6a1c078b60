//! Files that appear whole or not at all, and that nobody else can read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::KeyDirError;

/// Mode of secrets and anchors.
pub(crate) const FILE_MODE: u32 = 0o600;
/// Mode of their directories.
pub(crate) const DIR_MODE: u32 = 0o700;
/// No file here is longer; a longer one is not ours.
const FILE_BYTES_MAX: u64 = 1 << 20;

pub(crate) fn io<'a>(
    path: &'a Path,
    action: &'static str,
) -> impl FnOnce(std::io::Error) -> KeyDirError + use<'a> {
    move |source| KeyDirError::Io {
        path: path.into(),
        action,
        source,
    }
}

/// Makes the directory when it is absent (with its parents) and refuses it when others may enter.
pub(crate) fn private_dir(dir: &Path) -> Result<(), KeyDirError> {
    if !dir.try_exists().map_err(io(dir, "read"))? {
        DirBuilder::new()
            .recursive(true)
            .mode(DIR_MODE)
            .create(dir)
            .map_err(io(dir, "created"))?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_dir(parent)?;
        }
    }
    let metadata = std::fs::metadata(dir).map_err(io(dir, "read"))?;
    check_mode(dir, metadata.mode(), DIR_MODE)
}

fn check_mode(path: &Path, mode: u32, wanted: u32) -> Result<(), KeyDirError> {
    let mode = mode & 0o7777;
    // Bits of group and others; the owner's own bits are the owner's business.
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(KeyDirError::TooOpen {
            path: path.into(),
            mode,
            wanted,
        })
    }
}

/// The content of a secret file; `None` when there is none. The mode is that of the opened file, so it cannot be swapped between.
pub(crate) fn read_secret(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, KeyDirError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(path, "read")(error)),
    };
    let metadata = file.metadata().map_err(io(path, "read"))?;
    if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
        return Err(KeyDirError::Malformed { path: path.into() });
    }
    check_mode(path, metadata.mode(), FILE_MODE)?;
    // Room for all of it at once: growing would leave copies behind that nobody wipes.
    let mut content = Zeroizing::new(Vec::with_capacity(
        usize::try_from(metadata.len()).unwrap_or_default() + 1,
    ));
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut content)
        .map_err(io(path, "read"))?;
    Ok(Some(content))
}

/// Puts `content` at `path`, replacing what is there: temporary file, fsync, rename, fsync of the directory.
///
/// After a crash the old file, or none, or the new one is there, and perhaps a temporary file, which the next write removes.
pub(crate) fn write_whole(path: &Path, content: &[u8], mode: u32) -> Result<(), KeyDirError> {
    let temporary = temporary_of(path);
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(io(&temporary, "removed")(error));
        }
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)
        .map_err(io(&temporary, "created"))?;
    file.write_all(content).map_err(io(&temporary, "written"))?;
    file.sync_all().map_err(io(&temporary, "written"))?;
    std::fs::rename(&temporary, path).map_err(io(path, "written"))?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Makes what was renamed in `dir` survive a power cut.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), KeyDirError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(io(dir, "written"))
}

/// `.NAME.tmp` beside the file: hidden, so that nothing takes it for a key.
pub(crate) fn temporary_of(path: &Path) -> PathBuf {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy())
        .unwrap_or_default();
    path.with_file_name(format!(".{name}.tmp"))
}
