//! All groups, the sources' clocks and cursors: what a store keeps, and moves as one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use audit_integrity::ledger::{LeafIndex, LedgerId};

use super::state::{State, Step};
use super::window::Entry;
use super::{Engine, Told};
use crate::observation::{Batch, GroupId, Observation};

/// One ledger that is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Source {
    /// The next leaf to read.
    pub(crate) next: u64,
    /// The newest time it has come to; `None` before its first batch.
    pub(crate) clock: Option<i64>,
}

/// Everything that is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    pub(super) sources: BTreeMap<LedgerId, Source>,
    /// Boxed: a group is taken out and put back for each observation.
    pub(super) groups: BTreeMap<GroupId, Box<State>>,
    /// Counts observations, which is all the time that eviction knows.
    pub(super) touches: u64,
    /// When each group next has something to do, by watermark.
    due: BTreeSet<(i64, GroupId)>,
    /// The groups by when they were last observed.
    idle: BTreeSet<(u64, GroupId)>,
    entries: usize,
}

/// The batch does not start where its source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) at: LeafIndex,
}

impl Table {
    /// Of sources, and the leaf at which each is begun. All must be named: a window waits for each of them.
    pub(crate) fn new(sources: &[(LedgerId, LeafIndex)]) -> Self {
        let source = |at: LeafIndex| Source {
            next: at.0,
            clock: None,
        };
        Self {
            sources: sources.iter().map(|(id, at)| (*id, source(*at))).collect(),
            ..Self::default()
        }
    }

    /// Puts a table together again and orders its groups.
    pub(super) fn restored(
        sources: BTreeMap<LedgerId, Source>,
        touches: u64,
        states: impl IntoIterator<Item = Box<State>>,
        engine: &Engine,
        told: &mut Told,
    ) -> Self {
        let mut table = Self {
            sources,
            touches,
            ..Self::default()
        };
        for state in states {
            if engine.correlation(&state.rule).is_some() {
                table.put(engine, state);
            } else {
                state.evict(told);
            }
        }
        table
    }

    /// Keeps the groups of the correlations that another engine still has, and ends the others' episodes.
    pub(crate) fn retain(&mut self, engine: &Engine, told: &mut Told) {
        let states = std::mem::take(&mut self.groups).into_values();
        let sources = std::mem::take(&mut self.sources);
        *self = Self::restored(sources, self.touches, states, engine, told);
    }

    pub(crate) fn cursor(&self, source: LedgerId) -> LeafIndex {
        LeafIndex(self.sources.get(&source).map_or(0, |source| source.next))
    }

    /// Applies a batch, or nothing of it.
    pub(crate) fn apply(&mut self, engine: &Engine, batch: &Batch) -> Result<Told, Moved> {
        let at = self.cursor(batch.source());
        if at != batch.from() {
            return Err(Moved { at });
        }
        let mut told = Told::default();
        for observation in batch.observations() {
            self.tick(batch.source(), observation.clock.micros());
            let watermark = self.watermark(engine);
            self.advance(engine, watermark, &mut told);
            self.observe(engine, observation, watermark, &mut told);
        }
        if let Some(clock) = batch.clock() {
            self.tick(batch.source(), clock.micros());
        }
        let watermark = self.watermark(engine);
        self.advance(engine, watermark, &mut told);
        self.sources.entry(batch.source()).or_default().next = batch.to().0;
        Ok(told)
    }

    fn tick(&mut self, source: LedgerId, clock: i64) {
        let source = self.sources.entry(source).or_default();
        source.clock = source.clock.max(Some(clock));
    }

    /// Before this time nothing is expected any more, of any source.
    fn watermark(&self, engine: &Engine) -> i64 {
        let clocks = self.sources.values().map(|source| source.clock);
        let slowest = clocks.min().flatten().unwrap_or(i64::MIN);
        slowest.saturating_sub(engine.limits.lateness_micros())
    }

    fn advance(&mut self, engine: &Engine, watermark: i64, told: &mut Told) {
        while let Some((_, id)) = self
            .due
            .first()
            .filter(|(due, _)| *due <= watermark)
            .copied()
        {
            let Some(mut state) = self.take(engine, id) else {
                return;
            };
            if let Some((rule, correlation)) = engine.correlation(&state.rule) {
                let step = Step {
                    rule,
                    correlation,
                    limits: &engine.limits,
                    watermark,
                };
                state.advance(&step, told);
                self.put(engine, state);
            }
        }
    }

    fn observe(
        &mut self,
        engine: &Engine,
        observation: &Observation,
        watermark: i64,
        told: &mut Told,
    ) {
        let Some((rule, correlation)) = engine.correlation(&observation.rule) else {
            return;
        };
        let step = Step {
            rule,
            correlation,
            limits: &engine.limits,
            watermark,
        };
        let entry = Entry {
            evidence: observation.evidence,
            leg: observation.leg,
            measured: observation.measured,
        };
        let id = observation.group_id;
        let mut state = self.take(engine, id).unwrap_or_else(|| {
            Box::new(State::new(
                id,
                observation.rule,
                Arc::clone(&observation.group),
            ))
        });
        self.touches += 1;
        state.touched = self.touches;
        state.observe(entry, &step, told);
        self.put(engine, state);
        self.keep_within(engine, told);
    }

    fn take(&mut self, engine: &Engine, id: GroupId) -> Option<Box<State>> {
        let state = self.groups.remove(&id)?;
        self.idle.remove(&(state.touched, id));
        if let Some((_, correlation)) = engine.correlation(&state.rule)
            && let Some(due) = state.due(correlation)
        {
            self.due.remove(&(due, id));
        }
        self.entries -= state.entries().min(self.entries);
        Some(state)
    }

    /// A group with nothing left to do is not kept.
    fn put(&mut self, engine: &Engine, state: Box<State>) {
        let due = engine
            .correlation(&state.rule)
            .and_then(|(_, correlation)| state.due(correlation));
        if let Some(due) = due {
            self.due.insert((due, state.id));
            self.idle.insert((state.touched, state.id));
            self.entries += state.entries();
            self.groups.insert(state.id, state);
        }
    }

    fn keep_within(&mut self, engine: &Engine, told: &mut Told) {
        let limits = &engine.limits;
        while self.groups.len() > limits.groups_max.max(1)
            || self.entries > limits.entries_max.max(1)
        {
            // The last one left is the one that was just observed; its own bound holds it.
            let Some((_, id)) = self.idle.first().copied().filter(|_| self.groups.len() > 1) else {
                return;
            };
            if let Some(state) = self.take(engine, id) {
                if let Some((rule, _)) = engine.correlation(&state.rule) {
                    told.notices.evicted(rule);
                }
                state.evict(told);
            }
        }
    }
}
