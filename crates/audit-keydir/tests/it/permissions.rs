//! Nobody but the user reads a key, and no key is printed.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use audit_integrity::keys::KeySource;
use audit_integrity::ledger::LedgerId;
use audit_keydir::FileAnchor;

use crate::{open, place};

pub(crate) fn write_private(path: &Path, content: &[u8]) {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .unwrap();
    file.write_all(content).unwrap();
}

pub(crate) fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn files_are_0600_in_directories_of_0700() {
    let (_parent, dir) = place();
    open(&dir, None)
        .unwrap()
        .ensure_ledger(LedgerId::Events(0))
        .unwrap();
    for private in ["", "signing", "producers"] {
        assert_eq!(mode(&dir.join(private)), 0o700, "{private}");
    }
    for secret in ["deployment-id", "lane.key", "signing/ledger-0.key"] {
        assert_eq!(mode(&dir.join(secret)), 0o600, "{secret}");
    }
}

#[test]
fn wider_modes_are_refused_with_the_command_that_mends_them() {
    let (_parent, dir) = place();
    open(&dir, None)
        .unwrap()
        .ensure_ledger(LedgerId::Events(0))
        .unwrap();
    for (name, wide, wanted) in [
        ("", 0o750, 0o700),
        ("signing", 0o701, 0o700),
        ("lane.key", 0o640, 0o600),
        ("lane.key", 0o602, 0o600),
        ("deployment-id", 0o644, 0o600),
        ("signing/ledger-0.key", 0o604, 0o600),
    ] {
        let path = if name.is_empty() {
            dir.clone()
        } else {
            dir.join(name)
        };
        chmod(&path, wide);
        let error = open(&dir, None).unwrap_err().to_string();
        assert!(
            error.ends_with(&format!("run: chmod {wanted:o} '{}'", path.display())),
            "{error}"
        );
        chmod(&path, wanted);
        open(&dir, None).unwrap();
    }
}

#[test]
fn an_anchor_that_others_may_write_is_refused() {
    let (_parent, dir) = place();
    FileAnchor::create(&dir).unwrap();
    chmod(&dir, 0o777);
    assert!(
        FileAnchor::create(&dir)
            .unwrap_err()
            .to_string()
            .contains("chmod 700")
    );
}

#[tokio::test]
async fn no_secret_is_printed() {
    let (_parent, dir) = place();
    let keys = open(&dir, None).unwrap();
    keys.ensure_ledger(LedgerId::Events(0)).unwrap();
    fs::create_dir(dir.join("producers/pake-v1")).unwrap();
    write_private(&dir.join("producers/pake-v1/default"), b"hunter2");
    let producer = keys
        .producer_secret("pake-v1", None)
        .await
        .unwrap()
        .unwrap();
    let printed = format!("{keys:?} {:?} {producer:?}", keys.lane_key().await.unwrap());
    let secrets = [
        fs::read_to_string(dir.join("lane.key")).unwrap(),
        fs::read_to_string(dir.join("signing/ledger-0.key")).unwrap(),
    ];
    for secret in secrets
        .iter()
        .map(|s| s.trim())
        .chain(["hunter2", "PRIVATE"])
    {
        assert!(!printed.contains(secret), "{printed}");
    }
}
