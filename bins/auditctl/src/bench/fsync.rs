//! What the disk gives: every durable number stands on it.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::CliError;

/// Writes measured.
const WRITES: usize = 200;
/// Bytes a write: a page of the database.
const PAGE: [u8; 4096] = [7; 4096];

/// Median time of an append of one page and its fsync, in a new file of the directory.
pub(super) fn median(directory: &Path) -> Result<Duration, CliError> {
    let path = directory.join("fsync");
    let failed = |error: &std::io::Error| CliError::file("write", &path, error);
    let mut file = File::create(&path).map_err(|error| failed(&error))?;
    let mut times = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let began = Instant::now();
        file.write_all(&PAGE)
            .and_then(|()| file.sync_data())
            .map_err(|error| failed(&error))?;
        times.push(began.elapsed());
    }
    std::fs::remove_file(&path).map_err(|error| failed(&error))?;
    times.sort_unstable();
    Ok(times.get(WRITES / 2).copied().unwrap_or_default())
}
