//! A table as bytes: a snapshot, from which detection goes on where it was.
//!
//! `audit-windows/1`, a line feed, the fields below in big-endian order with lengths before lists and texts, and the SHA-256 of all of it.
//! It is no archive: another version of the product may refuse it, and then rebuilds its state from the ledgers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use audit_event::{EventId, OrganizationId, Timestamp};
use audit_integrity::digest::sha256;
use audit_integrity::ledger::{Digest, LeafIndex, LedgerId};

use super::state::{Open, State};
use super::table::{Source, Table};
use super::window::{Entry, Window};
use super::{Engine, Told};
use crate::episode::{Episode, EpisodeId, Phase};
use crate::observation::{Evidence, Group, GroupId, Measured, Position};
use crate::rules::Level;

const LABEL: &[u8] = b"audit-windows/1\n";

/// A table, and the episodes that wait to be taken.
pub(crate) fn write(table: &Table, waiting: &VecDeque<Episode>) -> Vec<u8> {
    let mut out = Writer(LABEL.to_vec());
    out.list(table.sources.iter(), |out, (id, source)| {
        out.ledger(*id);
        out.u64(source.next);
        out.option(source.clock, |out, clock| out.i64(clock));
    });
    out.u64(table.touches);
    out.list(table.groups.values(), |out, state| out.state(state));
    out.list(waiting.iter(), Writer::episode);
    let digest = sha256(&[&out.0]);
    out.0.extend_from_slice(&digest.0);
    out.0
}

/// What was written; groups whose correlation the engine does not have are let go of, which [`Told`] says.
pub(crate) fn read(engine: &Engine, bytes: &[u8]) -> Option<(Table, VecDeque<Episode>, Told)> {
    let (body, digest) = bytes.split_last_chunk::<32>()?;
    if sha256(&[body]).0 != *digest {
        return None;
    }
    let mut from = Reader(body.strip_prefix(LABEL)?);
    let sources: BTreeMap<LedgerId, Source> = from
        .list(|from| {
            let id = from.ledger()?;
            let next = from.u64()?;
            let clock = from.option(Reader::i64)?;
            Some((id, Source { next, clock }))
        })?
        .into_iter()
        .collect();
    let touches = from.u64()?;
    let states = from.list(|from| from.state().map(Box::new))?;
    let waiting = from.list(Reader::episode)?.into();
    let mut told = Told::default();
    let table = Table::restored(sources, touches, states, engine, &mut told);
    from.0.is_empty().then_some((table, waiting, told))
}

struct Writer(Vec<u8>);

impl Writer {
    fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    fn i64(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.u64(u64::try_from(text.len()).unwrap_or(u64::MAX));
        self.0.extend_from_slice(text.as_bytes());
    }

    fn list<T>(&mut self, items: impl ExactSizeIterator<Item = T>, write: impl Fn(&mut Self, T)) {
        self.u64(u64::try_from(items.len()).unwrap_or(u64::MAX));
        for item in items {
            write(self, item);
        }
    }

    fn option<T>(&mut self, value: Option<T>, write: impl Fn(&mut Self, T)) {
        self.0.push(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn ledger(&mut self, id: LedgerId) {
        let number = match id {
            LedgerId::Events(number) => i64::from(number),
            LedgerId::Directory => -1,
        };
        self.i64(number);
    }

    fn evidence(&mut self, evidence: &Evidence) {
        self.i64(evidence.at.micros());
        self.0.extend_from_slice(evidence.event.as_bytes());
        self.ledger(evidence.position.ledger);
        self.u64(evidence.position.leaf.0);
    }

    fn entry(&mut self, entry: &Entry) {
        self.evidence(&entry.evidence);
        self.u64(entry.leg.into());
        match entry.measured {
            Measured::Presence => self.0.push(0),
            Measured::Token(token) => {
                self.0.push(1);
                self.0.extend_from_slice(&token);
            }
            Measured::Millionths(number) => {
                self.0.push(2);
                self.0.extend_from_slice(&number.to_be_bytes());
            }
        }
    }

    fn group(&mut self, group: &Group) {
        self.text(group.organization.as_str());
        self.list(group.values.iter(), |out, (name, value)| {
            out.text(name);
            out.option(value.as_deref(), Self::text);
        });
    }

    fn state(&mut self, state: &State) {
        self.0.extend_from_slice(&state.id.0.0);
        self.0.extend_from_slice(&state.rule.0);
        self.group(&state.group);
        self.list(state.waiting.values(), Self::entry);
        self.list(state.window.entries().iter(), Self::entry);
        self.option(state.open.as_ref(), |out, open| out.episode(&open.episode));
        self.list(state.late.values(), Self::entry);
        self.i64(state.late_until);
        self.u64(state.touched);
    }

    fn episode(&mut self, episode: &Episode) {
        self.0.extend_from_slice(&episode.id.0.0);
        self.0.push(u8::from(episode.phase == Phase::Closed));
        self.text(&episode.rule);
        self.0.extend_from_slice(&episode.rule_hash.0);
        self.text(&episode.title);
        self.text(episode.level.as_str());
        self.group(&episode.group);
        self.evidence(&episode.first);
        self.i64(episode.last.micros());
        self.u64(episode.events);
        self.u64(episode.value.to_bits());
        self.list(episode.evidence.iter(), Self::evidence);
        self.0.push(u8::from(episode.late));
    }
}

struct Reader<'b>(&'b [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_be_bytes)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.take::<1>()? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.u64()?).ok()?;
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(head.to_vec()).ok()
    }

    /// A list takes no memory before its items are there.
    fn list<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = self.u64()?;
        (0..length).map(|_| read(self)).collect()
    }

    #[expect(
        clippy::option_option,
        reason = "whether it can be read, and whether it is there"
    )]
    fn option<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag()? {
            read(self).map(Some)
        } else {
            Some(None)
        }
    }

    fn ledger(&mut self) -> Option<LedgerId> {
        match self.i64()? {
            -1 => Some(LedgerId::Directory),
            number => u16::try_from(number).ok().map(LedgerId::Events),
        }
    }

    fn timestamp(&mut self) -> Option<Timestamp> {
        Timestamp::from_micros(self.i64()?)
    }

    fn evidence(&mut self) -> Option<Evidence> {
        Some(Evidence {
            at: self.timestamp()?,
            event: EventId::from_bytes(self.take()?),
            position: Position {
                ledger: self.ledger()?,
                leaf: LeafIndex(self.u64()?),
            },
        })
    }

    fn entry(&mut self) -> Option<Entry> {
        Some(Entry {
            evidence: self.evidence()?,
            leg: u16::try_from(self.u64()?).ok()?,
            measured: match self.take::<1>()? {
                [0] => Measured::Presence,
                [1] => Measured::Token(self.take()?),
                [2] => Measured::Millionths(i128::from_be_bytes(self.take()?)),
                _ => return None,
            },
        })
    }

    fn group(&mut self) -> Option<Arc<Group>> {
        let organization = OrganizationId::new(&self.text()?);
        let values = self.list(|from| Some((from.text()?, from.option(Self::text)?)))?;
        Some(Arc::new(Group {
            organization,
            values,
        }))
    }

    fn state(&mut self) -> Option<State> {
        let by_key = |entries: Vec<Entry>| entries.into_iter().map(|entry| (entry.key(), entry));
        Some(State {
            id: GroupId(Digest(self.take()?)),
            rule: Digest(self.take()?),
            group: self.group()?,
            waiting: by_key(self.list(Self::entry)?).collect(),
            window: Window::of(self.list(Self::entry)?),
            open: self.option(Self::episode)?.map(|episode| Open { episode }),
            late: by_key(self.list(Self::entry)?).collect(),
            late_until: self.i64()?,
            touched: self.u64()?,
        })
    }

    fn episode(&mut self) -> Option<Episode> {
        Some(Episode {
            id: EpisodeId(Digest(self.take()?)),
            phase: if self.flag()? {
                Phase::Closed
            } else {
                Phase::Opened
            },
            rule: self.text()?,
            rule_hash: Digest(self.take()?),
            title: self.text()?,
            level: Level::from_name(&self.text()?)?,
            group: self.group()?,
            first: self.evidence()?,
            last: self.timestamp()?,
            events: self.u64()?,
            value: f64::from_bits(self.u64()?),
            evidence: self.list(Self::evidence)?,
            late: self.flag()?,
        })
    }
}
