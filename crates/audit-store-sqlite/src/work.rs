//! Small ports: cursors, verification runs, migrations.

use async_trait::async_trait;
use audit_event::Timestamp;
use audit_integrity::ledger::{LeafIndex, LedgerId};
use audit_store::{Cursors, Migration, Migrations, Runs, StoreError};
use rusqlite::{OptionalExtension, params};

use crate::code::{int, ledger_code, time, uint};
use crate::database::Database;
use crate::schema;

/// Reports kept (`Runs`).
const RUNS_KEPT: u32 = 100;

#[async_trait]
impl Cursors for Database {
    async fn get(&self, follower: &str, ledger: LedgerId) -> Result<LeafIndex, StoreError> {
        let (follower, ledger) = (follower.to_owned(), ledger_code(ledger));
        self.read("read a cursor", move |connection| {
            let sql = "SELECT next FROM cursor WHERE follower = ?1 AND ledger = ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let next: Option<i64> = statement
                .query_row(params![follower, ledger], |row| row.get(0))
                .optional()?;
            Ok(LeafIndex(uint(next.unwrap_or(0), "cursor")?))
        })
        .await
    }

    async fn set(
        &self,
        follower: &str,
        ledger: LedgerId,
        next: LeafIndex,
    ) -> Result<(), StoreError> {
        let (follower, ledger, next) = (follower.to_owned(), ledger_code(ledger), int(next.0)?);
        self.write("move a cursor", move |transaction| {
            let sql = "INSERT INTO cursor (follower, ledger, next) VALUES (?1, ?2, ?3)
                 ON CONFLICT (follower, ledger) DO UPDATE SET next = excluded.next";
            transaction
                .prepare_cached(sql)?
                .execute(params![follower, ledger, next])?;
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl Runs for Database {
    async fn put(&self, id: &str, at: Timestamp, report: &str) -> Result<(), StoreError> {
        let (id, report) = (id.to_owned(), report.to_owned());
        self.write("keep a verification run", move |transaction| {
            let sql = "INSERT INTO verification_run (id, at, report) VALUES (?1, ?2, ?3)
                 ON CONFLICT (id) DO UPDATE SET at = excluded.at, report = excluded.report";
            transaction.execute(sql, params![id, at.micros(), report])?;
            let sql = "DELETE FROM verification_run WHERE id NOT IN
                 (SELECT id FROM verification_run ORDER BY at DESC, id DESC LIMIT ?1)";
            transaction.execute(sql, [RUNS_KEPT])?;
            Ok(())
        })
        .await
    }

    async fn get(&self, id: &str) -> Result<Option<String>, StoreError> {
        let id = id.to_owned();
        self.read("read a verification run", move |connection| {
            let sql = "SELECT report FROM verification_run WHERE id = ?1";
            Ok(connection
                .prepare_cached(sql)?
                .query_row([id], |row| row.get(0))
                .optional()?)
        })
        .await
    }

    async fn list(&self, max: u32) -> Result<Vec<(String, Timestamp)>, StoreError> {
        self.read("list verification runs", move |connection| {
            let sql = "SELECT id, at FROM verification_run ORDER BY at DESC, id DESC LIMIT ?1";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([max])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push((row.get(0)?, time(row.get(1)?, "run time")?));
            }
            Ok(found)
        })
        .await
    }
}

#[async_trait]
impl Migrations for Database {
    async fn status(&self) -> Result<Vec<Migration>, StoreError> {
        self.write_side("read migrations", |side| schema::status(&side.connection))
            .await
    }

    async fn up(&self) -> Result<Vec<u32>, StoreError> {
        let now = self.now()?;
        self.write_side("migrate up", move |side| schema::up(side, now))
            .await
    }

    async fn down(&self, target: u32, destroy: bool) -> Result<Vec<u32>, StoreError> {
        let taken = self
            .write_side("migrate down", move |side| {
                schema::down(side, target, destroy)
            })
            .await?;
        // The text index follows ledgers that may be gone now; it is rebuilt from whatever ledgers there are.
        if !taken.is_empty()
            && let Some(text) = &self.text
        {
            text.clear().await?;
        }
        Ok(taken)
    }
}
