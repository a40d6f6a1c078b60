//! What the directory ledger says about the others: only entries under a signed checkpoint get here.

use std::collections::BTreeMap;

use audit_event::{OrganizationId, Timestamp};

use crate::documents::{ControlDocument, Leaves, LedgerStanding};
use crate::entry::EntryHeader;
use crate::ledger::{LedgerId, Origin};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Facts of the directory ledger, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Controls {
    opened: BTreeMap<LedgerId, Origin>,
    keys: BTreeMap<LedgerId, String>,
    standings: BTreeMap<LedgerId, LedgerStanding>,
    policies: Vec<Policy>,
    holds: Vec<Hold>,
    expiries: Vec<Expiry>,
    erasures: Vec<Leaves>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Policy {
    at: u64,
    name: String,
    days: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Hold {
    from: u64,
    released: Option<u64>,
    id: String,
    organization_id: Option<OrganizationId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Expiry {
    at: u64,
    sealed_at: Timestamp,
    leaves: Leaves,
    policy: String,
}

impl Controls {
    /// Takes in the document of the directory's entry `at`; entries come in order.
    pub fn add(&mut self, at: u64, sealed_at: Timestamp, document: ControlDocument) {
        match document {
            ControlDocument::LedgerOpened { ledger, origin } => {
                self.opened.entry(ledger).or_insert(origin);
            }
            ControlDocument::Key {
                origin,
                verifier_key,
            } => {
                if let Some(ledger) = origin.ledger() {
                    self.keys.insert(ledger, verifier_key);
                }
            }
            ControlDocument::Snapshot(standings) => {
                self.standings.extend(
                    standings
                        .into_iter()
                        .map(|standing| (standing.ledger, standing)),
                );
            }
            ControlDocument::Policy { name, days } => self.policies.push(Policy { at, name, days }),
            ControlDocument::Hold {
                id,
                organization_id,
            } => {
                self.holds.push(Hold {
                    from: at,
                    released: None,
                    id,
                    organization_id,
                });
            }
            ControlDocument::Release { id } => {
                for hold in self
                    .holds
                    .iter_mut()
                    .filter(|hold| hold.id == id && hold.released.is_none())
                {
                    hold.released = Some(at);
                }
            }
            ControlDocument::Expired { leaves, policy } => self.expiries.push(Expiry {
                at,
                sealed_at,
                leaves,
                policy,
            }),
            ControlDocument::Erasure { leaves, .. } => self.erasures.extend(leaves),
            ControlDocument::LedgerClosed { .. } | ControlDocument::HistoryLoss { .. } => {}
        }
    }

    /// Every ledger that must exist.
    pub fn opened(&self) -> impl Iterator<Item = (LedgerId, &Origin)> {
        self.opened.iter().map(|(ledger, origin)| (*ledger, origin))
    }

    /// The key that the directory names for a ledger.
    #[must_use]
    pub fn key(&self, ledger: LedgerId) -> Option<&str> {
        self.keys.get(&ledger).map(String::as_str)
    }

    /// Where a ledger stood in the newest snapshot that names it.
    #[must_use]
    pub fn standing(&self, ledger: LedgerId) -> Option<&LedgerStanding> {
        self.standings.get(&ledger)
    }

    /// Whether the event of this header may be gone: an entry names its leaf, the policy in force then was due, and no hold
    /// covered it.
    #[must_use]
    pub fn excuses_absence(&self, header: &EntryHeader) -> bool {
        let named = self
            .expiries
            .iter()
            .filter(|expiry| expiry.leaves.contain(header.ledger, header.index.0));
        named.into_iter().any(|expiry| {
            expiry.policy == header.retention_policy
                && self.was_due(header, expiry)
                && !self.was_held(header, expiry.at)
        })
    }

    /// Whether the body at this leaf may be unreadable: an erasure entry names it.
    #[must_use]
    pub fn excuses_body(&self, ledger: LedgerId, leaf: u64) -> bool {
        self.erasures
            .iter()
            .any(|leaves| leaves.contain(ledger, leaf))
    }

    fn was_due(&self, header: &EntryHeader, expiry: &Expiry) -> bool {
        let in_force = self
            .policies
            .iter()
            .rev()
            .find(|policy| policy.at < expiry.at && policy.name == expiry.policy);
        let due = in_force.and_then(|policy| {
            let kept = i64::try_from(policy.days)
                .ok()?
                .checked_mul(MICROS_PER_DAY)?;
            header.timestamp.micros().checked_add(kept)
        });
        due.is_some_and(|due| due <= expiry.sealed_at.micros())
    }

    fn was_held(&self, header: &EntryHeader, at: u64) -> bool {
        self.holds.iter().any(|hold| {
            hold.from < at
                && hold.released.is_none_or(|released| released > at)
                && hold
                    .organization_id
                    .as_ref()
                    .is_none_or(|held| *held == header.organization_id)
        })
    }
}
