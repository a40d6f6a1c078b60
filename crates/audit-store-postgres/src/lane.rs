//! The dedicated connection of each lane: opened when it first commits, kept while nothing goes wrong on it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use audit_integrity::ledger::LedgerId;
use bytes::Bytes;
use deadpool_postgres::ClientWrapper;
use tokio_postgres::{CopyInSink, Statement};

use crate::code::ledger_code;
use crate::commit;
use crate::copy::COPY;
use crate::database::Connected;
use crate::error::{Failure, NoAnswer};
use crate::pool::Object;
use crate::session::session_sql;
use crate::value::{Micros, get};

/// Connections of lanes that are idle between two commits. A commit takes its own out and puts it back when it ends well:
/// a commit that is dropped half-way takes its connection, and with it its transaction, along.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    idle: Mutex<BTreeMap<i16, LaneSession>>,
}

/// Which connection it is, to the server: a process id may be used again, but not with the same beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionId {
    pub(crate) pid: i32,
    pub(crate) start: Micros,
}

/// A lane's connection.
#[derive(Debug)]
pub(crate) struct LaneSession {
    pub(crate) client: ClientWrapper,
    pub(crate) statements: Statements,
    pub(crate) id: SessionId,
    /// Of the settings that it was told last ([`Connected`]).
    pub(crate) generation: u64,
    /// The first of those that were connected in the same way.
    pub(crate) since: u64,
    /// The epoch of the lease in which it is written down.
    pub(crate) epoch: Option<u64>,
    /// A COPY that the server refuses to begin leaves one answer more on the connection than questions were asked
    /// (tokio-postgres 0.7 ends every COPY, begun or not); whoever used it next would take it for his own.
    spoiled: AtomicBool,
}

/// What a commit runs, prepared once a connection.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) register: Statement,
    pub(crate) check: Statement,
    pub(crate) copy: Statement,
    pub(crate) receipts: Statement,
    pub(crate) totals: Statement,
    pub(crate) chunk: Statement,
    pub(crate) tiles: Statement,
    pub(crate) controls: Statement,
    pub(crate) letters: Statement,
    pub(crate) head: Statement,
}

impl Lanes {
    /// The idle connection of a ledger's lane, or a new one.
    pub(crate) async fn take(
        &self,
        ledger: LedgerId,
        now: &Connected,
    ) -> Result<LaneSession, Failure> {
        let idle = self.lock().remove(&ledger_code(ledger));
        let usable =
            |session: &LaneSession| session.since == now.since && !session.client.is_closed();
        let limit = now.settings.connect_timeout;
        let taking = async {
            match idle.filter(usable) {
                Some(session) => session.told(now).await,
                None => LaneSession::open(now).await,
            }
        };
        tokio::time::timeout(limit, taking)
            .await
            .map_err(|_elapsed| Failure::from(NoAnswer(limit)))?
    }

    pub(crate) fn put_back(&self, ledger: LedgerId, session: LaneSession) {
        self.lock().insert(ledger_code(ledger), session);
    }

    /// Which connection a lane of this process has, when it is idle.
    pub(crate) fn session_of(&self, ledger: LedgerId) -> Option<SessionId> {
        self.lock()
            .get(&ledger_code(ledger))
            .map(|session| session.id)
    }

    /// Closes a lane's connection.
    pub(crate) fn close(&self, ledger: LedgerId) {
        drop(self.lock().remove(&ledger_code(ledger)));
    }

    /// Closes all.
    pub(crate) fn close_all(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<i16, LaneSession>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LaneSession {
    async fn open(now: &Connected) -> Result<Self, Failure> {
        // Out of the pool for good: it closes when it is dropped.
        let client = Object::take(now.primary.connection().await?);
        let own = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()";
        let row = client.query_one(own, &[]).await?;
        let id = SessionId {
            pid: get(&row, 0, "own process id")?,
            start: get(&row, 1, "own beginning")?,
        };
        let prepare = |sql| client.prepare(sql);
        let statements = Statements {
            register: prepare(commit::REGISTER).await?,
            check: prepare(commit::CHECK).await?,
            copy: prepare(COPY).await?,
            receipts: prepare(commit::RECEIPTS).await?,
            totals: prepare(commit::TOTALS).await?,
            chunk: prepare(commit::CHUNK).await?,
            tiles: prepare(commit::TILES).await?,
            controls: prepare(commit::CONTROLS).await?,
            letters: prepare(commit::LETTERS).await?,
            head: prepare(commit::HEAD).await?,
        };
        Ok(Self {
            client,
            statements,
            id,
            generation: now.generation,
            since: now.since,
            epoch: None,
            spoiled: AtomicBool::new(false),
        })
    }

    /// The same, told what holds now.
    async fn told(mut self, now: &Connected) -> Result<Self, Failure> {
        if self.generation != now.generation {
            let told = self.client.batch_execute(&session_sql(&now.settings)).await;
            told?;
            self.generation = now.generation;
        }
        Ok(self)
    }

    /// Begins to send rows.
    pub(crate) async fn open_copy(&self) -> Result<CopyInSink<Bytes>, tokio_postgres::Error> {
        let begun = self.client.copy_in(&self.statements.copy).await;
        if begun.is_err() {
            self.spoiled.store(true, Ordering::Relaxed);
        }
        begun
    }

    /// Whether it can only be closed.
    pub(crate) fn is_spoiled(&self) -> bool {
        self.spoiled.load(Ordering::Relaxed)
    }
}
