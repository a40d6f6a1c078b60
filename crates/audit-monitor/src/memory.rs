//! The windows of one process, in its memory.

use std::collections::{BTreeSet, VecDeque};
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
    /// `None` before it is begun.
    table: Option<Table>,
    /// Not settled, oldest first.
    raised: VecDeque<Episode>,
    told: Applied,
}

impl MemoryWindows {
    /// Empty windows, [begun](WindowStore::begin) at these leaves.
    #[must_use]
    pub fn new(engine: Arc<Engine>, sources: &[(LedgerId, LeafIndex)]) -> Self {
        Self::of(engine, Some(Table::new(sources)), VecDeque::new())
    }

    /// Without a state, to be begun.
    #[must_use]
    pub fn unbegun(engine: Arc<Engine>) -> Self {
        Self::of(engine, None, VecDeque::new())
    }

    fn of(engine: Arc<Engine>, table: Option<Table>, raised: VecDeque<Episode>) -> Self {
        Self {
            held: Mutex::new(Held {
                engine,
                table,
                raised,
                told: Applied::default(),
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
        Ok(Self::of(engine, Some(table), raised))
    }

    /// Everything, as bytes: cursors and clocks, groups, episodes that are not settled.
    ///
    /// # Errors
    /// [`WindowError::Lost`] before it is begun, [`WindowError::Broken`].
    pub fn snapshot(&self) -> Result<Vec<u8>, WindowError> {
        let held = self.held()?;
        let table = held.table.as_ref().ok_or(WindowError::Lost)?;
        Ok(codec::write(table, &held.raised))
    }

    fn held(&self) -> Result<MutexGuard<'_, Held>, WindowError> {
        self.held.lock().map_err(|_poisoned| WindowError::Broken)
    }
}

#[async_trait]
impl WindowStore for MemoryWindows {
    async fn begin(&self, sources: &[(LedgerId, LeafIndex)]) -> Result<(), WindowError> {
        self.held()?
            .table
            .get_or_insert_with(|| Table::new(sources));
        Ok(())
    }

    async fn cursor(&self, source: LedgerId) -> Result<LeafIndex, WindowError> {
        let held = self.held()?;
        let table = held.table.as_ref().ok_or(WindowError::Lost)?;
        Ok(table.cursor(source))
    }

    async fn apply(&self, batch: &Batch) -> Result<(), WindowError> {
        let held = &mut *self.held()?;
        let table = held.table.as_mut().ok_or(WindowError::Lost)?;
        let waiting = held.raised.len();
        if waiting >= held.engine.limits().episodes_max.max(1) {
            return Err(WindowError::Unsettled { waiting });
        }
        let told = table
            .apply(&held.engine, batch)
            .map_err(|moved| WindowError::Moved {
                source_id: batch.source(),
                from: batch.from(),
                at: moved.at,
            })?;
        held.raised.extend(told.episodes);
        held.told.add(Applied {
            late: told.late,
            notices: told.notices.into_list(),
        });
        Ok(())
    }

    async fn raised(&self, most: usize) -> Result<Vec<Episode>, WindowError> {
        let held = self.held()?;
        if held.table.is_none() {
            return Err(WindowError::Lost);
        }
        Ok(held.raised.iter().take(most).cloned().collect())
    }

    async fn settle(&self, episodes: &[(EpisodeId, Phase)]) -> Result<(), WindowError> {
        let settled: BTreeSet<_> = episodes.iter().collect();
        self.held()?
            .raised
            .retain(|episode| !settled.contains(&(episode.id, episode.phase)));
        Ok(())
    }

    async fn settled(&self) -> Result<Vec<(LedgerId, LeafIndex)>, WindowError> {
        let held = self.held()?;
        let table = held.table.as_ref().ok_or(WindowError::Lost)?;
        if !held.raised.is_empty() {
            return Ok(Vec::new());
        }
        Ok(table.cursors().collect())
    }

    fn told(&self) -> Result<Applied, WindowError> {
        Ok(std::mem::take(&mut self.held()?.told))
    }

    fn reload(&self, engine: Arc<Engine>) -> Result<(), WindowError> {
        let held = &mut *self.held()?;
        let mut told = Told::default();
        if let Some(table) = &mut held.table {
            table.retain(&held.engine, &engine, &mut told);
        }
        held.raised.extend(told.episodes);
        held.engine = engine;
        Ok(())
    }
}
