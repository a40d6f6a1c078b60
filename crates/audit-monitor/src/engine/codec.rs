//! A table as bytes: a snapshot, from which detection goes on where it was.
//!
//! `audit-windows/1`, a line feed, the fields below in big-endian order with lengths before lists and texts, and the SHA-256 of all of it.
//! It is no archive: another version of the product may refuse it, and then rebuilds its state from the ledgers.

use std::collections::{BTreeMap, VecDeque};

use audit_integrity::digest::sha256;
use audit_integrity::ledger::{Digest, LedgerId};

use super::state::{Open, State};
use super::table::{Source, Table};
use super::window::{Entry, Window};
use super::{Engine, Told};
use crate::episode::{Episode, EpisodeId, Phase};
use crate::observation::GroupId;
use crate::rules::Level;
use crate::wire::{Reader, Writer};

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
    // In one order: equal tables are equal bytes.
    let mut states: Vec<&State> = table.groups.values().collect();
    states.sort_unstable_by_key(|state| state.id);
    out.list(states.into_iter(), |out, state| out.state(state));
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
    let states = from.list(Reader::state)?;
    let waiting = from.list(Reader::episode)?.into();
    let mut told = Told::default();
    let table = Table::restored(sources, touches, states, engine, &mut told);
    from.0.is_empty().then_some((table, waiting, told))
}

impl Writer {
    fn entry(&mut self, entry: &Entry) {
        self.evidence(&entry.evidence);
        self.u64(entry.leg.into());
        self.measured(entry.measured);
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

impl Reader<'_> {
    fn entry(&mut self) -> Option<Entry> {
        Some(Entry {
            evidence: self.evidence()?,
            leg: u16::try_from(self.u64()?).ok()?,
            measured: self.measured()?,
        })
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
