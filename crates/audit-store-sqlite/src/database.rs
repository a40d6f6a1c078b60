//! The opened database: what every port shares.

use audit_event::Timestamp;
use audit_store::leases::LocalClock;
use audit_store::{CommitError, StoreError};
use rusqlite::{Connection, Transaction};

use crate::error::{Failure, malformed};
use crate::lock::DirectoryLock;
use crate::options::Options;
use crate::readers::Readers;
use crate::text::TextWriter;
use crate::writer::{NoAnswer, WriteSide, Writer};

/// Everything of one opened store; each port is implemented on it in a file of its own.
///
/// Field order is closing order: readers, the write thread (joined), the text index, and last the lock.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) readers: Readers,
    pub(crate) writer: Writer,
    pub(crate) text: Option<TextWriter>,
    pub(crate) clock: LocalClock,
    pub(crate) options: Options,
    pub(crate) lock: std::sync::Mutex<Option<DirectoryLock>>,
}

impl Database {
    /// Reads on a blocking thread. What it sees is one snapshot only within a transaction of `work`'s own.
    pub(crate) async fn read<T, F>(&self, what: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    {
        self.readers.call(what, work).await
    }

    /// Writes in one transaction on the write thread; durable when it returns `Ok`.
    pub(crate) async fn write<T, F>(&self, what: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    {
        self.write_side(what, move |side| side.transaction(work))
            .await
    }

    /// Runs on the write thread, outside of a transaction.
    pub(crate) async fn write_side<T, F>(
        &self,
        what: &'static str,
        work: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriteSide) -> Result<T, Failure> + Send + 'static,
    {
        let lost = |source: NoAnswer| StoreError::Unavailable {
            what,
            source: Box::new(source),
        };
        self.writer
            .call(work)
            .await
            .map_err(lost)?
            .map_err(|failure| failure.into_store(what))
    }

    /// As [`Self::write`], for what answers with the commit's errors.
    pub(crate) async fn commit_with<F>(&self, work: F) -> Result<(), CommitError>
    where
        F: FnOnce(&Transaction<'_>) -> Result<(), Failure> + Send + 'static,
    {
        let outcome = self.writer.call(move |side| side.transaction(work)).await;
        match outcome {
            Ok(done) => done.map_err(Failure::into_commit),
            Err(closed) if closed.is_closed() => Err(CommitError::Unavailable(Box::new(closed))),
            Err(lost) => Err(CommitError::Unknown(Box::new(lost))),
        }
    }

    /// Now, by the store's clock.
    pub(crate) fn now(&self) -> Result<Timestamp, StoreError> {
        Timestamp::from_micros(self.clock.now_micros())
            .ok_or_else(|| malformed("the clock shows no such time"))
    }
}
