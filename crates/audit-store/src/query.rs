//! Search: filters, keyset pages, cursors that stay stable while events arrive.

use async_trait::async_trait;
use audit_event::{Classification, EventId, OrganizationId, Severity, Status, Timestamp};
use audit_integrity::ledger::LedgerId;

use crate::error::StoreError;
use crate::read::StoredEvent;

/// Which organisations the caller may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrganizationScope {
    /// All of them.
    All,
    /// These only.
    Only(Vec<OrganizationId>),
}

/// What to look for; every member given must hold.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "the names are those of the event's members")]
pub struct Filter {
    /// Not before (inclusive).
    pub since: Option<Timestamp>,
    /// Before (exclusive).
    pub until: Option<Timestamp>,
    pub principal_id: Option<String>,
    pub organization_id: Option<OrganizationId>,
    pub action: Option<ActionMatch>,
    pub target_resource_type: Option<String>,
    pub target_resource_id: Option<String>,
    pub status: Option<Status>,
    pub severity: Option<Severity>,
    pub data_classification: Option<Classification>,
    pub correlation_id: Option<String>,
    /// Paths into `details` with the text or canonical JSON scalar that must stand there.
    pub details: Vec<DetailMatch>,
    /// Words that must occur anywhere in the event's text.
    pub text: Option<String>,
}

/// How an action is matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionMatch {
    /// The whole action.
    Exact(String),
    /// What it begins with.
    Prefix(String),
}

/// A member of `details` and the value it must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetailMatch {
    /// Member names from the outside in; a name of digits also means an array index.
    pub path: Vec<String>,
    /// Compared as text with a string, or with the canonical text of a number, boolean or null.
    pub value: String,
}

/// Order of (timestamp, id).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Newest first.
    #[default]
    Newest,
    /// Oldest first.
    Oldest,
}

/// One page of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct PageRequest {
    /// What to look for.
    pub filter: Filter,
    /// What the caller may see.
    pub scope: OrganizationScope,
    /// In which order.
    pub order: Order,
    /// At most so many, 1..=1,000.
    pub limit: u32,
    /// Where the previous page ended.
    pub after: Option<Position>,
}

/// Where a page ended, and the ledger sizes of the first page: rows committed later stay out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Timestamp of the last event.
    pub timestamp: Timestamp,
    /// Its id.
    pub id: EventId,
    /// Its organisation.
    pub organization_id: OrganizationId,
    /// Ledger sizes when the first page was read.
    pub sizes: Vec<(LedgerId, u64)>,
}

/// One page.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The events.
    pub events: Vec<StoredEvent>,
    /// Where to go on; `None` when there is no more.
    pub next: Option<Position>,
}

/// **Port.** Search. Sees every commit that returned before the first page; callable concurrently; cancellable.
///
/// Stops at `limit` on an index where one serves the filter; otherwise it scans for at most the store's time limit and
/// answers [`StoreError::TooBroad`]. Never blocks a commit.
#[async_trait]
pub trait EventQuery: Send + Sync + std::fmt::Debug {
    /// One page.
    async fn search(&self, request: &PageRequest) -> Result<Page, StoreError>;
}
