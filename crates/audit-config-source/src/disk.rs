//! Files that appear whole or not at all, and that nobody else can read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::error::KeptError;

/// A copy may hold literal passwords.
const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;

fn io<'a>(
    path: &'a Path,
    action: &'static str,
) -> impl FnOnce(std::io::Error) -> KeptError + use<'a> {
    move |source| KeptError::Io {
        path: path.into(),
        action,
        source,
    }
}

/// Makes the directory, with its parents, when it is absent.
pub(crate) fn private_dir(dir: &Path) -> Result<(), KeptError> {
    if dir.try_exists().map_err(io(dir, "read"))? {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(DIR_MODE)
        .create(dir)
        .map_err(io(dir, "created"))?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => sync_dir(Path::new(".")),
    }
}

/// All of a file of at most so many bytes; `None` when there is none. A longer one ends there, and no digest fits it.
pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, KeptError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(path, "read")(error)),
    };
    let mut content = Vec::new();
    file.take(bytes_max.saturating_add(1))
        .read_to_end(&mut content)
        .map_err(io(path, "read"))?;
    Ok(Some(content))
}

/// Puts `content` at `path`, replacing what is there: temporary file, fsync, rename, fsync of the directory. After a crash the
/// old file, or none, or the new one is there, and perhaps a temporary file, which the next write replaces.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), KeptError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.tmp"));
    remove(&temporary)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(&temporary)
        .map_err(io(&temporary, "created"))?;
    file.write_all(content).map_err(io(&temporary, "written"))?;
    file.sync_all().map_err(io(&temporary, "written"))?;
    std::fs::rename(&temporary, path).map_err(io(path, "written"))?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Removes a file that may be gone already.
pub(crate) fn remove(path: &Path) -> Result<(), KeptError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io(path, "removed")(error)),
        _ => Ok(()),
    }
}

fn sync_dir(dir: &Path) -> Result<(), KeptError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(io(dir, "written"))
}
