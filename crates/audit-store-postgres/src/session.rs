//! Connections: one pool for reads and small writes, one for searches, and raw ones for the lanes.

use std::time::{Duration, Instant};

use audit_store::StoreError;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::error::{Failure, NoAnswer, OpenError};
use crate::identity::Identity;
use crate::pool::{Object, Pool, failed_hook, pool};
use crate::settings::{ConnectionString, Settings};

/// How much longer than the server's own time-out we wait for its answer.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// Parameters of a statement.
pub(crate) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// What every session is told first. `synchronous_commit` is only ever raised: a server that waits for replicas goes on to.
pub(crate) fn session_sql(settings: &Settings) -> String {
    format!(
        "SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {};
         SET timezone = 'UTC'; SET default_transaction_isolation = 'read committed';
         SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')",
        settings.statement_timeout.as_millis(),
        settings.lock_timeout.as_millis(),
        settings.idle_in_transaction_timeout.as_millis(),
    )
}

/// The pool of one address, with the time-outs and the log of slow statements.
#[derive(Debug, Clone)]
pub(crate) struct Sessions {
    pub(crate) pool: Pool,
    /// How long an answer is waited for.
    patience: Duration,
    slow: Duration,
}

impl Sessions {
    /// Those before, if any, gave what is idle: they connect to the same address in the same way.
    pub(crate) fn new(
        settings: &Settings,
        address: &ConnectionString,
        identity: &Identity,
        before: Option<&Self>,
    ) -> Result<Self, OpenError> {
        let words = Some(session_sql(settings));
        Self::told(settings, address, words, identity, before)
    }

    /// Sessions that may be somebody else's in a moment: they are told nothing, and every transaction brings what it needs.
    pub(crate) fn shared(
        settings: &Settings,
        address: &ConnectionString,
        identity: &Identity,
        before: Option<&Self>,
    ) -> Result<Self, OpenError> {
        Self::told(settings, address, None, identity, before)
    }

    fn told(
        settings: &Settings,
        address: &ConnectionString,
        words: Option<String>,
        identity: &Identity,
        before: Option<&Self>,
    ) -> Result<Self, OpenError> {
        let before = before.map(|before| &before.pool);
        Ok(Self {
            pool: pool(settings, address, words, identity, before)?,
            patience: settings.statement_timeout.saturating_add(GRACE),
            slow: settings.slow_statement,
        })
    }

    /// A connection. Whoever uses it does so within [`Self::within`].
    pub(crate) async fn connection(&self) -> Result<Object, Failure> {
        self.pool.get().await.map_err(failed_hook)
    }

    /// How long whoever uses a connection waits for its answers.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Runs one statement and reads all its rows.
    pub(crate) async fn query(
        &self,
        what: &'static str,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Vec<Row>, StoreError> {
        self.read(what, sql, params, Planned::Usual).await
    }

    /// As [`Self::query`], with one plan for all values from the first time on: to plan for every partition costs ten times what
    /// a look into the index of each does, and the values change nothing about it.
    pub(crate) async fn query_everywhere(
        &self,
        what: &'static str,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Vec<Row>, StoreError> {
        self.read(what, sql, params, Planned::Once).await
    }

    async fn read(
        &self,
        what: &'static str,
        sql: &str,
        params: Params<'_>,
        planned: Planned,
    ) -> Result<Vec<Row>, StoreError> {
        let outcome = match self.connection().await {
            Ok(client) => {
                let began = Instant::now();
                let work = planned.read(&client, sql, params);
                let done = tokio::time::timeout(self.patience, work).await;
                self.note(what, began.elapsed());
                settle(client, done, self.patience)
            }
            Err(failure) => Err(failure),
        };
        outcome.map_err(|failure| failure.into_store(what))
    }

    /// As [`Self::query`], for a range in the order of an index, and never sorted: the server has no statistics of rows that came
    /// a moment ago, expects a handful and sorts all of them in a temporary file. Planned for these very values: a plan kept for
    /// all would not know how far a range reaches, nor where it ends.
    pub(crate) async fn query_range(
        &self,
        what: &'static str,
        sql: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, StoreError> {
        let outcome = match self.connection().await {
            Ok(client) => {
                let began = Instant::now();
                let begin = "BEGIN READ ONLY; SET LOCAL enable_sort = off";
                let work = in_transaction(&client, begin, client.query_typed(sql, params));
                let done = tokio::time::timeout(self.patience, work).await;
                self.note(what, began.elapsed());
                settle(client, done, self.patience)
            }
            Err(failure) => Err(failure),
        };
        outcome.map_err(|failure| failure.into_store(what))
    }

    /// At most one row of [`Self::query`].
    pub(crate) async fn query_opt(
        &self,
        what: &'static str,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.query(what, sql, params).await?.into_iter().next())
    }

    /// Runs one statement; gives back how many rows it changed.
    pub(crate) async fn execute(
        &self,
        what: &'static str,
        sql: &str,
        params: Params<'_>,
    ) -> Result<u64, Failure> {
        let client = self.connection().await?;
        let work = async {
            let statement = client.prepare_cached(sql).await?;
            Ok(client.execute(&statement, params).await?)
        };
        let began = Instant::now();
        let done = tokio::time::timeout(self.patience, work).await;
        self.note(what, began.elapsed());
        settle(client, done, self.patience)
    }

    /// Logs what took too long.
    pub(crate) fn note(&self, what: &'static str, took: Duration) {
        note_slow(self.slow, what, took);
    }
}

/// When a prepared statement is planned.
#[derive(Debug, Clone, Copy)]
enum Planned {
    /// The first five times for the values, then as the server thinks is cheaper.
    Usual,
    /// Once a connection.
    Once,
}

impl Planned {
    async fn read(
        self,
        client: &Object,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Vec<Row>, Failure> {
        let statement = client.prepare_cached(sql).await?;
        match self {
            Self::Usual => Ok(client.query(&statement, params).await?),
            Self::Once => {
                let begin = "BEGIN READ ONLY; SET LOCAL plan_cache_mode = force_generic_plan";
                in_transaction(client, begin, client.query(&statement, params)).await
            }
        }
    }
}

/// Reads in a transaction with settings of its own. One round trip; and a call that is dropped has sent the end of its transaction
/// already.
async fn in_transaction(
    client: &Object,
    begin: &str,
    reading: impl Future<Output = Result<Vec<Row>, tokio_postgres::Error>>,
) -> Result<Vec<Row>, Failure> {
    let (begun, rows, ended) = tokio::join!(biased;
        client.batch_execute(begin),
        reading,
        client.batch_execute("COMMIT"),
    );
    begun?;
    let rows = rows?;
    ended?;
    Ok(rows)
}

/// Logs a statement that took longer than `slow`: by name, never with its values.
pub(crate) fn note_slow(slow: Duration, what: &'static str, took: Duration) {
    if took >= slow {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(statement = what, millis, "slow statement");
    }
}

/// A connection whose answer was not waited for is closed: the next one to use it would wait for that answer.
pub(crate) fn settle<T>(
    client: Object,
    done: Result<Result<T, Failure>, tokio::time::error::Elapsed>,
    patience: Duration,
) -> Result<T, Failure> {
    match done {
        Ok(outcome) => outcome,
        Err(_elapsed) => {
            drop(Object::take(client));
            Err(NoAnswer(patience).into())
        }
    }
}
