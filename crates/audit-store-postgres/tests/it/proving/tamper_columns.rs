//! The tamper table, first part: every column of `audit_event`, as the database itself lists them.

use audit_integrity::verify::{FindingKind, Outcome, RunResult};

use super::deployment::{Deployment, FILLED};
use super::parts::{id, shape};

/// The event whose row is changed: in the middle of a commit and of a tile.
const LEAF: u64 = 700;

/// What a column is set to: SQL over the row, and whether somebody could have meant it.
fn changes(name: &str, declared: &str, nullable: bool) -> Vec<String> {
    let mut changes: Vec<&str> = match (name, declared) {
        ("status", _) => vec!["(status + 1) % 3", "77"],
        ("severity", _) => vec!["(severity + 1) % 3", "-1"],
        ("data_classification", _) => vec!["(data_classification + 1) % 4", "4"],
        ("canonical", _) => vec![
            "replace(canonical, '\"action\":\"sample.done\"', '\"action\":\"sample.gone\"')",
            "replace(canonical, '\"receivedAt\":\"2026', '\"receivedAt\":\"2025')",
            "'{}'",
            "''",
            "canonical || ' '",
        ],
        // Also into another partition.
        ("timestamp", _) => vec![
            "{} + interval '1 microsecond'",
            "{} - interval '50 years'",
            "'-infinity'::timestamptz",
        ],
        (_, "timestamp with time zone") => vec![
            "{} + interval '1 microsecond'",
            "'infinity'::timestamptz",
            "'0044-03-15 12:00:00 BC'::timestamptz",
        ],
        (_, "text") => vec!["'another'", "{} || ' '"],
        (_, "uuid") => vec![
            "gen_random_uuid()",
            "'00000000-0000-0000-0000-000000000000'::uuid",
        ],
        (_, "bytea") => vec!["randomblob(length({}))", "'\\x01'::bytea", "''::bytea"],
        (_, other) => panic!("column {name} has the type {other}: say how it can be changed"),
    };
    if nullable {
        changes.push("NULL");
    }
    changes
        .into_iter()
        .map(|change| change.replace("{}", name))
        .collect()
}

fn columns(deployment: &Deployment) -> Vec<(String, String, bool)> {
    let sql = "SELECT column_name, data_type, is_nullable FROM information_schema.columns
        WHERE table_schema = 'audit' AND table_name = 'audit_event' ORDER BY ordinal_position";
    let listed = deployment.attack(sql);
    let column = |line: &str| {
        let fields: Vec<_> = line.split('|').collect();
        (
            fields[0].to_owned(),
            fields[1].to_owned(),
            fields[2] == "YES",
        )
    };
    listed.lines().map(column).collect()
}

#[tokio::test]
async fn a_change_to_any_column_is_told_with_the_event_and_the_column() {
    let deployment = Deployment::filled().await;
    let columns = columns(&deployment);
    assert!(columns.len() >= 19, "{columns:?}");
    deployment.attack("CREATE TABLE public.kept AS SELECT * FROM audit_event WHERE position = 700");
    for (name, declared, nullable) in columns.iter().filter(|(name, ..)| name != "position") {
        for change in changes(name, declared, *nullable) {
            let sql = format!(
                "WITH changed AS (UPDATE audit_event SET {name} = {change} WHERE position = {LEAF}
                    AND {name} IS DISTINCT FROM {change} RETURNING 1) SELECT count(*) FROM changed"
            );
            assert_eq!(deployment.number(&sql), 1, "{sql}");
            let report = deployment.verify().await;
            let found: Vec<_> = report.findings.iter().map(shape).collect();
            assert_eq!(
                found,
                [(
                    Outcome::Tampered,
                    FindingKind::Edited,
                    Some(LEAF),
                    Some(id(LEAF))
                )],
                "{sql}"
            );
            assert!(
                report.findings[0].detail.contains(name.as_str()),
                "{sql}: {}",
                report.findings[0].detail
            );
            assert_eq!(
                (report.outcomes.tampered, report.outcomes.valid),
                (1, FILLED - 1),
                "{sql}"
            );
            assert_eq!(report.result(), RunResult::Fail, "{sql}");
            deployment.attack(
                "DELETE FROM audit_event WHERE position = 700; INSERT INTO audit_event SELECT * FROM public.kept",
            );
        }
    }
    assert_eq!(
        deployment.verify().await.findings,
        [],
        "everything was put back"
    );
}

#[tokio::test]
async fn a_row_at_another_position_is_deleted_here_and_inserted_there() {
    let deployment = Deployment::filled().await;
    let move_row = |from: i64, to: i64| {
        // The least of all numbers has no literal of its own.
        let sql = format!("UPDATE audit_event SET position = '{to}' WHERE position = '{from}'");
        deployment.attack(&sql);
    };
    // Beyond the end, beyond every leaf, in a ledger that does not exist, in the directory, nowhere.
    for to in [
        FILLED.cast_signed(),
        1 << 47,
        (7 << 48) + 3,
        -(1 << 48),
        i64::MIN,
    ] {
        move_row(LEAF.cast_signed(), to);
        let report = deployment.verify().await;
        let kinds: Vec<_> = report
            .findings
            .iter()
            .map(|finding| (finding.outcome, finding.kind, finding.event_id))
            .collect();
        let (deleted, inserted) = (
            (Outcome::Missing, FindingKind::Deleted, Some(id(LEAF))),
            (Outcome::Tampered, FindingKind::Inserted, Some(id(LEAF))),
        );
        assert!(
            kinds == [deleted, inserted] || kinds == [inserted, deleted],
            "{to}: {:?}",
            report.findings
        );
        move_row(to, LEAF.cast_signed());
    }
    assert_eq!(deployment.verify().await.findings, []);
}

/// No key of PostgreSQL spans addresses over all partitions, so two rows can claim one.
#[tokio::test]
async fn a_second_row_at_an_address_is_inserted_whichever_is_met_first() {
    for other in [
        "gen_random_uuid()",
        "'00000000-0000-0000-0000-000000000001'",
        "id",
    ] {
        for when in [
            "timestamp - interval '50 years'",
            "timestamp + interval '1 microsecond'",
        ] {
            let deployment = Deployment::filled().await;
            deployment.attack(&format!(
                "CREATE TEMP TABLE forged AS SELECT * FROM audit_event WHERE position = 700;
                UPDATE forged SET id = {other}, timestamp = {when};
                INSERT INTO audit_event SELECT * FROM forged"
            ));
            let report = deployment.verify().await;
            let inserted: Vec<_> = report
                .findings
                .iter()
                .filter(|finding| finding.outcome == Outcome::Tampered)
                .map(|finding| (finding.kind, finding.leaf_index.map(|leaf| leaf.0)))
                .collect();
            assert_eq!(
                inserted,
                [(FindingKind::Inserted, Some(LEAF))],
                "{other}, {when}: {:#?}",
                report.findings
            );
            assert_eq!(report.result(), RunResult::Fail);
            // The address is disputed, whichever of its rows is the true one.
            assert_eq!(report.outcomes.valid, FILLED - 1);
        }
    }
}
