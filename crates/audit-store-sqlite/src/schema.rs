//! Numbered migrations, embedded, forward and back; each is one transaction.

use audit_event::Timestamp;
use audit_store::{Migration, StoreError};
use rusqlite::{Connection, OptionalExtension};

use crate::code::{time, uint32};
use crate::error::{Failure, refused};
use crate::writer::WriteSide;

/// A migration as it is embedded. A released one never changes: the files of its users have run it.
struct Step {
    number: u32,
    name: &'static str,
    up: &'static str,
    down: &'static str,
    /// Taking it back loses events and what proves them.
    holds_events: bool,
}

const STEPS: [Step; 1] = [Step {
    number: 1,
    name: "ledgers_and_events",
    up: include_str!("../migrations/0001_ledgers_and_events.up.sql"),
    down: include_str!("../migrations/0001_ledgers_and_events.down.sql"),
    holds_events: true,
}];

/// The books of migrations; the one table that no migration makes.
const BOOKS: &str = "CREATE TABLE IF NOT EXISTS schema_migration (
    number     INTEGER NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT";

/// The greatest number this program knows.
pub(crate) fn known() -> u32 {
    STEPS.iter().map(|step| step.number).max().unwrap_or(0)
}

/// The statements that make the event table and everything else, for a database without books.
pub(crate) fn all_sql() -> String {
    STEPS.iter().map(|step| step.up).collect()
}

/// The greatest number applied.
pub(crate) fn applied(connection: &Connection) -> Result<u32, Failure> {
    Ok(recorded(connection)?
        .into_iter()
        .map(|migration| migration.number)
        .max()
        .unwrap_or(0))
}

/// All that this program knows, and those it does not know but finds applied.
pub(crate) fn status(connection: &Connection) -> Result<Vec<Migration>, Failure> {
    let recorded = recorded(connection)?;
    let mut all: Vec<_> = STEPS
        .iter()
        .filter(|step| recorded.iter().all(|found| found.number != step.number))
        .map(|step| Migration {
            number: step.number,
            name: step.name.to_owned(),
            applied_at: None,
        })
        .collect();
    all.extend(recorded);
    all.sort_by_key(|migration| migration.number);
    Ok(all)
}

fn recorded(connection: &Connection) -> Result<Vec<Migration>, Failure> {
    let books = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migration'";
    if connection
        .query_row(books, (), |_row| Ok(()))
        .optional()?
        .is_none()
    {
        return Ok(Vec::new());
    }
    let mut statement = connection
        .prepare("SELECT number, name, applied_at FROM schema_migration ORDER BY number")?;
    let mut rows = statement.query(())?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Migration {
            number: uint32(row.get(0)?, "migration number")?,
            name: row.get(1)?,
            applied_at: Some(time(row.get(2)?, "migration time")?),
        });
    }
    Ok(found)
}

/// Applies all that are not applied.
pub(crate) fn up(side: &mut WriteSide, now: Timestamp) -> Result<Vec<u32>, Failure> {
    side.transaction(|transaction| Ok(transaction.execute_batch(BOOKS)?))?;
    let done = applied(&side.connection)?;
    let mut numbers = Vec::new();
    for step in STEPS.iter().filter(|step| step.number > done) {
        side.transaction(|transaction| {
            transaction.execute_batch(step.up)?;
            let note =
                "INSERT INTO schema_migration (number, name, applied_at) VALUES (?1, ?2, ?3)";
            transaction.execute(note, (step.number, step.name, now.micros()))?;
            Ok(())
        })?;
        numbers.push(step.number);
    }
    Ok(numbers)
}

/// Takes back everything above `target`, the newest first.
pub(crate) fn down(side: &mut WriteSide, target: u32, destroy: bool) -> Result<Vec<u32>, Failure> {
    let found = applied(&side.connection)?;
    if found > known() {
        return Err(refused(format!("migration {found} is unknown to this program")).into());
    }
    let mut numbers = Vec::new();
    for step in STEPS
        .iter()
        .rev()
        .filter(|step| step.number > target && step.number <= found)
    {
        side.transaction(|transaction| {
            if step.holds_events && !destroy {
                refuse_when_filled(transaction, step)?;
            }
            transaction.execute_batch(step.down)?;
            transaction.execute(
                "DELETE FROM schema_migration WHERE number = ?1",
                [step.number],
            )?;
            Ok(())
        })?;
        numbers.push(step.number);
    }
    Ok(numbers)
}

fn refuse_when_filled(connection: &Connection, step: &Step) -> Result<(), StoreError> {
    let any = "SELECT EXISTS (SELECT 1 FROM audit_event) OR EXISTS (SELECT 1 FROM ledger_chunk)
        OR EXISTS (SELECT 1 FROM receipt) OR EXISTS (SELECT 1 FROM dead_letter)";
    let filled: bool = connection
        .query_row(any, (), |row| row.get(0))
        .map_err(|error| Failure::Sql(error).into_store("look for stored events"))?;
    if filled {
        return Err(refused(format!(
            "taking back migration {} would drop stored events",
            step.number
        )));
    }
    Ok(())
}
