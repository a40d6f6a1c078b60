//! `ConfigVersions`: one process only, but its tasks may ask at the same time; each change is one transaction.

use std::time::Duration;

use async_trait::async_trait;
use audit_event::Timestamp;
use audit_store::config::VERSIONS_KEPT;
use audit_store::{
    ConfigReport, ConfigState, ConfigVersion, ConfigVersions, NewConfigVersion, StoreError,
};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::code::{
    config_state_code, config_state_of, config_taken_code, config_taken_of, fixed, int, time, uint,
};
use crate::database::Database;
use crate::error::Failure;

const SELECT: &str = "SELECT number, sha256, source, source_version, by_whom, restores, changes,
    published_at, watch_until, state, reason, concluded_at FROM config_version WHERE config = ?1";

#[async_trait]
impl ConfigVersions for Database {
    async fn newest(&self, config: &str) -> Result<Option<ConfigVersion>, StoreError> {
        Ok(ConfigVersions::list(self, config, 1)
            .await?
            .into_iter()
            .next())
    }

    async fn list(&self, config: &str, max: u32) -> Result<Vec<ConfigVersion>, StoreError> {
        let (config, now) = (config.to_owned(), self.now()?);
        self.read("list configurations", move |connection| {
            let sql = format!("{SELECT} ORDER BY number DESC LIMIT ?2");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![config, max])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(read(row, now)?);
            }
            Ok(found)
        })
        .await
    }

    async fn publish(&self, config: &str, new: &NewConfigVersion) -> Result<bool, StoreError> {
        let (config, new, now) = (config.to_owned(), new.clone(), self.now()?);
        self.write("publish a configuration", move |transaction| {
            let newest = newest(transaction, &config)?;
            if newest.map_or(0, |(number, _)| number) != int(new.after)?
                || newest.is_some_and(|(_, state)| state == 0)
            {
                return Ok(false);
            }
            let state = if new.watch.is_zero() {
                ConfigState::InForce
            } else {
                ConfigState::Watched(new.watch)
            };
            insert(transaction, &config, &new, now, state, None)?;
            let last = int((new.after + 1).saturating_sub(u64::from(VERSIONS_KEPT)))?;
            for sql in [
                "DELETE FROM config_report WHERE config = ?1 AND number <= ?2",
                "DELETE FROM config_version WHERE config = ?1 AND number <= ?2",
            ] {
                transaction.execute(sql, params![config, last])?;
            }
            Ok(true)
        })
        .await
    }

    async fn confirm(&self, config: &str, number: u64) -> Result<bool, StoreError> {
        let (config, number, now) = (config.to_owned(), int(number)?, self.now()?);
        self.write("confirm a configuration", move |transaction| {
            conclude(
                transaction,
                &config,
                number,
                ConfigState::InForce,
                None,
                now,
            )
        })
        .await
    }

    async fn roll_back(
        &self,
        config: &str,
        reason: &str,
        instead: &NewConfigVersion,
    ) -> Result<bool, StoreError> {
        let (config, reason) = (config.to_owned(), reason.to_owned());
        let (instead, now) = (instead.clone(), self.now()?);
        self.write("roll a configuration back", move |transaction| {
            // While a version is watched nobody can publish, so what is taken back is the newest.
            let (after, state) = (int(instead.after)?, ConfigState::RolledBack);
            let taken = conclude(transaction, &config, after, state, Some(&reason), now)?;
            if taken {
                let state = ConfigState::InForce;
                insert(transaction, &config, &instead, now, state, Some(&reason))?;
            }
            Ok(taken)
        })
        .await
    }

    async fn report(&self, config: &str, report: &ConfigReport) -> Result<(), StoreError> {
        let (config, report, now) = (config.to_owned(), report.clone(), self.now()?);
        let number = int(report.number)?;
        self.write("report a configuration", move |transaction| {
            let sql = "INSERT INTO config_report (config, number, process, taken, detail, at)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                ON CONFLICT (config, number, process) DO UPDATE
                SET taken = excluded.taken, detail = excluded.detail, at = excluded.at";
            let taken = config_taken_code(report.taken);
            transaction.execute(
                sql,
                params![
                    config,
                    number,
                    report.process,
                    taken,
                    report.detail,
                    now.micros()
                ],
            )?;
            Ok(())
        })
        .await
    }

    async fn reports(&self, config: &str, number: u64) -> Result<Vec<ConfigReport>, StoreError> {
        let (config, wanted) = (config.to_owned(), int(number)?);
        self.read("read reports of a configuration", move |connection| {
            let sql = "SELECT process, taken, detail, at FROM config_report
                WHERE config = ?1 AND number = ?2 ORDER BY process";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![config, wanted])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(ConfigReport {
                    process: row.get(0)?,
                    number,
                    taken: config_taken_of(row.get(1)?)?,
                    detail: row.get(2)?,
                    at: time(row.get(3)?, "report time")?,
                });
            }
            Ok(found)
        })
        .await
    }
}

/// Number and state of the newest version.
fn newest(transaction: &Transaction<'_>, config: &str) -> Result<Option<(i64, i64)>, Failure> {
    let sql =
        "SELECT number, state FROM config_version WHERE config = ?1 ORDER BY number DESC LIMIT 1";
    let found = transaction.query_row(sql, [config], |row| Ok((row.get(0)?, row.get(1)?)));
    Ok(found.optional()?)
}

/// Ends the watch of a version; `false` when it was over.
fn conclude(
    transaction: &Transaction<'_>,
    config: &str,
    number: i64,
    state: ConfigState,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<bool, Failure> {
    let sql = "UPDATE config_version SET state = ?3, reason = ?4, concluded_at = ?5
        WHERE config = ?1 AND number = ?2 AND state = 0";
    let values = params![
        config,
        number,
        config_state_code(state),
        reason,
        now.micros()
    ];
    Ok(transaction.execute(sql, values)? == 1)
}

fn insert(
    transaction: &Transaction<'_>,
    config: &str,
    new: &NewConfigVersion,
    now: Timestamp,
    state: ConfigState,
    reason: Option<&str>,
) -> Result<(), Failure> {
    let watch = match state {
        ConfigState::Watched(watch) => i64::try_from(watch.as_micros()).unwrap_or(i64::MAX),
        ConfigState::InForce | ConfigState::RolledBack => 0,
    };
    let sql = "INSERT INTO config_version (config, number, sha256, source, source_version, by_whom,
            restores, changes, published_at, watch_until, state, reason, concluded_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    transaction.execute(
        sql,
        params![
            config,
            int(new.after + 1)?,
            new.sha256,
            new.source,
            new.source_version,
            new.by,
            new.restores.map(int).transpose()?,
            new.changes,
            now.micros(),
            now.micros().saturating_add(watch),
            config_state_code(state),
            reason,
            (state == ConfigState::InForce).then(|| now.micros())
        ],
    )?;
    Ok(())
}

fn read(row: &Row<'_>, now: Timestamp) -> Result<ConfigVersion, Failure> {
    let until: i64 = row.get(8)?;
    let left = u64::try_from(until.saturating_sub(now.micros())).unwrap_or(0);
    let restores: Option<i64> = row.get(5)?;
    let concluded: Option<i64> = row.get(11)?;
    Ok(ConfigVersion {
        number: uint(row.get(0)?, "version")?,
        sha256: fixed(&row.get::<_, Vec<u8>>(1)?, "digest of a configuration")?,
        source: row.get(2)?,
        source_version: row.get(3)?,
        by: row.get(4)?,
        restores: restores
            .map(|number| uint(number, "restored version"))
            .transpose()?,
        changes: row.get(6)?,
        published_at: time(row.get(7)?, "time of a configuration")?,
        state: config_state_of(row.get(9)?, Duration::from_micros(left))?,
        reason: row.get(10)?,
        concluded_at: concluded
            .map(|at| time(at, "conclusion of a configuration"))
            .transpose()?,
    })
}
