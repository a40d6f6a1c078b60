//! What a backtest finds: episodes, and how many of each rule.

use std::collections::{BTreeMap, BTreeSet};

use audit_monitor::{Episode, EpisodeId, Group, Phase, RuleSet};
use serde_json::{Value, json};

use crate::output::Rows;

/// Episodes as they come, each in one phase or in two.
#[derive(Debug)]
pub(super) struct Tally {
    /// Shown at most.
    most: usize,
    shown: Vec<Episode>,
    /// Where those stand that are shown and have not ended.
    open: BTreeMap<EpisodeId, usize>,
    /// Those that are counted, not shown, and have not ended.
    unseen: BTreeSet<EpisodeId>,
    /// By the key of the rule.
    counts: BTreeMap<String, u64>,
}

impl Tally {
    /// Shows at most so many; counts all.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            shown: Vec::new(),
            open: BTreeMap::new(),
            unseen: BTreeSet::new(),
            counts: BTreeMap::new(),
        }
    }

    /// Takes one.
    pub(super) fn add(&mut self, episode: Episode) {
        let id = episode.id;
        if let Some(place) = self.open.get(&id).copied() {
            if episode.phase == Phase::Closed {
                self.open.remove(&id);
            }
            if let Some(known) = self.shown.get_mut(place) {
                *known = episode;
            }
            return;
        }
        let ended = episode.phase == Phase::Closed;
        if self.unseen.contains(&id) {
            if ended {
                self.unseen.remove(&id);
            }
            return;
        }
        *self.counts.entry(episode.rule.clone()).or_default() += 1;
        if self.shown.len() < self.most {
            if !ended {
                self.open.insert(id, self.shown.len());
            }
            self.shown.push(episode);
        } else if !ended {
            self.unseen.insert(id);
        }
    }

    /// How many there are.
    pub(super) fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// How many are counted and not shown.
    pub(super) fn left_out(&self) -> u64 {
        let shown = u64::try_from(self.shown.len()).unwrap_or(u64::MAX);
        self.total().saturating_sub(shown)
    }

    /// In the order of their first events.
    fn in_order(&self) -> Vec<&Episode> {
        let mut episodes: Vec<&Episode> = self.shown.iter().collect();
        episodes.sort_by_key(|episode| (episode.first.at, episode.first.event));
        episodes
    }

    /// Rows of episodes.
    pub(super) fn rows(&self) -> Rows {
        let mut rows = Rows::new(&[
            "rule",
            "level",
            "organizationId",
            "group",
            "first",
            "last",
            "events",
        ]);
        for episode in self.in_order() {
            rows.push(vec![
                episode.rule.as_str().into(),
                episode.level.as_str().into(),
                episode.group.organization.as_str().into(),
                told(&episode.group).into(),
                episode.first.at.to_string().into(),
                episode.last.to_string().into(),
                episode.events.to_string().into(),
            ]);
        }
        rows
    }

    /// Rows of rules that can raise, with how often they did.
    pub(super) fn rule_rows(&self, rules: &RuleSet) -> Rows {
        let mut rows = Rows::new(&["rule", "level", "episodes"]);
        for rule in rules.rules() {
            if let Some(count) = self.counts.get(rule.key()) {
                rows.push(vec![
                    rule.key().into(),
                    rule.level().as_str().into(),
                    count.to_string().into(),
                ]);
            }
        }
        rows
    }

    /// The episodes as JSON.
    pub(super) fn episodes(&self) -> Vec<Value> {
        let body = |episode: &&Episode| {
            json!({
                "id": episode.id.to_string(),
                "rule": episode.rule,
                "title": episode.title,
                "level": episode.level.as_str(),
                "organizationId": episode.group.organization.as_str(),
                "group": group_of(&episode.group),
                "first": episode.first.at.to_string(),
                "firstEventId": episode.first.event.to_string(),
                "last": episode.last.to_string(),
                "events": episode.events,
                "value": episode.value,
                "late": episode.late,
            })
        };
        self.in_order().iter().map(body).collect()
    }

    /// How many of each rule, as JSON.
    pub(super) fn counts(&self) -> &BTreeMap<String, u64> {
        &self.counts
    }
}

/// A group's fields, as alerts have them.
pub(super) fn group_of(group: &Group) -> Vec<Value> {
    let values = group.values.iter();
    values
        .map(|(field, value)| json!({ "field": field, "value": value }))
        .collect()
}

fn told(group: &Group) -> String {
    let values = group.values.iter();
    let told: Vec<String> = values
        .map(|(field, value)| format!("{field}={}", value.as_deref().unwrap_or_default()))
        .collect();
    told.join(", ")
}
