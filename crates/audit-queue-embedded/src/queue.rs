//! The ports over the file.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use audit_queue::{
    Batch, Budget, Consumer, Depth, Durability, Frame, FrameId, FrameLookup, Marks, Payload,
    Producer, QueueError,
};
use audit_runtime::Clock;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::group::{Incoming, SettledIds};
use crate::options::{OpenError, Options};
use crate::reserve::Reserve;
use crate::rows::{self, Item, ReadBudget};
use crate::schema;
use crate::state::{Next, State, memory_of};
use crate::writer::{Command, Shared, Writer};

/// A command takes at least this much of [`Options::pending_bytes_max`], which so bounds their number too.
const ROOM_UNIT: usize = 4096;

/// The queue. See the crate for what it promises.
///
/// Dropping it waits for the writer to finish its last transaction; [`EmbeddedQueue::close`] does so without blocking the task.
#[derive(Debug)]
pub struct EmbeddedQueue {
    shared: Arc<Shared>,
    options: Options,
    commands: SyncSender<Command>,
    /// Bounds commands on their way, in units of [`ROOM_UNIT`].
    room: Arc<Semaphore>,
    room_max: u32,
    /// Whose turn it is to receive; one after the other, so that order is kept.
    receiving: tokio::sync::Mutex<()>,
    reader: Arc<Mutex<Connection>>,
    /// Short look-ups, which do not wait for a receiver's read.
    lookups: Arc<Mutex<Connection>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Held for as long as the queue is open.
    _lock: File,
}

impl EmbeddedQueue {
    /// Opens the queue at `path`, or makes it; `path` with `.lock` added guards against a second process. Blocks for as long as
    /// SQLite needs to recover the log. Everything not settled waits again.
    ///
    /// # Errors
    /// When it is in use, of a newer format, or cannot be read or made.
    pub fn open(path: &Path, options: Options, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let lock = lock(path)?;
        let opened = schema::open(path, &options)?;
        let reader = Arc::new(Mutex::new(schema::open_reader(path)?));
        let lookups = Arc::new(Mutex::new(schema::open_reader(path)?));
        let state = State::new(
            opened.totals,
            options.marks(),
            opened.first_seq,
            options.tail_bytes_max,
            options.hold,
        );
        let shared = Arc::new(Shared::new(state));
        let room_max = u32::try_from(options.pending_bytes_max / ROOM_UNIT)
            .unwrap_or(u32::MAX)
            .clamp(1, 1 << 20);
        // As many places as there can be enqueues, one for a poke, one to close.
        let (commands, received) = sync_channel(room_max as usize + 2);
        let writer = Writer {
            connection: opened.writing,
            commands: received,
            shared: Arc::clone(&shared),
            settled: SettledIds::new(opened.settled, options.settled_ids_kept),
            options: options.clone(),
            clock,
            reserve: Reserve::set_aside(path, options.reserve_bytes),
            room_from: Instant::now(),
            delivered_to: 0,
            logged: 0,
            log_is_stuck: false,
            untidy: true,
            refusing: false,
        };
        let writer = std::thread::Builder::new()
            .name("audit-queue".into())
            .spawn(move || writer.run())
            .map_err(|source| OpenError::Io {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self {
            shared,
            options,
            commands,
            room: Arc::new(Semaphore::new(room_max as usize)),
            room_max,
            receiving: tokio::sync::Mutex::default(),
            reader,
            lookups,
            writer: Mutex::new(Some(writer)),
            _lock: lock,
        })
    }

    /// Refuses by this mark from the next transaction on, instead of that of its options. What waits stays.
    pub fn set_marks(&self, marks: Marks) {
        self.shared.state().marks = marks;
    }

    /// Writes what was asked before, then ends; every later call answers [`QueueError::Closed`]. Again is fine.
    pub async fn close(&self) {
        if let Some(writer) = self.begin_close() {
            // A writer that panicked has said so; there is nothing more to wait for.
            drop(tokio::task::spawn_blocking(move || writer.join()).await);
        }
    }

    fn begin_close(&self) -> Option<JoinHandle<()>> {
        self.room.close();
        self.shared.state().closed = true;
        self.shared.wake.notify_waiters();
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()?;
        // Fails only when the writer is gone already.
        drop(self.commands.send(Command::Close));
        Some(writer)
    }

    async fn room_for(&self, bytes: usize) -> Result<OwnedSemaphorePermit, QueueError> {
        let units = u32::try_from(bytes / ROOM_UNIT)
            .unwrap_or(u32::MAX)
            .saturating_add(1)
            .min(self.room_max);
        Arc::clone(&self.room)
            .acquire_many_owned(units)
            .await
            .or(Err(QueueError::Closed))
    }

    /// Never waits: whoever has room has a place.
    fn send(&self, command: Command) -> Result<(), QueueError> {
        self.commands.try_send(command).or(Err(QueueError::Closed))
    }

    /// Has the writer write what consumers did. One poke is on its way at most, and has a place of its own.
    fn poke(&self) -> Result<(), QueueError> {
        if self.shared.poked.swap(true, Ordering::SeqCst) {
            Ok(())
        } else {
            self.send(Command::Poke)
        }
    }

    /// Returns when the writer has written what consumers did up to now. Takes no room: a caller that is not polled while it
    /// waits for room would keep everybody else waiting.
    async fn written(&self) -> Result<(), QueueError> {
        let (answer, answered) = oneshot::channel();
        self.shared.state().when_written(answer);
        self.poke()?;
        answered
            .await
            .map_err(|gone| QueueError::Unknown(Box::new(gone)))
    }

    async fn read<T: Send + 'static>(
        &self,
        connection: &Arc<Mutex<Connection>>,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, QueueError> {
        let connection = Arc::clone(connection);
        let reading = move || read(&connection.lock().unwrap_or_else(PoisonError::into_inner));
        match tokio::task::spawn_blocking(reading).await {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(error)) => Err(QueueError::Unavailable(Box::new(error))),
            Err(panicked) => Err(QueueError::Unavailable(Box::new(panicked))),
        }
    }

    /// Reads what comes next from the file and hands it out; `None` when nothing of it was there.
    async fn receive_from_file(
        &self,
        next: FromFile,
        budget: Budget,
    ) -> Result<Option<Batch>, QueueError> {
        let budget = ReadBudget {
            frames: budget.deliveries,
            bytes: budget.bytes,
            limits: self.options.frame,
        };
        let asked = next.clone();
        let frames = self
            .read(&self.reader, move |connection| {
                asked.read(connection, budget)
            })
            .await?;
        // From here on nothing waits: a receiver that is dropped before has taken nothing.
        let mut state = self.shared.state();
        let read_to = match next {
            FromFile::Range(_, to) => Some(to),
            FromFile::Named(seqs) => {
                if frames.is_empty() {
                    state.forget_returned(&seqs);
                }
                None
            }
        };
        Ok(state.was_read(frames, read_to, Instant::now()))
    }

    async fn receive_in_turn(
        &self,
        budget: Budget,
        deadline: Instant,
    ) -> Result<Batch, QueueError> {
        loop {
            // Before the look at the state, so that nothing that comes after it is missed.
            let mut woken = std::pin::pin!(self.shared.wake.notified());
            woken.as_mut().enable();
            let next = {
                let mut state = self.shared.state();
                if state.closed {
                    return Err(QueueError::Closed);
                }
                state.next(budget, Instant::now())
            };
            let from_file = match next {
                Next::Ready(batch) => return Ok(batch),
                Next::ReadNamed(seqs) => FromFile::Named(seqs),
                Next::ReadRange(from, to) => FromFile::Range(from, to),
                Next::Wait(hold_ends) => {
                    let until = hold_ends.map_or(deadline, |ends| ends.min(deadline));
                    if timeout_at(until, woken).await.is_err() && Instant::now() >= deadline {
                        return Ok(Batch::nothing());
                    }
                    continue;
                }
            };
            if let Some(batch) = self.receive_from_file(from_file, budget).await? {
                return Ok(batch);
            }
        }
    }
}

/// Releases what was taken by a receiver that was dropped before it could hand it on.
struct TakenBack<'a> {
    queue: &'a EmbeddedQueue,
    token: Option<u64>,
}

impl TakenBack<'_> {
    fn keep(mut self) {
        self.token = None;
    }
}

impl Drop for TakenBack<'_> {
    fn drop(&mut self) {
        if let Some(token) = self.token {
            self.queue.shared.state().take_back(token);
            self.queue.shared.wake.notify_waiters();
        }
    }
}

#[derive(Debug, Clone)]
enum FromFile {
    Named(Vec<u64>),
    Range(u64, u64),
}

impl FromFile {
    fn read(
        &self,
        connection: &Connection,
        budget: ReadBudget,
    ) -> rusqlite::Result<Vec<(Item, Payload)>> {
        match self {
            Self::Named(seqs) => rows::read_named(connection, seqs, budget),
            Self::Range(from, to) => rows::read_range(connection, *from, *to, budget),
        }
    }
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let open = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock_path);
    let lock = open.map_err(|source| OpenError::Io {
        path: path.to_owned(),
        source,
    })?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
        Err(std::fs::TryLockError::Error(source)) => Err(OpenError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

impl Drop for EmbeddedQueue {
    fn drop(&mut self) {
        if let Some(writer) = self.begin_close() {
            // As in `close`.
            drop(writer.join());
        }
    }
}

#[async_trait]
impl Producer for EmbeddedQueue {
    async fn enqueue(&self, frame: Frame) -> Result<Durability, QueueError> {
        frame
            .check(self.options.frame)
            .map_err(QueueError::Refused)?;
        let room = self.room_for(memory_of(&frame)).await?;
        let kept = frame.encode();
        let (answer, answered) = oneshot::channel();
        self.send(Command::Enqueue(
            Box::new(Incoming { frame, kept }),
            answer,
            room,
        ))?;
        answered
            .await
            .unwrap_or_else(|gone| Err(QueueError::Unknown(Box::new(gone))))?;
        Ok(Durability::Fsynced)
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let totals = {
            let state = self.shared.state();
            if state.closed {
                return Err(QueueError::Closed);
            }
            state.totals
        };
        let oldest_micros = if totals.frames == 0 {
            None
        } else {
            self.read(&self.lookups, rows::oldest_arrival).await?
        };
        Ok(Depth {
            enqueued: totals.enqueued,
            enqueued_internal: totals.enqueued_internal,
            frames: totals.frames,
            events: totals.events,
            events_internal: totals.events_internal,
            bytes: totals.bytes,
            oldest_micros,
        })
    }

    async fn pending(&self) -> Result<Option<u64>, QueueError> {
        Ok(Some(self.shared.state().held_frames()))
    }
}

#[async_trait]
impl Consumer for EmbeddedQueue {
    async fn receive(&self, budget: Budget) -> Result<Batch, QueueError> {
        let deadline = Instant::now() + budget.wait;
        let Ok(_turn) = timeout_at(deadline, self.receiving.lock()).await else {
            return Ok(Batch::nothing());
        };
        let batch = self.receive_in_turn(budget, deadline).await?;
        if batch.deliveries.is_empty() {
            return Ok(batch);
        }
        // The file must know what is handed out before it is: a frame that kills the process at once has to be counted.
        let taken = TakenBack {
            queue: self,
            token: Some(batch.token),
        };
        self.written().await?;
        taken.keep();
        Ok(batch)
    }

    async fn settle(&self, batch: Batch) -> Result<(), QueueError> {
        if batch.token == 0 {
            return Ok(());
        }
        if !self.shared.state().settle(batch.token) {
            return Err(QueueError::NotHeld);
        }
        self.written().await
    }

    async fn renew(&self, batch: &Batch) -> Result<(), QueueError> {
        let held = batch.token == 0 || self.shared.state().renew(batch.token, Instant::now());
        if held {
            Ok(())
        } else {
            Err(QueueError::NotHeld)
        }
    }

    async fn release(&self, batch: Batch) -> Result<(), QueueError> {
        if batch.token != 0 && !self.shared.state().release(batch.token) {
            return Err(QueueError::NotHeld);
        }
        self.shared.wake.notify_waiters();
        self.poke()
    }
}

#[async_trait]
impl FrameLookup for EmbeddedQueue {
    async fn is_waiting(&self, id: FrameId) -> Result<bool, QueueError> {
        self.read(&self.lookups, move |connection| {
            rows::is_waiting(connection, id)
        })
        .await
    }
}
