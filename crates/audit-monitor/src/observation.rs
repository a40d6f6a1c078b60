//! What matching single events hands to the windows.

mod bytes;

use std::sync::Arc;

use audit_event::{AuditEvent, EventId, OrganizationId, Timestamp};
use audit_integrity::digest::sha256;
use audit_integrity::ledger::{Digest, LeafIndex, LedgerId};

use crate::episode::Episode;
use crate::matcher::Matcher;

/// Where an event is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Its ledger.
    pub ledger: LedgerId,
    /// Its leaf.
    pub leaf: LeafIndex,
}

/// An event, as evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Evidence {
    /// When it happened.
    pub at: Timestamp,
    /// Its id.
    pub event: EventId,
    /// Where it is stored.
    pub position: Position,
}

impl Evidence {
    /// In the place of an event where there is none.
    pub(crate) const NONE: Self = Self {
        at: Timestamp::EPOCH,
        event: EventId::from_bytes([0; 16]),
        position: Position {
            ledger: LedgerId::Directory,
            leaf: LeafIndex(0),
        },
    };
}

/// Which events of a correlation are counted together: digest of the rule's hash, the organisation and the values of its `group-by`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub Digest);

/// What a group is called. Organisations never share one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group {
    /// Whose events.
    pub organization: OrganizationId,
    /// The fields of `group-by` with their values; `None` where the events have none. Long values are cut, the [`GroupId`] is of the
    /// whole ones.
    pub values: Vec<(String, Option<String>)>,
}

/// Longest value that a group shows, in bytes.
const SHOWN_MAX: usize = 512;

impl Group {
    /// The group of these values, and its id under a rule.
    pub(crate) fn of(
        rule: &Digest,
        organization: &OrganizationId,
        values: Vec<(String, Option<String>)>,
    ) -> (GroupId, Arc<Self>) {
        let mut text = Vec::with_capacity(128);
        put(&mut text, Some(organization.as_str()));
        for (_name, value) in &values {
            put(&mut text, value.as_deref());
        }
        let id = GroupId(sha256(&[b"audit-group/1\n", &rule.0, &text]));
        let values = values
            .into_iter()
            .map(|(name, value)| (name, value.map(shown)))
            .collect();
        let group = Self {
            organization: organization.clone(),
            values,
        };
        (id, Arc::new(group))
    }
}

/// With its length before it, so that no two lists of values are one text.
fn put(text: &mut Vec<u8>, value: Option<&str>) {
    match value {
        None => text.extend_from_slice(b"-\n"),
        Some(value) => {
            text.extend_from_slice(value.len().to_string().as_bytes());
            text.push(b'\n');
            text.extend_from_slice(value.as_bytes());
        }
    }
}

fn shown(mut value: String) -> String {
    value.truncate(value.floor_char_boundary(SHOWN_MAX));
    value
}

/// What a window computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Measured {
    /// That it is there.
    Presence,
    /// A value that is told from others: the head of its digest.
    Token([u8; 16]),
    /// A number, in millionths.
    Millionths(i128),
}

/// One event that a correlation counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Hash of the correlation.
    pub(crate) rule: Digest,
    pub(crate) group_id: GroupId,
    pub(crate) group: Arc<Group>,
    /// Which of the correlation's rules matched.
    pub(crate) leg: u16,
    pub(crate) evidence: Evidence,
    pub(crate) measured: Measured,
    /// The source's clock when this event had been read.
    pub(crate) clock: Timestamp,
}

impl Observation {
    /// The group it counts in.
    #[must_use]
    pub fn group_id(&self) -> GroupId {
        self.group_id
    }

    /// The event.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        self.evidence
    }
}

/// The observations of consecutive leaves of one ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    source: LedgerId,
    from: u64,
    to: u64,
    clock: Option<Timestamp>,
    observations: Vec<Observation>,
}

impl Batch {
    /// A batch of no leaf yet, which starts at `from`.
    #[must_use]
    pub fn new(source: LedgerId, from: LeafIndex) -> Self {
        Self {
            source,
            from: from.0,
            to: from.0,
            clock: None,
            observations: Vec::new(),
        }
    }

    /// The leaves from `from` to before `to`, in which nothing was observed, with the source's clock after them. A `to` that is before
    /// `from` is `from`.
    #[must_use]
    pub fn quiet(
        source: LedgerId,
        from: LeafIndex,
        to: LeafIndex,
        clock: Option<Timestamp>,
    ) -> Self {
        Self {
            to: to.0.max(from.0),
            clock,
            ..Self::new(source, from)
        }
    }

    /// Reads the event of the next leaf. Returns the episodes that are this event alone; those of windows come from the store that the
    /// batch is applied to.
    pub fn read(&mut self, matcher: &Matcher, event: &AuditEvent) -> Vec<Episode> {
        let position = Position {
            ledger: self.source,
            leaf: LeafIndex(self.to),
        };
        // No producer's clock that runs ahead makes the others' events late: what has not arrived has not happened.
        self.tick(event.statement.timestamp.min(event.received_at));
        let mut found = matcher.observe(event, position);
        for observation in &mut found.observations {
            observation.clock = self.clock.unwrap_or(observation.evidence.at);
        }
        self.observations.append(&mut found.observations);
        self.to = self.to.saturating_add(1);
        found.episodes
    }

    /// Passes the next leaf, which has no event that can be read.
    pub fn skip(&mut self) {
        self.to = self.to.saturating_add(1);
    }

    /// Says that the source has been read to its end and that it is `now`: nothing is expected of it that happened earlier than `now`
    /// less the allowed lateness. Without it a ledger in which nothing happens holds back every window.
    pub fn idle(&mut self, now: Timestamp) {
        self.tick(now);
    }

    fn tick(&mut self, at: Timestamp) {
        self.clock = self.clock.max(Some(at));
    }

    /// The ledger.
    #[must_use]
    pub fn source(&self) -> LedgerId {
        self.source
    }

    /// The first leaf.
    #[must_use]
    pub fn from(&self) -> LeafIndex {
        LeafIndex(self.from)
    }

    /// The leaf after the last.
    #[must_use]
    pub fn to(&self) -> LeafIndex {
        LeafIndex(self.to)
    }

    /// How far the source's clock has come; `None` when the batch says nothing of it.
    #[must_use]
    pub fn clock(&self) -> Option<Timestamp> {
        self.clock
    }

    /// In the order of the leaves.
    #[must_use]
    pub fn observations(&self) -> &[Observation] {
        &self.observations
    }
}
