//! The signer signs what was committed, publishes it after the anchor has it, and never signs what it did not recompute.

use audit_integrity::checkpoint::{CheckpointAnchor, SignedCheckpoint};
use audit_integrity::head::LedgerState;
use audit_integrity::keys::KeySource;
use audit_integrity::ledger::LedgerId;
use audit_integrity::verify::{Outcome, RunResult};

use super::deployment::{Deployment, FILLED, LEDGER, OLD, roll_back};

#[tokio::test]
async fn an_untouched_deployment_passes_without_a_finding() {
    let deployment = Deployment::filled().await;
    let report = deployment.verify().await;
    assert_eq!(report.findings, []);
    assert_eq!(
        (report.result(), report.checked, report.outcomes.valid),
        (RunResult::Pass, FILLED, FILLED)
    );
    // Each of the two ledgers against the database and against the anchor.
    assert_eq!(report.against.len(), 4, "{:?}", report.against);
}

#[tokio::test]
async fn every_head_that_moved_is_signed_anchored_and_published() {
    let deployment = Deployment::begin().await;
    let mut signer = deployment.signer();
    for end in 1..4 {
        deployment.append(end - 1..end).await;
        signer.tick().await;
        signer.tick().await;
        let published = deployment.hub.newest(LEDGER).unwrap();
        assert_eq!(published.checkpoint.size, end);
        let stored = deployment
            .store
            .checkpoints
            .newest(LEDGER)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((stored.size, &stored.note), (end, &published.note));
        assert_eq!(
            deployment.anchor.newest(LEDGER).await.unwrap().as_ref(),
            Some(&published.note)
        );
        let key = deployment
            .keys
            .verifier_key(&deployment.keys.origin(LEDGER))
            .await
            .unwrap();
        SignedCheckpoint::verify(&published.note, &key).unwrap();
    }
    assert_eq!(
        deployment
            .store
            .checkpoints
            .after(LEDGER, 0, 100)
            .await
            .unwrap()
            .len(),
        3,
        "one a size"
    );
}

#[tokio::test]
async fn a_restart_publishes_the_stored_note_again() {
    let deployment = Deployment::filled().await;
    let stored = deployment
        .store
        .checkpoints
        .newest(LEDGER)
        .await
        .unwrap()
        .unwrap();
    // Killed between the store and the anchor: the anchor is one behind.
    let notes = deployment
        .store
        .checkpoints
        .after(LEDGER, 0, 100)
        .await
        .unwrap();
    let older = &notes[notes.len() - 2].note;
    std::fs::write(deployment.dir.path().join("anchor/ledger-0.note"), older).unwrap();
    deployment.signer().tick().await;
    assert_eq!(
        deployment.anchor.newest(LEDGER).await.unwrap(),
        Some(stored.note.clone())
    );
    assert_eq!(deployment.hub.newest(LEDGER).unwrap().note, stored.note);
    assert_eq!(deployment.verify().await.findings, []);
}

#[tokio::test]
async fn an_anchor_that_cannot_be_read_delays_and_loses_nothing() {
    let deployment = Deployment::filled().await;
    let mut signer = deployment.signer();
    signer.tick().await;
    let (anchor, away) = (
        deployment.dir.path().join("anchor"),
        deployment.dir.path().join("away"),
    );
    std::fs::rename(&anchor, &away).unwrap();
    deployment.append(FILLED..FILLED + 3).await;
    signer.tick().await;
    assert_eq!(
        deployment.hub.newest(LEDGER).unwrap().checkpoint.size,
        FILLED,
        "not published"
    );
    assert!(!signer.has_diverged(LEDGER), "an outage is no divergence");
    let report = deployment.verify().await;
    assert_eq!(report.result(), RunResult::Inconclusive);
    std::fs::rename(&away, &anchor).unwrap();
    signer.tick().await;
    assert_eq!(
        deployment.hub.newest(LEDGER).unwrap().checkpoint.size,
        FILLED + 3
    );
    assert_eq!(deployment.verify().await.result(), RunResult::Pass);
}

/// Tampers, lets a signer that knew better (or one that just started) look, and demands that it signs nothing.
async fn never_signed(name: &str, started_before: bool, tamper: impl AsyncFn(&Deployment)) {
    let deployment = Deployment::filled().await;
    let mut signer = deployment.signer();
    if started_before {
        signer.tick().await;
    }
    tamper(&deployment).await;
    let stored = deployment
        .store
        .checkpoints
        .after(LEDGER, 0, 100)
        .await
        .unwrap();
    signer.tick().await;
    signer.tick().await;
    assert!(signer.has_diverged(LEDGER), "{name}");
    assert_eq!(
        deployment
            .store
            .checkpoints
            .after(LEDGER, 0, 100)
            .await
            .unwrap(),
        stored,
        "{name}"
    );
    let info = deployment
        .store
        .ledgers
        .ledger(LEDGER)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        info.state,
        LedgerState::Diverged,
        "{name}: the ledger is frozen"
    );
    assert!(
        deployment
            .store
            .leases
            .acquire(LEDGER, "another")
            .await
            .is_err(),
        "{name}: no lane may take it"
    );
}

#[tokio::test]
async fn what_does_not_add_up_is_never_signed() {
    let end = FILLED;
    for started_before in [true, false] {
        never_signed(
            "a head with a wrong MAC",
            started_before,
            async |deployment| {
                deployment.append(end..end + 5).await;
                deployment
                    .attack()
                    .execute(
                        "UPDATE ledger_head SET mac = randomblob(32) WHERE ledger = 0",
                        (),
                    )
                    .unwrap();
            },
        )
        .await;
        never_signed(
            "a new row was altered",
            started_before,
            async |deployment| {
                deployment.append(end..end + 5).await;
                let changed = deployment.attack().execute(
                    "UPDATE audit_event SET retention_policy = 'short' WHERE position = ?1",
                    [end + 2],
                );
                assert_eq!(changed.unwrap(), 1);
            },
        )
        .await;
        never_signed("a new row is gone", started_before, async |deployment| {
            deployment.append(end..end + 5).await;
            deployment
                .attack()
                .execute("DELETE FROM audit_event WHERE position = ?1", [end + 4])
                .unwrap();
        })
        .await;
        never_signed(
            "a new chunk was altered",
            started_before,
            async |deployment| {
                deployment.append(end..end + 5).await;
                let sql =
                    "UPDATE ledger_chunk SET leaf_hashes = randomblob(160) WHERE position = ?1";
                assert_eq!(deployment.attack().execute(sql, [end]).unwrap(), 1);
            },
        )
        .await;
    }
}

#[tokio::test]
async fn a_database_older_than_its_anchor_is_frozen() {
    let deployment = roll_back(Deployment::filled().await).await;
    assert_eq!(deployment.size().await, OLD);
    let mut signer = deployment.signer();
    signer.tick().await;
    assert!(signer.has_diverged(LEDGER));
    // Were it to grow past the anchor, it would still be another history.
    let deployment = roll_back(Deployment::filled().await).await;
    deployment.append(10_000..10_600).await;
    let mut signer = deployment.signer();
    signer.tick().await;
    assert!(signer.has_diverged(LEDGER));
    assert!(
        deployment
            .store
            .checkpoints
            .newest(LEDGER)
            .await
            .unwrap()
            .unwrap()
            .size
            <= OLD
    );
}

#[tokio::test]
async fn an_unsigned_tail_is_unverifiable_and_nothing_is_inconclusive() {
    let deployment = Deployment::begin().await;
    assert_eq!(
        deployment.verify().await.result(),
        RunResult::Inconclusive,
        "an empty check is never a pass"
    );
    deployment.append(0..2).await;
    deployment.signer().tick().await;
    deployment.append(2..5).await;
    let report = deployment.verify().await;
    let counts = report.outcomes;
    assert_eq!(
        (counts.valid, counts.unverifiable, report.result()),
        (2, 3, RunResult::Inconclusive)
    );
    let only: Vec<_> = report
        .findings
        .iter()
        .map(|finding| finding.outcome)
        .collect();
    assert_eq!(only, [Outcome::Unverifiable]);
}

#[tokio::test]
async fn the_directory_names_ledgers_keys_and_standings_once() {
    let deployment = Deployment::filled().await;
    let before = deployment
        .store
        .ledgers
        .controls(audit_integrity::ledger::LeafIndex(0), 100)
        .await
        .unwrap();
    let mut directory = deployment.directory().await;
    directory.snapshot().await.unwrap();
    let after = deployment
        .store
        .ledgers
        .controls(audit_integrity::ledger::LeafIndex(0), 100)
        .await
        .unwrap();
    assert_eq!(before, after, "nothing changed, nothing is written");
    let texts: Vec<_> = after
        .iter()
        .map(|row| String::from_utf8(row.document.clone()).unwrap())
        .collect();
    assert_eq!(
        texts
            .iter()
            .filter(|text| text.contains("verifierKey"))
            .count(),
        2,
        "{texts:?}"
    );
    assert_eq!(
        texts
            .iter()
            .filter(|text| text.contains("\"ledgers\""))
            .count(),
        2,
        "{texts:?}"
    );
    deployment.append(FILLED..FILLED + 1).await;
    let size = directory.snapshot().await.unwrap();
    assert_eq!(size, u64::try_from(after.len()).unwrap() + 1);
    let mut signer = deployment.signer();
    signer.tick().await;
    assert_eq!(
        deployment
            .hub
            .newest(LedgerId::Directory)
            .unwrap()
            .checkpoint
            .size,
        size
    );
}

#[tokio::test]
async fn an_unreadable_head_freezes_its_ledger_and_no_other() {
    let deployment = Deployment::filled().await;
    let mut signer = deployment.signer();
    deployment
        .attack()
        .execute("UPDATE ledger_head SET roots = x'00' WHERE ledger = 0", ())
        .unwrap();
    signer.tick().await;
    assert!(signer.has_diverged(LEDGER) && !signer.has_diverged(LedgerId::Directory));
    assert!(
        deployment.hub.newest(LedgerId::Directory).is_some(),
        "the directory is served all the same"
    );
}
