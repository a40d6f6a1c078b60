//! The tamper table, first part: every column of `audit_event`, as the database itself lists them.

use audit_integrity::verify::{FindingKind, Outcome, RunResult};
use rusqlite::Connection;

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
        (_, "INTEGER") => vec!["{} + 1", "9223372036854775807"],
        (_, "TEXT") => vec!["'another'", "{} || ' '", "CAST(x'ff' AS TEXT)"],
        (_, "BLOB") => vec!["randomblob(length({}))", "x'01'", "x''"],
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

fn columns(connection: &Connection) -> Vec<(String, String, bool)> {
    let mut statement = connection
        .prepare("SELECT name, type, \"notnull\" = 0 FROM pragma_table_info('audit_event')")
        .unwrap();
    statement
        .query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

#[tokio::test]
async fn a_change_to_any_column_is_told_with_the_event_and_the_column() {
    let deployment = Deployment::filled().await;
    let connection = deployment.attack();
    let columns = columns(&connection);
    assert!(columns.len() >= 19, "{columns:?}");
    for (name, declared, nullable) in columns.iter().filter(|(name, ..)| name != "position") {
        for change in changes(name, declared, *nullable) {
            connection
                .execute_batch(
                    "CREATE TEMP TABLE kept AS SELECT * FROM audit_event WHERE position = 700",
                )
                .unwrap();
            let sql = format!(
                "UPDATE audit_event SET {name} = {change} WHERE position = {LEAF} AND {name} IS NOT {change}"
            );
            assert_eq!(connection.execute(&sql, ()).unwrap(), 1, "{sql}");
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
            let restore = "DELETE FROM audit_event WHERE position = 700; INSERT INTO audit_event SELECT * FROM kept; DROP TABLE kept";
            connection.execute_batch(restore).unwrap();
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
    let connection = deployment.attack();
    // Beyond the end, beyond every leaf, in a ledger that does not exist, in the directory, nowhere.
    for to in [
        FILLED.cast_signed(),
        1 << 47,
        (7 << 48) + 3,
        -(1 << 48),
        i64::MIN,
    ] {
        let moved = connection
            .execute(
                "UPDATE audit_event SET position = ?1 WHERE position = ?2",
                (to, LEAF.cast_signed()),
            )
            .unwrap();
        assert_eq!(moved, 1);
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
        connection
            .execute(
                "UPDATE audit_event SET position = ?2 WHERE position = ?1",
                (to, LEAF.cast_signed()),
            )
            .unwrap();
    }
    assert_eq!(deployment.verify().await.findings, []);
}
