//! The slow path of a data error: which event does the server refuse?

use std::ops::Range;

use audit_store::CommitError;

use super::{Batch, send};
use crate::database::Database;
use crate::error::{Failure, NoAnswer};
use crate::lane::LaneSession;
use crate::session::GRACE;
use crate::sqlstate::Meaning;

/// Rows tried under one savepoint (DESIGN §3.4).
const CHUNK: usize = 250;

impl Database {
    /// Names the event that a data error is about, and proves it: its row alone is refused as well. Everything happens in a
    /// transaction that is rolled back.
    pub(super) async fn blame(
        &self,
        failure: Failure,
        session: LaneSession,
        batch: &Batch<'_>,
    ) -> CommitError {
        let patience = self.now().settings.statement_timeout.saturating_add(GRACE);
        let looked = tokio::time::timeout(patience, look(&session, batch, failure)).await;
        let outcome = looked.unwrap_or_else(|_elapsed| Err(NoAnswer(patience).into()));
        self.roll_back(session, batch).await;
        match outcome {
            Ok((row, reason)) => CommitError::Rejected {
                identity: row.and_then(|row| batch.rows.identity(row)).cloned(),
                reason,
            },
            Err(failure) if failure.meaning() == Some(Meaning::Taken) => CommitError::AlreadyStored,
            Err(failure) => failure.into_commit(),
        }
    }
}

/// The row at fault and what the server says about it; `None` when it refuses no row by itself.
async fn look(
    session: &LaneSession,
    batch: &Batch<'_>,
    failure: Failure,
) -> Result<(Option<usize>, String), Failure> {
    let Failure::Server(said) = failure else {
        return Err(failure);
    };
    session.client.batch_execute("ROLLBACK; BEGIN").await?;
    // The server counts rows from 1.
    let named = said.line.and_then(|line| line.checked_sub(1));
    if let Some(row) = named
        && row < batch.rows.len()
        && let Some(reason) = attempt(session, batch, row..row + 1).await?
    {
        return Ok((Some(row), reason));
    }
    let mut start = 0;
    while start < batch.rows.len() {
        let end = batch.rows.len().min(start + CHUNK);
        if let Some(found) = narrow(session, batch, start..end).await? {
            return Ok(found);
        }
        start = end;
    }
    Ok((None, said.to_string()))
}

/// Halves a range until one row is left.
async fn narrow(
    session: &LaneSession,
    batch: &Batch<'_>,
    range: Range<usize>,
) -> Result<Option<(Option<usize>, String)>, Failure> {
    let mut range = range;
    let Some(mut reason) = attempt(session, batch, range.clone()).await? else {
        return Ok(None);
    };
    while range.len() > 1 {
        let middle = range.start + range.len() / 2;
        if let Some(first) = attempt(session, batch, range.start..middle).await? {
            (range, reason) = (range.start..middle, first);
        } else if let Some(second) = attempt(session, batch, middle..range.end).await? {
            (range, reason) = (middle..range.end, second);
        } else {
            return Ok(Some((None, reason)));
        }
    }
    Ok(Some((Some(range.start), reason)))
}

/// Writes some rows under a savepoint. What the server says when it refuses one for what it contains; the rows stay
/// written when it takes them.
async fn attempt(
    session: &LaneSession,
    batch: &Batch<'_>,
    range: Range<usize>,
) -> Result<Option<String>, Failure> {
    let client = &session.client;
    client.batch_execute("SAVEPOINT part").await?;
    let copy = session.open_copy().await?;
    match send(Some(copy), batch.rows.pieces(range)).await {
        Ok(()) => Ok(None),
        Err(error) => match Failure::from(error) {
            Failure::Server(said) if crate::sqlstate::meaning(&said) == Meaning::Data => {
                client.batch_execute("ROLLBACK TO SAVEPOINT part").await?;
                Ok(Some(said.to_string()))
            }
            other => Err(other),
        },
    }
}
