//! The plain evaluator: what a correlation means, written for reading. For every event it looks at every event before it.

use std::collections::{BTreeMap, BTreeSet};

use audit_event::AuditEvent;
use proptest::prelude::*;
use serde_json::json;

use crate::made::{event, time};

/// An event of the random streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Happening {
    /// Seconds.
    pub(crate) at: i64,
    /// Orders events of one second.
    pub(crate) number: u64,
    pub(crate) who: u8,
    /// 0, 1 and 2 are matched by rules `a`, `b` and `c`; others by none.
    pub(crate) what: u8,
    pub(crate) value: i64,
}

impl Happening {
    pub(crate) fn event(&self) -> AuditEvent {
        let names = ["a", "b", "c"];
        let action = *names.get(usize::from(self.what)).unwrap_or(&"none");
        let json = json!({
            "timestamp": time(self.at),
            "action": action,
            "status": "success",
            "principalId": format!("u{}", self.who),
            "n": self.value,
        });
        event(&json, self.number)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    EventCount,
    ValueCount,
    /// Without a condition.
    Temporal,
    /// So many of the rules.
    TemporalCount,
    /// `a and (b or not c)`.
    TemporalExpression,
    TemporalOrdered,
    Sum,
    Average,
    Median,
    Percentile(i64),
}

/// A correlation over the rules `a`, `b` and `c`.
#[derive(Debug, Clone)]
pub(crate) struct Plain {
    pub(crate) kind: Kind,
    /// Grouped by who.
    pub(crate) grouped: bool,
    /// Seconds.
    pub(crate) span: i64,
    pub(crate) op: &'static str,
    pub(crate) number: i64,
}

/// A run of events over the threshold: who, its first event, the time of its last, how many.
pub(crate) type Run = (Option<u8>, (i64, u64), i64, u64);

impl Plain {
    pub(crate) fn yaml(&self) -> String {
        let rules = ["a", "b", "c"].map(|name| {
            format!(
                "title: {name}\nid: {name}\nname: {name}\nlogsource:\n    product: audit\ndetection:\n    s:\n        action: {name}\n    condition: s\n---\n"
            )
        });
        let group = if self.grouped {
            "    group-by: [principalId]\n"
        } else {
            ""
        };
        let compared = format!("{}: {}", self.op, self.number);
        let (kind, condition) = match self.kind {
            Kind::EventCount => ("event_count", compared),
            Kind::ValueCount => ("value_count", format!("{compared}\n        field: n")),
            Kind::Temporal => ("temporal", String::new()),
            Kind::TemporalCount => ("temporal", compared),
            Kind::TemporalExpression => ("temporal", "a and (b or not c)".to_owned()),
            Kind::TemporalOrdered => ("temporal_ordered", String::new()),
            Kind::Sum => ("value_sum", format!("{compared}\n        field: n")),
            Kind::Average => ("value_avg", format!("{compared}\n        field: n")),
            Kind::Median => ("value_median", format!("{compared}\n        field: n")),
            Kind::Percentile(rank) => (
                "value_percentile",
                format!("{compared}\n        field: n\n        percentile: {rank}"),
            ),
        };
        let condition = match self.kind {
            Kind::Temporal | Kind::TemporalOrdered => String::new(),
            Kind::TemporalExpression => format!("    condition: {condition}\n"),
            _ => format!("    condition:\n        {condition}\n"),
        };
        format!(
            "{}title: t\nname: t\ncorrelation:\n    type: {kind}\n    rules: [a, b, c]\n{group}    timespan: {}s\n{condition}",
            rules.concat(),
            self.span
        )
    }

    /// Whether the window of `now`, an event among `all`, is over the threshold.
    pub(crate) fn is_over(&self, all: &[Happening], now: &Happening) -> bool {
        let mut window: Vec<&Happening> = all
            .iter()
            .filter(|other| self.counts(other) && self.group(other) == self.group(now))
            .filter(|other| (other.at, other.number) <= (now.at, now.number))
            .filter(|other| other.at >= now.at - self.span)
            .collect();
        window.sort_by_key(|other| (other.at, other.number));
        let count = i64::try_from(window.len()).expect("few");
        let whats: BTreeSet<u8> = window.iter().map(|other| other.what).collect();
        let mut values: Vec<i64> = window.iter().map(|other| other.value).collect();
        let sum: i64 = values.iter().sum();
        values.sort_unstable();
        match self.kind {
            Kind::EventCount => self.compare(count, 1),
            Kind::ValueCount => {
                let distinct: BTreeSet<i64> = values.into_iter().collect();
                self.compare(i64::try_from(distinct.len()).expect("few"), 1)
            }
            Kind::Temporal => whats.len() == 3,
            Kind::TemporalCount => self.compare(i64::try_from(whats.len()).expect("few"), 1),
            Kind::TemporalExpression => {
                whats.contains(&0) && (whats.contains(&1) || !whats.contains(&2))
            }
            Kind::TemporalOrdered => (0..window.len()).any(|first| {
                (first..window.len()).any(|second| {
                    (second..window.len()).any(|third| {
                        [first, second, third].map(|place| window[place].what) == [0, 1, 2]
                    })
                })
            }),
            Kind::Sum => self.compare(sum, 1),
            Kind::Average => self.compare(sum, count),
            Kind::Median => self.compare(percentile(&values, 50), 100),
            Kind::Percentile(rank) => self.compare(percentile(&values, rank), 100),
        }
    }

    pub(crate) fn counts(&self, event: &Happening) -> bool {
        event.what < 3
    }

    pub(crate) fn group(&self, event: &Happening) -> Option<u8> {
        self.grouped.then_some(event.who)
    }

    fn compare(&self, numerator: i64, denominator: i64) -> bool {
        let number = self.number * denominator;
        match self.op {
            "lt" => numerator < number,
            "lte" => numerator <= number,
            "gt" => numerator > number,
            "gte" => numerator >= number,
            "eq" => numerator == number,
            _ => numerator != number,
        }
    }

    /// All runs.
    pub(crate) fn runs(&self, all: &[Happening]) -> Vec<Run> {
        let mut groups: BTreeMap<Option<u8>, Vec<Happening>> = BTreeMap::new();
        for event in all.iter().filter(|event| self.counts(event)) {
            groups.entry(self.group(event)).or_default().push(*event);
        }
        let mut runs: Vec<Run> = Vec::new();
        for (group, mut events) in groups {
            events.sort_by_key(|event| (event.at, event.number));
            let mut open: Option<Run> = None;
            for event in &events {
                let over = self.is_over(all, event);
                match &mut open {
                    Some(run) if over && event.at - run.2 <= self.span => {
                        run.2 = event.at;
                        run.3 += 1;
                    }
                    _ => {
                        runs.extend(open.take());
                        let within = events.iter().filter(|other| {
                            (other.at, other.number) <= (event.at, event.number)
                                && other.at >= event.at - self.span
                        });
                        let count = u64::try_from(within.count()).expect("few");
                        open = over.then_some((group, (event.at, event.number), event.at, count));
                    }
                }
            }
            runs.extend(open);
        }
        runs.sort();
        runs
    }
}

/// A hundred times the percentile, by linear interpolation.
fn percentile(sorted: &[i64], rank: i64) -> i64 {
    let steps = i64::try_from(sorted.len()).expect("few") - 1;
    let place = usize::try_from(rank * steps / 100).expect("positive");
    let part = rank * steps % 100;
    let low = sorted[place];
    let high = *sorted.get(place + 1).unwrap_or(&low);
    low * 100 + (high - low) * part
}

pub(crate) fn correlations() -> impl Strategy<Value = Plain> {
    let kind = prop_oneof![
        Just(Kind::EventCount),
        Just(Kind::ValueCount),
        Just(Kind::Temporal),
        Just(Kind::TemporalCount),
        Just(Kind::TemporalExpression),
        Just(Kind::TemporalOrdered),
        Just(Kind::Sum),
        Just(Kind::Average),
        Just(Kind::Median),
        (0_i64..=100).prop_map(Kind::Percentile),
    ];
    let op = prop::sample::select(vec!["gte", "gte", "gte", "gt", "lt", "lte", "eq", "neq"]);
    (kind, any::<bool>(), 1_i64..25, op, 0_i64..7).prop_map(|(kind, grouped, span, op, number)| {
        Plain {
            kind,
            grouped,
            span,
            op,
            number: number.max(match kind {
                // What the parser cannot tell from no condition at all, and from Sigma's default.
                Kind::TemporalCount => 2,
                _ => 0,
            }),
        }
    })
}

/// Up to so many events within two minutes, numbered.
pub(crate) fn happenings(most: usize) -> impl Strategy<Value = Vec<Happening>> {
    let one = (0_i64..120, 0_u8..3, 0_u8..4, -2_i64..9);
    prop::collection::vec(one, 0..most).prop_map(|events| {
        events
            .into_iter()
            .zip(1..)
            .map(|((at, who, what, value), number)| Happening {
                at,
                number,
                who,
                what,
                value,
            })
            .collect()
    })
}
