//! The write thread: owns the one connection that writes, runs jobs in order, keeps the log small.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{Semaphore, oneshot};

use crate::ballast::Ballast;
use crate::connection;
use crate::error::{Failure, extended};
use crate::options::Options;

/// Jobs waiting or running at once; callers beyond it wait for their turn.
const JOBS_MAX: usize = 64;
/// After so long without a job the log is cut back to nothing and the ballast restored.
const IDLE: Duration = Duration::from_secs(1);
/// While cutting the log back, how long readers are waited for: commits wait too.
const TRUNCATE_PATIENCE: Duration = Duration::from_millis(100);

/// Hands jobs to the write thread. Dropping it ends the thread after the job that runs.
#[derive(Debug)]
pub(crate) struct Writer {
    // Taken out to end the thread.
    jobs: Mutex<Option<SyncSender<Job>>>,
    // Bounds the jobs, so that handing one over never blocks a task.
    room: Arc<Semaphore>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    pub(crate) stats: Arc<WriterStats>,
}

/// What the write thread has done; read by anyone.
#[derive(Debug, Default)]
pub(crate) struct WriterStats {
    pub(crate) log_bytes: AtomicU64,
    pub(crate) ballast_held: AtomicBool,
}

type Job = Box<dyn FnOnce(&mut WriteSide) + Send>;

/// What only the write thread touches.
pub(crate) struct WriteSide {
    pub(crate) connection: Connection,
    log: PathBuf,
    ballast: Ballast,
    options: Options,
    stats: Arc<WriterStats>,
}

/// The job did not run, or did not end: the thread is gone, or the job panicked.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NoAnswer(&'static str);

impl NoAnswer {
    /// Nothing was done.
    const CLOSED: Self = Self("the store is closed");
    /// Something may have been done.
    const LOST: Self = Self("the write thread gave no answer");

    /// Whether the job certainly never ran.
    pub(crate) fn is_closed(&self) -> bool {
        self.0 == Self::CLOSED.0
    }
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(mut side: WriteSide) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel::<Job>(JOBS_MAX);
        side.publish();
        let stats = Arc::clone(&side.stats);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || side.run(&queue))?;
        Ok(Self {
            jobs: Mutex::new(Some(jobs)),
            room: Arc::new(Semaphore::new(JOBS_MAX)),
            thread: Mutex::new(Some(thread)),
            stats,
        })
    }

    /// Runs a job on the write thread. A job whose caller is gone runs all the same.
    pub(crate) async fn call<T, F>(&self, job: F) -> Result<T, NoAnswer>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriteSide) -> T + Send + 'static,
    {
        let permit = Arc::clone(&self.room)
            .acquire_owned()
            .await
            .map_err(|_closed| NoAnswer::CLOSED)?;
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |side| {
            let outcome = job(side);
            drop(permit);
            // A caller that has gone away does not want to know.
            drop(answer.send(outcome));
        });
        self.hand_over(job)?;
        answered.await.map_err(|_lost| NoAnswer::LOST)
    }

    fn hand_over(&self, job: Job) -> Result<(), NoAnswer> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let jobs = jobs.as_ref().ok_or(NoAnswer::CLOSED)?;
        // Never full: there are as many permits as places.
        jobs.try_send(job).map_err(|_gone| NoAnswer::CLOSED)
    }

    /// Ends the thread after the jobs it has; blocks until it is gone, its log copied and its connection closed.
    pub(crate) fn stop(&self) {
        self.room.close();
        drop(
            self.jobs
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the write thread of the store panicked");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl WriteSide {
    /// `log` is the path of SQLite's write-ahead log.
    pub(crate) fn new(
        connection: Connection,
        log: PathBuf,
        ballast: Ballast,
        options: Options,
    ) -> Self {
        Self {
            connection,
            log,
            ballast,
            options,
            stats: Arc::default(),
        }
    }

    fn run(&mut self, jobs: &Receiver<Job>) {
        loop {
            match jobs.recv_timeout(IDLE) {
                Ok(job) => {
                    // A panic drops the job's transaction, which rolls back; its caller sees no answer.
                    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(self))).is_err()
                    {
                        tracing::error!("a write job panicked and was rolled back");
                    }
                    self.keep_log_small();
                }
                Err(RecvTimeoutError::Timeout) => self.idle(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.publish();
        }
        self.truncate_log();
    }

    /// Runs `work` in one transaction; all of it is durable when this returns `Ok`, nothing of it happened otherwise.
    pub(crate) fn transaction<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let outcome = run_transaction(&mut self.connection, work);
        if let Err(failure) = &outcome
            && failure.is_full()
        {
            tracing::error!(?failure, "the disk of the store is full");
            self.ballast.release();
        }
        outcome
    }

    /// After a job, with its caller already answered.
    fn keep_log_small(&mut self) {
        let bytes = self.log_bytes();
        if bytes >= self.options.truncate_bytes {
            self.truncate_log();
        } else if bytes >= self.options.checkpoint_bytes
            && self.uncopied_bytes() >= self.options.checkpoint_bytes
        {
            self.checkpoint("PASSIVE");
        }
    }

    /// What of the log is not in the database file yet. The log's own length does not tell: once grown, it is written over
    /// from its beginning. When it cannot be told it counts as everything, and copying says why.
    fn uncopied_bytes(&self) -> u64 {
        let pages = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
        self.connection
            .query_row("PRAGMA wal_checkpoint(NOOP)", (), pages)
            .map_or(u64::MAX, |(written, copied)| {
                let pages = written.saturating_sub(copied).max(0).unsigned_abs();
                pages.saturating_mul(u64::from(connection::PAGE_BYTES))
            })
    }

    fn idle(&mut self) {
        if self.log_bytes() > 0 {
            self.truncate_log();
        }
        self.ballast.restore();
    }

    /// Copies the log and cuts it to nothing, waiting a moment for readers of old pages.
    fn truncate_log(&mut self) {
        let patience = self.options.busy_timeout.min(TRUNCATE_PATIENCE);
        if self.connection.busy_timeout(patience).is_ok() {
            self.checkpoint("TRUNCATE");
        }
        if let Err(error) = self.connection.busy_timeout(self.options.busy_timeout) {
            tracing::warn!(%error, "cannot set the busy time-out back");
        }
    }

    /// A checkpoint that fails loses nothing: the log stays, and the next one tries again.
    fn checkpoint(&mut self, mode: &str) {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        if let Err(error) = self.connection.query_row(&sql, (), |_row| Ok(())) {
            tracing::warn!(%error, code = extended(&error), "cannot copy the log into the database");
            if Failure::Sql(error).is_full() {
                self.ballast.release();
            }
        }
    }

    fn log_bytes(&self) -> u64 {
        std::fs::metadata(&self.log).map_or(0, |found| found.len())
    }

    fn publish(&mut self) {
        self.stats
            .log_bytes
            .store(self.log_bytes(), Ordering::Relaxed);
        self.stats
            .ballast_held
            .store(self.ballast.held(), Ordering::Relaxed);
    }
}

fn run_transaction<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    // IMMEDIATE: what the transaction reads first (lease, head) cannot change before it writes.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let value = work(&transaction)?;
    transaction.commit().map_err(after_commit)?;
    Ok(value)
}

/// A failed fsync of the commit leaves its outcome to the disk: it is rolled back here, yet a crash right now might
/// bring it back from the log. Everything else was certainly rolled back.
fn after_commit(error: rusqlite::Error) -> Failure {
    if extended(&error) == rusqlite::ffi::SQLITE_IOERR_FSYNC {
        return Failure::Commit(audit_store::CommitError::Unknown(Box::new(error)));
    }
    Failure::Sql(error)
}
