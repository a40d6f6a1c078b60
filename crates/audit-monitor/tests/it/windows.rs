//! The windows against the plain evaluator: the same episodes for any batches, restarts, redeliveries, orders of arrival and company.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use audit_event::Timestamp;
use audit_integrity::ledger::{LeafIndex, LedgerId};
use audit_monitor::{
    Batch, Engine, Episode, EpisodeId, Limits, Matcher, MemoryWindows, Notice, Phase, RuleSet,
    Settings, Shortage, WindowError, WindowStore,
};
use futures::executor::block_on;
use proptest::prelude::*;

use crate::made::{rules, time};
use crate::plain::{Happening, Kind, Plain, Run, correlations, happenings};

const LATENESS: i64 = 20;

fn limits() -> Limits {
    Limits {
        allowed_lateness: Duration::from_secs(LATENESS.unsigned_abs()),
        ..Limits::default()
    }
}

/// A follower of ledgers, as a process is one: it may die after any batch.
struct Follower {
    matcher: Matcher,
    engine: Arc<Engine>,
    windows: MemoryWindows,
    notices: Vec<Notice>,
    late: u64,
}

impl Follower {
    fn new(rules: &Arc<RuleSet>, limits: Limits, sources: &[LedgerId]) -> Self {
        let engine = Arc::new(Engine::new(Arc::clone(rules), limits));
        let begun: Vec<_> = sources
            .iter()
            .map(|source| (*source, LeafIndex(0)))
            .collect();
        Self {
            matcher: Matcher::new(Arc::clone(rules), Settings::default()),
            windows: MemoryWindows::new(Arc::clone(&engine), &begun),
            engine,
            notices: Vec::new(),
            late: 0,
        }
    }

    fn batch(&self, source: LedgerId, events: &[Happening]) -> Batch {
        let at = block_on(self.windows.cursor(source)).expect("a cursor");
        let mut batch = Batch::new(source, at);
        for event in events {
            let alone = batch.read(&self.matcher, &event.event());
            assert_eq!(alone, [], "the rules only feed the correlation");
        }
        batch
    }

    fn apply(&mut self, batch: &Batch) {
        block_on(self.windows.apply(batch)).expect("it starts at the cursor");
        let told = self.windows.told().expect("what came of it");
        self.late += told.late;
        self.notices.extend(told.notices);
    }

    fn read(&mut self, source: LedgerId, events: &[Happening]) {
        let batch = self.batch(source, events);
        self.apply(&batch);
    }

    /// The batch was applied and the answer lost: it comes again.
    fn is_refused(&self, batch: &Batch) -> bool {
        let again = block_on(self.windows.apply(batch));
        matches!(again, Err(WindowError::Moved { at, .. }) if at == batch.to())
    }

    fn restart(&mut self) {
        let snapshot = self.windows.snapshot().expect("a snapshot");
        let again = MemoryWindows::restore(Arc::clone(&self.engine), &snapshot);
        self.windows = again.expect("what was written");
    }

    fn finish(&mut self, sources: &[LedgerId]) -> Vec<Episode> {
        for source in sources {
            let mut end = self.batch(*source, &[]);
            end.idle(Timestamp::clamped(i64::MAX));
            self.apply(&end);
        }
        block_on(self.windows.raised(usize::MAX)).expect("episodes")
    }
}

/// Cuts a stream after each of the lengths, again and again.
fn cut<'e>(events: &'e [Happening], lengths: &[usize]) -> Vec<&'e [Happening]> {
    let mut rest = events;
    let mut parts = Vec::new();
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (part, after) = rest.split_at(rest.len().min(length + 1));
        parts.push(part);
        rest = after;
    }
    parts
}

fn runs(episodes: &[Episode]) -> Vec<Run> {
    let seconds = |at: Timestamp| {
        let noon = 1_704_456_000;
        at.micros() / 1_000_000 - noon
    };
    let number = |id: &[u8; 16]| u64::from_be_bytes(id[8..].try_into().expect("8 bytes"));
    let mut opened: BTreeMap<EpisodeId, &Episode> = BTreeMap::new();
    let mut runs = Vec::new();
    for episode in episodes {
        if episode.phase == Phase::Opened {
            assert!(opened.insert(episode.id, episode).is_none(), "opened once");
            continue;
        }
        let begun = opened.remove(&episode.id).expect("it was opened");
        assert_eq!(begun.first, episode.first);
        let evidence = &episode.evidence;
        assert!(evidence.is_sorted() && evidence.last() == Some(&episode.first));
        let who = episode.group.values.first();
        let who = who.and_then(|(_, who)| who.as_ref()?.strip_prefix('u')?.parse().ok());
        let first = (
            seconds(episode.first.at),
            number(episode.first.event.as_bytes()),
        );
        runs.push((who, first, seconds(episode.last), episode.events));
    }
    assert!(opened.is_empty(), "everything is closed in the end");
    runs.sort();
    runs
}

const ONE: [LedgerId; 1] = [LedgerId::Events(0)];

/// Read in one go, in the order given.
fn in_one_go(plain: &Plain, events: &[Happening]) -> (Vec<Episode>, u64) {
    let mut follower = Follower::new(&rules(&plain.yaml()), limits(), &ONE);
    follower.read(ONE[0], events);
    let episodes = follower.finish(&ONE);
    assert_eq!(follower.notices, []);
    (episodes, follower.late)
}

/// In the order in which events arrive that are up to so many seconds late.
fn arriving(mut events: Vec<Happening>, late_by: &[i64]) -> Vec<Happening> {
    let delays = late_by.iter().cycle();
    let mut delayed: Vec<(i64, Happening)> = events
        .drain(..)
        .zip(delays)
        .map(|(event, delay)| (event.at + delay, event))
        .collect();
    delayed.sort_by_key(|(arrival, event)| (*arrival, event.number));
    delayed.into_iter().map(|(_, event)| event).collect()
}

fn sorted(mut episodes: Vec<Episode>) -> Vec<Episode> {
    episodes.sort_by_key(|episode| (episode.id, episode.phase));
    episodes
}

proptest! {
    #[test]
    fn on_time_events_make_the_episodes_of_the_plain_evaluator(
        plain in correlations(),
        events in happenings(60),
        delays in prop::collection::vec(0..=LATENESS, 1..8),
        lengths in prop::collection::vec(0_usize..9, 1..6),
        restarts in prop::collection::vec(any::<bool>(), 1..5),
    ) {
        let expected = plain.runs(&events);
        let arrived = arriving(events, &delays);
        let mut follower = Follower::new(&rules(&plain.yaml()), limits(), &ONE);
        for (part, restart) in cut(&arrived, &lengths).into_iter().zip(restarts.into_iter().cycle()) {
            let batch = follower.batch(ONE[0], part);
            follower.apply(&batch);
            if restart {
                follower.restart();
            }
            prop_assert!(follower.is_refused(&batch));
        }
        let episodes = follower.finish(&ONE);
        prop_assert_eq!(follower.late, 0);
        prop_assert!(episodes.iter().all(|episode| !episode.late));
        prop_assert_eq!(runs(&episodes), expected);
    }

    #[test]
    fn late_events_make_the_same_episodes_in_any_batches(
        plain in correlations(),
        events in happenings(60),
        delays in prop::collection::vec(0..=4 * LATENESS, 1..8),
        lengths in prop::collection::vec(0_usize..9, 1..6),
    ) {
        let arrived = arriving(events, &delays);
        let (expected, late) = in_one_go(&plain, &arrived);
        let mut follower = Follower::new(&rules(&plain.yaml()), limits(), &ONE);
        for part in cut(&arrived, &lengths) {
            follower.read(ONE[0], part);
            follower.restart();
        }
        let episodes = follower.finish(&ONE);
        prop_assert_eq!(follower.late, late);
        prop_assert_eq!(sorted(episodes), sorted(expected));
    }

    #[test]
    fn several_ledgers_make_the_episodes_of_one(
        plain in correlations(),
        events in happenings(60),
        delays in prop::collection::vec(0..=LATENESS, 1..8),
        ledgers in prop::collection::vec(0_u16..3, 1..20),
        order in prop::collection::vec(0_usize..3, 1..20),
        lengths in prop::collection::vec(0_usize..5, 1..6),
    ) {
        let expected = plain.runs(&events);
        let sources = [0, 1, 2].map(LedgerId::Events);
        let mut parted = vec![Vec::new(); 3];
        for (event, ledger) in arriving(events, &delays).into_iter().zip(ledgers.into_iter().cycle()) {
            parted[usize::from(ledger)].push(event);
        }
        let mut queues: Vec<_> = parted.iter().map(|events| cut(events, &lengths).into_iter()).collect();
        let mut follower = Follower::new(&rules(&plain.yaml()), limits(), &sources);
        // One ledger may be read far ahead of the others.
        for next in order.into_iter().chain((0..300).map(|turn| turn % 3)) {
            if let Some(part) = queues[next].next() {
                follower.read(sources[next], part);
            }
        }
        let episodes = follower.finish(&sources);
        prop_assert_eq!(follower.late, 0);
        prop_assert_eq!(runs(&episodes), expected);
    }

    #[test]
    fn company_changes_nothing(
        plain in correlations(),
        events in happenings(30),
        delays in prop::collection::vec(0..=LATENESS, 1..8),
    ) {
        let plain = Plain { grouped: true, ..plain };
        let expected = plain.runs(&events);
        // 400 events of other people and of other kinds, all along.
        let others = (0..400_i64).map(|number| Happening {
            at: number % 120,
            number: 1_000 + number.unsigned_abs(),
            who: 3 + u8::try_from(number % 100).expect("small"),
            what: u8::try_from(number % 5).expect("small"),
            value: number,
        });
        let mut all = events;
        all.extend(others);
        let arrived = arriving(all, &delays);
        let (episodes, late) = in_one_go(&plain, &arrived);
        let own: Vec<Run> = runs(&episodes).into_iter().filter(|run| run.0 < Some(3)).collect();
        prop_assert_eq!(late, 0);
        prop_assert_eq!(own, expected);
    }
}

/// A million at full size.
fn padding() -> i64 {
    let full = std::env::var_os("AUDIT_TEST_FULL").is_some_and(|full| full == "true");
    if full { 1_000_000 } else { 30_000 }
}

#[test]
fn padding_changes_nothing() {
    // In no pattern that a window could follow, and the same each time.
    let mixed = |number: u64, salt: u64| ((number + salt) * 2_654_435_761 % (1 << 32)) >> 16;
    let small = |number: u64, below: u64| u8::try_from(number % below).expect("small");
    let own: Vec<Happening> = (0..120_u64)
        .map(|number| Happening {
            at: small(mixed(number, 1), 120).into(),
            number,
            who: small(mixed(number, 50), 3),
            what: small(mixed(number, 99), 4),
            value: small(mixed(number, 200), 9).into(),
        })
        .collect();
    // Half of them no rule minds; the others are of people who do the same things.
    let others = (0..padding()).map(|number| Happening {
        at: number * 120 / padding(),
        number: 1_000 + number.unsigned_abs(),
        who: 3 + u8::try_from(number % 250).expect("small"),
        what: u8::try_from(number % 6).expect("small"),
        value: number % 9,
    });
    let mut all: Vec<Happening> = own.iter().copied().chain(others).collect();
    all.sort_by_key(|event| (event.at, event.number));
    let roomy = Limits {
        entries_per_group_max: 100_000,
        entries_max: 10_000_000,
        ..limits()
    };
    let kinds = [Kind::EventCount, Kind::ValueCount, Kind::TemporalOrdered];
    for kind in kinds {
        let plain = Plain {
            kind,
            ..counting(3, 10)
        };
        let expected = plain.runs(&own);
        assert!(expected.len() > 5, "{expected:?}");
        let mut follower = Follower::new(&rules(&plain.yaml()), roomy.clone(), &ONE);
        for (part, restarts) in all.chunks(5_000).zip([true, false, false].iter().cycle()) {
            follower.read(ONE[0], part);
            if *restarts {
                follower.restart();
            }
        }
        let episodes = follower.finish(&ONE);
        assert_eq!((follower.late, follower.notices), (0, Vec::new()));
        let found: Vec<Run> = runs(&episodes)
            .into_iter()
            .filter(|run| run.0 < Some(3))
            .collect();
        assert_eq!(found, expected, "{kind:?}");
    }
}

fn counting(number: i64, span: i64) -> Plain {
    Plain {
        kind: Kind::EventCount,
        grouped: true,
        span,
        op: "gte",
        number,
    }
}

fn by(who: u8, at: i64, number: u64) -> Happening {
    Happening {
        at,
        number,
        who,
        what: 0,
        value: 0,
    }
}

#[test]
fn what_came_too_late_is_an_episode_of_its_own_and_says_so() {
    let plain = counting(3, 10);
    // A newer event, then three that are older than is allowed, and two that are on time and not counted with them.
    let mut events = vec![by(0, 100, 1)];
    events.extend((2..5).map(|number| by(1, 40, number)));
    events.extend((5..7).map(|number| by(1, 90, number)));
    let (episodes, late) = in_one_go(&plain, &events);
    assert_eq!(late, 3);
    assert_eq!(runs(&episodes), [(Some(1), (40, 4), 40, 3)]);
    assert!(episodes.iter().all(|episode| episode.late));
}

#[test]
fn a_batch_that_does_not_start_at_the_cursor_changes_nothing() {
    let mut follower = Follower::new(&rules(&counting(1, 10).yaml()), limits(), &ONE);
    follower.read(ONE[0], &[by(0, 0, 1)]);
    let before = follower.windows.snapshot().expect("a snapshot");
    for from in [0, 2] {
        let mut wrong = Batch::new(ONE[0], LeafIndex(from));
        wrong.read(&follower.matcher, &by(0, 0, 2).event());
        let refused = block_on(follower.windows.apply(&wrong));
        assert!(
            matches!(
                refused,
                Err(WindowError::Moved {
                    at: LeafIndex(1),
                    ..
                })
            ),
            "{refused:?}"
        );
    }
    assert_eq!(follower.windows.snapshot().expect("a snapshot"), before);
}

/// What is forced under a bound, and the runs that are found nevertheless.
fn squeezed(
    limits: Limits,
    plain: &Plain,
    events: &[Happening],
) -> (Vec<(Shortage, u64)>, Vec<Run>) {
    let mut follower = Follower::new(&rules(&plain.yaml()), limits, &ONE);
    follower.read(ONE[0], events);
    let episodes = follower.finish(&ONE);
    let mut told: BTreeMap<Shortage, u64> = BTreeMap::new();
    for notice in &follower.notices {
        *told.entry(notice.shortage).or_default() += notice.count;
    }
    (told.into_iter().collect(), runs(&episodes))
}

#[test]
fn the_group_that_was_seen_longest_ago_makes_way_and_it_is_told() {
    let bound = Limits {
        groups_max: 2,
        ..limits()
    };
    let plain = counting(2, 100);
    let events = [
        by(0, 0, 1),
        by(1, 1, 2),
        by(0, 2, 3),
        by(2, 3, 4),
        by(1, 4, 5),
        by(0, 5, 6),
    ];
    let (told, found) = squeezed(bound, &plain, &events);
    // 1 makes way for 2; 0 for 1, which comes anew; and 2 for 0.
    assert_eq!(told, [(Shortage::GroupEvicted, 3)]);
    assert_eq!(found, []);
    let (told, found) = squeezed(limits(), &plain, &events);
    assert_eq!(told, []);
    assert_eq!(found, [(Some(0), (2, 3), 5, 3), (Some(1), (4, 5), 4, 2)]);
}

#[test]
fn a_full_group_is_evaluated_before_its_time_and_its_window_cut() {
    let bound = Limits {
        entries_per_group_max: 3,
        ..limits()
    };
    let events: Vec<Happening> = (1..=10).map(|number| by(0, 0, number)).collect();
    let (told, found) = squeezed(bound.clone(), &counting(3, 100), &events);
    assert_eq!(told, [(Shortage::WindowCut, 7), (Shortage::Hurried, 7)]);
    assert_eq!(found, [(Some(0), (0, 3), 0, 10)]);
    // A threshold beyond the bound is named before it matters.
    let engine = Engine::new(rules(&counting(4, 100).yaml()), bound);
    assert_eq!(
        engine.problems(),
        ["t: its threshold is beyond the 3 observations that a window holds"]
    );
    let events: Vec<Happening> = (1..=10)
        .map(|number| by(u8::try_from(number).expect("small"), 0, number))
        .collect();
    let few = Limits {
        entries_max: 4,
        ..limits()
    };
    assert_eq!(
        squeezed(few, &counting(1, 100), &events).0,
        [(Shortage::GroupEvicted, 6)]
    );
}

#[test]
fn other_bytes_are_no_snapshot() {
    let mut follower = Follower::new(&rules(&counting(1, 10).yaml()), limits(), &ONE);
    follower.read(ONE[0], &[by(0, 0, 1), by(0, 50, 2)]);
    let snapshot = follower.windows.snapshot().expect("a snapshot");
    let restored = |bytes: &[u8]| MemoryWindows::restore(Arc::clone(&follower.engine), bytes);
    assert_eq!(
        restored(&snapshot)
            .expect("it")
            .snapshot()
            .expect("a snapshot"),
        snapshot
    );
    for place in 0..snapshot.len() {
        let mut other = snapshot.clone();
        other[place] ^= 1;
        assert!(
            matches!(restored(&other), Err(WindowError::NotASnapshot)),
            "{place}"
        );
        assert!(restored(&snapshot[..place]).is_err(), "{place}");
    }
}

#[test]
fn a_rule_that_goes_takes_its_windows_along_and_closes_its_episodes() {
    let old = rules(&counting(1, 10).yaml());
    let mut follower = Follower::new(&old, limits(), &ONE);
    follower.read(ONE[0], &[by(0, 0, 1), by(1, LATENESS + 1, 2)]);
    let same = Arc::new(Engine::new(rules(&counting(1, 10).yaml()), limits()));
    follower
        .windows
        .reload(same)
        .expect("the same rule by its hash");
    assert_eq!(
        block_on(follower.windows.raised(9))
            .expect("episodes")
            .len(),
        1
    );
    let next = rules(&counting(2, 10).yaml());
    let other = Arc::new(Engine::new(Arc::clone(&next), limits()));
    follower.windows.reload(other).expect("another rule");
    let raised = block_on(follower.windows.raised(9)).expect("episodes");
    let phases: Vec<Phase> = raised.iter().map(|episode| episode.phase).collect();
    assert_eq!(phases, [Phase::Opened, Phase::Closed]);
    // Nothing is left of it, also not in the order of what is due: the new one is evaluated.
    follower.matcher = Matcher::new(next, Settings::default());
    let later = [by(2, LATENESS + 2, 3), by(2, LATENESS + 3, 4)];
    follower.read(ONE[0], &later);
    let phases: Vec<Phase> = follower.finish(&ONE).iter().map(|one| one.phase).collect();
    let (opened, closed) = (Phase::Opened, Phase::Closed);
    assert_eq!(phases, [opened, closed, opened, closed]);
}

#[test]
fn a_clock_that_runs_ahead_makes_nobody_late() {
    let plain = counting(2, 10);
    let mut follower = Follower::new(&rules(&plain.yaml()), limits(), &ONE);
    let mut batch = follower.batch(ONE[0], &[]);
    // It says that it happened an hour from now.
    let mut ahead = by(7, 3_600, 1).event();
    ahead.received_at = by(7, 0, 1).event().statement.timestamp;
    assert!(time(0).starts_with("2024-01-05T12:00:00"));
    batch.read(&follower.matcher, &ahead);
    for number in 2..4 {
        batch.read(&follower.matcher, &by(0, 1, number).event());
    }
    follower.apply(&batch);
    let episodes = follower.finish(&ONE);
    assert_eq!(
        (follower.late, runs(&episodes)),
        (0, vec![(Some(0), (1, 3), 1, 2)])
    );
}

#[test]
fn an_event_that_is_exactly_as_late_as_is_allowed_is_on_time() {
    // The third brings the watermark to the second of the others, one of which is still to come.
    let events = [
        by(0, 49, 1),
        by(0, 50, 5),
        by(9, 50 + LATENESS, 2),
        by(0, 50, 3),
    ];
    let (episodes, late) = in_one_go(&counting(3, 10), &events);
    assert_eq!(
        (late, runs(&episodes)),
        (0, vec![(Some(0), (50, 5), 50, 3)])
    );
    let events = [by(9, 50 + LATENESS, 2), by(0, 49, 3)];
    assert_eq!(in_one_go(&counting(1, 10), &events).1, 1);
}
