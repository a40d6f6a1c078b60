//! Keys stay the same over openings, and a crash at any step leaves a directory that opens.

use std::fs;

use audit_integrity::keys::KeySource;
use audit_integrity::ledger::LedgerId;
use audit_keydir::{KeyDir, KeyDirError};
use signed_note::{Note, StandardVerifier, VerifierList};

use crate::{open, place};

#[tokio::test]
async fn keys_are_drawn_once_and_found_again() {
    let (_parent, dir) = place();
    assert!(!KeyDir::exists(&dir).unwrap());
    let first = open(&dir, None).unwrap();
    let line = first.ensure_ledger(LedgerId::Events(0)).unwrap();
    assert!(
        first.deployment_id().starts_with("audit.invalid/"),
        "{}",
        first.deployment_id()
    );
    let again = open(&dir, None).unwrap();
    assert!(KeyDir::exists(&dir).unwrap());
    assert_eq!(again.deployment_id(), first.deployment_id());
    assert_eq!(
        again.lane_key().await.unwrap().as_bytes(),
        first.lane_key().await.unwrap().as_bytes()
    );
    assert_eq!(
        again
            .verifier_key(&again.origin(LedgerId::Events(0)))
            .await
            .unwrap(),
        line
    );
    assert_eq!(
        again.ensure_ledger(LedgerId::Events(0)).unwrap(),
        line,
        "a key is never replaced"
    );
    let (_parent, other) = place();
    let other = open(&other, None).unwrap();
    assert_ne!(other.deployment_id(), first.deployment_id());
    assert_ne!(
        other.lane_key().await.unwrap().as_bytes(),
        first.lane_key().await.unwrap().as_bytes()
    );
}

#[tokio::test]
async fn a_note_is_signed_as_its_ledger_and_the_same_note_every_time() {
    let (_parent, dir) = place();
    let keys = open(&dir, Some("audit.example/test")).unwrap();
    let line = keys.ensure_ledger(LedgerId::Directory).unwrap();
    keys.ensure_ledger(LedgerId::Events(7)).unwrap();
    let origin = keys.origin(LedgerId::Directory);
    let body = format!(
        "{}\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        origin.as_str()
    );
    let note = keys.sign_checkpoint(&origin, &body).await.unwrap();
    assert_eq!(keys.sign_checkpoint(&origin, &body).await.unwrap(), note);
    let known = VerifierList::new(vec![Box::new(StandardVerifier::new(&line).unwrap())]);
    Note::from_bytes(note.as_bytes())
        .unwrap()
        .verify(&known)
        .unwrap();
    let all = fs::read_to_string(dir.join("verifier.key")).unwrap();
    assert_eq!(all.lines().count(), 2);
    assert!(
        all.lines()
            .all(|line| line.starts_with("audit.example/test/")),
        "{all}"
    );
    assert!(
        keys.sign_checkpoint(&keys.origin(LedgerId::Events(8)), &body)
            .await
            .is_err(),
        "no key, no signature"
    );
}

#[tokio::test]
async fn producer_secrets_are_found_by_scheme_and_id() {
    let (_parent, dir) = place();
    let keys = open(&dir, None).unwrap();
    let scheme = dir.join("producers/smart-logs");
    fs::create_dir_all(&scheme).unwrap();
    for (name, secret) in [("default", "first\n"), ("k2", "second"), ("empty", "\n")] {
        crate::permissions::write_private(&scheme.join(name), secret.as_bytes());
    }
    let secret = |id: Option<&'static str>| {
        let keys = &keys;
        async move {
            keys.producer_secret("smart-logs", id)
                .await
                .map(|found| found.map(|s| (s.key_id, s.secret.to_vec())))
        }
    };
    assert_eq!(
        secret(None).await.unwrap(),
        Some(("default".to_owned(), b"first".to_vec()))
    );
    assert_eq!(
        secret(Some("k2")).await.unwrap(),
        Some(("k2".to_owned(), b"second".to_vec()))
    );
    for absent in ["k3", "../../lane.key", "/etc/passwd", ".", "..", ""] {
        assert_eq!(secret(Some(absent)).await.unwrap(), None, "{absent}");
    }
    assert!(
        secret(Some("empty")).await.is_err(),
        "an empty secret verifies anything"
    );
}

#[test]
fn the_directory_of_another_deployment_is_refused() {
    let (_parent, dir) = place();
    open(&dir, Some("audit.example/one")).unwrap();
    open(&dir, Some("audit.example/one")).unwrap();
    let error = open(&dir, Some("audit.example/two")).unwrap_err();
    assert!(
        matches!(error, KeyDirError::OtherDeployment { .. }),
        "{error}"
    );
    assert!(matches!(
        open(&place().1, Some("a b")).unwrap_err(),
        KeyDirError::BadDeploymentId
    ));
}

#[tokio::test]
async fn a_crash_before_the_id_is_written_starts_over_and_after_it_keeps_the_keys() {
    let (_parent, dir) = place();
    // Killed while the lane key was written: a temporary file, half of it.
    fs::create_dir(&dir).unwrap();
    crate::permissions::chmod(&dir, 0o700);
    crate::permissions::write_private(&dir.join(".lane.key.tmp"), b"0123");
    open(&dir, None).unwrap();
    assert!(!dir.join(".lane.key.tmp").exists());
    // Killed between the rename of the lane key and the id.
    let kept = fs::read(dir.join("lane.key")).unwrap();
    fs::remove_file(dir.join("deployment-id")).unwrap();
    crate::permissions::write_private(&dir.join(".deployment-id.tmp"), b"audit.inv");
    let keys = open(&dir, None).unwrap();
    assert_ne!(
        fs::read(dir.join("lane.key")).unwrap(),
        kept,
        "never used, so drawn anew"
    );
    // Killed while a signing key was written.
    crate::permissions::write_private(&dir.join("signing/.ledger-0.key.tmp"), b"PRIVATE+KEY+");
    let again = open(&dir, None).unwrap();
    assert_eq!(
        again.lane_key().await.unwrap().as_bytes(),
        keys.lane_key().await.unwrap().as_bytes()
    );
    assert!(
        again
            .verifier_key(&again.origin(LedgerId::Events(0)))
            .await
            .is_err(),
        "the temporary file is no key"
    );
    again.ensure_ledger(LedgerId::Events(0)).unwrap();
}

#[test]
fn a_lost_or_broken_key_is_never_replaced() {
    let (_parent, dir) = place();
    let keys = open(&dir, None).unwrap();
    keys.ensure_ledger(LedgerId::Events(0)).unwrap();
    let signing = dir.join("signing/ledger-0.key");
    let good = fs::read(&signing).unwrap();
    for broken in [&b""[..], b"garbage\n", &good[..good.len() - 4]] {
        crate::permissions::write_private(&signing, broken);
        assert!(matches!(
            open(&dir, None).unwrap_err(),
            KeyDirError::Malformed { .. }
        ));
    }
    crate::permissions::write_private(&dir.join("signing/ledger-1.key"), &good);
    crate::permissions::write_private(&signing, &good);
    assert!(
        matches!(open(&dir, None).unwrap_err(), KeyDirError::Malformed { .. }),
        "the key of another ledger"
    );
    fs::remove_file(dir.join("signing/ledger-1.key")).unwrap();
    fs::remove_file(dir.join("lane.key")).unwrap();
    let error = open(&dir, None).unwrap_err();
    assert!(matches!(error, KeyDirError::Missing { .. }), "{error}");
}
