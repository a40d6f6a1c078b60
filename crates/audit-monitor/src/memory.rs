//! The windows of one process, in its memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use audit_integrity::ledger::{LeafIndex, LedgerId};

use crate::engine::{Engine, Table, Told, codec};
use crate::episode::{Episode, EpisodeId, Phase};
use crate::observation::Batch;
use crate::store::{Applied, WindowError, WindowStore};

/// A [`WindowStore`] in memory, with snapshots. Nothing in it waits.
#[derive(Debug)]
pub struct MemoryWindows {
    /// Guards everything; held for one batch at the most, and never while something is awaited.
    held: Mutex<Held>,
}

#[derive(Debug, Clone)]
struct Held {
    engine: Arc<Engine>,
    table: Table,
    /// Not settled, oldest first.
    raised: VecDeque<Episode>,
}

impl MemoryWindows {
    /// Empty windows over sources, and the leaf at which each is begun. Every source must be named: windows wait for each.
    ///
    /// After state was lost, begin so far before the cursor that the events there are older than the longest window: what is raised again
    /// has the ids that it had, but for an episode that went on since before that.
    #[must_use]
    pub fn new(engine: Arc<Engine>, sources: &[(LedgerId, LeafIndex)]) -> Self {
        Self {
            held: Mutex::new(Held {
                engine,
                table: Table::new(sources),
                raised: VecDeque::new(),
            }),
        }
    }

    /// From a [`snapshot`](Self::snapshot). Groups of correlations that the engine no longer has are forgotten, and their open episodes
    /// closed.
    ///
    /// # Errors
    /// [`WindowError::NotASnapshot`].
    pub fn restore(engine: Arc<Engine>, snapshot: &[u8]) -> Result<Self, WindowError> {
        let (table, mut raised, told) =
            codec::read(&engine, snapshot).ok_or(WindowError::NotASnapshot)?;
        raised.extend(told.episodes);
        Ok(Self {
            held: Mutex::new(Held {
                engine,
                table,
                raised,
            }),
        })
    }

    /// Everything, as bytes: cursors and clocks, groups, episodes that are not settled.
    ///
    /// # Errors
    /// [`WindowError::Broken`].
    pub fn snapshot(&self) -> Result<Vec<u8>, WindowError> {
        let held = self.held()?;
        Ok(codec::write(&held.table, &held.raised))
    }

    /// Goes on with other rules or limits. Correlations that are the same by their hash keep their windows; the others' are forgotten,
    /// and their open episodes closed.
    ///
    /// # Errors
    /// [`WindowError::Broken`].
    pub fn reload(&self, engine: Arc<Engine>) -> Result<(), WindowError> {
        let held = &mut *self.held()?;
        let mut told = Told::default();
        held.table.retain(&engine, &mut told);
        held.raised.extend(told.episodes);
        held.engine = engine;
        Ok(())
    }

    fn held(&self) -> Result<MutexGuard<'_, Held>, WindowError> {
        self.held.lock().map_err(|_poisoned| WindowError::Broken)
    }
}

#[async_trait]
impl WindowStore for MemoryWindows {
    async fn cursor(&self, source: LedgerId) -> Result<LeafIndex, WindowError> {
        Ok(self.held()?.table.cursor(source))
    }

    async fn apply(&self, batch: &Batch) -> Result<Applied, WindowError> {
        let held = &mut *self.held()?;
        let waiting = held.raised.len();
        if waiting >= held.engine.limits().episodes_max.max(1) {
            return Err(WindowError::Unsettled { waiting });
        }
        let told = held
            .table
            .apply(&held.engine, batch)
            .map_err(|moved| WindowError::Moved {
                source_id: batch.source(),
                from: batch.from(),
                at: moved.at,
            })?;
        held.raised.extend(told.episodes);
        Ok(Applied {
            late: told.late,
            notices: told.notices.into_list(),
        })
    }

    async fn raised(&self, most: usize) -> Result<Vec<Episode>, WindowError> {
        Ok(self.held()?.raised.iter().take(most).cloned().collect())
    }

    async fn settle(&self, episodes: &[(EpisodeId, Phase)]) -> Result<(), WindowError> {
        self.held()?
            .raised
            .retain(|episode| !episodes.contains(&(episode.id, episode.phase)));
        Ok(())
    }
}
