//! From batches to episodes that are settled.

use std::sync::Arc;

use audit_integrity::ledger::LeafIndex;

use super::TestWindows;
use super::sample::{
    Dice, Found, LATENESS, SOURCES, batch, beginnings, end, event, expected, find, limits, matcher,
    read, settle_all, streams,
};
use crate::{Engine, Phase, RuleSet, WindowError, WindowStore};

/// Brings all clocks to so many seconds.
async fn clocks(windows: &dyn WindowStore, seconds: i64) {
    for source in SOURCES {
        let other = event("c", 9, seconds, 1_000);
        read(windows, &matcher(), source, &[other]).await;
    }
}

/// Three of one principal at a time: an episode of `often`.
async fn three(windows: &dyn WindowStore, who: u64, at: i64, first: u64) {
    let events: Vec<_> = (first..first + 3)
        .map(|number| event("a", who, at, number * 7))
        .collect();
    read(windows, &matcher(), SOURCES[0], &events).await;
}

/// "So far everything is counted": of each source, no further than its cursor.
async fn all_is_settled(windows: &dyn WindowStore) {
    let settled = windows.settled().await.unwrap();
    let sources: Vec<_> = settled.iter().map(|(source, _)| *source).collect();
    assert_eq!(sources, SOURCES);
    assert!(settled[0].1 >= LeafIndex(3), "{settled:?}");
    for (source, at) in settled {
        assert!(at <= windows.cursor(source).await.unwrap());
    }
}

/// "An episode stays in `raised` until it is settled."
pub(super) async fn an_episode_stays_until_it_is_settled(subject: &mut impl TestWindows) {
    subject.windows().begin(&beginnings()).await.unwrap();
    three(&*subject.windows(), 1, 0, 1).await;
    assert_eq!(subject.windows().raised(9).await.unwrap(), []);
    clocks(&*subject.windows(), LATENESS + 1).await;
    let raised = subject.windows().raised(9).await.unwrap();
    assert_eq!(raised.len(), 1);
    assert_eq!((raised[0].phase, raised[0].events), (Phase::Opened, 3));
    assert_eq!(subject.windows().raised(9).await.unwrap(), raised);
    assert_eq!(subject.windows().settled().await.unwrap(), []);
    subject.crash().await;
    assert_eq!(subject.windows().raised(9).await.unwrap(), raised);
    let windows = subject.windows();
    // Another phase of it is unknown, and none of its business.
    let unknown = [(raised[0].id, Phase::Closed)];
    windows.settle(&unknown).await.unwrap();
    assert_eq!(windows.raised(9).await.unwrap(), raised);
    windows
        .settle(&[(raised[0].id, Phase::Opened)])
        .await
        .unwrap();
    assert_eq!(windows.raised(9).await.unwrap(), []);
    all_is_settled(&*windows).await;
    end(&*windows, &SOURCES).await;
    let closed = windows.raised(9).await.unwrap();
    assert_eq!(closed.len(), 1);
    assert_eq!(
        (closed[0].id, closed[0].phase),
        (raised[0].id, Phase::Closed)
    );
}

/// "Up to `most` episodes, oldest first."
pub(super) async fn the_oldest_come_first_and_no_more_than_wanted(subject: &mut impl TestWindows) {
    let windows = subject.windows();
    windows.begin(&beginnings()).await.unwrap();
    for who in 0..5 {
        three(
            &*windows,
            who,
            30 * i64::try_from(who).unwrap(),
            10 * who + 1,
        )
        .await;
    }
    end(&*windows, &SOURCES).await;
    let all = windows.raised(100).await.unwrap();
    assert_eq!(all.len(), 10);
    let firsts: Vec<_> = all.iter().map(|episode| episode.first.at).collect();
    assert!(firsts.is_sorted());
    assert_eq!(windows.raised(3).await.unwrap(), all[..3]);
    assert_eq!(windows.raised(0).await.unwrap(), []);
    assert_eq!(settle_all(&*windows).await, all);
}

/// "`Unsettled` while too much waits; nothing was changed."
pub(super) async fn too_much_that_waits_stops_the_flow(subject: &mut impl TestWindows) {
    const ROUNDS: u64 = 1_000;
    let (windows, matcher) = (subject.windows(), matcher());
    windows.begin(&beginnings()[..1]).await.unwrap();
    let mut refused = None;
    for round in 0..ROUNDS {
        let at = 100 * i64::try_from(round).unwrap();
        let events: Vec<_> = (0..3)
            .map(|number| event("a", 1, at, 7 * (10 * round + number)))
            .collect();
        let next = batch(&*windows, &matcher, SOURCES[0], &events).await;
        // Nobody settles; looking at what is raised changes nothing of that.
        windows.raised(1).await.unwrap();
        match windows.apply(&next).await {
            Ok(()) => {}
            Err(WindowError::Unsettled { waiting }) => {
                assert!(waiting > 0);
                refused = Some((round, next));
                break;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    let (rounds, next) = refused.unwrap_or_else(|| panic!("{ROUNDS} episodes waited"));
    assert_eq!(windows.cursor(SOURCES[0]).await.unwrap(), next.from());
    subject.crash().await;
    let windows = subject.windows();
    let mut found = Found::new();
    find(&mut found, settle_all(&*windows).await);
    windows.apply(&next).await.unwrap();
    find(&mut found, settle_all(&*windows).await);
    end(&*windows, &SOURCES[..1]).await;
    find(&mut found, settle_all(&*windows).await);
    let each = usize::try_from(rounds + 1).unwrap();
    assert_eq!(found.len(), 2 * each, "each was opened and closed");
}

/// "What the former force is told", and what was late; once.
pub(super) async fn what_came_late_is_told(subject: &mut impl TestWindows) {
    let windows = subject.windows();
    windows.begin(&beginnings()).await.unwrap();
    clocks(&*windows, 100).await;
    three(&*windows, 1, 40, 1).await;
    end(&*windows, &SOURCES).await;
    let raised = settle_all(&*windows).await;
    assert!(!raised.is_empty() && raised.iter().all(|episode| episode.late));
    // Each of the three is observed by all three correlations.
    let told = windows.told().unwrap();
    assert_eq!((told.late, told.notices.len()), (9, 0));
    assert_eq!(windows.told().unwrap().late, 0);
}

/// "The others' are forgotten, and their open episodes closed."
pub(super) async fn other_rules_close_what_is_open(subject: &mut impl TestWindows) {
    let windows = subject.windows();
    windows.begin(&beginnings()).await.unwrap();
    three(&*windows, 1, 0, 1).await;
    clocks(&*windows, LATENESS + 1).await;
    let opened = settle_all(&*windows).await;
    assert_eq!(opened.len(), 1);
    windows.reload(super::sample::engine(limits())).unwrap();
    assert_eq!(windows.raised(9).await.unwrap(), [], "the same rules");
    let none = RuleSet::load(std::iter::empty::<(&str, &str)>());
    let none = Engine::new(Arc::new(none), limits());
    windows.reload(Arc::new(none)).unwrap();
    let closed = settle_all(&*windows).await;
    assert_eq!(closed.len(), 1);
    assert_eq!(
        (closed[0].id, closed[0].phase),
        (opened[0].id, Phase::Closed)
    );
}

/// "For the same events, whatever the batches", restarts and redeliveries.
pub(super) async fn the_same_events_make_the_same_episodes(
    subject: &mut impl TestWindows,
    seed: u64,
) {
    let mut dice = Dice::new(seed);
    let streams = streams(&mut dice, 80, 90);
    let matcher = matcher();
    subject.windows().begin(&beginnings()).await.unwrap();
    let mut rest: Vec<_> = streams
        .iter()
        .map(|(source, events)| (*source, events.as_slice()))
        .collect();
    let mut found = Found::new();
    while !rest.is_empty() {
        let place = dice.index(rest.len());
        let (source, events) = rest[place];
        let (part, after) = events.split_at(events.len().min(dice.index(9)));
        let windows = subject.windows();
        let applied = read(&*windows, &matcher, source, part).await;
        if !part.is_empty() {
            let again = windows.apply(&applied).await;
            assert!(matches!(again, Err(WindowError::Moved { .. })), "{again:?}");
        }
        match dice.roll(4) {
            0 => subject.crash().await,
            1 => find(&mut found, settle_all(&*windows).await),
            _ => {}
        }
        rest[place].1 = after;
        if after.is_empty() {
            rest.remove(place);
        }
    }
    end(&*subject.windows(), &SOURCES).await;
    find(&mut found, settle_all(&*subject.windows()).await);
    assert_eq!(found, expected(&streams).await, "seed {seed}");
}
