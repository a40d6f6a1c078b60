//! Copies that outlive their source.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use audit_config_source::{Check, Document, KEPT_MAX, KeptCopies, KeptError, Sha256, Signature};

use crate::keys::{signed_by, signer};

fn written(text: &str) -> Document {
    Document {
        name: "s3://settings/worker.json".to_owned(),
        text: text.to_owned(),
        sha256: Sha256::of(text.as_bytes()),
        version: Some("7".to_owned()),
        etag: Some("\"a\"".to_owned()),
        signature: None,
    }
}

fn mode(path: &Path) -> u32 {
    let metadata = std::fs::metadata(path).expect("a file");
    metadata.permissions().mode() & 0o777
}

#[test]
fn a_copy_comes_back_as_it_was_and_only_its_owner_can_read_it() {
    let data = tempfile::tempdir().expect("a directory");
    let dir = data.path().join("data/config");
    let kept = KeptCopies::open(&dir, Check::default());
    assert_eq!(kept.last_good().expect("an answer"), None);
    assert!(
        !dir.exists(),
        "nothing is made before there is something to keep"
    );
    let document = written("{\"ledgers\": 4}");
    let unknown = kept.mark_good(document.sha256);
    assert!(
        matches!(unknown, Err(KeptError::Unknown { .. })),
        "{unknown:?}"
    );
    kept.keep(&document).expect("kept");
    assert_eq!(kept.last_good().expect("an answer"), None);
    kept.mark_good(document.sha256).expect("marked");

    // As the next process finds it.
    let kept = KeptCopies::open(&dir, Check::default());
    assert_eq!(
        kept.last_good().expect("an answer").as_ref(),
        Some(&document)
    );
    assert_eq!(
        kept.get(&document.sha256).expect("an answer"),
        Some(document)
    );
    assert_eq!(kept.get(&Sha256::of(b"x")).expect("an answer"), None);
    assert_eq!(mode(&dir), 0o700);
    for file in std::fs::read_dir(&dir).expect("a directory").flatten() {
        let is_lock = file.file_name() == ".lock";
        assert!(is_lock || mode(&file.path()) == 0o600, "{file:?}");
    }
}

#[test]
fn the_newest_twenty_are_kept_and_the_last_good_one_always() {
    let dir = tempfile::tempdir().expect("a directory");
    let kept = KeptCopies::open(dir.path(), Check::default());
    let documents: Vec<_> = (0..30)
        .map(|n| written(&format!("ledgers = {n}")))
        .collect();
    for (n, document) in documents.iter().enumerate() {
        kept.keep(document).expect("kept");
        if n == 2 {
            kept.mark_good(document.sha256).expect("marked");
        }
    }
    let is_kept = |n: usize| {
        let found = kept.get(&documents[n].sha256).expect("an answer");
        let file = dir.path().join(documents[n].sha256.to_string());
        assert_eq!(found.is_some(), file.exists(), "{n}");
        found.is_some()
    };
    let left: Vec<_> = (0..30).filter(|n| is_kept(*n)).collect();
    let newest = 30 - (KEPT_MAX - 1)..30;
    assert_eq!(left, std::iter::once(2).chain(newest).collect::<Vec<_>>());
    // One that comes again is the newest, once.
    kept.keep(&documents[11]).expect("kept");
    kept.keep(&written("ledgers = 99")).expect("kept");
    assert!(is_kept(11) && !is_kept(12) && is_kept(2));
}

#[test]
fn an_altered_copy_is_not_used() {
    let dir = tempfile::tempdir().expect("a directory");
    let kept = KeptCopies::open(dir.path(), Check::default());
    let document = written("{\"ledgers\": 4}");
    kept.keep(&document).expect("kept");
    kept.mark_good(document.sha256).expect("marked");
    let copy = dir.path().join(document.sha256.to_string());
    std::fs::write(&copy, "{\"ledgers\": 5}").expect("altered");
    let actual = Sha256::of(b"{\"ledgers\": 5}");
    let said = format!("{} was altered: its SHA-256 is {actual}", copy.display());
    let error = kept.last_good().expect_err("altered");
    assert_eq!(error.to_string(), said);
    let error = kept.get(&document.sha256).expect_err("altered");
    assert_eq!(error.to_string(), said);
    std::fs::remove_file(&copy).expect("removed");
    let gone = kept.last_good();
    assert!(matches!(gone, Err(KeptError::Gone { .. })), "{gone:?}");
    // The source's next document heals it.
    kept.keep(&document).expect("kept");
    assert_eq!(kept.last_good().expect("an answer"), Some(document));
}

#[test]
fn a_copy_is_held_to_the_check_of_now() {
    let dir = tempfile::tempdir().expect("a directory");
    let signer = signer(7);
    let text = "{\"ledgers\": 4}";
    let signature = signer.sign(text.as_bytes());
    let signature = Signature(signature.as_ref().try_into().expect("64 bytes"));
    let document = Document {
        signature: Some(signature),
        ..written(text)
    };
    let kept = KeptCopies::open(dir.path(), signed_by(&signer));
    kept.keep(&document).expect("kept");
    kept.mark_good(document.sha256).expect("marked");
    assert_eq!(kept.last_good().expect("an answer"), Some(document));

    let others = KeptCopies::open(dir.path(), signed_by(&crate::keys::signer(8)));
    let refused = others.last_good();
    assert!(
        matches!(refused, Err(KeptError::Check { .. })),
        "{refused:?}"
    );
    let pinned = Check {
        sha256: Some(Sha256::of(b"{}")),
        ..Check::default()
    };
    let refused = KeptCopies::open(dir.path(), pinned).last_good();
    assert!(
        matches!(refused, Err(KeptError::Check { .. })),
        "{refused:?}"
    );

    // Whoever can write here can put another text under its right name, and cannot sign it.
    let forged = written("{\"ledgers\": 1}");
    let by_hand = KeptCopies::open(dir.path(), Check::default());
    by_hand.keep(&forged).expect("kept");
    by_hand.mark_good(forged.sha256).expect("marked");
    let error = kept.last_good().expect_err("not signed").to_string();
    assert!(error.contains("there is no signature at"), "{error}");
}

#[test]
fn a_damaged_list_is_told_and_begins_anew_with_the_next_copy() {
    let dir = tempfile::tempdir().expect("a directory");
    let kept = KeptCopies::open(dir.path(), Check::default());
    let (first, second) = (written("ledgers = 1"), written("ledgers = 2"));
    kept.keep(&first).expect("kept");
    std::fs::write(dir.path().join("list.json"), "{\"copies\": [").expect("damaged");
    let damaged = kept.last_good();
    assert!(
        matches!(damaged, Err(KeptError::List { .. })),
        "{damaged:?}"
    );
    // Somebody else's file stays; a copy that no list names is what a crash leaves behind.
    std::fs::write(dir.path().join("README"), "ours").expect("written");
    kept.keep(&second).expect("kept");
    let orphan = dir.path().join(first.sha256.to_string());
    assert!(!orphan.exists() && dir.path().join("README").exists());
    assert_eq!(kept.get(&second.sha256).expect("an answer"), Some(second));
}
