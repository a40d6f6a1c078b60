//! Alerts, as records with a version each, and the outbox of what is to be told of them.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use audit_event::{OrganizationId, Timestamp};

use crate::error::StoreError;

/// Deliveries that [`Alerts::take`] gives out at most in one call.
pub const DELIVERIES_MAX: u32 = 1_000;
/// Alerts that one page of [`Alerts::list`] or [`Alerts::due`] has at most.
pub const ALERTS_MAX: u32 = 1_000;

/// Identity of an alert: the same finding always has the same one, so that it is kept once however often it is found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertId(pub [u8; 32]);

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How much an alert matters: the levels of Sigma.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertLevel {
    /// To know.
    Informational,
    /// To look at some day.
    Low,
    /// To look at this week.
    Medium,
    /// To look at today.
    High,
    /// To look at now.
    Critical,
}

/// Where somebody is with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertState {
    /// Nobody has looked.
    Open,
    /// Somebody looks.
    Acknowledged,
    /// Done with.
    Resolved,
}

/// An alert as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRecord {
    /// Its identity.
    pub id: AlertId,
    /// Digest of the rule and of what its events have in common: alerts of one group share a cooldown, and their deliveries an order.
    pub group: [u8; 32],
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// Key of the rule.
    pub rule: String,
    /// How much it matters now; escalation may raise it.
    pub level: AlertLevel,
    /// Where somebody is with it.
    pub state: AlertState,
    /// When it was written first, by the store's clock.
    pub raised_at: Timestamp,
    /// How often it was escalated.
    pub escalation: u8,
    /// When it is escalated next unless somebody acknowledges it, by the store's clock.
    pub escalate_at: Option<Timestamp>,
    /// Whether its raising was told to anybody: not during a cooldown, nor when it had no deliveries. Changes never change it.
    pub notified: bool,
    /// From 1; each change adds one.
    pub version: u64,
    /// Everything else, as JSON that the store does not look into.
    pub facts: String,
}

/// An alert to write: a new one, or the next version of a known one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertWrite {
    /// See [`AlertRecord::id`]. Like `group`, `organization_id` and `rule` it never changes.
    pub id: AlertId,
    /// See [`AlertRecord::group`].
    pub group: [u8; 32],
    /// See [`AlertRecord::organization_id`].
    pub organization_id: OrganizationId,
    /// See [`AlertRecord::rule`].
    pub rule: String,
    /// See [`AlertRecord::level`].
    pub level: AlertLevel,
    /// See [`AlertRecord::state`].
    pub state: AlertState,
    /// See [`AlertRecord::escalation`].
    pub escalation: u8,
    /// So long after now, by the store's clock, it is escalated; `None` for never.
    pub escalate_after: Option<Duration>,
    /// See [`AlertRecord::facts`].
    pub facts: String,
    /// The version that it was made from; 0 for a new alert.
    pub expected: u64,
    /// What to tell of it. Written with it or not at all.
    pub deliveries: Vec<NewDelivery>,
    /// For a new alert: how long after the raising of one of its group was told another one is not. Its deliveries are then left
    /// out. Those of a change are always written, and begin no cooldown.
    pub cooldown: Duration,
}

impl AlertWrite {
    /// Whether a store can keep it.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when a text contains a NUL, which not every store keeps; as JSON no text does.
    pub fn check(&self) -> Result<(), StoreError> {
        let own = [self.organization_id.as_str(), &self.rule, &self.facts];
        let told = self
            .deliveries
            .iter()
            .flat_map(|one| [&one.handler, &one.key, &one.payload]);
        check_texts(own.into_iter().chain(told.map(String::as_str)))
    }
}

/// Something to tell a handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// Name of the handler.
    pub handler: String,
    /// Idempotency key; a handler has each key once as long as the outbox remembers it. One that it has already is left out.
    pub key: String,
    /// What is told, as it was then: JSON that the store does not look into.
    pub payload: String,
}

/// Something that waits to be told, or was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its place in the order of all.
    pub number: u64,
    /// The alert.
    pub alert: AlertId,
    /// Its group.
    pub group: [u8; 32],
    /// As written.
    pub what: NewDelivery,
    /// When it was written, by the store's clock.
    pub written_at: Timestamp,
    /// How often it was taken, this time included.
    pub attempts: u32,
    /// Why it was not told last time; empty before the first failure.
    pub error: String,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertWritten {
    /// It is kept. Whether its deliveries were written too: not those of a new alert in its group's cooldown.
    Done {
        /// They were, and there was at least one.
        notified: bool,
    },
    /// There is another version than the expected one: read it, and decide again.
    Moved,
}

/// Which alerts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertFilter {
    /// Only of these organisations; `None` for all.
    pub organizations: Option<Vec<OrganizationId>>,
    /// Only in these states; empty for all.
    pub states: Vec<AlertState>,
    /// Only of this level or a higher one.
    pub at_least: Option<AlertLevel>,
    /// Only of this rule.
    pub rule: Option<String>,
    /// Only of this group.
    pub group: Option<[u8; 32]>,
    /// Only raised at or after this.
    pub since: Option<Timestamp>,
    /// Only raised before this.
    pub until: Option<Timestamp>,
    /// Only what follows this one in the order (keyset).
    pub after: Option<(Timestamp, AlertId)>,
    /// At most so many, 1..=[`ALERTS_MAX`].
    pub limit: u32,
}

impl AlertFilter {
    /// Whether a store can look for it. Counts have no page, so the limit is for [`Self::check_page`].
    ///
    /// # Errors
    /// [`StoreError::Refused`] when a text contains a NUL: no alert has one, and not every store takes it.
    pub fn check(&self) -> Result<(), StoreError> {
        let named = self.organizations.iter().flatten();
        let texts = named.map(OrganizationId::as_str);
        check_texts(texts.chain(self.rule.as_deref()))
    }

    /// As [`Self::check`], for a page.
    ///
    /// # Errors
    /// [`StoreError::Refused`], also when the limit is none that a page can have.
    pub fn check_page(&self) -> Result<(), StoreError> {
        if !(1..=ALERTS_MAX).contains(&self.limit) {
            let reason = format!("a page has 1 to {ALERTS_MAX} alerts");
            return Err(StoreError::Refused { reason });
        }
        self.check()
    }
}

fn check_texts<'t>(mut texts: impl Iterator<Item = &'t str>) -> Result<(), StoreError> {
    if texts.any(|text| text.contains('\0')) {
        let reason = "a text of an alert contains a NUL".to_owned();
        return Err(StoreError::Refused { reason });
    }
    Ok(())
}

/// How many alerts there are of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertCount {
    /// The rule.
    pub rule: String,
    /// The level.
    pub level: AlertLevel,
    /// The state.
    pub state: AlertState,
    /// How many.
    pub count: u64,
}

/// How a handler's outbox stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxState {
    /// Name of the handler.
    pub handler: String,
    /// Deliveries that wait or are under way.
    pub waiting: u64,
    /// Deliveries that were given up.
    pub dead: u64,
    /// When the oldest that waits was written.
    pub oldest: Option<Timestamp>,
}

/// **Port.** Alerts and the outbox of their deliveries.
///
/// Every method may be called concurrently and by many processes, and is durable on return; a dropped call has happened or has
/// not. Times are the store's. No text contains a NUL, or the call is refused; of a reason why something was not told NULs are
/// left out. More than the greatest number that a call gives out is not asked for: the rest comes with the next call.
#[async_trait]
pub trait Alerts: Send + Sync + std::fmt::Debug {
    /// Writes alerts and their deliveries, in one transaction; each alert is compared with its expected version by itself. Of two
    /// who write the same version one wins. Of two new alerts of one group within its cooldown one has its deliveries. Answers in
    /// the order of `alerts`.
    async fn write(&self, alerts: &[AlertWrite]) -> Result<Vec<AlertWritten>, StoreError>;

    /// One; `None` when there is none of that id, or it is of none of these organisations (`None`: of any).
    async fn get(
        &self,
        id: AlertId,
        organizations: Option<&[OrganizationId]>,
    ) -> Result<Option<AlertRecord>, StoreError>;

    /// Newest first, by (`raised_at`, `id`).
    async fn list(&self, filter: &AlertFilter) -> Result<Vec<AlertRecord>, StoreError>;

    /// Open alerts that are to be escalated by now, those first that waited longest.
    async fn due(&self, most: u32) -> Result<Vec<AlertRecord>, StoreError>;

    /// Counts what the filter finds; its page and limit do not matter. Ordered by rule, level, state.
    async fn count(&self, filter: &AlertFilter) -> Result<Vec<AlertCount>, StoreError>;

    /// Forgets resolved alerts that were raised before this, the oldest first, at most `most`; how many. With them go their
    /// deliveries that were given up, and the keys of those that were told; one with deliveries that wait stays. When its last
    /// alert is forgotten, a group forgets when it was told last, if that was before this.
    async fn forget_resolved(&self, before: Timestamp, most: u32) -> Result<u64, StoreError>;

    /// Takes what waits for a handler, oldest first, and holds it from others for so long. Of a group only the oldest that is
    /// left is given out, and only when it is neither held nor put off: a handler hears of a group in the order of the writes.
    async fn take(
        &self,
        handler: &str,
        hold: Duration,
        most: u32,
    ) -> Result<Vec<Delivery>, StoreError>;

    /// It was told: forgets it, but for its key, which is remembered for at least as long as its alert. Also when another took it
    /// since, or gave it up. Nothing happens when it is not there.
    async fn delivered(&self, number: u64) -> Result<(), StoreError>;

    /// It could not be told: offers it again after so long. Those of its group behind it wait with it. Nothing happens when it
    /// does not wait (any more), or was taken again since: then it is that taker's.
    async fn put_off(
        &self,
        taken: &Delivery,
        wait: Duration,
        error: &str,
    ) -> Result<(), StoreError>;

    /// It is given up and kept as long as its alert; those of its group behind it go on. Nothing happens when it does not wait
    /// (any more), or was taken again since.
    async fn give_up(&self, taken: &Delivery, error: &str) -> Result<(), StoreError>;

    /// Those of a handler that were given up, oldest first.
    async fn given_up(&self, handler: &str, most: u32) -> Result<Vec<Delivery>, StoreError>;

    /// Offers all of a handler that were given up again, as if never tried, in their old places; how many.
    async fn revive(&self, handler: &str) -> Result<u64, StoreError>;

    /// Every handler that has something that waits or was given up, by name.
    async fn outbox(&self) -> Result<Vec<OutboxState>, StoreError>;
}
