//! The anchor moves forward only, survives a crash between its steps, and never takes a failure for "no anchor".

use std::fs;
use std::path::Path;

use audit_integrity::checkpoint::{AnchorError, Checkpoint, CheckpointAnchor, SignedCheckpoint};
use audit_integrity::keys::KeySource;
use audit_integrity::ledger::{Digest, LedgerId};
use audit_keydir::{FileAnchor, KeyDir};
use base64::Engine as _;

use crate::permissions::{chmod, write_private};
use crate::{open, place};

const LEDGER: LedgerId = LedgerId::Events(0);

async fn signed(keys: &KeyDir, size: u64, root: u8) -> SignedCheckpoint {
    let (origin, root) = (keys.origin(LEDGER), Digest([root; 32]));
    let encoded = base64::prelude::BASE64_STANDARD.encode(root.0);
    let note = keys
        .sign_checkpoint(
            &origin,
            &format!("{}\n{size}\n{encoded}\n", origin.as_str()),
        )
        .await
        .unwrap();
    SignedCheckpoint {
        checkpoint: Checkpoint { origin, size, root },
        note,
    }
}

fn keys(dir: &Path) -> KeyDir {
    let keys = open(&dir.join("keys"), Some("audit.example/a")).unwrap();
    keys.ensure_ledger(LEDGER).unwrap();
    keys
}

#[tokio::test]
async fn the_greatest_checkpoint_is_kept_over_openings() {
    let (_parent, dir) = place();
    let (keys, anchor) = (keys(&dir), FileAnchor::create(&dir.join("anchor")));
    let anchor = anchor.unwrap();
    assert_eq!(anchor.newest(LEDGER).await.unwrap(), None);
    let (three, five) = (signed(&keys, 3, 1).await, signed(&keys, 5, 2).await);
    anchor.append(LEDGER, &three).await.unwrap();
    anchor.append(LEDGER, &five).await.unwrap();
    anchor.append(LEDGER, &five).await.unwrap();
    for opened in [
        FileAnchor::create(&dir.join("anchor")).unwrap(),
        FileAnchor::at(&dir.join("anchor")),
    ] {
        assert_eq!(
            opened.newest(LEDGER).await.unwrap().as_deref(),
            Some(&*five.note)
        );
        assert_eq!(opened.newest(LedgerId::Directory).await.unwrap(), None);
    }
    for (offered, size) in [(three, 3), (signed(&keys, 5, 9).await, 5)] {
        match anchor.append(LEDGER, &offered).await {
            Err(AnchorError::Conflict { kept: 5, offered }) => assert_eq!(offered, size),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        anchor.newest(LEDGER).await.unwrap().as_deref(),
        Some(&*five.note),
        "a conflict changes nothing"
    );
}

#[tokio::test]
async fn a_crash_before_the_rename_leaves_the_old_note() {
    let (_parent, dir) = place();
    let (keys, anchor) = (keys(&dir), FileAnchor::create(&dir.join("anchor")).unwrap());
    let (three, five) = (signed(&keys, 3, 1).await, signed(&keys, 5, 2).await);
    anchor.append(LEDGER, &three).await.unwrap();
    write_private(
        &dir.join("anchor/.ledger-0.note.tmp"),
        &five.note.as_bytes()[..20],
    );
    let reopened = FileAnchor::create(&dir.join("anchor")).unwrap();
    assert_eq!(
        reopened.newest(LEDGER).await.unwrap().as_deref(),
        Some(&*three.note)
    );
    reopened.append(LEDGER, &five).await.unwrap();
    assert_eq!(
        reopened.newest(LEDGER).await.unwrap().as_deref(),
        Some(&*five.note)
    );
    assert!(!dir.join("anchor/.ledger-0.note.tmp").exists());
}

#[tokio::test]
async fn what_cannot_be_read_is_unavailable_and_never_none() {
    let (_parent, dir) = place();
    let (keys, anchor) = (keys(&dir), FileAnchor::create(&dir.join("anchor")).unwrap());
    let note = dir.join("anchor/ledger-0.note");
    let (three, five) = (signed(&keys, 3, 1).await, signed(&keys, 5, 2).await);
    anchor.append(LEDGER, &three).await.unwrap();
    let cut = three.note.len() - 1;
    for broken in [
        &b""[..],
        b"nonsense",
        b"\xff\xfe\n",
        &three.note.as_bytes()[..cut],
        b"a\nb\nc\n\n\xe2\x80\x94 x y\n",
    ] {
        write_private(&note, broken);
        unavailable(&anchor, &five).await;
        assert_eq!(
            fs::read(&note).unwrap(),
            broken,
            "nothing is written over what cannot be read"
        );
    }
    write_private(&note, three.note.as_bytes());
    chmod(&note, 0o644);
    unavailable(&anchor, &five).await;
    fs::rename(dir.join("anchor"), dir.join("elsewhere")).unwrap();
    unavailable(&anchor, &five).await;
    // The mount point of a file system that is not mounted.
    fs::create_dir(dir.join("anchor")).unwrap();
    unavailable(&anchor, &five).await;
}

async fn unavailable(anchor: &FileAnchor, offered: &SignedCheckpoint) {
    assert!(matches!(
        anchor.newest(LEDGER).await,
        Err(AnchorError::Unavailable { .. })
    ));
    assert!(matches!(
        anchor.append(LEDGER, offered).await,
        Err(AnchorError::Unavailable { .. })
    ));
}
