//! Numbered migrations, embedded, forward and back; each is one transaction, and one process at a time runs them.

use audit_store::Migration;
use tokio_postgres::{Client, Transaction};

use crate::code::uint32;
use crate::error::{Failure, refused};
use crate::pool::Object;
use crate::settings::IndexProfile;
use crate::value::{get, time};

/// A migration as it is embedded. A released one never changes: the databases of its users have run it.
struct Step {
    number: i32,
    name: &'static str,
    up: &'static str,
    /// Also run with the profile `full`.
    full: &'static str,
    down: &'static str,
    /// Taking it back loses events and what proves them.
    holds_events: bool,
}

const STEPS: [Step; 1] = [Step {
    number: 1,
    name: "ledgers_and_events",
    up: include_str!("../migrations/0001_ledgers_and_events.up.sql"),
    full: include_str!("../migrations/0001_full.up.sql"),
    down: include_str!("../migrations/0001_ledgers_and_events.down.sql"),
    holds_events: true,
}];

/// The books of migrations, and the schema they and everything else are in; the one table that no migration makes.
const BOOKS: &str = "CREATE SCHEMA IF NOT EXISTS audit;
    CREATE TABLE IF NOT EXISTS audit.schema_migration (
        number     integer          NOT NULL PRIMARY KEY,
        name       text COLLATE \"C\" NOT NULL,
        applied_at timestamptz      NOT NULL
    )";

/// Whoever holds this lock migrates; the others wait, however long it takes, and then find nothing to do.
const LOCK: &str = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;
    SELECT pg_advisory_xact_lock(hashtextextended('audit.schema_migration', 0))";

/// The greatest number this program knows.
pub(crate) fn known() -> u32 {
    STEPS
        .iter()
        .map(|step| step.number.unsigned_abs())
        .max()
        .unwrap_or(0)
}

/// The greatest number applied.
pub(crate) async fn applied(client: &Client) -> Result<u32, Failure> {
    let recorded = recorded(client).await?;
    Ok(recorded
        .into_iter()
        .map(|migration| migration.number)
        .max()
        .unwrap_or(0))
}

/// All that this program knows, and those it does not know but finds applied.
pub(crate) async fn status(client: &Client) -> Result<Vec<Migration>, Failure> {
    let recorded = recorded(client).await?;
    let mut all: Vec<_> = STEPS
        .iter()
        .map(|step| (step.number.unsigned_abs(), step.name))
        .filter(|(number, _)| recorded.iter().all(|found| found.number != *number))
        .map(|(number, name)| Migration {
            number,
            name: name.to_owned(),
            applied_at: None,
        })
        .collect();
    all.extend(recorded);
    all.sort_by_key(|migration| migration.number);
    Ok(all)
}

async fn recorded(client: &Client) -> Result<Vec<Migration>, Failure> {
    let books = "SELECT to_regclass('audit.schema_migration') IS NOT NULL";
    let there: bool = get(&client.query_one(books, &[]).await?, 0, "migrations")?;
    if !there {
        return Ok(Vec::new());
    }
    let sql = "SELECT number, name, applied_at FROM audit.schema_migration ORDER BY number";
    let mut found = Vec::new();
    for row in client.query(sql, &[]).await? {
        found.push(Migration {
            number: uint32(get(&row, 0, "migration number")?, "migration number")?,
            name: get(&row, 1, "migration name")?,
            applied_at: Some(time(&row, 2, "migration time")?),
        });
    }
    Ok(found)
}

/// Applies all that are not applied.
pub(crate) async fn up(client: &mut Object, profile: IndexProfile) -> Result<Vec<u32>, Failure> {
    let mut numbers = Vec::new();
    for step in &STEPS {
        let transaction = begin(client).await?;
        transaction.batch_execute(BOOKS).await?;
        let row = transaction
            .query_one(
                "SELECT EXISTS (SELECT FROM audit.schema_migration WHERE number >= $1)",
                &[&step.number],
            )
            .await?;
        if get(&row, 0, "migrations")? {
            continue;
        }
        transaction.batch_execute(step.up).await?;
        if profile == IndexProfile::Full {
            transaction.batch_execute(step.full).await?;
        }
        let note =
            "INSERT INTO audit.schema_migration (number, name, applied_at) VALUES ($1, $2, now())";
        transaction
            .execute(note, &[&step.number, &step.name])
            .await?;
        grant_books(&transaction).await?;
        transaction.commit().await?;
        numbers.push(step.number.unsigned_abs());
    }
    Ok(numbers)
}

/// Makes the views for readers of the replaced systems' tables, or makes them anew.
pub(crate) async fn compat_views(client: &mut Object) -> Result<(), Failure> {
    let transaction = begin(client).await?;
    transaction
        .batch_execute(include_str!("../migrations/compat_views.sql"))
        .await?;
    Ok(transaction.commit().await?)
}

/// Takes back everything above `target`, the newest first.
pub(crate) async fn down(
    client: &mut Object,
    target: u32,
    destroy: bool,
) -> Result<Vec<u32>, Failure> {
    let found = applied(client).await?;
    if found > known() {
        return Err(refused(format!("migration {found} is unknown to this program")).into());
    }
    let mut numbers = Vec::new();
    for step in STEPS
        .iter()
        .rev()
        .filter(|step| step.number.unsigned_abs() > target && step.number.unsigned_abs() <= found)
    {
        let transaction = begin(client).await?;
        let gone = transaction
            .execute(
                "DELETE FROM audit.schema_migration WHERE number = $1",
                &[&step.number],
            )
            .await?;
        if gone == 0 {
            continue;
        }
        if step.holds_events && !destroy {
            refuse_when_filled(&transaction, step).await?;
        }
        transaction.batch_execute(step.down).await?;
        transaction.commit().await?;
        numbers.push(step.number.unsigned_abs());
    }
    Ok(numbers)
}

/// A transaction that holds the lock of migrations.
async fn begin(client: &mut Object) -> Result<deadpool_postgres::Transaction<'_>, Failure> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(LOCK).await?;
    Ok(transaction)
}

/// Everybody may see which migrations are applied; the owner keeps the books.
async fn grant_books(transaction: &Transaction<'_>) -> Result<(), Failure> {
    let sql = "ALTER TABLE audit.schema_migration OWNER TO audit_owner;
         GRANT SELECT ON audit.schema_migration TO audit_writer, audit_maintainer, audit_reader";
    Ok(transaction.batch_execute(sql).await?)
}

async fn refuse_when_filled(transaction: &Transaction<'_>, step: &Step) -> Result<(), Failure> {
    let any =
        "SELECT EXISTS (SELECT FROM audit.audit_event) OR EXISTS (SELECT FROM audit.ledger_chunk)
        OR EXISTS (SELECT FROM audit.receipt) OR EXISTS (SELECT FROM audit.dead_letter)";
    let row = transaction.query_one(any, &[]).await?;
    if get(&row, 0, "stored events")? {
        let reason = format!(
            "taking back migration {} would drop stored events",
            step.number
        );
        return Err(refused(reason).into());
    }
    Ok(())
}
