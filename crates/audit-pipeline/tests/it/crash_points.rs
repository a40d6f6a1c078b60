//! The process dies at every crash point of `docs/crash-points.md`; the next one goes on from what is on disk.

use std::time::Duration;

use crate::faulty::Mode;
use crate::scene::{Scene, event, events, within};

/// Crash point, the call in which the process dies, and whether what was asked for is done by then.
const POINTS: [(&str, &str, Mode); 16] = [
    ("lease taken", "leases.acquire", Mode::HangButDone),
    ("before the key is read", "keys.lane_key", Mode::Hang),
    ("before the head is read", "ledgers.ledger", Mode::Hang),
    (
        "before the tree's edge is read",
        "ledgers.chunks",
        Mode::Hang,
    ),
    ("before C3, nothing held", "queue.receive", Mode::Hang),
    ("C3, held", "receipts.find", Mode::Hang),
    ("C4, numbered", "writer.commit", Mode::Hang),
    ("C5, duplicates found", "events.find", Mode::Hang),
    ("C6, committed", "writer.commit", Mode::HangButDone),
    ("C7, told", "queue.settle", Mode::Hang),
    (
        "C7, settled and not heard",
        "queue.settle",
        Mode::HangButDone,
    ),
    ("C9, letter looked up", "letters.get", Mode::Hang),
    ("C9, mark read", "cursors.get", Mode::Hang),
    ("C9, before the mark", "cursors.set", Mode::Hang),
    ("C9, marked", "cursors.set", Mode::HangButDone),
    ("C9, stored before", "events.row", Mode::Hang),
];

#[tokio::test]
async fn a_process_that_dies_at_a_crash_point_loses_nothing_and_doubles_nothing() {
    for (point, call, mode) in POINTS {
        within(point, dies(point, call, mode)).await;
    }
}

/// A ledger with something in it, a suspect frame and an ordinary one, each with a duplicate.
async fn dies(point: &str, call: &'static str, mode: Mode) {
    let mut scene = Scene::begin().await;
    scene.queued(events(0..10)).await;
    let lane = scene.work();
    scene.settled().await;
    lane.stop().await;
    let mut suspect = events(10..13);
    suspect.push(event(3, "same"));
    scene.queued(suspect).await;
    scene.make_suspect().await;
    let mut ordinary = events(13..20);
    ordinary.extend([event(1, "same"), event(2, "other")]);
    scene.queued(ordinary).await;
    // The first commit finds the duplicates, so that its answer cannot be lost: another frame is committed before.
    if (call, mode) == ("writer.commit", Mode::HangButDone) {
        scene.settings.batch_by_depth = vec![(0, 1)];
    }
    // Nothing is given up before the process dies.
    scene.settings.call_timeout = Duration::from_secs(600);
    scene.faults.plan(call, mode);
    let lane = scene.work();
    scene.faults.hit(1).await;
    lane.kill().await;
    let scene = scene.reopened().await;
    let lane = scene.work();
    scene.settled().await;
    lane.stop().await;
    let books = scene.check().await;
    let decided = (
        books.stored,
        books.duplicate,
        books.conflict,
        books.dead_lettered,
    );
    assert_eq!(decided, (20, 2, 1, 0), "{point}");
}

/// Calls that only suspect frames and their recovery need, and the way to the upper level of the tree.
const RARE: [&str; 6] = [
    "letters.get",
    "cursors.get",
    "cursors.set",
    "events.row",
    "events.find",
    "ledgers.tile",
];

#[tokio::test]
async fn rare_calls_fail_in_every_way_and_nothing_is_lost_or_given_up() {
    for call in RARE {
        for mode in Mode::ALL {
            within(call, survives(call, mode)).await;
        }
    }
}

/// An event of a suspect frame whose commit is not answered is forgiven, and however that fails too.
#[tokio::test]
async fn a_mark_that_cannot_be_taken_back_at_once_counts_for_nothing() {
    for mode in Mode::ALL {
        within("cursors.set", forgives(mode)).await;
    }
}

async fn forgives(mode: Mode) {
    let mut scene = Scene::begin().await;
    scene.settings.call_timeout = Duration::from_millis(50);
    scene.queued(events(0..1)).await;
    scene.make_suspect().await;
    for times in 0..4 {
        scene.faults.plan("writer.commit", Mode::Hang);
        // The mark is written to begin the event, in vain to take that back, and again.
        scene.faults.after("cursors.set", 3 * times + 1, mode);
    }
    let lane = scene.work();
    scene.settled().await;
    lane.stop().await;
    assert_eq!(scene.faults.pending(), 0, "{mode:?}: the faults hit");
    let books = scene.check().await;
    assert_eq!((books.stored, books.dead_lettered), (1, 0), "{mode:?}");
}

async fn survives(call: &'static str, mode: Mode) {
    let mut scene = Scene::begin().await;
    scene.settings.call_timeout = Duration::from_millis(100);
    scene.queued(events(0..300)).await;
    let lane = scene.work();
    scene.settled().await;
    lane.stop().await;
    let mut suspect = events(300..304);
    suspect.extend([event(3, "same"), event(300, "same")]);
    scene.queued(suspect).await;
    scene.make_suspect().await;
    scene.faults.plan(call, mode);
    let lane = scene.work();
    scene.settled().await;
    lane.stop().await;
    assert_eq!(scene.faults.pending(), 0, "{call} {mode:?}: the fault hit");
    let books = scene.check().await;
    let decided = (books.stored, books.duplicate, books.dead_lettered);
    assert_eq!(decided, (304, 2, 0), "{call} {mode:?}");
}

/// Far more answers are lost than an event may be begun without one.
#[tokio::test]
async fn an_outage_gives_no_suspect_event_up() {
    let mut scene = Scene::begin().await;
    scene.settings.call_timeout = Duration::from_millis(30);
    scene.queued(events(0..1)).await;
    scene.make_suspect().await;
    for _ in 0..8 {
        scene.faults.plan("writer.commit", Mode::Hang);
    }
    let lane = scene.work();
    scene.settled().await;
    lane.stop().await;
    let books = scene.check().await;
    assert_eq!((books.stored, books.dead_lettered), (1, 0));
}
