//! The tamper table, second part: rows deleted, inserted, exchanged; chunks, tiles, heads, checkpoints and control rows replaced.
//!
//! Every store's tests have this very file; `Deployment` speaks its dialect.

use audit_integrity::ledger::LedgerId;
use audit_integrity::row::EventRow;
use audit_integrity::verify::{FindingKind, Outcome, Report, RunResult};

use super::deployment::{Deployment, FILLED};
use super::parts::{Expected, id, sealed, shape};

use FindingKind::{
    BadCheckpoint, BadChunk, BadMac, BadTile, Deleted, Edited, ForgedControl, Inserted, Reordered,
};
use Outcome::{Missing, Tampered};

/// Tampers a copy and demands exactly these findings, in any order.
async fn check(name: &str, sql: &str, expected: &[Expected]) -> Report {
    let deployment = Deployment::filled().await;
    deployment.tamper(sql);
    let report = deployment.verify().await;
    let mut found: Vec<_> = report.findings.iter().map(shape).collect();
    let mut expected = expected.to_vec();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "{name}: {:#?}", report.findings);
    assert_eq!(report.result(), RunResult::Fail, "{name}");
    report
}

fn deleted(leaf: u64) -> Expected {
    (Missing, Deleted, Some(leaf), Some(id(leaf)))
}

#[tokio::test]
async fn deleted_rows_are_named_from_their_headers() {
    let last = FILLED - 1;
    let all: Vec<_> = (0..FILLED).collect();
    for (name, leaves) in [
        ("first", vec![0]),
        ("middle", vec![777]),
        ("last", vec![last]),
        ("two adjacent", vec![299, 300]),
        ("all", all),
    ] {
        let list = leaves
            .iter()
            .map(u64::to_string)
            .collect::<Vec<_>>()
            .join(",");
        let expected: Vec<_> = leaves.iter().copied().map(deleted).collect();
        let report = check(
            name,
            &format!("DELETE FROM audit_event WHERE position IN ({list})"),
            &expected,
        )
        .await;
        let missing = u64::try_from(leaves.len()).unwrap();
        assert_eq!(
            (
                report.checked,
                report.outcomes.missing,
                report.outcomes.valid
            ),
            (FILLED, missing, FILLED - missing),
            "{name}"
        );
    }
}

#[tokio::test]
async fn rows_that_were_slipped_in_are_told() {
    let copy = |to: &str, timestamp: &str| {
        format!(
            "CREATE TEMP TABLE forged AS SELECT * FROM audit_event WHERE position = 5;
             UPDATE forged SET position = {to}, timestamp = {timestamp};
             INSERT INTO audit_event SELECT * FROM forged;"
        )
    };
    for to in [FILLED, FILLED + 1_000_000] {
        let report = check(
            "a row behind the end",
            &copy(&to.to_string(), "1"),
            &[
                (Tampered, Inserted, Some(to), Some(id(5))),
                (Outcome::Valid, FindingKind::IdReused, Some(5), Some(id(5))),
                (Outcome::Valid, FindingKind::IdReused, Some(to), Some(id(5))),
            ],
        )
        .await;
        assert_eq!(report.outcomes.valid, FILLED);
    }
    let replaced = "CREATE TEMP TABLE forged AS SELECT * FROM audit_event WHERE position = 5;
         DELETE FROM audit_event WHERE position IN (5, 9);
         UPDATE forged SET position = 9; INSERT INTO audit_event SELECT * FROM forged;";
    check(
        "a row over another",
        replaced,
        &[(Tampered, Reordered, Some(5), Some(id(5))), deleted(9)],
    )
    .await;
}

#[tokio::test]
async fn two_rows_that_changed_places_are_reordered() {
    let swap = |a: u64, b: u64| {
        format!(
            "UPDATE audit_event SET position = -1 WHERE position = {a};
             UPDATE audit_event SET position = {a} WHERE position = {b};
             UPDATE audit_event SET position = {b} WHERE position = -1;"
        )
    };
    let hashes = |a: u64, b: u64| {
        format!(
            "CREATE TEMP TABLE hashes AS SELECT position, leaf_hash FROM audit_event WHERE position IN ({a}, {b});
             UPDATE audit_event SET leaf_hash = (SELECT leaf_hash FROM hashes WHERE position = {b}) WHERE position = {a};
             UPDATE audit_event SET leaf_hash = (SELECT leaf_hash FROM hashes WHERE position = {a}) WHERE position = {b};"
        )
    };
    for (a, b) in [(41, 42), (2, 1_999)] {
        let moved = [
            (Tampered, Reordered, Some(a), Some(id(a))),
            (Tampered, Reordered, Some(b), Some(id(b))),
        ];
        check("two rows", &swap(a, b), &moved).await;
        check(
            "two rows with the leaf hashes put right",
            &(hashes(a, b) + &swap(a, b)),
            &moved,
        )
        .await;
    }
}

#[tokio::test]
async fn a_replaced_tile_is_a_bad_tile() {
    for (name, sql, expected) in [
        (
            "one hash",
            "UPDATE ledger_tile SET hashes = CAST(substr(hashes, 1, 320) || zeroblob(32) || substr(hashes, 353) AS BLOB) WHERE ledger = 0 AND level = 0 AND tile = 3",
            Some(778),
        ),
        (
            "all hashes",
            "UPDATE ledger_tile SET hashes = randomblob(8192) WHERE ledger = 0 AND level = 0 AND tile = 0",
            Some(0),
        ),
        (
            "cut off",
            "UPDATE ledger_tile SET hashes = substr(hashes, 33) WHERE ledger = 0 AND level = 0 AND tile = 6",
            None,
        ),
        (
            "gone",
            "DELETE FROM ledger_tile WHERE ledger = 0 AND level = 0 AND tile = 2",
            None,
        ),
        (
            "moved",
            "UPDATE ledger_tile SET tile = 70 WHERE ledger = 0 AND level = 0 AND tile = 6",
            None,
        ),
    ] {
        let mut findings = vec![(Tampered, BadTile, expected, expected.map(id))];
        if name == "moved" {
            findings.push((Tampered, BadTile, None, None));
        }
        let report = check(name, sql, &findings).await;
        assert_eq!(
            report.outcomes.valid, FILLED,
            "{name}: the events themselves are intact"
        );
    }
}

#[tokio::test]
async fn a_replaced_chunk_is_a_bad_chunk_and_names_its_events() {
    // The chunk of leaves 601..900, and that of leaf 600 alone.
    let each = |range: std::ops::Range<u64>| {
        range
            .map(|leaf| (Tampered, BadChunk, Some(leaf), Some(id(leaf))))
            .collect::<Vec<_>>()
    };
    let with = |mut each: Vec<Expected>, first: u64| {
        each.push((Tampered, BadChunk, Some(first), None));
        each
    };
    for (name, sql, expected) in [
        (
            "entries of another chunk",
            "UPDATE ledger_chunk SET entries = (SELECT entries FROM ledger_chunk WHERE position = 3) WHERE position = 601",
            with(each(601..900), 601),
        ),
        (
            "entries are noise",
            "UPDATE ledger_chunk SET entries = randomblob(500) WHERE position = 601",
            with(each(601..900), 601),
        ),
        (
            "one leaf hash",
            "UPDATE ledger_chunk SET leaf_hashes = CAST(substr(leaf_hashes, 1, 64) || zeroblob(32) || substr(leaf_hashes, 97) AS BLOB) WHERE position = 601",
            each(603..604),
        ),
        (
            "all leaf hashes",
            "UPDATE ledger_chunk SET leaf_hashes = zeroblob(32) WHERE position = 600",
            each(600..601),
        ),
        (
            "no leaf hashes",
            "UPDATE ledger_chunk SET leaf_hashes = x'' WHERE position = 601",
            with(each(601..900), 601),
        ),
        (
            "the count",
            "UPDATE ledger_chunk SET count = 3 WHERE position = 601",
            vec![(Tampered, BadChunk, Some(601), None)],
        ),
        (
            "a count beyond reason",
            "UPDATE ledger_chunk SET count = 4000000000 WHERE position = 601",
            vec![(Tampered, BadChunk, Some(601), None)],
        ),
        (
            "a negative count",
            "UPDATE ledger_chunk SET count = -1 WHERE position = 600",
            each(600..601),
        ),
        (
            "gone",
            "DELETE FROM ledger_chunk WHERE position = 601",
            each(601..900),
        ),
        (
            "the last is gone",
            "DELETE FROM ledger_chunk WHERE position = 1800",
            each(1_800..2_000),
        ),
    ] {
        check(name, sql, &expected).await;
    }
    let beyond = "INSERT INTO ledger_chunk SELECT 3000, count, entries, leaf_hashes FROM ledger_chunk WHERE position = 3";
    check(
        "one beyond the end",
        beyond,
        &[(Tampered, Inserted, Some(3_000), None)],
    )
    .await;
}

#[tokio::test]
async fn a_replaced_head_has_a_wrong_mac() {
    for (name, sql) in [
        (
            "mac",
            "UPDATE ledger_head SET mac = randomblob(32) WHERE ledger = 0",
        ),
        (
            "mac cut off",
            "UPDATE ledger_head SET mac = x'00' WHERE ledger = 0",
        ),
        (
            "epoch",
            "UPDATE ledger_head SET epoch = epoch + 1 WHERE ledger = 0",
        ),
        ("state", "UPDATE ledger_head SET state = 1 WHERE ledger = 0"),
        (
            "size and roots",
            "UPDATE ledger_head SET size = 1, roots = substr(roots, 1, 32) WHERE ledger = 0",
        ),
        (
            "size alone",
            "UPDATE ledger_head SET size = 1999 WHERE ledger = 0",
        ),
        (
            "roots",
            "UPDATE ledger_head SET roots = randomblob(length(roots)) WHERE ledger = 0",
        ),
        (
            "the head of another ledger",
            "UPDATE ledger_head SET (size, epoch, state, roots, mac) = (SELECT size, epoch, state, roots, mac FROM ledger_head WHERE ledger = -1) WHERE ledger = 0",
        ),
        ("no head", "DELETE FROM ledger_head WHERE ledger = 0"),
    ] {
        let report = check(name, sql, &[(Tampered, BadMac, None, None)]).await;
        assert_eq!(
            report.outcomes.valid, FILLED,
            "{name}: everything is signed all the same"
        );
    }
    let origin = "UPDATE ledger SET origin = 'audit.example/other/ledger/0' WHERE ledger = 0";
    check("origin", origin, &[(Tampered, Edited, None, None)]).await;
}

#[tokio::test]
async fn a_replaced_checkpoint_is_told() {
    let newest = "position = (SELECT max(position) FROM checkpoint WHERE position < 1 << 48)";
    for (name, sql, expected) in [
        (
            "noise",
            format!("UPDATE checkpoint SET note = 'noise' WHERE {newest}"),
            vec![BadCheckpoint, BadCheckpoint],
        ),
        (
            "another size in the text",
            format!("UPDATE checkpoint SET note = replace(note, '2000', '2001') WHERE {newest}"),
            vec![FindingKind::BadSignature, BadCheckpoint],
        ),
        (
            "an older one in its place",
            format!(
                "UPDATE checkpoint SET note = (SELECT note FROM checkpoint WHERE position = 1500) WHERE {newest}"
            ),
            vec![BadCheckpoint, BadCheckpoint],
        ),
        (
            "in the middle",
            "UPDATE checkpoint SET note = replace(note, '900', '901') WHERE position = 900"
                .to_owned(),
            vec![FindingKind::BadSignature],
        ),
        (
            "the newest is gone",
            format!("DELETE FROM checkpoint WHERE {newest}"),
            vec![BadCheckpoint],
        ),
        (
            "all are gone",
            "DELETE FROM checkpoint WHERE position >= 0".to_owned(),
            vec![BadCheckpoint],
        ),
    ] {
        let expected: Vec<_> = expected
            .into_iter()
            .map(|kind| (Tampered, kind, None, None))
            .collect();
        let report = check(name, &sql, &expected).await;
        assert_eq!(
            report.outcomes.valid, FILLED,
            "{name}: the anchor still covers them"
        );
    }
}

#[tokio::test]
async fn replaced_control_rows_are_forged() {
    let deployment = Deployment::filled().await;
    let controls = deployment
        .store
        .ledgers
        .controls(audit_integrity::ledger::LeafIndex(0), 100)
        .await
        .unwrap();
    let count = u64::try_from(controls.len()).unwrap();
    let directory = LedgerId::Directory;
    for (name, sql, kinds) in [
        (
            "document",
            "UPDATE ledger_control SET document = replace(document, '1500', '1499') WHERE leaf_index = 4",
            vec![(Tampered, ForgedControl, Some(4))],
        ),
        (
            "noise",
            "UPDATE ledger_control SET document = CAST(x'ff' AS TEXT) WHERE leaf_index = 0",
            vec![(Tampered, ForgedControl, Some(0))],
        ),
        (
            "salt",
            "UPDATE ledger_control SET salt = zeroblob(16) WHERE leaf_index = 2",
            vec![(Tampered, ForgedControl, Some(2))],
        ),
        (
            "salt cut off",
            "UPDATE ledger_control SET salt = x'' WHERE leaf_index = 2",
            vec![(Missing, Deleted, Some(2))],
        ),
        (
            "gone",
            "DELETE FROM ledger_control WHERE leaf_index = 1",
            vec![(Missing, Deleted, Some(1))],
        ),
        (
            "exchanged",
            "UPDATE ledger_control SET leaf_index = -9 WHERE leaf_index = 2; UPDATE ledger_control SET leaf_index = 2 WHERE leaf_index = 3; UPDATE ledger_control SET leaf_index = 3 WHERE leaf_index = -9",
            vec![
                (Tampered, ForgedControl, Some(2)),
                (Tampered, ForgedControl, Some(3)),
            ],
        ),
        (
            "one more",
            "INSERT INTO ledger_control SELECT 77, salt, document FROM ledger_control WHERE leaf_index = 0",
            vec![(Tampered, ForgedControl, Some(77))],
        ),
    ] {
        let deployment = Deployment::filled().await;
        deployment.tamper(sql);
        let report = deployment.verify().await;
        let found: Vec<_> = report
            .findings
            .iter()
            .map(|f| (f.outcome, f.kind, f.leaf_index.map(|leaf| leaf.0)))
            .collect();
        assert_eq!(found, kinds, "{name}: {:#?}", report.findings);
        assert!(
            report
                .findings
                .iter()
                .all(|finding| finding.ledger == directory)
        );
        assert!(report.findings.iter().all(|finding| finding.event_id.is_some() || finding.leaf_index.unwrap().0 >= count));
        assert_eq!(
            (report.result(), report.outcomes.valid),
            (RunResult::Fail, FILLED),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_forged_retention_or_erasure_row_excuses_nothing() {
    let forge = |document: &str| {
        format!("INSERT INTO ledger_control VALUES (5, zeroblob(16), '{document}');")
    };
    let expired =
        forge(r#"{"expired":{"count":1,"first":700,"ledger":0},"underPolicy":"standard"}"#);
    let report = check_both(
        "retention",
        &(expired + "DELETE FROM audit_event WHERE position = 700"),
    )
    .await;
    assert!(
        report
            .findings
            .iter()
            .map(shape)
            .any(|found| found == deleted(700)),
        "{:#?}",
        report.findings
    );
    let erased = forge(r#"{"dataKey":"k","leaves":[{"count":1,"first":700,"ledger":0}]}"#);
    let report = check_both(
        "erasure",
        &(erased + "UPDATE audit_event SET salt = NULL, canonical = NULL WHERE position = 700"),
    )
    .await;
    assert!(
        report
            .findings
            .iter()
            .map(shape)
            .any(|found| found == (Tampered, Edited, Some(700), Some(id(700)))),
        "{:#?}",
        report.findings
    );
}

async fn check_both(name: &str, sql: &str) -> Report {
    let deployment = Deployment::filled().await;
    // Whatever the directory holds, the forged row stands behind it.
    let end = deployment.number("SELECT max(leaf_index) + 1 FROM ledger_control");
    deployment.tamper(&sql.replace("VALUES (5,", &format!("VALUES ({end},")));
    let report = deployment.verify().await;
    assert!(report.has(ForgedControl), "{name}");
    assert_eq!(
        (report.result(), report.findings.len()),
        (RunResult::Fail, 2),
        "{name}: {:#?}",
        report.findings
    );
    report
}

/// What an attacker without keys can do best: row, entry, chunk and leaf hash rewritten together.
#[tokio::test]
async fn an_event_rewritten_everywhere_but_in_its_tile_is_named() {
    let deployment = Deployment::filled().await;
    let mut forged = sealed(601..900, 601);
    forged[99] = sealed(50_000..50_001, 700).remove(0);
    let chunk = super::parts::chunk_of(&forged);
    let row = EventRow::of(&forged[99]);
    deployment.rewrite(601, &chunk, &row);
    let report = deployment.verify().await;
    let found: Vec<_> = report.findings.iter().map(shape).collect();
    assert!(
        found.contains(&(Tampered, Edited, Some(700), Some(id(50_000)))),
        "{:#?}",
        report.findings
    );
    assert!(report.has(BadCheckpoint) && report.result() == RunResult::Fail);
    assert_eq!(
        report.outcomes.valid, 600,
        "what a checkpoint covered before is still known to be intact"
    );
}
