//! Where windows are kept: the port.

use std::sync::Arc;

use async_trait::async_trait;
use audit_event::Timestamp;
use audit_integrity::ledger::{LeafIndex, LedgerId};
use audit_runtime::{Fault, Faulty};

use crate::engine::{Engine, Notice};
use crate::episode::{Episode, EpisodeId, Phase};
use crate::observation::Batch;

/// Port: the state of correlations, and the cursor of each ledger that is followed, moved as one.
///
/// Contract; the suite `conformance` proves it of a store.
/// - *Begun once*: there is no state before [`begin`](Self::begin), nor after the store lost it; everything answers
///   [`WindowError::Lost`] until somebody begins. Beginning where there is a state changes nothing.
/// - *Atomic*: [`apply`](Self::apply) takes a batch whole, with its observations, its clock, its cursor and the episodes that follow from
///   it, or nothing of it. Nobody sees a part.
/// - *Once*: a batch whose start is not its source's cursor is refused, and changes nothing. So a batch that is read again after a crash
///   counts once; the caller reads on from [`cursor`](Self::cursor).
/// - *Order*: batches of one source are applied in the order of its leaves. Those of different sources may come in any order and
///   concurrently, from any process that shares the store.
/// - *Same episodes*: for the same events of one source, whatever the batches. For several sources too, as long as no event is later than
///   the allowed lateness.
/// - *Nothing is lost between here and the alerts*: an episode stays in [`raised`](Self::raised) until it is [`settled`](Self::settle),
///   and may come again after a crash even then. The caller makes alerts of them first, which is idempotent by the episode's id and
///   phase, and settles after.
/// - *When*: episodes follow from what was applied at the latest when `raised` has been called often enough. Of the processes that share a
///   store one at a time is given them, which goes on to another when that one calls no longer.
/// - *Durable when it returns?* As the store says. What was lost is rebuilt by reading the ledgers again from the longest window before
///   the cursor.
/// - *Cancellation*: a dropped call has happened or has not; ask for the cursor.
/// - *Retries and time-outs* are the caller's. *Bounds* are the engine's [`crate::Limits`] and the store's own; what the former force is
///   [`told`](Self::told).
#[async_trait]
pub trait WindowStore: Send + Sync + std::fmt::Debug {
    /// Begins at these leaves, when there is no state. Every source must be named: windows wait for each.
    ///
    /// After state was lost, begin so far before the durable cursor that the events there are older than the longest window: what is
    /// raised again has the ids that it had, but for an episode that went on since before that.
    ///
    /// # Errors
    /// When the store is away.
    async fn begin(&self, sources: &[(LedgerId, LeafIndex)]) -> Result<(), WindowError>;

    /// The leaf that the next batch of a source starts at.
    ///
    /// # Errors
    /// [`WindowError::Lost`]; when the store is away.
    async fn cursor(&self, source: LedgerId) -> Result<LeafIndex, WindowError>;

    /// Applies a batch.
    ///
    /// # Errors
    /// [`WindowError::Moved`] for a batch that does not start at the cursor, [`WindowError::Unsettled`] while too much waits,
    /// [`WindowError::Lost`]; nothing was changed.
    async fn apply(&self, batch: &Batch) -> Result<(), WindowError>;

    /// Up to `most` episodes that were not settled, oldest first. Asking again gives the same.
    ///
    /// # Errors
    /// [`WindowError::Lost`]; when the store is away.
    async fn raised(&self, most: usize) -> Result<Vec<Episode>, WindowError>;

    /// Forgets raised episodes, once they are alerts. Those it does not know are none of its business.
    ///
    /// # Errors
    /// When the store is away.
    async fn settle(&self, episodes: &[(EpisodeId, Phase)]) -> Result<(), WindowError>;

    /// What this process has found besides episodes since it was last asked, for metrics and events. What a process died with, the next
    /// finds again, or nobody: they are no books.
    ///
    /// # Errors
    /// [`WindowError::Broken`].
    fn told(&self) -> Result<Applied, WindowError>;

    /// So far everything is counted, and what came of it is settled; nothing while this process cannot say. Written down from time to
    /// time, it is the durable cursor that lost state is rebuilt from.
    ///
    /// # Errors
    /// [`WindowError::Lost`]; when the store is away.
    async fn settled(&self) -> Result<Vec<(LedgerId, LeafIndex)>, WindowError>;

    /// The time by the store's own clock, which all who share it have; `None` where the caller's is the only one.
    ///
    /// # Errors
    /// When the store is away.
    async fn now(&self) -> Result<Option<Timestamp>, WindowError> {
        Ok(None)
    }

    /// Goes on with other rules or limits. Correlations that are the same by their hash keep their windows; the others' are forgotten,
    /// and their open episodes closed. Every process that shares a store must be told the same.
    ///
    /// # Errors
    /// [`WindowError::Broken`].
    fn reload(&self, engine: Arc<Engine>) -> Result<(), WindowError>;
}

/// What came of batches, besides episodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Observations that were later than is allowed.
    pub late: u64,
    /// What the bounds forced, for a metric and an event: one for each shortage and rule, in their order.
    pub notices: Vec<Notice>,
}

impl Applied {
    /// Adds what came of others.
    pub fn add(&mut self, other: Self) {
        self.late = self.late.saturating_add(other.late);
        for notice in other.notices {
            let key = |one: &Notice| (one.shortage, one.rule.clone());
            match self.notices.binary_search_by_key(&key(&notice), key) {
                Ok(place) => {
                    if let Some(same) = self.notices.get_mut(place) {
                        same.count = same.count.saturating_add(notice.count);
                    }
                }
                Err(place) => self.notices.insert(place, notice),
            }
        }
    }
}

/// A store did not do what it was asked; nothing was changed, but after [`WindowError::Unavailable`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WindowError {
    /// The batch does not start at the source's cursor: read on from there.
    #[error("the batch starts at leaf {from}, the cursor of ledger {source_id} is {at}", from = from.0, at = at.0)]
    Moved {
        /// The source.
        source_id: LedgerId,
        /// Where the batch starts.
        from: LeafIndex,
        /// Where the source is.
        at: LeafIndex,
    },
    /// Too many episodes wait, or batches to be looked at: settle what is raised, and come again.
    #[error("{waiting} episodes or batches wait")]
    Unsettled {
        /// How many.
        waiting: usize,
    },
    /// There is no state, or no longer: [begin](WindowStore::begin).
    #[error("the windows are not begun, or were lost")]
    Lost,
    /// These bytes are no snapshot, or were altered: rebuild the state from the ledgers.
    #[error("not a snapshot of windows")]
    NotASnapshot,
    /// A batch was left half-way, by a bug: what is held is unknown. Go back to a snapshot, or to the ledgers.
    #[error("the windows are in an unknown state")]
    Broken,
    /// The store is away; whether a batch was applied, its cursor tells.
    #[error("the window store is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Faulty for WindowError {
    fn fault(&self) -> Fault {
        match self {
            Self::Moved { .. } | Self::Lost | Self::NotASnapshot | Self::Broken => Fault::Fatal,
            Self::Unsettled { .. } => Fault::Transient,
            Self::Unavailable(_) => Fault::Outage,
        }
    }
}

/// Port: where what was found becomes alerts.
///
/// Contract: durable when it returns, all of it or nothing; the same episode raised again, in the same phase or an earlier one, changes
/// nothing. Callable concurrently, from any process.
#[async_trait]
pub trait EpisodeSink: Send + Sync + std::fmt::Debug {
    /// Makes alerts of episodes, or brings those that there are up to date.
    ///
    /// # Errors
    /// [`WindowError::Unavailable`] when they cannot be kept now: nothing may be settled, and no cursor moved past them.
    async fn raise(&self, episodes: &[Episode]) -> Result<(), WindowError>;
}
