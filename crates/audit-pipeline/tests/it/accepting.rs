//! Accept: shared frames, refusals, and answers that were lost.

use crate::faulty::Mode;
use audit_pipeline::{Ack, ItemStatus};
use audit_queue::Producer;
use futures::future::join_all;

use crate::scene::{Scene, event, events};

#[tokio::test]
async fn single_events_that_come_together_share_frames() {
    let scene = Scene::begin().await;
    let sending = (0..64).map(|id| scene.queued(vec![event(id, "same")]));
    let accepted = join_all(sending).await;
    assert!(
        accepted
            .iter()
            .all(|accepted| accepted.results[0].status == ItemStatus::Accepted)
    );
    let depth = scene.queue.depth().await.unwrap();
    assert_eq!(depth.events, 64);
    assert!(depth.frames <= 8, "{} frames", depth.frames);
    let lane = scene.work();
    let told = join_all((0..64).map(|id| scene.accept(vec![event(id, "same")], Ack::Stored))).await;
    assert!(
        told.iter()
            .all(|told| told.results[0].status == ItemStatus::Duplicate),
        "each is told its own outcome"
    );
    scene.settled().await;
    lane.stop().await;
    assert_eq!(scene.check().await.duplicate, 64);
}

#[tokio::test]
async fn a_bad_item_does_not_hurt_its_neighbours() {
    let scene = Scene::begin().await;
    let bad = audit_pipeline::Item::Bytes(b"{\"action\":1}".as_slice().into());
    let accepted = scene
        .queued(vec![event(1, "same"), bad, event(2, "same")])
        .await;
    let statuses: Vec<_> = accepted.results.iter().map(|r| r.status).collect();
    use ItemStatus::{Accepted, Rejected};
    assert_eq!(statuses, [Accepted, Rejected, Accepted]);
    assert!(!accepted.results[1].errors.is_empty());
    let books = scene.books().await;
    assert_eq!((books.accepted, books.rejected, books.queued), (2, 1, 2));
}

#[tokio::test]
async fn a_large_request_is_cut_into_frames() {
    let scene = Scene::begin().await;
    let long = "x".repeat(30_000);
    let items = (0..60).map(|id| event(id, &long)).collect();
    let accepted = scene.queued(items).await;
    assert!(
        accepted
            .results
            .iter()
            .all(|result| result.status == ItemStatus::Accepted)
    );
    assert_eq!(scene.queue.depth().await.unwrap().frames, 2);
    let lane = scene.work();
    scene.settled().await;
    lane.stop().await;
    assert_eq!(scene.check().await.stored, 60);
}

/// The queue fails in every way; the producer sends again with the same ids, and nothing is stored twice.
#[tokio::test]
async fn what_the_queue_did_not_take_is_told_to_be_sent_again() {
    let scene = Scene::begin().await;
    for mode in [Mode::Error, Mode::ErrorButDone, Mode::Panic] {
        scene.faults.plan("queue.enqueue", mode);
        let first = scene.queued(events(0..5)).await;
        assert!(
            first
                .results
                .iter()
                .all(|result| result.status == ItemStatus::Retry),
            "{mode:?}"
        );
        assert!(first.retry_after.is_some());
        let again = scene.queued(events(0..5)).await;
        assert!(
            again
                .results
                .iter()
                .all(|result| result.status == ItemStatus::Accepted),
            "{mode:?}: the coalescer lives"
        );
    }
    let lane = scene.work();
    scene.settled().await;
    lane.stop().await;
    let books = scene.check().await;
    assert_eq!((books.accepted, books.stored, books.duplicate), (20, 5, 15));
}

/// A client hangs up while its large request is on its way to the queue.
#[tokio::test]
async fn a_request_that_goes_away_leaves_nobody_waiting() {
    let scene = Scene::begin().await;
    let long = "x".repeat(30_000);
    let items: Vec<_> = (0..5).map(|id| event(id, &long)).collect();
    scene.faults.plan("queue.enqueue", Mode::Hang);
    let request = crate::scene::request(items, Ack::Stored);
    tokio::select! {
        _ = scene.acceptor.accept(request) => panic!("the queue hangs"),
        () = scene.faults.hit(1) => {}
    }
    assert_eq!(scene.settlements.awaited(), 0);
}
