//! All groups, the sources' clocks and cursors: what a store keeps, and moves as one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use audit_integrity::ledger::{LeafIndex, LedgerId};

use super::state::{State, Step};
use super::window::Entry;
use super::{Engine, Told};
use crate::observation::{Batch, GroupId, Observation};
use crate::rules::Correlation;

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
    pub(super) groups: HashMap<GroupId, State>,
    /// Counts observations, which is all the time that eviction knows.
    pub(super) touches: u64,
    /// When each group next has something to do, by watermark.
    due: BTreeSet<(i64, GroupId)>,
    /// The groups by when they were last observed.
    idle: BTreeMap<u64, GroupId>,
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
        states: Vec<State>,
        engine: &Engine,
        told: &mut Told,
    ) -> Self {
        let mut table = Self {
            sources,
            touches,
            ..Self::default()
        };
        for state in states {
            let Some((_, correlation)) = engine.correlation(&state.rule) else {
                state.evict(told);
                continue;
            };
            let (id, listed) = (state.id, Listed::of(&state, correlation));
            table.groups.insert(id, state);
            table.list(id, None, listed);
        }
        table
    }

    /// Keeps the groups of the correlations that another engine still has, and ends the others' episodes. `before` is the engine
    /// that the table was of: a correlation of the same hash lists its groups as they are, whatever else is changed.
    pub(crate) fn retain(&mut self, before: &Engine, engine: &Engine, told: &mut Told) {
        let gone = |state: &&State| engine.correlation(&state.rule).is_none();
        let gone = self.groups.values().filter(gone).map(|state| state.id);
        let mut gone: Vec<GroupId> = gone.collect();
        // What is ended is told in an order that does not depend on where it lay.
        gone.sort_unstable();
        for id in gone {
            let Some(state) = self.groups.remove(&id) else {
                continue;
            };
            if let Some((_, correlation)) = before.correlation(&state.rule) {
                self.list(id, Listed::of(&state, correlation), None);
            }
            state.evict(told);
        }
    }

    pub(crate) fn cursor(&self, source: LedgerId) -> LeafIndex {
        LeafIndex(self.sources.get(&source).map_or(0, |source| source.next))
    }

    /// Where every source is.
    pub(crate) fn cursors(&self) -> impl Iterator<Item = (LedgerId, LeafIndex)> {
        self.sources
            .iter()
            .map(|(id, source)| (*id, LeafIndex(source.next)))
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
            let Some(state) = self.groups.get_mut(&id) else {
                return;
            };
            let Some((rule, correlation)) = engine.correlation(&state.rule) else {
                return;
            };
            let step = Step {
                rule,
                correlation,
                limits: &engine.limits,
                watermark,
            };
            let before = Listed::of(state, correlation);
            state.advance(&step, told);
            let after = Listed::of(state, correlation);
            self.list(id, before, after);
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
        let new = || State::new(id, observation.rule, Arc::clone(&observation.group));
        let state = self.groups.entry(id).or_insert_with(new);
        let before = Listed::of(state, correlation);
        self.touches += 1;
        state.touched = self.touches;
        state.observe(entry, &step, told);
        let after = Listed::of(state, correlation);
        self.list(id, before, after);
        self.keep_within(engine, told);
    }

    /// Lists a group as it stands now. One with nothing left to do is not kept.
    fn list(&mut self, id: GroupId, before: Option<Listed>, after: Option<Listed>) {
        let due = |listed: Option<Listed>| listed.map(|listed| listed.due);
        if due(before) != due(after) {
            if let Some(due) = due(before) {
                self.due.remove(&(due, id));
            }
            if let Some(due) = due(after) {
                self.due.insert((due, id));
            }
        }
        let touched = |listed: Option<Listed>| listed.map(|listed| listed.touched);
        if touched(before) != touched(after) {
            if let Some(touched) = touched(before) {
                self.idle.remove(&touched);
            }
            if let Some(touched) = touched(after) {
                self.idle.insert(touched, id);
            }
        }
        let entries = |listed: Option<Listed>| listed.map_or(0, |listed| listed.entries);
        self.entries = (self.entries + entries(after)).saturating_sub(entries(before));
        if after.is_none() {
            self.groups.remove(&id);
        }
    }

    fn keep_within(&mut self, engine: &Engine, told: &mut Told) {
        let limits = &engine.limits;
        while self.groups.len() > limits.groups_max.max(1)
            || self.entries > limits.entries_max.max(1)
        {
            // The last one left is the one that was just observed; its own bound holds it.
            let oldest = self.idle.first_key_value().map(|(_, id)| *id);
            let Some(id) = oldest.filter(|_| self.groups.len() > 1) else {
                return;
            };
            let Some(state) = self.groups.remove(&id) else {
                return;
            };
            if let Some((rule, correlation)) = engine.correlation(&state.rule) {
                self.list(id, Listed::of(&state, correlation), None);
                told.notices.evicted(rule);
            }
            state.evict(told);
        }
    }
}

/// How a group is listed; `None` is not at all.
#[derive(Debug, Clone, Copy)]
struct Listed {
    due: i64,
    touched: u64,
    entries: usize,
}

impl Listed {
    fn of(state: &State, correlation: &Correlation) -> Option<Self> {
        Some(Self {
            due: state.due(correlation)?,
            touched: state.touched,
            entries: state.entries(),
        })
    }
}
