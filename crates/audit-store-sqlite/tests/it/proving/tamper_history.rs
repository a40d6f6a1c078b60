//! The tamper table, third part: history rewritten as a whole, by somebody who holds the database and perhaps more.

use audit_integrity::checkpoint::{Checkpoint, CheckpointAnchor};
use audit_integrity::keys::KeySource;
use audit_integrity::ledger::LedgerId;
use audit_integrity::row::EventRow;
use audit_integrity::verify::{FindingKind, Outcome, Report, RunResult};
use audit_keydir::KeyDir;
use audit_pipeline::VerifyRequest;
use audit_store_sqlite::DATABASE_FILE;
use rusqlite::Connection;
use std::sync::Arc;

use super::deployment::{Deployment, FILLED, LEDGER, OLD, roll_back};
use super::parts::{chunk_of, id, sealed, shape};

const GONE: u64 = FILLED - OLD;

fn details(report: &Report) -> String {
    format!("{:#?}", report.findings)
}

fn demand(report: &Report, outcome: Outcome, kind: FindingKind, ledger: LedgerId) {
    let found = report
        .findings
        .iter()
        .any(|f| (f.outcome, f.kind, f.ledger) == (outcome, kind, ledger));
    assert!(found, "{kind:?} in {ledger}: {}", details(report));
    assert_eq!(report.result(), RunResult::Fail);
}

/// Rows, chunks, tiles and checkpoints after [`OLD`] go, and the head that a lane wrote then comes back with its right MAC.
#[tokio::test]
async fn a_truncated_tail_is_rolled_back() {
    for (name, keep) in [
        ("ledger only", "position >= 0"),
        ("checkpoints too", "1 = 0"),
    ] {
        let deployment = Deployment::filled().await;
        let connection = deployment.attack();
        let old = deployment.dir.path().join("old").join(DATABASE_FILE);
        connection
            .execute("ATTACH ?1 AS old", [old.to_string_lossy()])
            .unwrap();
        let sql = format!(
            "DELETE FROM audit_event WHERE position >= {OLD};
             DELETE FROM ledger_chunk WHERE position >= {OLD};
             DELETE FROM ledger_tile WHERE ledger = 0 AND tile >= {OLD} / 256;
             DELETE FROM checkpoint WHERE position > {OLD} AND NOT ({keep});
             UPDATE ledger_head SET (size, epoch, state, roots, mac) =
                (SELECT size, epoch, state, roots, mac FROM old.ledger_head WHERE ledger = 0) WHERE ledger = 0;"
        );
        connection.execute_batch(&sql).unwrap();
        let report = deployment.verify().await;
        demand(&report, Outcome::Missing, FindingKind::RolledBack, LEDGER);
        assert!(
            !report.has(FindingKind::BadMac),
            "{name}: the MAC is a right one"
        );
        assert_eq!(
            (report.outcomes.missing, report.outcomes.valid),
            (GONE, OLD),
            "{name}: {}",
            details(&report)
        );
        let rolled = report
            .findings
            .iter()
            .filter(|finding| finding.kind == FindingKind::RolledBack);
        assert!(
            rolled
                .clone()
                .all(|finding| finding.leaf_index.unwrap().0 == OLD)
                && rolled.count() >= 2,
            "{name}"
        );
    }
}

#[tokio::test]
async fn an_older_copy_of_the_file_is_rolled_back() {
    let deployment = roll_back(Deployment::filled().await).await;
    let report = deployment.verify().await;
    demand(&report, Outcome::Missing, FindingKind::RolledBack, LEDGER);
    demand(
        &report,
        Outcome::Missing,
        FindingKind::RolledBack,
        LedgerId::Directory,
    );
    assert_eq!(
        (report.outcomes.missing, report.outcomes.valid),
        (GONE, OLD),
        "{}",
        details(&report)
    );
}

/// The anchor went back with the file: only a checkpoint that somebody kept tells.
#[tokio::test]
async fn without_the_anchor_a_kept_checkpoint_tells() {
    let kept = Deployment::filled()
        .await
        .anchor
        .newest(LEDGER)
        .await
        .unwrap()
        .unwrap();
    let deployment = Deployment::filled().await;
    let notes = deployment
        .store
        .checkpoints
        .after(LEDGER, 0, 100)
        .await
        .unwrap();
    let deployment = roll_back(deployment).await;
    let anchor = deployment.dir.path().join("anchor");
    let old = notes.iter().find(|note| note.size == OLD).unwrap();
    std::fs::write(anchor.join("ledger-0.note"), &old.note).unwrap();
    let directory = deployment
        .store
        .checkpoints
        .newest(LedgerId::Directory)
        .await
        .unwrap()
        .unwrap();
    std::fs::write(anchor.join("directory.note"), directory.note).unwrap();
    assert_eq!(
        deployment.verify().await.result(),
        RunResult::Pass,
        "whoever holds database and anchor rewrites history"
    );
    let request = VerifyRequest {
        checkpoints: vec![kept],
        ..VerifyRequest::default()
    };
    let report = deployment.verification().verify(&request).await.unwrap();
    demand(&report, Outcome::Missing, FindingKind::RolledBack, LEDGER);
    assert_eq!(report.outcomes.missing, GONE);
}

fn wipe(connection: &Connection, ledger: i64) {
    let (from, to) = if ledger < 0 {
        (i64::MIN, 0)
    } else {
        (0, 1 << 48)
    };
    for table in ["audit_event", "ledger_chunk", "checkpoint"] {
        connection
            .execute(
                &format!("DELETE FROM {table} WHERE position >= ?1 AND position < ?2"),
                [from, to],
            )
            .unwrap();
    }
    for table in ["ledger_tile", "ledger_head", "ledger", "lease"] {
        connection
            .execute(&format!("DELETE FROM {table} WHERE ledger = ?1"), [ledger])
            .unwrap();
    }
    if ledger < 0 {
        connection
            .execute("DELETE FROM ledger_control", ())
            .unwrap();
    }
}

#[tokio::test]
async fn a_ledger_deleted_whole_is_missing() {
    let deployment = Deployment::filled().await;
    wipe(&deployment.attack(), 0);
    let report = deployment.verify().await;
    demand(
        &report,
        Outcome::Missing,
        FindingKind::LedgerMissing,
        LEDGER,
    );
    assert_eq!(
        (report.outcomes.missing, report.outcomes.valid),
        (FILLED, 0),
        "{}",
        details(&report)
    );
    wipe(&deployment.attack(), -1);
    let report = deployment.verify().await;
    demand(
        &report,
        Outcome::Missing,
        FindingKind::LedgerMissing,
        LEDGER,
    );
    demand(
        &report,
        Outcome::Missing,
        FindingKind::LedgerMissing,
        LedgerId::Directory,
    );
    // The anchor gone as well: nothing is left to know of the events, and that is no pass.
    std::fs::remove_dir_all(deployment.dir.path().join("anchor")).unwrap();
    assert_ne!(deployment.verify().await.result(), RunResult::Pass);
}

#[tokio::test]
async fn checkpoints_signed_with_another_key_are_not_believed() {
    let deployment = Deployment::filled().await;
    let place = tempfile::tempdir().unwrap();
    let (random, clock) = (
        Arc::new(audit_runtime::SystemRandom),
        Arc::new(audit_runtime::SystemClock),
    );
    let other = KeyDir::open_or_create(
        &place.path().join("keys"),
        Some(deployment.keys.deployment_id()),
        random,
        clock,
    )
    .unwrap();
    other.ensure_ledger(LEDGER).unwrap();
    let connection = deployment.attack();
    let notes = deployment
        .store
        .checkpoints
        .after(LEDGER, 0, 100)
        .await
        .unwrap();
    for note in &notes {
        let body = format!("{}\n", note.note.split_once("\n\n").unwrap().0);
        let resigned = other
            .sign_checkpoint(&deployment.keys.origin(LEDGER), &body)
            .await
            .unwrap();
        connection
            .execute(
                "UPDATE checkpoint SET note = ?1 WHERE position = ?2",
                (resigned, note.size),
            )
            .unwrap();
    }
    let report = deployment.verify().await;
    let bad = report
        .findings
        .iter()
        .filter(|finding| finding.kind == FindingKind::BadSignature)
        .count();
    assert!(bad >= notes.len(), "{}", details(&report));
    demand(
        &report,
        Outcome::Tampered,
        FindingKind::BadSignature,
        LEDGER,
    );
    // The key directory exchanged too: the directory ledger names the right key, and the anchor's note fits no other.
    std::fs::copy(
        place.path().join("keys/signing/ledger-0.key"),
        deployment.dir.path().join("keys/signing/ledger-0.key"),
    )
    .unwrap();
    deployment.open.close().await;
    let Deployment {
        dir,
        open,
        store,
        keys,
        ..
    } = deployment;
    drop((open, store, keys));
    let report = Deployment::open(dir).verify().await;
    demand(
        &report,
        Outcome::Tampered,
        FindingKind::BadSignature,
        LEDGER,
    );
    assert_eq!(
        report.outcomes.valid, FILLED,
        "the directory's snapshot, signed with its own key, still covers them"
    );
}

/// Appends event `FILLED` as an attacker without the lane key does: everything right but the MAC.
fn append_forgery(deployment: &Deployment, roots: Vec<u8>) {
    let forged = sealed(FILLED..FILLED + 1, FILLED);
    let (chunk, row) = (chunk_of(&forged), EventRow::of(&forged[0]));
    let connection = deployment.attack();
    let sql = "INSERT INTO ledger_chunk VALUES (?1, 1, ?2, ?3)";
    connection
        .execute(sql, (FILLED, chunk.entries, chunk.leaf_hashes))
        .unwrap();
    let like = "CREATE TEMP TABLE forged AS SELECT * FROM audit_event WHERE position = 1998";
    connection.execute(like, ()).unwrap();
    let sql = "UPDATE forged SET position = ?1, id = ?2, timestamp = ?3, principal_id = ?4, target_resource_id = ?5, correlation_id = ?6,
        status = ?7, severity = ?8, data_classification = ?9, leaf_hash = ?10, claim = ?11, salt = ?12, canonical = ?13, received_at = ?14, sealed_at = ?15";
    let canonical = String::from_utf8(row.canonical.unwrap()).unwrap();
    let values = rusqlite::params![
        FILLED,
        row.id.as_bytes(),
        row.timestamp.micros(),
        row.principal_id,
        row.target_resource_id,
        row.correlation_id,
        FILLED % 3,
        1,
        3,
        row.leaf_hash.0,
        row.claim.0,
        row.salt.unwrap().0,
        canonical,
        row.received_at.micros(),
        row.sealed_at.micros(),
    ];
    connection.execute(sql, values).unwrap();
    connection
        .execute_batch("INSERT INTO audit_event SELECT * FROM forged")
        .unwrap();
    let sql = "UPDATE ledger_head SET size = ?1, roots = ?2 WHERE ledger = 0";
    connection.execute(sql, (FILLED + 1, roots)).unwrap();
}

#[tokio::test]
async fn a_forgery_appended_with_a_wrong_mac_is_told_and_never_signed() {
    let deployment = Deployment::filled().await;
    let mut builder = deployment.builder(FILLED).await;
    builder.push(
        sealed(FILLED..FILLED + 1, FILLED)[0].leaf_hash,
        &mut Vec::new(),
    );
    let roots = builder
        .range()
        .roots()
        .iter()
        .flat_map(|root| root.0)
        .collect();
    append_forgery(&deployment, roots);
    let mut signer = deployment.signer();
    signer.tick().await;
    assert!(signer.has_diverged(LEDGER));
    assert_eq!(
        deployment
            .hub
            .newest(LEDGER)
            .map(|newest| newest.checkpoint.size),
        Some(FILLED),
        "only what was signed before"
    );
    assert_eq!(
        deployment
            .store
            .checkpoints
            .newest(LEDGER)
            .await
            .unwrap()
            .unwrap()
            .size,
        FILLED
    );
    let report = deployment.verify().await;
    let found: Vec<_> = report.findings.iter().map(shape).collect();
    let inserted = (
        Outcome::Tampered,
        FindingKind::Inserted,
        Some(FILLED),
        Some(id(FILLED)),
    );
    assert_eq!(
        found,
        [
            (Outcome::Tampered, FindingKind::BadMac, None, None),
            inserted
        ],
        "{}",
        details(&report)
    );
    assert_eq!(
        (report.outcomes.valid, report.outcomes.tampered),
        (FILLED, 1)
    );
}

/// A retention entry of the attacker's own in the directory, chunk and document and all: nobody signed it, so it excuses nothing.
#[tokio::test]
async fn a_forged_control_entry_excuses_nothing() {
    use audit_integrity::bundle::Bundle;
    use audit_integrity::control::{ControlPlace, seal_control};
    use audit_integrity::documents::{ControlDocument, Leaves};
    use audit_integrity::entry::Salt;
    use audit_integrity::ledger::LeafIndex;
    let deployment = Deployment::filled().await;
    let connection = deployment.attack();
    let end: u64 = connection
        .query_row(
            "SELECT size FROM ledger_head WHERE ledger = -1",
            (),
            |row| row.get(0),
        )
        .unwrap();
    let documents = [
        ControlDocument::Policy {
            name: "standard".to_owned(),
            days: 0,
        },
        ControlDocument::Expired {
            leaves: Leaves {
                ledger: LEDGER,
                first: 700,
                count: 1,
            },
            policy: "standard".to_owned(),
        },
    ];
    let controls: Vec<_> = (end..)
        .zip(&documents)
        .map(|(index, document)| {
            let place = ControlPlace {
                id: id(90_000 + index),
                index: LeafIndex(index),
                sealed_at: audit_store::conformance::sample::at(90_000_000),
                salt: Salt([1; 16]),
            };
            seal_control(document.kind(), &document.to_value(), &place)
        })
        .collect();
    let entries = Bundle::of(controls.iter().map(|control| control.entry.as_slice()))
        .unwrap()
        .compress();
    let leaves: Vec<u8> = controls
        .iter()
        .flat_map(|control| control.leaf_hash.0)
        .collect();
    connection
        .execute(
            "INSERT INTO ledger_chunk VALUES (?1, 2, ?2, ?3)",
            (-(1_i64 << 48) + end.cast_signed(), entries, leaves),
        )
        .unwrap();
    for control in &controls {
        let document = String::from_utf8(control.document.clone()).unwrap();
        connection
            .execute(
                "INSERT INTO ledger_control VALUES (?1, ?2, ?3)",
                (control.header.index.0, control.salt.0, document),
            )
            .unwrap();
    }
    let grown =
        "UPDATE ledger_head SET size = size + 2, roots = randomblob(32 * ?1) WHERE ledger = -1";
    connection.execute(grown, [(end + 2).count_ones()]).unwrap();
    connection
        .execute("DELETE FROM audit_event WHERE position = 700", ())
        .unwrap();
    let mut signer = deployment.signer();
    signer.tick().await;
    assert!(signer.has_diverged(LedgerId::Directory));
    let report = deployment.verify().await;
    demand(
        &report,
        Outcome::Tampered,
        FindingKind::BadMac,
        LedgerId::Directory,
    );
    demand(
        &report,
        Outcome::Tampered,
        FindingKind::Inserted,
        LedgerId::Directory,
    );
    let found: Vec<_> = report.findings.iter().map(shape).collect();
    assert!(
        found.contains(&(
            Outcome::Missing,
            FindingKind::Deleted,
            Some(700),
            Some(id(700))
        )),
        "{}",
        details(&report)
    );
    assert_eq!((report.outcomes.expired, report.outcomes.missing), (0, 1));
}

/// A checkpoint of this ledger that the ledger does not continue: somebody with the key signed two histories.
#[tokio::test]
async fn a_kept_checkpoint_of_another_history_is_told() {
    let deployment = Deployment::filled().await;
    let origin = deployment.keys.origin(LEDGER);
    let other = Checkpoint {
        origin: origin.clone(),
        size: 1_000,
        root: audit_integrity::ledger::Digest([9; 32]),
    };
    let note = deployment
        .keys
        .sign_checkpoint(&origin, &other.to_body())
        .await
        .unwrap();
    let request = VerifyRequest {
        checkpoints: vec![note],
        ledger: Some(LEDGER),
        ..VerifyRequest::default()
    };
    let report = deployment.verification().verify(&request).await.unwrap();
    demand(
        &report,
        Outcome::Tampered,
        FindingKind::BadCheckpoint,
        LEDGER,
    );
}
