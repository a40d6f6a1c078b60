//! Real records that tests read but that are not part of this repository.

use std::path::{Path, PathBuf};

/// The directory that holds `cloudtrail/`: `AUDIT_TEST_DATA` when it is set, else `../shared/data` beside the workspace.
///
/// # Panics
/// When it is not there: a test without its data fails, it is never skipped.
#[must_use]
pub fn shared_data() -> PathBuf {
    let beside = workspace_root().join("../shared/data");
    find(
        std::env::var_os("AUDIT_TEST_DATA").map(PathBuf::from),
        &beside,
    )
    .unwrap_or_else(|message| panic!("{message}"))
}

/// The CloudTrail files, in order of their names.
///
/// # Panics
/// As [`shared_data`].
#[must_use]
pub fn cloudtrail_files() -> Vec<PathBuf> {
    let directory = shared_data().join("cloudtrail");
    let entries = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry can be read").path())
        .collect();
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "json")
    });
    files.sort();
    assert!(
        !files.is_empty(),
        "{} holds no .json file",
        directory.display()
    );
    files
}

/// The root of this workspace.
#[must_use]
pub fn workspace_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("this crate is crates/audit-testkit")
        .to_owned()
}

fn find(named: Option<PathBuf>, beside: &Path) -> Result<PathBuf, String> {
    let directory = named.unwrap_or_else(|| beside.to_owned());
    if directory.join("cloudtrail").is_dir() {
        return Ok(directory);
    }
    Err(format!(
        "no test data in {}: set AUDIT_TEST_DATA to the directory that holds cloudtrail/",
        directory.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_wins_and_absence_says_what_to_set() {
        let dir = tempfile::tempdir().unwrap();
        let empty = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("cloudtrail")).unwrap();
        assert_eq!(
            find(Some(dir.path().to_owned()), empty.path()).as_deref(),
            Ok(dir.path())
        );
        assert_eq!(find(None, dir.path()).as_deref(), Ok(dir.path()));
        let missing = find(Some(empty.path().to_owned()), dir.path()).unwrap_err();
        assert!(missing.contains("set AUDIT_TEST_DATA"), "{missing}");
    }
}
