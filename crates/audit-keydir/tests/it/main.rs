//! The key directory and the file anchor on a real file system.

#[cfg(test)]
mod anchor;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod permissions;

use std::sync::Arc;

use audit_keydir::{KeyDir, KeyDirError};
use audit_runtime::{SystemClock, SystemRandom};
use tempfile::TempDir;

fn open(dir: &std::path::Path, id: Option<&str>) -> Result<KeyDir, KeyDirError> {
    KeyDir::open_or_create(dir, id, Arc::new(SystemRandom), Arc::new(SystemClock))
}

/// A place for a key directory that does not exist yet.
#[cfg(test)]
fn place() -> (TempDir, std::path::PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("keys");
    (parent, dir)
}
