//! Where windows are kept: the port.

use async_trait::async_trait;
use audit_integrity::ledger::{LeafIndex, LedgerId};
use audit_runtime::{Fault, Faulty};

use crate::engine::Notice;
use crate::episode::{Episode, EpisodeId, Phase};
use crate::observation::Batch;

/// Port: the state of correlations, and the cursor of each ledger that is followed, moved as one.
///
/// Contract.
/// - *Atomic*: [`apply`](Self::apply) takes a batch whole, with its observations, its clock, its cursor and the episodes that follow from
///   it, or nothing of it. Nobody sees a part.
/// - *Once*: a batch whose start is not its source's cursor is refused, and changes nothing. So a batch that is read again after a crash
///   counts once; the caller reads on from [`cursor`](Self::cursor).
/// - *Order*: batches of one source are applied in the order of its leaves. Those of different sources may come in any order and
///   concurrently, from any process that shares the store.
/// - *Same episodes*: for the same events of one source, whatever the batches. For several sources too, as long as no event is later than
///   the allowed lateness.
/// - *Nothing is lost between here and the alerts*: an episode stays in [`raised`](Self::raised) until it is [`settled`](Self::settle).
///   The caller makes alerts of them first, which is idempotent by the episode's id and phase, and settles after.
/// - *Durable when it returns?* As the store says: the memory store is not, and is rebuilt from its snapshot or by reading the ledgers
///   again from the longest window before the cursor.
/// - *Cancellation*: a dropped call has happened or has not; ask for the cursor.
/// - *Retries and time-outs* are the caller's. *Bounds* are the engine's [`crate::Limits`]; what they force is told in [`Applied`].
#[async_trait]
pub trait WindowStore: Send + Sync {
    /// The leaf that the next batch of a source starts at.
    ///
    /// # Errors
    /// When the store is away.
    async fn cursor(&self, source: LedgerId) -> Result<LeafIndex, WindowError>;

    /// Applies a batch.
    ///
    /// # Errors
    /// [`WindowError::Moved`] for a batch that does not start at the cursor, [`WindowError::Unsettled`] while too many episodes wait;
    /// nothing was changed.
    async fn apply(&self, batch: &Batch) -> Result<Applied, WindowError>;

    /// Up to `most` episodes that were not settled, oldest first. Asking again gives the same.
    ///
    /// # Errors
    /// When the store is away.
    async fn raised(&self, most: usize) -> Result<Vec<Episode>, WindowError>;

    /// Forgets raised episodes, once they are alerts. Those it does not know are none of its business.
    ///
    /// # Errors
    /// When the store is away.
    async fn settle(&self, episodes: &[(EpisodeId, Phase)]) -> Result<(), WindowError>;
}

/// What came of a batch, besides episodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Observations that were later than is allowed.
    pub late: u64,
    /// What the bounds forced, for a metric and an event.
    pub notices: Vec<Notice>,
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
    /// Too many episodes wait: settle some.
    #[error("{waiting} episodes wait to be settled")]
    Unsettled {
        /// How many.
        waiting: usize,
    },
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
            Self::Moved { .. } | Self::NotASnapshot | Self::Broken => Fault::Fatal,
            Self::Unsettled { .. } => Fault::Transient,
            Self::Unavailable(_) => Fault::Outage,
        }
    }
}
