//! What accept is asked, and what it answers.

use std::time::Duration;

use audit_event::{EventId, Form, OWN_ORGANIZATION, OrganizationId, Problem, Statement, Timestamp};
use audit_queue::{Durability, FrameId, QueueError};
use audit_store::query::OrganizationScope;

use crate::hubs::Address;

/// Who sends, as authentication found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Public id of the API key; empty for an embedder's own process.
    pub api_key_id: String,
    /// Organisations it may write for.
    pub scope: OrganizationScope,
    /// The organisation of events that name none.
    pub default_organization: OrganizationId,
    /// Whether the sender proved who it is. Events of one that did not say so for ever, in their annotations.
    pub authenticated: bool,
}

/// How much must have happened before the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub enum Ack {
    /// The queue has it, as durably as it says.
    #[default]
    Queued,
    /// The store has committed it.
    Stored,
    /// A signed checkpoint covers it.
    Sealed,
}

/// One event of a request.
#[derive(Debug, Clone)]
pub enum Item {
    /// As bytes in the request's form.
    Bytes(bytes::Bytes),
    /// As an embedder built it.
    Statement(Box<Statement>),
}

/// A request with one of our own events, in the native form. It counts among ours, never against the mark.
#[must_use]
pub fn own_event(event: String) -> AcceptRequest {
    AcceptRequest {
        form: Form::Native,
        items: vec![Item::Bytes(event.into())],
        caller: Caller {
            api_key_id: String::new(),
            scope: OrganizationScope::All,
            default_organization: OrganizationId::new(OWN_ORGANIZATION),
            authenticated: true,
        },
        idempotency_key: None,
        ack: Ack::Queued,
        timeout: Duration::from_secs(1),
        traceparent: None,
        internal: true,
    }
}

/// A request.
#[derive(Debug, Clone)]
pub struct AcceptRequest {
    /// The form of items given as bytes.
    pub form: Form,
    /// The events.
    pub items: Vec<Item>,
    /// Who sends them.
    pub caller: Caller,
    /// Gives events without an id the same id at every retry.
    pub idempotency_key: Option<String>,
    /// How much must have happened before the answer.
    pub ack: Ack,
    /// How long to wait for that; queueing itself is not cut short by it.
    pub timeout: Duration,
    /// W3C trace context of the request.
    pub traceparent: Option<String>,
    /// Whether these are our own events.
    pub internal: bool,
}

impl AcceptRequest {
    /// Bytes of all items; an embedder's statement counts as a typical event.
    pub(super) fn bytes(&self) -> usize {
        self.items
            .iter()
            .map(|item| match item {
                Item::Bytes(bytes) => bytes.len(),
                Item::Statement(_) => 512,
            })
            .sum()
    }
}

/// What is known of one item at the time of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemStatus {
    /// In the queue, or stored when an address is given.
    Accepted,
    /// It was stored already, with the same claim.
    Duplicate,
    /// It was stored already, with another claim; kept as a dead letter.
    Conflict,
    /// The item is at fault; see its problems.
    Rejected,
    /// Taken, and kept as a dead letter.
    DeadLettered,
    /// Not taken; send it again later.
    Retry,
}

/// The answer for one item.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemResult {
    /// Position in the request.
    pub index: usize,
    /// Its id, unless it was rejected.
    pub id: Option<EventId>,
    /// What is known.
    pub status: ItemStatus,
    /// Where it is stored, when that is known.
    pub address: Option<Address>,
    /// Whether a signed checkpoint covers it; only looked at when that was asked for.
    pub sealed: bool,
    /// When it was taken.
    pub received_at: Option<Timestamp>,
    /// What is wrong with it; also why it must be retried.
    pub errors: Vec<Problem>,
}

impl ItemResult {
    pub(super) fn accepted(index: usize, id: EventId, received_at: Timestamp) -> Self {
        let status = ItemStatus::Accepted;
        Self {
            index,
            id: Some(id),
            status,
            address: None,
            sealed: false,
            received_at: Some(received_at),
            errors: Vec::new(),
        }
    }

    pub(super) fn rejected(index: usize, errors: Vec<Problem>) -> Self {
        Self {
            index,
            id: None,
            status: ItemStatus::Rejected,
            address: None,
            sealed: false,
            received_at: None,
            errors,
        }
    }

    pub(super) fn refuse_for_now(&mut self, error: &QueueError) {
        self.status = ItemStatus::Retry;
        self.received_at = None;
        let problem = Problem::at("", audit_event::Code::Unavailable, error.to_string());
        self.errors = vec![problem];
    }
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// One result an item, in the request's order.
    pub results: Vec<ItemResult>,
    /// The (first) frame the events are in.
    pub frame: Option<FrameId>,
    /// How safe the queued events are; the weakest of all frames.
    pub durability: Option<Durability>,
    /// When to send the items marked [`ItemStatus::Retry`] again.
    pub retry_after: Option<Duration>,
}

/// Nothing of the request was looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// Too much is in work at once.
    #[error("too many bytes in work")]
    Busy {
        /// When to come back.
        retry_after: Duration,
    },
}
