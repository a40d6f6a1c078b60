//! Small ports: cursors, verification runs, migrations.

use async_trait::async_trait;
use audit_event::Timestamp;
use audit_integrity::ledger::{LeafIndex, LedgerId};
use audit_store::{Cursors, Migration, Migrations, Runs, StoreError};

use crate::code::{int, ledger_code, uint};
use crate::database::Database;
use crate::error::Failure;
use crate::schema;
use crate::value::{Micros, get, time};

/// Reports kept (`Runs`).
const RUNS_KEPT: i64 = 100;

#[async_trait]
impl Cursors for Database {
    async fn get(&self, follower: &str, ledger: LedgerId) -> Result<LeafIndex, StoreError> {
        let sql = "SELECT next FROM audit.cursor WHERE follower = $1 AND ledger = $2";
        let found = self
            .query_opt("read a cursor", sql, &[&follower, &ledger_code(ledger)])
            .await?;
        let next = found.map_or(Ok(0), |row| get(&row, 0, "cursor"))?;
        Ok(LeafIndex(uint(next, "cursor")?))
    }

    async fn set(
        &self,
        follower: &str,
        ledger: LedgerId,
        next: LeafIndex,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO audit.cursor (follower, ledger, next) VALUES ($1, $2, $3)
            ON CONFLICT (follower, ledger) DO UPDATE SET next = excluded.next";
        let (ledger, next) = (ledger_code(ledger), int(next.0)?);
        self.execute("move a cursor", sql, &[&follower, &ledger, &next])
            .await
            .map(|_rows| ())
    }
}

#[async_trait]
impl Runs for Database {
    async fn put(&self, id: &str, at: Timestamp, report: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO audit.verification_run (id, at, report) VALUES ($1, $2, $3)
            ON CONFLICT (id) DO UPDATE SET at = excluded.at, report = excluded.report";
        self.execute(
            "keep a verification run",
            sql,
            &[&id, &Micros::from(at), &report],
        )
        .await?;
        let sql = "DELETE FROM audit.verification_run WHERE id NOT IN
            (SELECT id FROM audit.verification_run ORDER BY at DESC, id DESC LIMIT $1)";
        self.execute("drop old verification runs", sql, &[&RUNS_KEPT])
            .await
            .map(|_rows| ())
    }

    async fn get(&self, id: &str) -> Result<Option<String>, StoreError> {
        let sql = "SELECT report FROM audit.verification_run WHERE id = $1";
        let found = self
            .query_opt("read a verification run", sql, &[&id])
            .await?;
        found.map(|row| get(&row, 0, "run report")).transpose()
    }

    async fn list(&self, max: u32) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let sql = "SELECT id, at FROM audit.verification_run ORDER BY at DESC, id DESC LIMIT $1";
        let rows = self
            .query("list verification runs", sql, &[&i64::from(max)])
            .await?;
        rows.iter()
            .map(|row| Ok((get(row, 0, "run id")?, time(row, 1, "run time")?)))
            .collect()
    }
}

#[async_trait]
impl Migrations for Database {
    async fn status(&self) -> Result<Vec<Migration>, StoreError> {
        let what = "read migrations";
        let lost = |failure: Failure| failure.into_store(what);
        let client = self.now().primary.connection().await.map_err(lost)?;
        schema::status(&client).await.map_err(lost)
    }

    async fn up(&self) -> Result<Vec<u32>, StoreError> {
        let what = "migrate up";
        let lost = |failure: Failure| failure.into_store(what);
        let mut client = self.now().primary.connection().await.map_err(lost)?;
        let done = schema::up(&mut client, self.now().settings.profile).await;
        done.map_err(lost)
    }

    async fn down(&self, target: u32, destroy: bool) -> Result<Vec<u32>, StoreError> {
        let what = "migrate down";
        let lost = |failure: Failure| failure.into_store(what);
        let mut client = self.now().primary.connection().await.map_err(lost)?;
        let done = schema::down(&mut client, target, destroy).await;
        self.months.forget();
        done.map_err(lost)
    }
}
