//! The data directory of one process, and the name under which it holds leases.

use std::fs::File;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use audit_runtime::Random;

use crate::error::StartError;
use crate::private_file;

/// A data directory that is ours while this lives.
///
/// The name is drawn once and kept in the directory: a process that was killed and comes back takes its own leases again at
/// once, instead of waiting until they run out. The lock makes sure that no two processes have one name.
#[derive(Debug)]
pub(crate) struct Instance {
    owner: String,
    // Held for its lock only.
    _lock: File,
}

impl Instance {
    pub(super) fn open(dir: &Path, kind: &str, random: &dyn Random) -> Result<Self, StartError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| StartError::Io { path, source }
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(io(dir))?;
        let lock_path = dir.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(io(&lock_path))?;
        lock.try_lock().map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => StartError::InUse {
                dir: dir.to_owned(),
            },
            std::fs::TryLockError::Error(source) => io(&lock_path)(source),
        })?;
        let path = dir.join("instance-id");
        let id = match std::fs::read_to_string(&path) {
            Ok(kept) if !kept.trim().is_empty() => kept.trim().to_owned(),
            Ok(_) => draw(&path, random).map_err(io(&path))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                draw(&path, random).map_err(io(&path))?
            }
            Err(error) => return Err(io(&path)(error)),
        };
        Ok(Self {
            owner: format!("{kind}-{}-{id}", host()),
            _lock: lock,
        })
    }

    /// The name in leases.
    pub(crate) fn owner(&self) -> &str {
        &self.owner
    }
}

/// A directory that was copied to another machine must not give it our name.
fn host() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/hostname");
    read.map_or_else(|_absent| "host".to_owned(), |name| name.trim().to_owned())
}

fn draw(path: &Path, random: &dyn Random) -> std::io::Result<String> {
    let mut bytes = [0; 8];
    random.fill(&mut bytes);
    let id = hex::encode(bytes);
    private_file::write(path, format!("{id}\n").as_bytes())?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use audit_runtime::SystemRandom;

    use super::*;

    #[test]
    fn a_directory_has_one_process_and_one_name_for_ever() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("data");
        let first = Instance::open(&path, "worker", &SystemRandom).expect("it opens");
        let second = Instance::open(&path, "worker", &SystemRandom);
        assert!(
            matches!(second, Err(StartError::InUse { .. })),
            "{second:?}"
        );
        let owner = first.owner().to_owned();
        drop(first);
        let again = Instance::open(&path, "worker", &SystemRandom).expect("it opens again");
        assert_eq!(again.owner(), owner);
    }
}
