//! `ConfigVersions`: one statement each, so that of two processes one wins.

use std::time::Duration;

use async_trait::async_trait;
use audit_store::config::VERSIONS_KEPT;
use audit_store::{
    ConfigReport, ConfigState, ConfigVersion, ConfigVersions, NewConfigVersion, StoreError,
};
use tokio_postgres::Row;

use crate::code::{
    config_state_code, config_state_of, config_taken_code, config_taken_of, fixed, int, uint,
};
use crate::database::Database;
use crate::value::{get, optional_time, time};

const SELECT: &str =
    "SELECT number, sha256, source, source_version, by_whom, restores, changes, published_at, state,
    reason, greatest(0, (extract(epoch FROM watch_until - clock_timestamp()) * 1000000)::bigint), concluded_at
    FROM audit.config_version WHERE config = $1";

/// After a version that is the newest and not watched (state 0). Of two at the same time the primary key lets one in.
const PUBLISH: &str = "INSERT INTO audit.config_version (config, number, sha256, source, source_version, by_whom, restores, changes,
        published_at, watch_until, state, concluded_at)
    SELECT $1, $2::bigint + 1, $3, $4, $5, $6, $7, $8, statement_timestamp(),
        statement_timestamp() + $9::bigint * interval '1 microsecond', $10, CASE WHEN $9::bigint = 0 THEN statement_timestamp() END
    WHERE coalesce((SELECT max(number) FROM audit.config_version WHERE config = $1), 0) = $2
        AND NOT EXISTS (SELECT FROM audit.config_version WHERE config = $1 AND number = $2 AND state = 0)
    ON CONFLICT DO NOTHING";

/// While a version is watched nobody can publish, so what is taken back is the newest.
const ROLL_BACK: &str = "WITH taken AS (
        UPDATE audit.config_version SET state = $10, reason = $9, concluded_at = statement_timestamp()
        WHERE config = $1 AND number = $2 AND state = 0 RETURNING number
    )
    INSERT INTO audit.config_version (config, number, sha256, source, source_version, by_whom, restores, changes, published_at,
        watch_until, state, concluded_at, reason)
    SELECT $1, taken.number + 1, $3, $4, $5, $6, $7, $8, statement_timestamp(), statement_timestamp(), $11, statement_timestamp(), $9 FROM taken";

#[async_trait]
impl ConfigVersions for Database {
    async fn newest(&self, config: &str) -> Result<Option<ConfigVersion>, StoreError> {
        Ok(ConfigVersions::list(self, config, 1)
            .await?
            .into_iter()
            .next())
    }

    async fn list(&self, config: &str, max: u32) -> Result<Vec<ConfigVersion>, StoreError> {
        let sql = format!("{SELECT} ORDER BY number DESC LIMIT $2");
        let rows = self
            .query("list configurations", &sql, &[&config, &i64::from(max)])
            .await?;
        rows.iter().map(read).collect()
    }

    async fn publish(&self, config: &str, new: &NewConfigVersion) -> Result<bool, StoreError> {
        let state = if new.watch.is_zero() {
            ConfigState::InForce
        } else {
            ConfigState::Watched(new.watch)
        };
        let watch = i64::try_from(new.watch.as_micros()).unwrap_or(i64::MAX);
        let restores = new.restores.map(int).transpose()?;
        let published = self
            .execute(
                "publish a configuration",
                PUBLISH,
                &[
                    &config,
                    &int(new.after)?,
                    &new.sha256.as_slice(),
                    &new.source,
                    &new.source_version,
                    &new.by,
                    &restores,
                    &new.changes,
                    &watch,
                    &config_state_code(state),
                ],
            )
            .await?;
        if published == 1 {
            self.forget(config, new.after + 1).await?;
        }
        Ok(published == 1)
    }

    async fn confirm(&self, config: &str, number: u64) -> Result<bool, StoreError> {
        let sql = "UPDATE audit.config_version SET state = $3, concluded_at = clock_timestamp()
            WHERE config = $1 AND number = $2 AND state = 0";
        let state = config_state_code(ConfigState::InForce);
        let confirmed = self
            .execute(
                "confirm a configuration",
                sql,
                &[&config, &int(number)?, &state],
            )
            .await?;
        Ok(confirmed == 1)
    }

    async fn roll_back(
        &self,
        config: &str,
        reason: &str,
        instead: &NewConfigVersion,
    ) -> Result<bool, StoreError> {
        let restores = instead.restores.map(int).transpose()?;
        let published = self
            .execute(
                "roll a configuration back",
                ROLL_BACK,
                &[
                    &config,
                    &int(instead.after)?,
                    &instead.sha256.as_slice(),
                    &instead.source,
                    &instead.source_version,
                    &instead.by,
                    &restores,
                    &instead.changes,
                    &reason,
                    &config_state_code(ConfigState::RolledBack),
                    &config_state_code(ConfigState::InForce),
                ],
            )
            .await?;
        Ok(published == 1)
    }

    async fn report(&self, config: &str, report: &ConfigReport) -> Result<(), StoreError> {
        let sql = "INSERT INTO audit.config_report (config, number, process, taken, detail, at)
            VALUES ($1, $2, $3, $4, $5, clock_timestamp())
            ON CONFLICT (config, number, process) DO UPDATE
            SET taken = excluded.taken, detail = excluded.detail, at = excluded.at";
        let taken = config_taken_code(report.taken);
        self.execute(
            "report a configuration",
            sql,
            &[
                &config,
                &int(report.number)?,
                &report.process,
                &taken,
                &report.detail,
            ],
        )
        .await
        .map(|_rows| ())
    }

    async fn reports(&self, config: &str, number: u64) -> Result<Vec<ConfigReport>, StoreError> {
        let sql = "SELECT process, taken, detail, at FROM audit.config_report
            WHERE config = $1 AND number = $2 ORDER BY process";
        let rows = self
            .query(
                "read reports of a configuration",
                sql,
                &[&config, &int(number)?],
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(ConfigReport {
                    process: get(row, 0, "process")?,
                    number,
                    taken: config_taken_of(get::<i16>(row, 1, "report")?.into())?,
                    detail: get(row, 2, "report detail")?,
                    at: time(row, 3, "report time")?,
                })
            })
            .collect()
    }
}

impl Database {
    /// Drops what is older than the versions that stay.
    async fn forget(&self, config: &str, newest: u64) -> Result<(), StoreError> {
        let last = int(newest.saturating_sub(u64::from(VERSIONS_KEPT)))?;
        for sql in [
            "DELETE FROM audit.config_report WHERE config = $1 AND number <= $2",
            "DELETE FROM audit.config_version WHERE config = $1 AND number <= $2",
        ] {
            self.execute("drop old configurations", sql, &[&config, &last])
                .await?;
        }
        Ok(())
    }
}

fn read(row: &Row) -> Result<ConfigVersion, StoreError> {
    let left = uint(get(row, 10, "watch of a configuration")?, "watch")?;
    let restores: Option<i64> = get(row, 5, "restored version")?;
    Ok(ConfigVersion {
        number: uint(get(row, 0, "version")?, "version")?,
        sha256: fixed(get(row, 1, "digest of a configuration")?, "digest")?,
        source: get(row, 2, "source of a configuration")?,
        source_version: get(row, 3, "version at the source")?,
        by: get(row, 4, "who changed a configuration")?,
        restores: restores
            .map(|number| uint(number, "restored version"))
            .transpose()?,
        changes: get(row, 6, "changes of a configuration")?,
        published_at: time(row, 7, "time of a configuration")?,
        state: config_state_of(
            get::<i16>(row, 8, "state of a configuration")?.into(),
            Duration::from_micros(left),
        )?,
        concluded_at: optional_time(row, 11, "conclusion of a configuration")?,
        reason: get(row, 9, "reason of a configuration")?,
    })
}
