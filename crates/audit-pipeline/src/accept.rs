//! Accept: from the bytes of a request to a frame on disk, and back to an answer.

mod coalesce;
pub(crate) mod draft;
mod request;
mod wait;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use audit_event::{EventDraft, Severity, Timestamp};
use audit_integrity::keys::KeySource;
use audit_queue::{Durability, FrameEvent, FrameId, Producer, QueueError};
use audit_runtime::{Clock, Random, Tasks};
use audit_store::EventRead;
use tokio::sync::Semaphore;

pub use request::{
    AcceptError, AcceptRequest, Accepted, Ack, Caller, Item, ItemResult, ItemStatus, own_event,
};

use crate::checkpointed::Checkpointed;
use crate::hubs::Settlements;
use crate::metric;
use coalesce::{Coalescer, Enqueued};
use draft::Drafter;

/// Bounds of accept.
#[derive(Debug, Clone)]
pub struct AcceptSettings {
    /// How far ahead of its arrival an event may say it happened.
    pub max_ahead: Duration,
    /// Raw bytes of a frame at most (or one event).
    pub frame_bytes_max: usize,
    /// Bytes of requests in work at most; beyond it requests are told to come back.
    pub in_flight_bytes_max: usize,
    /// How long the queue may take for a frame before its answer counts as lost, and its events as to be sent again.
    pub enqueue_timeout: Duration,
    /// What a refused request is told to wait.
    pub retry_after: Duration,
}

impl Default for AcceptSettings {
    fn default() -> Self {
        Self {
            max_ahead: Duration::from_secs(300),
            frame_bytes_max: 1 << 20,
            in_flight_bytes_max: 64 << 20,
            enqueue_timeout: Duration::from_secs(30),
            retry_after: Duration::from_secs(1),
        }
    }
}

/// What accept works with.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each port's own comment says it")]
pub struct AcceptParts {
    pub queue: Arc<dyn Producer>,
    /// Takes events of severity `critical` that `queue` refuses because it is past its mark; without it they are refused, too.
    pub past_mark: Option<Arc<dyn Producer>>,
    pub events: Arc<dyn EventRead>,
    pub keys: Arc<dyn KeySource>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub settlements: Settlements,
    pub checkpointed: Checkpointed,
    pub tasks: Tasks,
}

/// The accept flow of one process. Cheap to share; every method may be called concurrently.
#[derive(Debug)]
pub struct Acceptor {
    parts: AcceptParts,
    settings: AcceptSettings,
    drafter: Drafter,
    coalescer: Coalescer,
    in_flight: Arc<Semaphore>,
    rejected: AtomicU64,
    /// When and why the newest enqueue failed; `None` once one has succeeded.
    trouble: std::sync::Mutex<Option<(tokio::time::Instant, String)>>,
}

/// How long a failed enqueue speaks against readiness.
const TROUBLE_COUNTS: Duration = Duration::from_secs(5);

/// Unit of the in-flight semaphore, so that its count fits a `u32`.
const IN_FLIGHT_UNIT: usize = 1024;

impl Acceptor {
    /// Starts the coalescer on the given tasks; it ends when the acceptor is dropped.
    #[must_use]
    pub fn start(parts: AcceptParts, settings: AcceptSettings) -> Arc<Self> {
        let drafter = Drafter::new(
            Arc::clone(&parts.keys),
            Arc::clone(&parts.random),
            settings.max_ahead,
        );
        let coalescer = Coalescer::start(&parts, &settings);
        let in_flight = Arc::new(Semaphore::new(
            settings.in_flight_bytes_max.div_ceil(IN_FLIGHT_UNIT),
        ));
        Arc::new(Self {
            parts,
            settings,
            drafter,
            coalescer,
            in_flight,
            rejected: AtomicU64::new(0),
            trouble: std::sync::Mutex::default(),
        })
    }

    /// Refuses events that say they happened further ahead than this, from the next item on.
    pub fn set_max_ahead(&self, max_ahead: Duration) {
        self.drafter.set_max_ahead(max_ahead);
    }

    /// Items refused since the process started.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }

    /// Why the queue took nothing the last time it was asked, for readiness. Forgotten after a few seconds: whoever is not
    /// ready is sent nothing, and would never find out that the queue takes events again.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let trouble = self
            .trouble
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let fresh = trouble
            .as_ref()
            .filter(|(at, _)| at.elapsed() < TROUBLE_COUNTS);
        fresh.map(|(_, reason)| reason.clone())
    }

    fn note_trouble(&self, trouble: Option<String>) {
        *self
            .trouble
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) =
            trouble.map(|reason| (tokio::time::Instant::now(), reason));
    }

    /// Takes a request's events. One bad item never hurts its neighbours.
    ///
    /// If the future is dropped, the events may be in the queue or not, as when a client hangs up.
    ///
    /// # Errors
    /// Only when nothing of the request was looked at; everything else is told item by item.
    pub async fn accept(&self, request: AcceptRequest) -> Result<Accepted, AcceptError> {
        let units = u32::try_from(request.bytes().div_ceil(IN_FLIGHT_UNIT)).unwrap_or(u32::MAX);
        let Ok(_permit) = self.in_flight.clone().try_acquire_many_owned(units.max(1)) else {
            return Err(AcceptError::Busy {
                retry_after: self.settings.retry_after,
            });
        };
        let received_at = self.now();
        let mut results: Vec<ItemResult> = Vec::with_capacity(request.items.len());
        let mut drafts: Vec<(usize, EventDraft)> = Vec::with_capacity(request.items.len());
        for (index, item) in request.items.iter().enumerate() {
            match self.drafter.draft(&request, index, item, received_at).await {
                Ok(draft) => {
                    results.push(ItemResult::accepted(index, draft.event().id, received_at));
                    drafts.push((index, draft));
                }
                Err(problems) => results.push(ItemResult::rejected(index, problems)),
            }
            // A large request must not keep the reactor from the others.
            if index % 128 == 127 {
                tokio::task::yield_now().await;
            }
        }
        self.count_rejected(results.len() - drafts.len());
        if drafts.is_empty() {
            return Ok(Accepted {
                results,
                frame: None,
                durability: None,
                retry_after: None,
            });
        }
        self.enqueue_and_wait(request, drafts, results).await
    }

    async fn enqueue_and_wait(
        &self,
        request: AcceptRequest,
        drafts: Vec<(usize, EventDraft)>,
        mut results: Vec<ItemResult>,
    ) -> Result<Accepted, AcceptError> {
        let deadline = tokio::time::Instant::now() + request.timeout;
        let mut frame = None;
        let mut durability: Option<Durability> = None;
        let mut retry_after = None;
        let mut pending = Vec::new();
        for part in self.cut(drafts) {
            let (taken, refused) = self.enqueue(part, &request).await;
            if let Some((part, enqueued)) = taken {
                frame.get_or_insert(enqueued.frame);
                durability = Some(weaker(durability, enqueued.durability));
                pending.push((part, enqueued));
            }
            if let Some((part, error)) = refused {
                retry_after = Some(self.settings.retry_after);
                for (index, _) in &part {
                    if let Some(result) = results.get_mut(*index) {
                        result.refuse_for_now(&error);
                    }
                }
            }
        }
        if request.ack != Ack::Queued {
            for (part, enqueued) in pending {
                self.wait_for(part, enqueued, request.ack, deadline, &mut results)
                    .await;
            }
        }
        Ok(Accepted {
            results,
            frame,
            durability,
            retry_after,
        })
    }

    /// Enqueues a part: what was taken, and what was not.
    async fn enqueue(
        &self,
        part: Part,
        request: &AcceptRequest,
    ) -> (Option<(Part, Enqueued)>, Option<(Part, QueueError)>) {
        // C1: nothing is on disk yet; a crash here costs nothing, because nobody was told anything.
        let error = match self
            .coalescer
            .enqueue(frame_events(&part, request), request)
            .await
        {
            Ok(enqueued) => return (Some(self.taken(part, enqueued, request)), None),
            Err(error) => error,
        };
        let has_way = self.parts.past_mark.is_some() && matches!(error, QueueError::Full { .. });
        let (critical, ordinary) = part
            .into_iter()
            .partition::<Part, _>(|(_, draft)| has_way && is_critical(draft));
        if critical.is_empty() {
            return (None, Some(self.refused(ordinary, error)));
        }
        let refused = (!ordinary.is_empty()).then(|| self.refused(ordinary, error));
        let events = frame_events(&critical, request);
        match self.coalescer.enqueue_past_mark(events, request).await {
            Ok(enqueued) => (Some(self.taken(critical, enqueued, request)), refused),
            Err(error) => {
                let (mut all, error) = self.refused(critical, error);
                all.extend(refused.map(|(part, _)| part).unwrap_or_default());
                (None, Some((all, error)))
            }
        }
    }

    fn taken(&self, part: Part, enqueued: Enqueued, request: &AcceptRequest) -> (Part, Enqueued) {
        // C2: the frame is on disk and nobody was told; a retry is recognised by its identities.
        self.note_trouble(None);
        self.count_accepted(part.len(), request.internal);
        (part, enqueued)
    }

    fn refused(&self, part: Part, error: QueueError) -> (Part, QueueError) {
        let reason = if matches!(error, QueueError::Full { .. }) {
            "full"
        } else {
            "unavailable"
        };
        metrics::counter!(metric::REFUSED, "reason" => reason)
            .increment(u64::try_from(part.len()).unwrap_or(u64::MAX));
        self.note_trouble(Some(error.to_string()));
        (part, error)
    }

    /// Cuts drafts into parts that each fit a frame.
    fn cut(&self, drafts: Part) -> Vec<Part> {
        let mut parts = Vec::new();
        let (mut part, mut bytes) = (Part::new(), 0);
        for (index, draft) in drafts {
            let len = draft.canonical().len() + FrameEvent::OVERHEAD;
            if bytes + len > self.settings.frame_bytes_max && !part.is_empty() {
                parts.push(std::mem::take(&mut part));
                bytes = 0;
            }
            bytes += len;
            part.push((index, draft));
        }
        parts.push(part);
        parts
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.parts.clock.now_micros()).unwrap_or(Timestamp::EPOCH)
    }

    fn count_rejected(&self, items: usize) {
        let items = u64::try_from(items).unwrap_or(u64::MAX);
        self.rejected.fetch_add(items, Ordering::Relaxed);
        metrics::counter!(metric::REJECTED).increment(items);
    }

    fn count_accepted(&self, items: usize, internal: bool) {
        let origin = if internal { "internal" } else { "producer" };
        metrics::counter!(metric::ACCEPTED, "origin" => origin)
            .increment(u64::try_from(items).unwrap_or(u64::MAX));
    }

    async fn wait_for(
        &self,
        part: Vec<(usize, EventDraft)>,
        enqueued: Enqueued,
        ack: Ack,
        deadline: tokio::time::Instant,
        results: &mut [ItemResult],
    ) {
        let frame = enqueued.frame;
        let waiting = wait::Waiting {
            events: &*self.parts.events,
            checkpointed: &self.parts.checkpointed,
            ack,
        };
        if tokio::time::timeout_at(deadline, waiting.resolve(&part, enqueued, results))
            .await
            .is_err()
        {
            self.parts.settlements.forget(frame);
        }
    }
}

/// Events of a request that share a frame, each with its position in the request.
type Part = Vec<(usize, EventDraft)>;

fn is_critical(draft: &EventDraft) -> bool {
    draft.event().statement.severity == Some(Severity::Critical)
}

fn frame_events(part: &Part, request: &AcceptRequest) -> Vec<FrameEvent> {
    let event = |draft: &EventDraft| FrameEvent {
        canonical: draft.canonical().to_vec(),
        api_key_id: request.caller.api_key_id.clone(),
    };
    part.iter().map(|(_, draft)| event(draft)).collect()
}

/// The weaker of two durabilities: an answer promises no more than its weakest frame.
fn weaker(known: Option<Durability>, new: Durability) -> Durability {
    match (known, new) {
        (None, new) => new,
        (Some(Durability::Buffered), _) | (_, Durability::Buffered) => Durability::Buffered,
        (Some(Durability::Replicated(a)), Durability::Replicated(b)) => {
            Durability::Replicated(a.min(b))
        }
        (Some(Durability::Fsynced), _) | (_, Durability::Fsynced) => Durability::Fsynced,
    }
}

/// Id of a frame.
fn new_frame_id(clock: &dyn Clock, random: &dyn Random) -> FrameId {
    let mut bytes = [0; 10];
    random.fill(&mut bytes);
    let now = Timestamp::from_micros(clock.now_micros()).unwrap_or(Timestamp::EPOCH);
    FrameId(*audit_event::EventId::v7(now, bytes).as_bytes())
}
