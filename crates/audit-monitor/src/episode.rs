//! What detection has found: an alert is made of one.

use std::fmt;
use std::sync::Arc;

use audit_event::Timestamp;
use audit_integrity::digest::sha256;
use audit_integrity::ledger::Digest;

use crate::observation::{Evidence, Group, GroupId};
use crate::rules::{Level, Rule};

/// How many events of a window an episode names.
pub(crate) const EVIDENCE_MAX: usize = 20;

/// Identity of an episode: digest of the rule's hash, the group and the first event whose window was over the threshold. The same
/// events make the same episode, however often and in whatever batches they are read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EpisodeId(pub Digest);

impl EpisodeId {
    pub(crate) fn of(group: &GroupId, first: &Evidence) -> Self {
        Self(sha256(&[
            b"audit-episode/1\n",
            // Of the rule's hash too.
            &group.0.0,
            &first.at.micros().to_be_bytes(),
            first.event.as_bytes(),
        ]))
    }
}

impl fmt::Display for EpisodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0.0))
    }
}

impl fmt::Debug for EpisodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How far an episode has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// A window went over the threshold: raise the alert.
    Opened,
    /// No later event can belong to it. An episode of a single event is closed when it is raised.
    Closed,
}

/// The maximal run of consecutive events of a group whose windows are all over the rule's threshold, each no further from the one
/// before than the window is long.
#[derive(Debug, Clone, PartialEq)]
pub struct Episode {
    /// Its identity, the same in both phases.
    pub id: EpisodeId,
    /// How far it has come.
    pub phase: Phase,
    /// Key of the rule.
    pub rule: String,
    /// Hash of the rule.
    pub rule_hash: Digest,
    /// Title of the rule.
    pub title: String,
    /// How much it matters.
    pub level: Level,
    /// Which events were counted together.
    pub group: Arc<Group>,
    /// The first event whose window was over the threshold.
    pub first: Evidence,
    /// The time of the last such event so far.
    pub last: Timestamp,
    /// How many events: those of the window that opened it, and those after them.
    pub events: u64,
    /// What was computed of the window that opened it: a count, a sum, ...
    pub value: f64,
    /// The last events of the window that opened it, oldest first; at most 20.
    pub evidence: Vec<Evidence>,
    /// Made of events that came later than is allowed, and of nothing else: what was on time is not counted with them.
    pub late: bool,
}

impl Episode {
    /// The episode of one event that a detection matched.
    pub(crate) fn of_one(rule: &Rule, group: (GroupId, Arc<Group>), event: Evidence) -> Self {
        let (group_id, group) = group;
        Self {
            id: EpisodeId::of(&group_id, &event),
            phase: Phase::Closed,
            rule: rule.key().to_owned(),
            rule_hash: rule.hash(),
            title: rule.title().to_owned(),
            level: rule.level(),
            group,
            first: event,
            last: event.at,
            events: 1,
            value: 1.0,
            evidence: vec![event],
            late: false,
        }
    }
}
