//! The tamper table, third part: history rewritten as a whole, by somebody who holds the database and perhaps more.

use audit_integrity::checkpoint::CheckpointAnchor;
use audit_integrity::ledger::LedgerId;
use audit_integrity::row::EventRow;
use audit_integrity::verify::{FindingKind, Outcome, Report, RunResult};
use audit_pipeline::VerifyRequest;

use super::deployment::{Deployment, FILLED, LEDGER, OLD, bytea, old_database, server};
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
        let head =
            "SELECT format('(%s, %s, %s, %L::bytea, %L::bytea)', size, epoch, state, roots, mac)
            FROM audit.ledger_head WHERE ledger = 0";
        let head = server().sql(&old_database(), head);
        let sql = format!(
            "DELETE FROM audit_event WHERE position >= {OLD};
             DELETE FROM ledger_chunk WHERE position >= {OLD};
             DELETE FROM ledger_tile WHERE ledger = 0 AND tile >= {OLD} / 256;
             DELETE FROM checkpoint WHERE position > {OLD} AND NOT ({keep});
             UPDATE ledger_head SET (size, epoch, state, roots, mac) = {head} WHERE ledger = 0;"
        );
        deployment.tamper(&sql);
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
async fn an_older_copy_of_the_database_is_rolled_back() {
    let deployment = Deployment::rolled_back().await;
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
    drop(deployment);
    let deployment = Deployment::rolled_back().await;
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

fn wipe(deployment: &Deployment, ledger: i64) {
    let positions = match ledger {
        0 => "position >= 0 AND position < 1 << 48",
        _ => "position < 0",
    };
    for table in ["audit_event", "ledger_chunk", "checkpoint"] {
        deployment.tamper(&format!("DELETE FROM {table} WHERE {positions}"));
    }
    for table in ["ledger_tile", "ledger_head", "ledger", "lease"] {
        deployment.tamper(&format!("DELETE FROM {table} WHERE ledger = {ledger}"));
    }
    if ledger < 0 {
        deployment.tamper("DELETE FROM ledger_control");
    }
}

#[tokio::test]
async fn a_ledger_deleted_whole_is_missing() {
    let deployment = Deployment::filled().await;
    wipe(&deployment, 0);
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
    wipe(&deployment, -1);
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

/// Appends event `FILLED` as an attacker without the lane key does: everything right but the MAC.
fn append_forgery(deployment: &Deployment, roots: &[u8]) {
    let forged = sealed(FILLED..FILLED + 1, FILLED);
    let (chunk, row) = (chunk_of(&forged), EventRow::of(&forged[0]));
    deployment.tamper(&format!(
        "INSERT INTO ledger_chunk VALUES ({FILLED}, 1, x'', x'');
         CREATE TEMP TABLE forged AS SELECT * FROM audit_event WHERE position = 1998;
         UPDATE forged SET position = {FILLED}, id = gen_random_uuid();
         INSERT INTO audit_event SELECT * FROM forged;
         UPDATE ledger_head SET size = {FILLED} + 1, roots = {} WHERE ledger = 0",
        bytea(roots)
    ));
    deployment.rewrite(FILLED.cast_signed(), &chunk, &row);
}

#[tokio::test]
async fn a_forgery_appended_with_a_wrong_mac_is_told_and_never_signed() {
    let deployment = Deployment::filled().await;
    let mut builder = deployment.builder(FILLED).await;
    builder.push(
        sealed(FILLED..FILLED + 1, FILLED)[0].leaf_hash,
        &mut Vec::new(),
    );
    let roots: Vec<u8> = builder
        .range()
        .roots()
        .iter()
        .flat_map(|root| root.0)
        .collect();
    append_forgery(&deployment, &roots);
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
