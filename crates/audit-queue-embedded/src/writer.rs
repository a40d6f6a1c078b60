//! The thread that writes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use audit_queue::{QueueError, error::Source};
use audit_runtime::Clock;
use rusqlite::{Connection, ErrorCode, ffi};
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};

use crate::group::{self, Failed, Incoming, Outcome, Rules, SettledIds, Written};
use crate::options::Options;
use crate::reserve::Reserve;
use crate::state::{State, Unwritten};

/// After this long without a command the file is put in order.
const IDLE: Duration = Duration::from_millis(50);

/// The log is moved into the file when about this much was written to it.
const LOG_BYTES_MAX: u64 = 8 << 20;

/// Pages given back to the file system in one idle step, and how many may stay free.
const FREE_PAGES: i64 = 256;

/// Shared by the writer and the ports.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Something became deliverable, or the queue was closed.
    pub(crate) wake: Notify,
    /// A poke is on its way already.
    pub(crate) poked: AtomicBool,
}

impl Shared {
    pub(crate) const fn new(state: State) -> Self {
        Self {
            state: Mutex::new(state),
            wake: Notify::const_new(),
            poked: AtomicBool::new(false),
        }
    }

    /// Held for memory work only, which leaves the state whole even when it panics half-way.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A frame and who waits for the answer.
type Enqueue = (Box<Incoming>, oneshot::Sender<Result<(), QueueError>>);

/// What the writer is asked.
#[derive(Debug)]
pub(crate) enum Command {
    /// Put this in.
    Enqueue(
        Box<Incoming>,
        oneshot::Sender<Result<(), QueueError>>,
        OwnedSemaphorePermit,
    ),
    /// Consumers did something.
    Poke,
    /// Write what is there and end.
    Close,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) commands: Receiver<Command>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) settled: SettledIds,
    pub(crate) options: Options,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) reserve: Reserve,
    /// When making room may be tried again.
    pub(crate) room_from: Instant,
    /// As the file has it.
    pub(crate) delivered_to: u64,
    /// Written since the log was last moved, roughly.
    pub(crate) logged: u64,
    /// Whether it could not be moved the last time.
    pub(crate) log_is_stuck: bool,
    /// Whether there is work for an idle moment.
    pub(crate) untidy: bool,
    /// Whether the last group was refused; only changes are logged.
    pub(crate) refusing: bool,
}

/// Commands that are written together.
#[derive(Debug, Default)]
struct Group {
    enqueues: Vec<Enqueue>,
    /// Room of the commands, free again when they are answered.
    room: Vec<OwnedSemaphorePermit>,
    close: bool,
}

impl Group {
    fn add(&mut self, command: Command) {
        match command {
            Command::Enqueue(incoming, answer, room) => {
                self.enqueues.push((incoming, answer));
                self.room.push(room);
            }
            Command::Poke => {}
            Command::Close => self.close = true,
        }
    }
}

impl Writer {
    pub(crate) fn run(mut self) {
        loop {
            let first = if self.untidy {
                self.commands.recv_timeout(IDLE)
            } else {
                self.commands.recv().map_err(Into::into)
            };
            match first {
                Ok(command) => {
                    let group = self.gather(command);
                    let close = group.close;
                    self.write(group);
                    self.shorten_log();
                    if close {
                        break;
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.tidy(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.end();
    }

    /// Takes all that waits; how much that can be is bounded by the room that commands hold.
    fn gather(&self, first: Command) -> Group {
        let mut group = Group::default();
        group.add(first);
        while !group.close
            && let Ok(command) = self.commands.try_recv()
        {
            group.add(command);
        }
        group
    }

    fn write(&mut self, group: Group) {
        self.shared.poked.store(false, Ordering::SeqCst);
        let Group { enqueues, room, .. } = group;
        let (unwritten, waiting) = self.shared.state().take_unwritten();
        self.settled.note(&unwritten.settled);
        if let Err(error) = self.make_room() {
            self.refuse(
                &|| QueueError::NoSpace(Box::new(std::io::Error::from(error.kind()))),
                &error,
                enqueues,
            );
            self.write_what_consumers_did(unwritten);
            tell(waiting);
            return;
        }
        let incoming: Vec<&Incoming> = enqueues.iter().map(|(incoming, _)| &**incoming).collect();
        let mut written = self.transact(&incoming, &unwritten);
        if written.as_ref().is_err_and(Failed::is_for_space) {
            // The log may start over in the space it has.
            self.move_log(MoveLog::Passive);
            written = self.transact(&incoming, &unwritten);
        }
        match written {
            Ok(written) => {
                self.settled.written(&unwritten.settled);
                self.refusing = false;
                self.publish(written, enqueues);
            }
            Err(failed) => {
                let failed = Arc::new(failed);
                self.refuse(&|| error_of(&failed), &failed.error, enqueues);
                self.write_what_consumers_did(unwritten);
            }
        }
        tell(waiting);
        drop(room);
    }

    /// Without the enqueues, which found no room: first in the space there is, then in the reserve.
    fn write_what_consumers_did(&mut self, unwritten: Unwritten) {
        if unwritten.settled.is_empty()
            && unwritten.returned.is_empty()
            && unwritten.delivered_to == self.delivered_to
        {
            return;
        }
        let mut written = self.transact(&[], &unwritten);
        if written.as_ref().is_err_and(Failed::is_for_space) {
            self.move_log(MoveLog::Passive);
            written = self.transact(&[], &unwritten);
        }
        if written.as_ref().is_err_and(Failed::is_for_space) && self.reserve.give_up() {
            written = self.transact(&[], &unwritten);
        }
        match written {
            Ok(written) => {
                self.settled.written(&unwritten.settled);
                // What was taken out may have made room.
                self.room_from = Instant::now();
                self.publish(written, Vec::new());
            }
            Err(_) => self.shared.state().put_back_unwritten(unwritten),
        }
    }

    /// An error while the reserve is given up, or the log cannot be moved into the file and is long already: nothing may be
    /// put in until there is room, so that what room there is serves taking out.
    fn make_room(&mut self) -> std::io::Result<()> {
        let log_is_stuck = self.log_is_stuck && self.logged > self.log_bytes_max();
        if !self.reserve.is_given_up() && !log_is_stuck {
            return Ok(());
        }
        let now = Instant::now();
        if now < self.room_from {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        self.room_from = now + IDLE;
        self.untidy = true;
        self.move_log(MoveLog::Truncate);
        while self.give_back_pages().unwrap_or(false) {}
        self.move_log(MoveLog::Truncate);
        if self.log_is_stuck {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        self.reserve.regain()
    }

    fn transact(
        &mut self,
        incoming: &[&Incoming],
        unwritten: &Unwritten,
    ) -> Result<Written, Failed> {
        self.untidy = true;
        let synchronous = if incoming.is_empty() {
            "NORMAL"
        } else {
            "FULL"
        };
        self.connection
            .pragma_update(None, "synchronous", synchronous)
            .map_err(|error| Failed {
                error,
                in_commit: false,
            })?;
        let (totals, marks) = {
            let state = self.shared.state();
            (state.totals, state.marks)
        };
        let rules = Rules {
            marks,
            arrived: self.clock.now_micros(),
        };
        let written = group::write(
            &mut self.connection,
            &totals,
            incoming,
            unwritten,
            &self.settled,
            &rules,
        )?;
        self.delivered_to = unwritten.delivered_to;
        // A transaction touches a handful of pages besides the bytes it brings.
        let bytes: usize = incoming.iter().map(|incoming| incoming.kept.len()).sum();
        self.logged = self
            .logged
            .saturating_add(bytes as u64 + 16_384 + 256 * unwritten.settled.len() as u64);
        Ok(written)
    }

    /// First the state, then the consumers, then the answers: who was answered sees it.
    fn publish(&self, written: Written, enqueues: Vec<Enqueue>) {
        let mut answers = Vec::with_capacity(enqueues.len());
        {
            let mut state = self.shared.state();
            state.totals = written.totals;
            for ((incoming, answer), outcome) in enqueues.into_iter().zip(written.outcomes) {
                let result = match outcome {
                    Outcome::Added(item) => {
                        state.enqueued(item, incoming.frame);
                        Ok(())
                    }
                    Outcome::Known => Ok(()),
                    Outcome::Full(totals) => Err(QueueError::Full {
                        waiting_events: totals.events,
                        waiting_bytes: totals.bytes.saturating_sub(totals.bytes_internal),
                    }),
                };
                answers.push((answer, result));
            }
        }
        self.shared.wake.notify_waiters();
        answers
            .into_iter()
            .for_each(|(answer, result)| drop(answer.send(result)));
    }

    fn refuse(
        &mut self,
        answer_of: &dyn Fn() -> QueueError,
        reason: &(dyn std::error::Error + 'static),
        enqueues: Vec<Enqueue>,
    ) {
        if !self.refusing && !enqueues.is_empty() {
            tracing::error!(error = reason, "the queue's file cannot be written");
            self.refusing = true;
        }
        for (_, answer) in enqueues {
            // A caller that went away needs no answer.
            answer.send(Err(answer_of())).ok();
        }
    }

    /// The reserve has to hold what the log would add to the file, and then some.
    fn log_bytes_max(&self) -> u64 {
        match self.options.reserve_bytes {
            0 => LOG_BYTES_MAX,
            reserve => LOG_BYTES_MAX.min(reserve / 2),
        }
    }

    fn shorten_log(&mut self) {
        if self.logged > 4 * self.log_bytes_max() {
            // Readers kept it from starting over; they are short, so waiting for them is too.
            self.move_log(MoveLog::Restart);
        } else if self.logged > self.log_bytes_max() {
            self.move_log(MoveLog::Passive);
        }
    }

    /// Moves the log into the file. It fails when the disk is full; the log then stays, and is moved later.
    fn move_log(&mut self, how: MoveLog) {
        let moved: rusqlite::Result<(i64, i64)> = self
            .connection
            .query_row(how.sql(), [], |row| Ok((row.get(1)?, row.get(2)?)));
        match moved {
            Ok((in_log, moved)) if in_log == moved => self.logged = 0,
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "the queue's log cannot be moved into its file");
                self.log_is_stuck = true;
                return;
            }
        }
        self.log_is_stuck = false;
    }

    /// An idle moment: what is not written is tried again, the log is moved, free pages are given back.
    fn tidy(&mut self) {
        let (unwritten, waiting) = self.shared.state().take_unwritten();
        let nothing_to_write = unwritten.settled.is_empty() && unwritten.returned.is_empty();
        if !nothing_to_write {
            self.write_what_consumers_did(unwritten);
        }
        tell(waiting);
        self.move_log(MoveLog::Passive);
        let more_free = self.give_back_pages().unwrap_or(false);
        let no_room = self.make_room().is_err();
        self.untidy = !nothing_to_write || self.logged > 0 || more_free || no_room;
    }

    /// One step; whether more is to be done.
    fn give_back_pages(&mut self) -> rusqlite::Result<bool> {
        let free: i64 = self
            .connection
            .pragma_query_value(None, "freelist_count", |row| row.get(0))?;
        if free <= FREE_PAGES {
            return Ok(false);
        }
        self.connection
            .pragma_update(None, "synchronous", "NORMAL")?;
        // Each step of this statement gives back one page.
        let mut giving = self
            .connection
            .prepare(&format!("PRAGMA incremental_vacuum({FREE_PAGES})"))?;
        let mut steps = giving.query([])?;
        while steps.next()?.is_some() {}
        self.logged = self.logged.saturating_add(1);
        Ok(free > 2 * FREE_PAGES)
    }

    /// The last transaction. When nothing is held nothing counts as delivered to a process that died.
    fn end(&mut self) {
        let (mut unwritten, waiting) = self.shared.state().take_unwritten();
        self.settled.note(&unwritten.settled);
        if unwritten.settled.is_empty() && self.shared.state().holds_nothing() {
            unwritten.delivered_to = 0;
        }
        self.write_what_consumers_did(unwritten);
        tell(waiting);
        // Whoever asked while we closed has nothing in the file.
        while let Ok(command) = self.commands.try_recv() {
            if let Command::Enqueue(_, answer, _) = command {
                answer.send(Err(QueueError::Closed)).ok();
            }
        }
        self.move_log(MoveLog::Truncate);
    }
}

/// Also when it panics: nobody waits for a writer that is gone.
impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.state().writer_is_gone();
    }
}

/// Whoever settled need not know whether it could be written: it will be, and until then receipts cover it. A caller that
/// went away needs no answer.
fn tell(waiting: Vec<oneshot::Sender<()>>) {
    for answer in waiting {
        answer.send(()).ok();
    }
}

/// How hard the log is moved into the file.
#[derive(Debug, Clone, Copy)]
enum MoveLog {
    /// As far as no reader is in the way.
    Passive,
    /// Waits for readers, so that the log starts over.
    Restart,
    /// That, and the log becomes empty.
    Truncate,
}

impl MoveLog {
    const fn sql(self) -> &'static str {
        match self {
            Self::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
            Self::Restart => "PRAGMA wal_checkpoint(RESTART)",
            Self::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
        }
    }
}

/// What a failed transaction means for one enqueue. Nothing of it is in the file, unless its fsync failed: then a crash may
/// bring it back.
fn error_of(failed: &Arc<Failed>) -> QueueError {
    let source: Source = Box::new(Arc::clone(failed));
    let code = failed.error.sqlite_error();
    let fsync_failed = code.is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_FSYNC);
    match code.map(|error| error.code) {
        _ if failed.is_for_space() => QueueError::NoSpace(source),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => QueueError::Busy(source),
        _ if failed.in_commit || fsync_failed => QueueError::Unknown(source),
        _ => QueueError::Unavailable(source),
    }
}
