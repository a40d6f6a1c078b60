//! Rules, events, streams and followers to test stores with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use audit_event::forms::read_statement;
use audit_event::{AuditEvent, EventId, Form, OrganizationId, Stamps, Timestamp};
use audit_integrity::ledger::{LeafIndex, LedgerId};

use crate::{
    Batch, Engine, Episode, EpisodeId, Limits, Matcher, MemoryWindows, Phase, RuleSet, Settings,
    WindowStore,
};

/// Three of a principal in ten seconds; three values of anybody in fifteen; one after another.
const RULES: &str = "
title: a
name: a
logsource: {product: audit}
detection: {s: {action: a}, condition: s}
---
title: b
name: b
logsource: {product: audit}
detection: {s: {action: b}, condition: s}
---
title: often
name: often
correlation: {type: event_count, rules: [a], group-by: [principalId], timespan: 10s, condition: {gte: 3}}
---
title: several
name: several
correlation: {type: value_count, rules: [a, b], timespan: 15s, condition: {gte: 3, field: n}}
---
title: ordered
name: ordered
correlation: {type: temporal_ordered, rules: [a, b], group-by: [principalId], timespan: 5s}
";

/// Allowed lateness of [`limits`], in seconds.
pub const LATENESS: i64 = 20;

/// Three ledgers.
pub const SOURCES: [LedgerId; 3] = [
    LedgerId::Events(0),
    LedgerId::Events(1),
    LedgerId::Directory,
];

/// The rules of the suite.
#[must_use]
pub fn rules() -> Arc<RuleSet> {
    let set = RuleSet::load([("rules.yml", RULES)].into_iter());
    assert_eq!(set.problems(), []);
    Arc::new(set)
}

/// Bounds that nothing reaches.
#[must_use]
pub fn limits() -> Limits {
    Limits {
        allowed_lateness: Duration::from_secs(LATENESS.unsigned_abs()),
        ..Limits::default()
    }
}

/// Of the rules of the suite.
#[must_use]
pub fn engine(limits: Limits) -> Arc<Engine> {
    Arc::new(Engine::new(rules(), limits))
}

/// Matches the rules of the suite.
#[must_use]
pub fn matcher() -> Matcher {
    Matcher::new(rules(), Settings::default())
}

/// All sources from their first leaf on.
#[must_use]
pub fn beginnings() -> Vec<(LedgerId, LeafIndex)> {
    let first = |source: &LedgerId| (*source, LeafIndex(0));
    SOURCES.iter().map(first).collect()
}

/// An event of the principal `who`, so many seconds after noon of a day; `number` makes its id.
#[must_use]
pub fn event(action: &str, who: u64, at: i64, number: u64) -> AuditEvent {
    let at = Timestamp::clamped((1_704_456_000 + at) * 1_000_000);
    let at = String::from_utf8(at.canonical_text().to_vec()).unwrap();
    let text = format!(
        r#"{{"timestamp":"{at}","action":"{action}","status":"success","principalId":"u{who}","n":{}}}"#,
        number % 7
    );
    let statement = read_statement(Form::Native, text.as_bytes());
    let statement = statement.unwrap_or_else(|problems| panic!("{problems:?}"));
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    let stamps = Stamps {
        fallback_id: EventId::from_bytes(id),
        received_at: statement.timestamp,
        default_organization: OrganizationId::new("acme"),
    };
    AuditEvent::stamp(statement, &stamps)
}

/// Numbers that look random, the same for the same seed.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    /// A number below `sides`, as an index.
    pub fn index(&mut self, sides: usize) -> usize {
        usize::try_from(self.roll(u64::try_from(sides).unwrap())).unwrap()
    }
}

/// Events of each source in the order of arrival, none later than is allowed, over so many seconds.
#[must_use]
pub fn streams(dice: &mut Dice, events: u64, seconds: u64) -> BTreeMap<LedgerId, Vec<AuditEvent>> {
    let mut arriving: Vec<(u64, u64, AuditEvent)> = (1..=events)
        .map(|number| {
            let at = dice.roll(seconds);
            let action = ["a", "b", "c"][dice.index(3)];
            let happened = event(action, dice.roll(4), i64::try_from(at).unwrap(), number);
            let delay = dice.roll(LATENESS.unsigned_abs() + 1);
            (at + delay, number, happened)
        })
        .collect();
    arriving.sort_by_key(|(arrival, number, _)| (*arrival, *number));
    let mut streams: BTreeMap<LedgerId, Vec<AuditEvent>> =
        SOURCES.iter().map(|source| (*source, Vec::new())).collect();
    for (_, _, event) in arriving {
        let source = SOURCES[dice.index(SOURCES.len())];
        streams.get_mut(&source).unwrap().push(event);
    }
    streams
}

/// Episodes by id and phase, which may come again, but not otherwise.
pub type Found = BTreeMap<(EpisodeId, Phase), Episode>;

/// Adds episodes to those that were found.
pub fn find(found: &mut Found, episodes: Vec<Episode>) {
    for episode in episodes {
        let before = found.insert((episode.id, episode.phase), episode.clone());
        assert!(before.is_none_or(|before| before == episode));
    }
}

/// What windows in memory raise of these streams, read one after the other to the end of every window.
pub async fn expected(streams: &BTreeMap<LedgerId, Vec<AuditEvent>>) -> Found {
    let windows = MemoryWindows::new(engine(limits()), &beginnings());
    let matcher = matcher();
    for (source, events) in streams {
        let mut batch = Batch::new(*source, LeafIndex(0));
        for event in events {
            batch.read(&matcher, event);
        }
        windows.apply(&batch).await.unwrap();
    }
    let mut found = Found::new();
    end(&windows, &SOURCES).await;
    find(&mut found, windows.raised(usize::MAX).await.unwrap());
    found
}

/// Reads events from the cursor of a source on, as one batch.
pub async fn read(
    windows: &dyn WindowStore,
    matcher: &Matcher,
    source: LedgerId,
    events: &[AuditEvent],
) -> Batch {
    let batch = batch(windows, matcher, source, events).await;
    windows.apply(&batch).await.unwrap();
    batch
}

/// The batch of events from the cursor of a source on.
pub async fn batch(
    windows: &dyn WindowStore,
    matcher: &Matcher,
    source: LedgerId,
    events: &[AuditEvent],
) -> Batch {
    let mut batch = Batch::new(source, windows.cursor(source).await.unwrap());
    for event in events {
        batch.read(matcher, event);
    }
    batch
}

/// Ends every window: the clocks of all sources come to the end of time.
pub async fn end(windows: &dyn WindowStore, sources: &[LedgerId]) {
    for source in sources {
        let mut end = Batch::new(*source, windows.cursor(*source).await.unwrap());
        end.idle(Timestamp::clamped(i64::MAX));
        windows.apply(&end).await.unwrap();
    }
}

/// Takes and settles what is raised until nothing is.
pub async fn settle_all(windows: &dyn WindowStore) -> Vec<Episode> {
    let mut all = Vec::new();
    loop {
        let raised = windows.raised(7).await.unwrap();
        if raised.is_empty() {
            return all;
        }
        let settled: Vec<_> = raised.iter().map(|one| (one.id, one.phase)).collect();
        windows.settle(&settled).await.unwrap();
        all.extend(raised);
    }
}
