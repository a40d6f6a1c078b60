//! What is kept of one group, and how it moves: a function of its observations and of the watermark, and of nothing else.
//!
//! An observation waits until the watermark has passed it, and is then evaluated in its place in the order of time and id. What arrives
//! behind the watermark is late: it is kept apart, until no more is expected, and then evaluated by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use audit_event::Timestamp;
use audit_integrity::ledger::Digest;

use super::window::{Entry, Ratio, Window};
use super::{Limits, Told};
use crate::episode::{EVIDENCE_MAX, Episode, EpisodeId, Phase};
use crate::observation::{Group, GroupId};
use crate::rules::{Correlation, Rule};

type Key = (i64, [u8; 16], u16);

/// One group of one correlation.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) id: GroupId,
    /// Hash of the correlation.
    pub(crate) rule: Digest,
    pub(crate) group: Arc<Group>,
    /// Not yet behind the watermark.
    pub(crate) waiting: BTreeMap<Key, Entry>,
    pub(crate) window: Window,
    pub(crate) open: Option<Open>,
    /// Arrived behind the watermark.
    pub(crate) late: BTreeMap<Key, Entry>,
    /// The watermark at which `late` is evaluated.
    pub(crate) late_until: i64,
    /// When it was last observed, in observations of all groups: the smallest is evicted first.
    pub(crate) touched: u64,
}

/// An episode that goes on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Open {
    /// As it stands now.
    pub(crate) episode: Episode,
}

/// What a step needs to know.
pub(super) struct Step<'s> {
    pub(super) rule: &'s Rule,
    pub(super) correlation: &'s Correlation,
    pub(super) limits: &'s Limits,
    pub(super) watermark: i64,
}

impl State {
    pub(super) fn new(id: GroupId, rule: Digest, group: Arc<Group>) -> Self {
        Self {
            id,
            rule,
            group,
            waiting: BTreeMap::new(),
            window: Window::default(),
            open: None,
            late: BTreeMap::new(),
            late_until: i64::MAX,
            touched: 0,
        }
    }

    /// How many observations it holds.
    pub(crate) fn entries(&self) -> usize {
        self.waiting.len() + self.window.len() + self.late.len()
    }

    /// Takes an observation in; the group has been advanced to the step's watermark.
    pub(super) fn observe(&mut self, entry: Entry, step: &Step<'_>, told: &mut Told) {
        // Behind the watermark, or behind what a full group had to evaluate before its time.
        let evaluated = self.window.entries().back().map(Entry::key);
        if entry.at() < step.watermark || evaluated.is_some_and(|last| entry.key() <= last) {
            return self.observe_late(entry, step, told);
        }
        self.waiting.entry(entry.key()).or_insert(entry);
        if self.waiting.len() > step.limits.entries_per_group_max
            && let Some((_, first)) = self.waiting.pop_first()
        {
            told.notices.hurried(step.rule);
            self.evaluate(first, step, told);
        }
    }

    fn observe_late(&mut self, entry: Entry, step: &Step<'_>, told: &mut Told) {
        told.late += 1;
        if self.late.is_empty() {
            let wait = step.limits.lateness_micros() + step.correlation.span;
            self.late_until = step.watermark.saturating_add(wait);
        }
        self.late.entry(entry.key()).or_insert(entry);
        if self.late.len() > step.limits.entries_per_group_max {
            told.notices.hurried(step.rule);
            self.evaluate_late(step, told);
        }
    }

    /// Moves on to the step's watermark.
    pub(super) fn advance(&mut self, step: &Step<'_>, told: &mut Told) {
        while let Some(first) = self.waiting.first_entry() {
            if first.get().at() >= step.watermark {
                break;
            }
            let entry = first.remove();
            self.evaluate(entry, step, told);
        }
        if self
            .end_of_episode(step.correlation)
            .is_some_and(|end| step.watermark > end)
        {
            self.close(told);
        }
        if !self.late.is_empty() && step.watermark >= self.late_until {
            self.evaluate_late(step, told);
        }
        self.forget_passed(step);
    }

    /// The last time at which an observation belongs to the open episode.
    fn end_of_episode(&self, correlation: &Correlation) -> Option<i64> {
        let open = self.open.as_ref()?;
        Some(open.episode.last.micros().saturating_add(correlation.span))
    }

    /// The next watermark at which something happens; `None` when nothing is left to happen and the group can be forgotten.
    pub(super) fn due(&self, correlation: &Correlation) -> Option<i64> {
        let waiting = self.waiting.first_key_value().map(|(key, _)| key.0);
        // Nothing that comes after its end can see the window; while something waits, it is let go of entry by entry.
        let window = self.window.last_at().filter(|_| self.waiting.is_empty());
        let window = window.map(|last| last.saturating_add(correlation.span));
        let passed = [waiting, self.end_of_episode(correlation), window];
        let passed = passed
            .into_iter()
            .flatten()
            .map(|time| time.saturating_add(1));
        let late = (!self.late.is_empty()).then_some(self.late_until);
        passed.chain(late).min()
    }

    /// Forgets a window that nothing to come can see.
    fn forget_passed(&mut self, step: &Step<'_>) {
        let last = self.window.last_at();
        let end = last.map(|last| last.saturating_add(step.correlation.span));
        if self.waiting.is_empty() && end.is_some_and(|end| step.watermark > end) {
            self.window = Window::default();
        }
    }

    fn evaluate(&mut self, entry: Entry, step: &Step<'_>, told: &mut Told) {
        let span = step.correlation.span;
        self.window.forget_before(entry.at().saturating_sub(span));
        self.window.push(entry);
        while self.window.len() > step.limits.entries_per_group_max {
            told.notices.cut(step.rule);
            self.window.forget_oldest();
        }
        let over = self.window.over(step.correlation);
        if let Some(open) = &mut self.open
            && over.is_some()
            && entry.at() - open.episode.last.micros() <= span
        {
            open.episode.last = entry.evidence.at;
            open.episode.events = open.episode.events.saturating_add(1);
            return;
        }
        self.close(told);
        if let Some(value) = over {
            let episode = self.opened(&self.window, value, step);
            told.raise(&episode, Phase::Opened);
            self.open = Some(Open { episode });
        }
    }

    /// An episode that the last entry of a window opens.
    fn opened(&self, window: &Window, value: Ratio, step: &Step<'_>) -> Episode {
        let entries = window.entries();
        let skipped = entries.len().saturating_sub(EVIDENCE_MAX);
        let evidence: Vec<_> = entries
            .iter()
            .skip(skipped)
            .map(|entry| entry.evidence)
            .collect();
        let first = entries.back().map(|entry| entry.evidence);
        let first = first.unwrap_or(crate::observation::Evidence::NONE);
        Episode {
            id: EpisodeId::of(&self.id, &first),
            phase: Phase::Opened,
            rule: step.rule.key().to_owned(),
            rule_hash: step.rule.hash(),
            title: step.rule.title().to_owned(),
            level: step.rule.level(),
            group: Arc::clone(&self.group),
            first,
            last: first.at,
            events: u64::try_from(entries.len()).unwrap_or(u64::MAX),
            value: value.shown(),
            evidence,
            late: false,
        }
    }

    /// The open episode is over.
    pub(super) fn close(&mut self, told: &mut Told) {
        if let Some(open) = self.open.take() {
            told.raise(&open.episode, Phase::Closed);
        }
    }

    /// What came late is evaluated as if it were all there is: with the same rule, from an empty window, to its end.
    fn evaluate_late(&mut self, step: &Step<'_>, told: &mut Told) {
        let entries = std::mem::take(&mut self.late);
        self.late_until = i64::MAX;
        let mut apart = Self::new(self.id, self.rule, Arc::clone(&self.group));
        let mut late = Told::default();
        for entry in entries.into_values() {
            apart.evaluate(entry, step, &mut late);
        }
        apart.close(&mut late);
        for mut episode in late.episodes {
            episode.late = true;
            told.episodes.push(episode);
        }
        told.notices.merge(late.notices);
    }

    /// Everything is let go of: the open episode ends here.
    pub(super) fn evict(mut self, told: &mut Told) {
        self.close(told);
    }
}

impl Told {
    fn raise(&mut self, episode: &Episode, phase: Phase) {
        self.episodes.push(Episode {
            phase,
            ..episode.clone()
        });
    }
}

/// The microseconds of a duration that was checked to be short enough.
pub(super) fn micros(of: std::time::Duration) -> i64 {
    i64::try_from(of.as_micros()).unwrap_or(Timestamp::clamped(i64::MAX).micros())
}
