//! Beginning, cursors, and what is lost.

use audit_event::Timestamp;
use audit_integrity::ledger::LeafIndex;

use super::TestWindows;
use super::sample::{
    Dice, Found, SOURCES, beginnings, end, event, expected, find, matcher, read, settle_all,
    streams,
};
use crate::{Batch, WindowError, WindowStore};

async fn is_lost(windows: &dyn WindowStore) {
    let cursor = windows.cursor(SOURCES[0]).await;
    assert!(matches!(cursor, Err(WindowError::Lost)), "{cursor:?}");
    let batch = Batch::new(SOURCES[0], LeafIndex(0));
    let applied = windows.apply(&batch).await;
    assert!(matches!(applied, Err(WindowError::Lost)), "{applied:?}");
    let raised = windows.raised(9).await;
    assert!(matches!(raised, Err(WindowError::Lost)), "{raised:?}");
}

/// "There is no state before `begin`."
pub(super) async fn nothing_is_there_before_it_is_begun(subject: &impl TestWindows) {
    let windows = subject.windows();
    is_lost(&*windows).await;
    windows.begin(&beginnings()).await.unwrap();
    assert_eq!(windows.cursor(SOURCES[0]).await.unwrap(), LeafIndex(0));
    assert_eq!(windows.raised(9).await.unwrap(), []);
}

/// "Beginning where there is a state changes nothing."
pub(super) async fn beginning_again_changes_nothing(subject: &mut impl TestWindows) {
    let begun = [(SOURCES[0], LeafIndex(7)), (SOURCES[1], LeafIndex(0))];
    subject.windows().begin(&begun).await.unwrap();
    subject.windows().begin(&beginnings()).await.unwrap();
    assert_eq!(
        subject.windows().cursor(SOURCES[0]).await.unwrap(),
        LeafIndex(7)
    );
    subject.crash().await;
    subject.windows().begin(&beginnings()).await.unwrap();
    let windows = subject.windows();
    assert_eq!(windows.cursor(SOURCES[0]).await.unwrap(), LeafIndex(7));
    read(&*windows, &matcher(), SOURCES[0], &[event("a", 0, 0, 1)]).await;
    assert_eq!(windows.cursor(SOURCES[0]).await.unwrap(), LeafIndex(8));
}

/// "A batch whose start is not its source's cursor is refused, and changes nothing."
pub(super) async fn a_batch_that_does_not_start_at_the_cursor_is_refused(
    subject: &mut impl TestWindows,
) {
    let (windows, matcher) = (subject.windows(), matcher());
    windows.begin(&beginnings()).await.unwrap();
    let events: Vec<_> = (1..=3).map(|number| event("a", 0, 0, number)).collect();
    let again = read(&*windows, &matcher, SOURCES[1], &events).await;
    let mut ahead = Batch::new(SOURCES[1], LeafIndex(4));
    ahead.read(&matcher, &event("a", 0, 0, 9));
    for wrong in [&again, &ahead] {
        let refused = windows.apply(wrong).await;
        assert!(
            matches!(refused, Err(WindowError::Moved { at: LeafIndex(3), source_id, from })
                if source_id == SOURCES[1] && from == wrong.from()),
            "{refused:?}"
        );
    }
    assert_eq!(windows.cursor(SOURCES[1]).await.unwrap(), LeafIndex(3));
    assert_eq!(windows.cursor(SOURCES[0]).await.unwrap(), LeafIndex(0));
    // Only the first of them was counted.
    end(&*windows, &SOURCES).await;
    let often: Vec<u64> = settle_all(&*windows)
        .await
        .iter()
        .filter(|episode| episode.rule == "often")
        .map(|episode| episode.events)
        .collect();
    assert_eq!(often, [3, 3]);
}

/// Cursor and clock go on when nothing is observed, by as little as the batch says.
pub(super) async fn leaves_in_which_nothing_is_observed_are_read(subject: &mut impl TestWindows) {
    let matcher = matcher();
    subject.windows().begin(&beginnings()).await.unwrap();
    for number in 0..10 {
        let windows = subject.windows();
        let at = i64::try_from(number).unwrap();
        let other = [event("c", 0, at, number), event("c", 0, at, number)];
        read(&*windows, &matcher, SOURCES[0], &other).await;
        let cursor = windows.cursor(SOURCES[0]).await.unwrap();
        assert_eq!(cursor, LeafIndex(2 * (number + 1)));
        if number == 5 {
            subject.crash().await;
        }
    }
    let windows = subject.windows();
    for source in &SOURCES[1..] {
        let mut idle = Batch::new(*source, LeafIndex(0));
        idle.idle(Timestamp::clamped(i64::MAX));
        windows.apply(&idle).await.unwrap();
    }
    windows.told().unwrap();
    for at in [30, 33] {
        // The second moves the clock by little, and nothing is observed: a store need not write that down by itself.
        let quiet = [event("c", 0, at, 50)];
        read(&*windows, &matcher, SOURCES[0], &quiet).await;
    }
    // With 20 s of lateness what happened at 12 s is late, and what happened at 13 s is not.
    let late = [event("a", 1, 12, 51), event("a", 1, 13, 52)];
    read(&*windows, &matcher, SOURCES[0], &late).await;
    windows.raised(9).await.unwrap();
    // One event, which all three correlations observe.
    assert_eq!(windows.told().unwrap().late, 3);
}

/// "Nor after the store lost it", and "what is raised again has the ids that it had".
pub(super) async fn what_is_lost_is_begun_again(subject: &mut impl TestWindows) {
    let matcher = matcher();
    let streams = streams(&mut Dice::new(7), 60, 60);
    let mut found = Found::new();
    for _ in 0..2 {
        subject.windows().begin(&beginnings()).await.unwrap();
        let windows = subject.windows();
        for (source, events) in &streams {
            read(&*windows, &matcher, *source, events).await;
        }
        find(&mut found, settle_all(&*windows).await);
        subject.lose().await;
        is_lost(&*subject.windows()).await;
    }
    let windows = subject.windows();
    windows.begin(&beginnings()).await.unwrap();
    for (source, events) in &streams {
        read(&*windows, &matcher, *source, events).await;
    }
    end(&*windows, &SOURCES).await;
    find(&mut found, settle_all(&*windows).await);
    assert_eq!(found, expected(&streams).await);
}
