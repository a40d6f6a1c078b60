//! The fold over the log: from a snapshot and the batches after it to windows and episodes.

use std::fmt;
use std::sync::Arc;

use audit_event::Timestamp;
use audit_monitor::{Batch, Engine, MemoryWindows, WindowError, WindowStore};
use tokio::time::Instant;

use crate::answer::{Entry, Kept};
use crate::settings::Settings;

/// What one process has folded. A function of the log alone: two of them at once find the same.
pub(crate) struct Evaluator {
    pub(crate) windows: MemoryWindows,
    /// Compared by address, to see when another is in use.
    engine: Arc<Engine>,
    /// The entry folded last: of which state, its place, its mark.
    pub(crate) place: Place,
    since: SinceSnapshot,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) at: u64,
    pub(crate) mark: String,
}

/// What a snapshot would add to the newest.
struct SinceSnapshot {
    batches: u64,
    bytes: u64,
    /// Folded, settled or reloaded.
    changed: bool,
    at: Instant,
}

impl SinceSnapshot {
    fn nothing() -> Self {
        Self {
            batches: 0,
            bytes: 0,
            changed: false,
            at: Instant::now(),
        }
    }
}

impl fmt::Debug for Evaluator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Evaluator").field(&self.place).finish()
    }
}

/// Why folding ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Folded {
    /// All there was.
    All,
    /// There is more in the log.
    Some,
    /// Too many episodes wait to be settled.
    Full,
}

impl Evaluator {
    /// From a snapshot.
    ///
    /// # Errors
    /// [`WindowError::NotASnapshot`].
    pub(crate) fn restore(engine: Arc<Engine>, kept: Kept) -> Result<Self, WindowError> {
        Ok(Self {
            windows: MemoryWindows::restore(Arc::clone(&engine), &kept.bytes)?,
            engine,
            place: Place {
                name: kept.name,
                at: kept.at,
                mark: kept.mark,
            },
            since: SinceSnapshot::nothing(),
        })
    }

    /// Goes on with this engine.
    ///
    /// # Errors
    /// [`WindowError::Broken`].
    pub(crate) fn go_by(&mut self, engine: Arc<Engine>) -> Result<(), WindowError> {
        if !Arc::ptr_eq(&engine, &self.engine) {
            self.windows.reload(Arc::clone(&engine))?;
            self.engine = engine;
            self.since.changed = true;
        }
        Ok(())
    }

    /// Folds the entries after its place. `last` is the newest of the log.
    ///
    /// # Errors
    /// [`WindowError::Lost`] when an entry is missing, not to be read, or does not follow the one before: the state cannot be found out.
    pub(crate) async fn fold(
        &mut self,
        last: u64,
        entries: Vec<Entry>,
    ) -> Result<Folded, WindowError> {
        if entries.is_empty() && self.place.at < last {
            return Err(WindowError::Lost);
        }
        for entry in entries {
            if entry.at != self.place.at.saturating_add(1) {
                return Err(WindowError::Lost);
            }
            let batch = Batch::decode(&entry.batch).ok_or(WindowError::Lost)?;
            match self.fold_one(&batch, entry.quiet).await {
                Ok(()) => {}
                Err(WindowError::Unsettled { .. }) => return Ok(Folded::Full),
                Err(WindowError::Moved { .. }) => return Err(WindowError::Lost),
                Err(other) => return Err(other),
            }
            self.since.batches += 1;
            self.since.bytes += u64::try_from(entry.batch.len()).unwrap_or(u64::MAX);
            self.since.changed = true;
            self.place.at = entry.at;
            self.place.mark = entry.mark;
        }
        Ok(if self.place.at < last {
            Folded::Some
        } else {
            Folded::All
        })
    }

    /// The leaves before the batch that are no entry come first. Folding it again after it was refused half-way finds them done.
    async fn fold_one(&self, batch: &Batch, quiet: Option<i64>) -> Result<(), WindowError> {
        let source = batch.source();
        let at = self.windows.cursor(source).await?;
        if at < batch.from() {
            let clock = quiet.map(Timestamp::clamped);
            let before = Batch::quiet(source, at, batch.from(), clock);
            self.windows.apply(&before).await?;
        }
        self.windows.apply(batch).await
    }

    /// Something was settled.
    pub(crate) fn changed(&mut self) {
        self.since.changed = true;
    }

    /// Whether a snapshot should be taken.
    pub(crate) fn is_due(&self, settings: &Settings) -> bool {
        // Long before the log is full, so that writers do not stand still.
        let batches = settings.snapshot_batches.min(settings.entries_max / 2);
        let full = self.since.batches >= batches.max(1)
            || self.since.bytes >= settings.bytes_max / 2
            || self.since.at.elapsed() >= settings.snapshot_every;
        self.since.changed && full
    }

    /// Whether a snapshot would say anything new.
    pub(crate) fn is_changed(&self) -> bool {
        self.since.changed
    }

    /// A snapshot was taken, or cannot be.
    pub(crate) fn kept(&mut self) {
        self.since = SinceSnapshot::nothing();
    }
}
