//! Events that the store refuses, and a store that is away or refuses everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use audit_pipeline::Item;
use audit_store::DeadLetterReason;

use crate::refusing::{Refusing, Rules};
use crate::scene::{Scene, event, events, until};

async fn scene_with(rules: &Arc<Rules>) -> Scene {
    let mut scene = Scene::begin().await;
    let rules = Arc::clone(rules);
    scene.around_writer(move |inner| {
        Arc::new(Refusing {
            inner,
            rules: Arc::clone(&rules),
        })
    });
    scene
}

/// Five hundred events, one in a hundred of them poison.
fn one_in_a_hundred(first: u64) -> Vec<Item> {
    (first..first + 500)
        .map(|id| event(id, if id % 100 == 42 { "poison" } else { "fine" }))
        .collect()
}

async fn exactly_the_poison_is_given_up(rule: impl Fn(&Rules) -> &AtomicBool) {
    let rules = Arc::new(Rules::default());
    rule(&rules).store(true, Ordering::SeqCst);
    let scene = scene_with(&rules).await;
    for part in one_in_a_hundred(0).chunks(50) {
        scene.queued(part.to_vec()).await;
    }
    let lane = scene.work();
    scene.settled().await;
    lane.stop().await;
    let books = scene.check().await;
    assert_eq!((books.stored, books.dead_lettered), (495, 5));
    for letter in scene.letters().await {
        assert_eq!(letter.letter.reason, DeadLetterReason::RejectedByStore);
        let payload = String::from_utf8(letter.letter.payload).unwrap();
        assert!(payload.contains("poison"), "{payload}");
        assert_eq!(letter.letter.detail, "refused on purpose");
    }
}

#[tokio::test]
async fn an_event_that_the_store_names_is_given_up_and_no_other() {
    exactly_the_poison_is_given_up(|rules| &rules.refuses_naming).await;
}

#[tokio::test]
async fn an_event_that_the_store_does_not_name_is_found() {
    exactly_the_poison_is_given_up(|rules| &rules.refuses_silently).await;
}

#[tokio::test]
async fn a_store_that_refuses_everything_stops_the_lane_until_somebody_confirms() {
    let rules = Arc::new(Rules::default());
    rules.refuses_all.store(true, Ordering::SeqCst);
    let scene = scene_with(&rules).await;
    for first in 0..10 {
        scene.queued(events(first * 50..(first + 1) * 50)).await;
    }
    let lane = scene.work();
    // Said before the lane stops, it means nothing.
    lane.switch.confirm();
    until("the lane stops", || async { lane.switch.is_stopped() }).await;
    let books = scene.books().await;
    assert_eq!((books.stored, books.dead_lettered), (0, 0), "{books:?}");
    rules.refuses_all.store(false, Ordering::SeqCst);
    assert!(
        lane.switch.is_stopped() && !lane.has_ended(),
        "it waits for a word"
    );
    lane.switch.confirm();
    scene.settled().await;
    lane.stop().await;
    assert_eq!(scene.check().await.stored, 500);
}

/// Single refusals that come one frame at a time are given up, but never more than a tenth of a thousand.
#[tokio::test]
async fn no_more_than_a_tenth_of_a_thousand_is_given_up_without_a_word() {
    let rules = Arc::new(Rules::default());
    rules.refuses_all.store(true, Ordering::SeqCst);
    let mut scene = scene_with(&rules).await;
    scene.settings.batch_by_depth = vec![(0, 1)];
    for id in 0..130 {
        scene.queued(vec![event(id, "same")]).await;
    }
    let lane = scene.work();
    until("the lane stops", || async { lane.switch.is_stopped() }).await;
    let books = scene.books().await;
    assert_eq!((books.dead_lettered, books.queued), (100, 30), "{books:?}");
    lane.stop().await;
}

#[tokio::test]
async fn an_outage_burns_no_event() {
    let rules = Arc::new(Rules::default());
    rules.away.store(20, Ordering::SeqCst);
    let scene = scene_with(&rules).await;
    scene.queued(events(0..100)).await;
    let lane = scene.work();
    until("the outage is over", || async {
        rules.away.load(Ordering::SeqCst) == 0
    })
    .await;
    scene.settled().await;
    lane.stop().await;
    let books = scene.check().await;
    assert_eq!((books.stored, books.dead_lettered), (100, 0));
}

/// The store refuses an event and takes no other write either: the event is not to blame.
#[tokio::test]
async fn a_refusal_counts_only_when_a_probe_succeeds() {
    let rules = Arc::new(Rules::default());
    rules.refuses_all.store(true, Ordering::SeqCst);
    let scene = scene_with(&rules).await;
    scene.queued(events(0..3)).await;
    for _ in 0..3 {
        scene
            .faults
            .plan("writer.probe", crate::faulty::Mode::Error);
    }
    let lane = scene.work();
    scene.faults.hit(1).await;
    rules.refuses_all.store(false, Ordering::SeqCst);
    scene.settled().await;
    lane.stop().await;
    let books = scene.check().await;
    assert_eq!((books.stored, books.dead_lettered), (3, 0));
}

/// A commit that did not happen, for whatever reason, is made up for; only what the store refuses is ever given up.
#[tokio::test]
async fn every_failure_of_a_commit_is_made_up_for() {
    use audit_store::CommitError as E;
    let all: [fn() -> E; 6] = [
        || E::Fenced,
        || E::HeadMoved { expected: 7 },
        || E::AlreadyStored,
        || E::Busy("busy on purpose".into()),
        || E::Unavailable("away on purpose".into()),
        || E::Unknown("lost on purpose".into()),
    ];
    let rules = Arc::new(Rules::default());
    let scene = scene_with(&rules).await;
    for (round, error) in (0_u64..).zip(all) {
        // Seven times: more than a lane numbers anew in one session.
        let errors = (0..7).map(|_| error());
        rules.errors.lock().unwrap().extend(errors);
        scene.queued(events(round * 10..round * 10 + 10)).await;
        let lane = scene.work();
        scene.settled().await;
        lane.stop().await;
        let books = scene.check().await;
        assert_eq!(books.stored, round * 10 + 10, "{:?}", error());
        assert_eq!((books.duplicate, books.dead_lettered), (0, 0));
    }
}
