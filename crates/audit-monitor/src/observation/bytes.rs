//! A batch as bytes: what processes that share windows hand each other.
//!
//! `audit-batch/1`, a line feed, and the fields below in big-endian order with lengths before lists and texts. A group is written once.
//! It is no archive: another version of the product may refuse it, and then the state is rebuilt from the ledgers.

use std::collections::BTreeMap;
use std::sync::Arc;

use audit_event::EventId;
use audit_integrity::ledger::{Digest, LeafIndex, LedgerId};

use super::{Batch, Evidence, Group, GroupId, Observation, Position};
use crate::wire::{Reader, Writer};

const LABEL: &[u8] = b"audit-batch/1\n";

/// A group with the hash of its correlation, as one batch names it.
type Named = (Digest, GroupId, Arc<Group>);

impl Batch {
    /// The batch as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut groups: Vec<&Observation> = Vec::new();
        let mut places: BTreeMap<GroupId, u64> = BTreeMap::new();
        for observation in &self.observations {
            let next = u64::try_from(groups.len()).unwrap_or(u64::MAX);
            places.entry(observation.group_id).or_insert_with(|| {
                groups.push(observation);
                next
            });
        }
        let mut out = Writer(LABEL.to_vec());
        out.ledger(self.source);
        out.u64(self.from);
        out.u64(self.to);
        out.option(self.clock, |out, clock| out.i64(clock.micros()));
        out.list(groups.into_iter(), |out, first| {
            out.0.extend_from_slice(&first.rule.0);
            out.0.extend_from_slice(&first.group_id.0.0);
            out.group(&first.group);
        });
        out.list(self.observations.iter(), |out, observation| {
            let place = places.get(&observation.group_id).copied();
            out.u64(place.unwrap_or(u64::MAX));
            out.observation(observation);
        });
        out.0
    }

    /// The batch that was encoded; `None` when these bytes are none, or one of another version.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes.strip_prefix(LABEL)?);
        let source = reader.ledger()?;
        let (from, to) = (reader.u64()?, reader.u64()?);
        let clock = reader.option(Reader::timestamp)?;
        let groups = reader.list(Reader::named)?;
        let observations = reader.list(|reader| {
            let place = usize::try_from(reader.u64()?).ok()?;
            reader.observation(source, groups.get(place)?)
        })?;
        let within = observations
            .iter()
            .all(|one| (from..to).contains(&one.evidence.position.leaf.0));
        (from <= to && within && reader.0.is_empty()).then_some(Self {
            source,
            from,
            to,
            clock,
            observations,
        })
    }
}

impl Writer {
    /// All but its group, and its ledger, which is the batch's.
    fn observation(&mut self, observation: &Observation) {
        let Evidence {
            at,
            event,
            position,
        } = &observation.evidence;
        self.i64(at.micros());
        self.0.extend_from_slice(event.as_bytes());
        self.u64(position.leaf.0);
        self.0.extend_from_slice(&observation.leg.to_be_bytes());
        self.measured(observation.measured);
        self.i64(observation.clock.micros());
    }
}

impl Reader<'_> {
    fn named(&mut self) -> Option<Named> {
        let rule = Digest(self.take()?);
        let id = GroupId(Digest(self.take()?));
        Some((rule, id, self.group()?))
    }

    fn observation(&mut self, ledger: LedgerId, named: &Named) -> Option<Observation> {
        let (rule, group_id, group) = named;
        Some(Observation {
            rule: *rule,
            group_id: *group_id,
            group: Arc::clone(group),
            evidence: Evidence {
                at: self.timestamp()?,
                event: EventId::from_bytes(self.take()?),
                position: Position {
                    ledger,
                    leaf: LeafIndex(self.u64()?),
                },
            },
            leg: u16::from_be_bytes(self.take()?),
            measured: self.measured()?,
            clock: self.timestamp()?,
        })
    }
}
