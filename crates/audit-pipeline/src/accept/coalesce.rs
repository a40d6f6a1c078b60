//! Small requests that arrive together share a frame: one queue item and one receipt instead of many.
//!
//! There is no timer. While one enqueue is on its way to the disk the next requests gather; alone, a request waits for
//! nobody.

use std::sync::Arc;
use std::time::Duration;

use audit_event::Timestamp;
use audit_queue::{Durability, Frame, FrameEvent, FrameId, Producer, QueueError};
use audit_runtime::{Clock, Random};
use tokio::sync::{mpsc, oneshot};

use super::{AcceptParts, AcceptRequest, AcceptSettings, Ack, new_frame_id};
use crate::hubs::{FrameOutcome, Settlements};
use crate::outward::ask;

/// Requests that wait for the coalescer at most; each is bounded by the in-flight bytes.
const WAITING_MAX: usize = 4096;

/// Requests of at least this many bytes go alone: they would gain nothing and make the others wait.
const ALONE_BYTES: usize = 32 << 10;

/// A request's events on their way into a frame.
struct Submission {
    events: Vec<FrameEvent>,
    bytes: usize,
    internal: bool,
    traceparent: Option<String>,
    awaited: bool,
    answer: oneshot::Sender<Result<Enqueued, QueueError>>,
}

/// Where a request's events are in the queue.
#[derive(Debug)]
pub(super) struct Enqueued {
    /// The frame.
    pub(super) frame: FrameId,
    /// Position of the request's first event in it.
    pub(super) first: usize,
    /// How safe it is.
    pub(super) durability: Durability,
    /// Told when a lane has settled it; only when the request waits for that.
    pub(super) outcome: Option<oneshot::Receiver<FrameOutcome>>,
}

#[derive(Debug)]
pub(super) struct Coalescer {
    submissions: mpsc::Sender<Submission>,
    enqueuer: Enqueuer,
    /// For critical events that the queue refuses.
    past_mark: Option<Enqueuer>,
}

impl Coalescer {
    pub(super) fn start(parts: &AcceptParts, settings: &AcceptSettings) -> Self {
        let (submissions, waiting) = mpsc::channel(WAITING_MAX);
        let enqueuer = Enqueuer {
            queue: Arc::clone(&parts.queue),
            clock: Arc::clone(&parts.clock),
            random: Arc::clone(&parts.random),
            settlements: parts.settlements.clone(),
            timeout: settings.enqueue_timeout,
        };
        parts.tasks.spawn(
            "coalescer",
            run(waiting, enqueuer.clone(), settings.frame_bytes_max),
        );
        let past_mark = parts.past_mark.as_ref().map(|queue| Enqueuer {
            queue: Arc::clone(queue),
            ..enqueuer.clone()
        });
        Self {
            submissions,
            enqueuer,
            past_mark,
        }
    }

    /// The way for critical events past the mark; they share no frame with another request's.
    pub(super) async fn enqueue_past_mark(
        &self,
        events: Vec<FrameEvent>,
        request: &AcceptRequest,
    ) -> Result<Enqueued, QueueError> {
        let Some(enqueuer) = &self.past_mark else {
            return Err(QueueError::Closed);
        };
        let (submission, answered) = submit(events, request);
        enqueuer.enqueue(vec![submission]).await;
        answered.await.unwrap_or(Err(QueueError::Closed))
    }

    pub(super) async fn enqueue(
        &self,
        events: Vec<FrameEvent>,
        request: &AcceptRequest,
    ) -> Result<Enqueued, QueueError> {
        let (submission, answered) = submit(events, request);
        if submission.bytes >= ALONE_BYTES {
            self.enqueuer.enqueue(vec![submission]).await;
        } else if self.submissions.send(submission).await.is_err() {
            return Err(QueueError::Closed);
        }
        answered.await.unwrap_or(Err(QueueError::Closed))
    }
}

/// A submission and where its answer comes.
fn submit(
    events: Vec<FrameEvent>,
    request: &AcceptRequest,
) -> (Submission, oneshot::Receiver<Result<Enqueued, QueueError>>) {
    let bytes = events
        .iter()
        .map(|event| event.canonical.len() + FrameEvent::OVERHEAD)
        .sum();
    let (answer, answered) = oneshot::channel();
    let submission = Submission {
        events,
        bytes,
        internal: request.internal,
        traceparent: request.traceparent.clone(),
        awaited: request.ack != Ack::Queued,
        answer,
    };
    (submission, answered)
}

async fn run(mut waiting: mpsc::Receiver<Submission>, enqueuer: Enqueuer, frame_bytes_max: usize) {
    let mut left_over = None;
    loop {
        let first = match left_over.take() {
            Some(submission) => submission,
            None => match waiting.recv().await {
                Some(submission) => submission,
                None => return,
            },
        };
        let mut bytes = first.bytes;
        let mut group = vec![first];
        while let Ok(next) = waiting.try_recv() {
            let fits = bytes + next.bytes <= frame_bytes_max;
            if !fits || !group.first().is_some_and(|first| first.shares_with(&next)) {
                left_over = Some(next);
                break;
            }
            bytes += next.bytes;
            group.push(next);
        }
        enqueuer.enqueue(group).await;
    }
}

impl Submission {
    /// Our own events are counted apart, and a frame has one trace context.
    fn shares_with(&self, other: &Self) -> bool {
        self.internal == other.internal && self.traceparent == other.traceparent
    }
}

#[derive(Debug, Clone)]
struct Enqueuer {
    queue: Arc<dyn Producer>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    settlements: Settlements,
    timeout: Duration,
}

impl Enqueuer {
    /// Enqueues a group as one frame and answers everybody in it.
    async fn enqueue(&self, group: Vec<Submission>) {
        let id = new_frame_id(&*self.clock, &*self.random);
        // Declared first, so dropped last: also when the request goes away half-way, nobody is left waiting in the hub.
        let _tidy = Forget {
            settlements: &self.settlements,
            id,
        };
        let (mut events, mut answers, mut first) = (Vec::new(), Vec::with_capacity(group.len()), 0);
        let (mut internal, mut traceparent) = (false, None);
        for submission in group {
            let count = submission.events.len();
            // Asked before the frame exists, so that no lane can settle it unseen.
            let outcome = submission.awaited.then(|| self.settlements.wait_for(id));
            answers.push((submission.answer, first, outcome));
            events.extend(submission.events);
            first += count;
            internal = submission.internal;
            traceparent = submission.traceparent;
        }
        let received_at =
            Timestamp::from_micros(self.clock.now_micros()).unwrap_or(Timestamp::EPOCH);
        let frame = Frame {
            id,
            internal,
            received_at,
            traceparent,
            events,
        };
        // Contained: a coalescer that ends takes every later request with it.
        let result = ask(self.timeout, self.queue.enqueue(frame)).await;
        self.answer(answers, id, result);
    }

    fn answer(&self, answers: Vec<Answer>, frame: FrameId, result: Result<Durability, QueueError>) {
        for (answer, first, outcome) in answers {
            let reply = match &result {
                Ok(durability) => Ok(Enqueued {
                    frame,
                    first,
                    durability: *durability,
                    outcome,
                }),
                Err(error) => Err(shared(error)),
            };
            // A client that hung up has no use for the answer.
            drop(answer.send(reply));
        }
        match result {
            // Every request is told, and it is counted; a log line for each would drown the others.
            Ok(_) | Err(QueueError::Full { .. }) => {}
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a frame was not enqueued"
                );
            }
        }
    }
}

/// The error for each of those who share a frame. What decides what they do next is kept; the source is logged once.
fn shared(error: &QueueError) -> QueueError {
    match error {
        QueueError::Full {
            waiting_events,
            waiting_bytes,
        } => QueueError::Full {
            waiting_events: *waiting_events,
            waiting_bytes: *waiting_bytes,
        },
        QueueError::Closed => QueueError::Closed,
        other => QueueError::Unavailable(other.to_string().into()),
    }
}

/// Forgets waiters that went away.
struct Forget<'a> {
    settlements: &'a Settlements,
    id: FrameId,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.settlements.forget(self.id);
    }
}

type Answer = (
    oneshot::Sender<Result<Enqueued, QueueError>>,
    usize,
    Option<oneshot::Receiver<FrameOutcome>>,
);
