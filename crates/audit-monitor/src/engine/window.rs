//! The events of a group that are within the rule's window, and what is computed of them.
//!
//! Everything is computed in whole numbers, so that a sum that grew and shrank for a year equals one made anew.

use std::collections::{BTreeMap, VecDeque};

use crate::observation::{Evidence, Measured};
use crate::rules::{Correlation, Expression, Kind, Op, Test};

/// One observation of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// Comes first: entries are in the order of time and id.
    pub(crate) evidence: Evidence,
    pub(crate) leg: u16,
    pub(crate) measured: Measured,
}

impl Entry {
    pub(crate) fn at(&self) -> i64 {
        self.evidence.at.micros()
    }

    /// What it is known by: a second entry with the same is the same.
    pub(crate) fn key(&self) -> (i64, [u8; 16], u16) {
        (self.at(), *self.evidence.event.as_bytes(), self.leg)
    }
}

/// The evaluated entries that the next one can still see, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Window {
    entries: VecDeque<Entry>,
    /// How often each value is there; kept for `value_count`.
    tokens: BTreeMap<[u8; 16], u32>,
    /// In order; kept for percentiles.
    sorted: Vec<i128>,
    /// Of all numbers.
    sum: i128,
}

/// A fraction; the denominator is positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ratio {
    pub(crate) numerator: i128,
    pub(crate) denominator: i128,
}

impl Ratio {
    fn whole(count: usize) -> Self {
        Self {
            numerator: i128::try_from(count).unwrap_or(i128::MAX),
            denominator: 1,
        }
    }

    fn holds(self, op: Op, number: u64) -> bool {
        let number = i128::from(number).saturating_mul(self.denominator);
        match op {
            Op::Lt => self.numerator < number,
            Op::Lte => self.numerator <= number,
            Op::Gt => self.numerator > number,
            Op::Gte => self.numerator >= number,
            Op::Eq => self.numerator == number,
            Op::Neq => self.numerator != number,
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "shown to people; comparisons are exact"
    )]
    pub(crate) fn shown(self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }
}

const MILLION: i128 = 1_000_000;

impl Window {
    /// Of entries in order.
    pub(crate) fn of(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut window = Self::default();
        for entry in entries {
            window.push(entry);
        }
        window
    }

    pub(crate) fn entries(&self) -> &VecDeque<Entry> {
        &self.entries
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn last_at(&self) -> Option<i64> {
        self.entries.back().map(Entry::at)
    }

    /// Adds the newest entry.
    pub(crate) fn push(&mut self, entry: Entry) {
        match entry.measured {
            Measured::Presence => {}
            Measured::Token(token) => *self.tokens.entry(token).or_default() += 1,
            Measured::Millionths(number) => {
                self.sum = self.sum.saturating_add(number);
                let place = self.sorted.partition_point(|other| *other < number);
                self.sorted.insert(place, number);
            }
        }
        self.entries.push_back(entry);
    }

    /// Forgets the entries before a time.
    pub(crate) fn forget_before(&mut self, time: i64) {
        while self.entries.front().is_some_and(|entry| entry.at() < time) {
            self.forget_oldest();
        }
    }

    pub(crate) fn forget_oldest(&mut self) {
        match self.entries.pop_front().map(|entry| entry.measured) {
            None | Some(Measured::Presence) => {}
            Some(Measured::Token(token)) => {
                if let Some(count) = self.tokens.get_mut(&token) {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        self.tokens.remove(&token);
                    }
                }
            }
            Some(Measured::Millionths(number)) => {
                self.sum = self.sum.saturating_sub(number);
                let place = self.sorted.partition_point(|other| *other < number);
                if place < self.sorted.len() {
                    self.sorted.remove(place);
                }
            }
        }
    }

    /// What is computed, when the window is over the threshold.
    pub(crate) fn over(&self, rule: &Correlation) -> Option<Ratio> {
        match &rule.test {
            Test::Compare(comparisons) => {
                let value = self.value(rule)?;
                let mut comparisons = comparisons.iter();
                comparisons
                    .all(|(op, number)| value.holds(*op, *number))
                    .then_some(value)
            }
            Test::AllLegs => {
                let legs = self.legs(rule);
                let all = legs.iter().all(|there| *there) && self.is_in_order(rule);
                all.then(|| Ratio::whole(legs.len()))
            }
            Test::Expression(expression) => {
                let legs = self.legs(rule);
                let count = legs.iter().filter(|there| **there).count();
                (holds(expression, &legs) && self.is_in_order(rule)).then(|| Ratio::whole(count))
            }
        }
    }

    fn value(&self, rule: &Correlation) -> Option<Ratio> {
        let count = self.entries.len();
        match rule.kind {
            Kind::EventCount => Some(Ratio::whole(count)),
            Kind::ValueCount => Some(Ratio::whole(self.tokens.len())),
            Kind::Temporal => {
                let legs = self.legs(rule);
                Some(Ratio::whole(legs.iter().filter(|there| **there).count()))
            }
            Kind::TemporalOrdered => {
                let whole = self.is_in_order(rule);
                Some(Ratio::whole(if whole { rule.legs.len() } else { 0 }))
            }
            Kind::Sum => Some(Ratio {
                numerator: self.sum,
                denominator: MILLION,
            }),
            Kind::Average => (count > 0).then(|| Ratio {
                numerator: self.sum,
                denominator: Ratio::whole(count).numerator * MILLION,
            }),
            Kind::Percentile(rank) => self.percentile(rank),
        }
    }

    /// By linear interpolation between the two values nearest to the rank.
    fn percentile(&self, rank: u64) -> Option<Ratio> {
        let steps = self.sorted.len().checked_sub(1)?;
        let hundredths = usize::try_from(rank).ok()?.saturating_mul(steps);
        let (place, part) = (hundredths / 100, hundredths % 100);
        let low = *self.sorted.get(place)?;
        let high = self.sorted.get(place + 1).copied().unwrap_or(low);
        let part = i128::try_from(part).ok()?;
        Some(Ratio {
            numerator: low * 100 + (high - low) * part,
            denominator: 100 * MILLION,
        })
    }

    /// Which legs are there.
    fn legs(&self, rule: &Correlation) -> Vec<bool> {
        let mut legs = vec![false; rule.legs.len()];
        let mut missing = legs.len();
        for entry in &self.entries {
            if let Some(leg) = legs.get_mut(usize::from(entry.leg))
                && !std::mem::replace(leg, true)
            {
                missing -= 1;
                if missing == 0 {
                    break;
                }
            }
        }
        legs
    }

    /// Whether the legs come one after the other, in the order of the rule; of other kinds always.
    fn is_in_order(&self, rule: &Correlation) -> bool {
        if rule.kind != Kind::TemporalOrdered {
            return true;
        }
        let mut next = 0;
        for entry in &self.entries {
            if usize::from(entry.leg) == next {
                next += 1;
            }
            if next == rule.legs.len() {
                return true;
            }
        }
        false
    }
}

fn holds(expression: &Expression, legs: &[bool]) -> bool {
    let there = |leg: &usize| legs.get(*leg).copied().unwrap_or_default();
    match expression {
        Expression::And(parts) => parts.iter().all(|part| holds(part, legs)),
        Expression::Or(parts) => parts.iter().any(|part| holds(part, legs)),
        Expression::Not(part) => !holds(part, legs),
        Expression::Leg(leg) => there(leg),
        Expression::AtLeast(count, of) => of.iter().filter(|leg| there(leg)).count() >= *count,
    }
}
