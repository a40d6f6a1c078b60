//! The commit: encoded in memory, then one transaction of pipelined statements, then COMMIT.

mod batch;
mod blame;
mod sql;

use std::time::Instant;

use audit_store::{Commit, CommitError};
use bytes::Bytes;
use futures::SinkExt;
use tokio_postgres::CopyInSink;

pub(crate) use batch::{Batch, HeadColumns};
pub(crate) use sql::{CHECK, CHUNK, CONTROLS, HEAD, LETTERS, RECEIPTS, REGISTER, TILES, TOTALS};

use crate::code::{ledger_code, state_code};
use crate::database::Database;
use crate::error::{Failure, NoAnswer};
use crate::lane::LaneSession;
use crate::session::{GRACE, Sessions, note_slow};
use crate::sqlstate::Meaning;
use crate::value::get;
use audit_integrity::head::LedgerState;

/// How a commit failed: in which part, and why.
#[derive(Debug)]
struct Failed {
    part: Part,
    failure: Failure,
}

/// Parts whose failures mean different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The event rows.
    Events,
    /// Receipts and dead letters.
    Books,
    /// Chunk, tiles, control documents, head.
    Ledger,
    /// Everything around them.
    Frame,
}

impl Part {
    fn of<T>(self, outcome: Result<T, impl Into<Failure>>) -> Result<T, Failed> {
        outcome.map_err(|error| Failed {
            part: self,
            failure: error.into(),
        })
    }
}

impl Database {
    /// Commits a batch on its lane's own connection.
    pub(crate) async fn commit_batch(&self, commit: Commit<'_>) -> Result<(), CommitError> {
        let batch = Batch::encode(commit)?;
        let now = self.now();
        self.make_partitions(&now.primary, &batch).await?;
        let mut session = self
            .lanes
            .take(batch.ledger, &now)
            .await
            .map_err(Failure::into_commit)?;
        let began = Instant::now();
        let outcome = self.commit_on(&mut session, &batch).await;
        note_slow(now.settings.slow_statement, "commit", began.elapsed());
        match outcome {
            Ok(()) => {
                self.put_back(batch.ledger, session);
                Ok(())
            }
            Err(failed) => Err(self.explain(failed, session, &batch).await),
        }
    }

    /// Before the transaction: a commit must not hold anything while a partition is attached.
    async fn make_partitions(
        &self,
        sessions: &Sessions,
        batch: &Batch<'_>,
    ) -> Result<(), CommitError> {
        for at in self.months.unknown(batch.rows.times()) {
            if let Err(failure) = self.months.ensure(sessions, at).await {
                if failure.meaning() == Some(Meaning::Data) {
                    let row = batch.rows.times().position(|time| time == at);
                    return Err(CommitError::Rejected {
                        identity: row.and_then(|row| batch.rows.identity(row)).cloned(),
                        reason: failure.into_store("make a partition").to_string(),
                    });
                }
                return Err(failure.into_commit());
            }
        }
        Ok(())
    }

    async fn commit_on(&self, session: &mut LaneSession, batch: &Batch<'_>) -> Result<(), Failed> {
        let patience = self.now().settings.statement_timeout.saturating_add(GRACE);
        match tokio::time::timeout(patience, write(session, batch)).await {
            Ok(written) => written?,
            Err(_elapsed) => return Part::Frame.of(Err(NoAnswer(patience))),
        }
        // C3: COMMIT. From here on a lost answer is an unknown outcome.
        let commit = session.client.batch_execute("COMMIT");
        match tokio::time::timeout(patience, commit).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Part::Frame.of(Err(unknown(error.into()))),
            Err(_elapsed) => Part::Frame.of(Err(unknown(NoAnswer(patience).into()))),
        }
    }

    /// Says what a failure means, and puts the connection back when it is whole.
    async fn explain(
        &self,
        failed: Failed,
        session: LaneSession,
        batch: &Batch<'_>,
    ) -> CommitError {
        let moved = CommitError::HeadMoved {
            expected: batch.expected_size,
        };
        let Failed { part, failure } = failed;
        let meaning = failure.meaning();
        if meaning == Some(Meaning::NoPartition) {
            self.months.forget();
        }
        let error = match (part, meaning) {
            (Part::Ledger, Some(Meaning::Taken)) => moved,
            (_, Some(Meaning::Taken)) => CommitError::AlreadyStored,
            (Part::Events, Some(Meaning::Data)) => {
                return self.blame(failure, session, batch).await;
            }
            (_, Some(Meaning::NoPartition)) => match failure {
                Failure::Server(error) => CommitError::Busy(Box::new(error)),
                other => other.into_commit(),
            },
            _ => failure.into_commit(),
        };
        if !matches!(error, CommitError::Unknown(_)) {
            self.roll_back(session, batch).await;
        }
        error
    }

    /// Ends the transaction and keeps the connection; a connection on which that fails is dropped, which ends it as well.
    async fn roll_back(&self, session: LaneSession, batch: &Batch<'_>) {
        if session.is_spoiled() {
            return;
        }
        let limit = self.now().settings.connect_timeout;
        let done = tokio::time::timeout(limit, session.client.batch_execute("ROLLBACK")).await;
        if matches!(done, Ok(Ok(()))) {
            self.put_back(batch.ledger, session);
        }
    }
}

/// The outcome of COMMIT is known only when the server says that it took the transaction back.
fn unknown(failure: Failure) -> Failure {
    match failure {
        Failure::Server(error)
            if matches!(
                crate::sqlstate::meaning(&error),
                Meaning::Busy | Meaning::Taken
            ) =>
        {
            Failure::Commit(CommitError::Busy(Box::new(error)))
        }
        Failure::Server(error) => Failure::Commit(CommitError::Unknown(Box::new(error))),
        Failure::Link(source) => Failure::Commit(CommitError::Unknown(source)),
        other => other,
    }
}

/// Writes everything but COMMIT, in two round trips. Reads top to bottom in the order of the crash points in README.md,
/// "Life of a commit".
async fn write(session: &mut LaneSession, batch: &Batch<'_>) -> Result<(), Failed> {
    register(session, batch).await?;
    let (client, statements) = (&session.client, &session.statements);
    // C1: nothing is written.
    let (ledger, owner) = (ledger_code(batch.ledger), batch.owner.as_str());
    let begin = client.batch_execute("BEGIN");
    let check_params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
        [&ledger, &batch.epoch, &owner];
    let check = client.query_one(&statements.check, &check_params);
    let copy = open_copy(session, batch);
    let (begun, checked, copy) = tokio::join!(biased; begin, check, copy);
    Part::Frame.of(begun)?;
    let copy = match judge(Part::Frame.of(checked)?, batch) {
        Ok(()) => copy?,
        Err(fenced) => return Part::Frame.of(Err(fenced)),
    };
    // Receipts go before the rows they answer for are finished, so that a frame committed before is found out as such; the
    // head is the last.
    let (events, receipts, totals, chunk, tiles, controls, letters, head) = tokio::join!(biased;
        send(copy, batch.rows.pieces(0..batch.rows.len())),
        batch.write_receipts(session),
        batch.write_totals(session),
        batch.write_chunk(session),
        batch.write_tiles(session),
        batch.write_controls(session),
        batch.write_letters(session),
        batch.write_head(session),
    );
    Part::Events.of(events)?;
    Part::Books.of(receipts)?;
    Part::Books.of(totals)?;
    Part::Ledger.of(chunk)?;
    Part::Ledger.of(tiles)?;
    Part::Ledger.of(controls)?;
    Part::Books.of(letters)?;
    // C2: everything is written and nothing is committed; a crash loses all of it.
    match Part::Ledger.of(head)? {
        true => Ok(()),
        false => Part::Frame.of(Err(Failure::Commit(moved_or_fenced(session, batch).await))),
    }
}

/// Writes the connection down in the lease, once an epoch: a takeover ends this very session.
async fn register(session: &mut LaneSession, batch: &Batch<'_>) -> Result<(), Failed> {
    if session.epoch == Some(batch.epoch.unsigned_abs()) {
        return Ok(());
    }
    let id = session.id;
    let ledger = ledger_code(batch.ledger);
    let done = session
        .client
        .execute(
            &session.statements.register,
            &[&ledger, &batch.epoch, &batch.owner, &id.pid, &id.start],
        )
        .await;
    match Part::Frame.of(done)? {
        0 => Part::Frame.of(Err(Failure::Commit(CommitError::Fenced))),
        _ => {
            session.epoch = Some(batch.epoch.unsigned_abs());
            Ok(())
        }
    }
}

async fn open_copy(
    session: &LaneSession,
    batch: &Batch<'_>,
) -> Result<Option<CopyInSink<Bytes>>, Failed> {
    if batch.rows.len() == 0 {
        return Ok(None);
    }
    Part::Events.of(session.open_copy().await).map(Some)
}

/// Sends the rows; `None` when there are none.
async fn send(
    copy: Option<CopyInSink<Bytes>>,
    pieces: Vec<Bytes>,
) -> Result<(), tokio_postgres::Error> {
    let Some(copy) = copy else { return Ok(()) };
    let mut copy = std::pin::pin!(copy);
    for piece in pieces {
        // The server may have given up on the rows already; then `finish` says why.
        if copy.feed(piece).await.is_err() {
            break;
        }
    }
    copy.finish().await.map(|_rows| ())
}

/// What the first look at lease and head says.
fn judge(row: tokio_postgres::Row, batch: &Batch<'_>) -> Result<(), Failure> {
    let held: bool = get(&row, 0, "lease")?;
    let size: Option<i64> = get(&row, 1, "head size")?;
    let state: Option<i16> = get(&row, 2, "head state")?;
    if !held {
        return Err(CommitError::Fenced.into());
    }
    if size.and_then(|size| u64::try_from(size).ok()) != Some(batch.expected_size) {
        return Err(CommitError::HeadMoved {
            expected: batch.expected_size,
        }
        .into());
    }
    // A ledger that takes no more has no writer any more.
    if state != Some(state_code(LedgerState::Open)) {
        return Err(CommitError::Fenced.into());
    }
    Ok(())
}

/// The head was not where it should be when it was to be moved: looks which of the two it was.
async fn moved_or_fenced(session: &LaneSession, batch: &Batch<'_>) -> CommitError {
    let moved = CommitError::HeadMoved {
        expected: batch.expected_size,
    };
    let (ledger, owner) = (ledger_code(batch.ledger), batch.owner.as_str());
    let again = session
        .client
        .query_one(&session.statements.check, &[&ledger, &batch.epoch, &owner])
        .await;
    match again.map(|row| judge(row, batch)) {
        Ok(Err(Failure::Commit(error))) => error,
        _ => moved,
    }
}
