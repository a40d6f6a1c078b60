//! An event whose own commit kills the process, again and again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use audit_store::DeadLetterReason;

use crate::refusing::{Refusing, Rules};
use crate::scene::{Scene, event, within};

/// Runs a worker until the killer kills it; `true` when the queue was emptied instead.
async fn lives(scene: &mut Scene, rules: &Arc<Rules>) -> bool {
    let around = Arc::clone(rules);
    scene.around_writer(move |inner| {
        Arc::new(Refusing {
            inner,
            rules: Arc::clone(&around),
        })
    });
    let lane = scene.work();
    let killed = tokio::select! {
        () = rules.killed.notified() => true,
        () = scene.settled() => false,
    };
    if killed {
        lane.kill().await;
    } else {
        lane.stop().await;
    }
    !killed
}

#[tokio::test]
async fn only_the_event_whose_own_commit_kills_is_given_up() {
    let rules = Arc::new(Rules::default());
    rules.kills.store(true, Ordering::SeqCst);
    let mut scene = Scene::begin().await;
    scene.settings.call_timeout = std::time::Duration::from_secs(600);
    let mut items: Vec<_> = (0..6).map(|id| event(id, "fine")).collect();
    items[3] = event(3, "killer");
    scene.queued(items).await;
    scene.queued(vec![event(7, "fine"), event(8, "fine")]).await;
    let mut deaths = 0;
    while !within("a life", lives(&mut scene, &rules)).await {
        deaths += 1;
        assert!(deaths < 20, "it is never found");
        scene = scene.reopened().await;
    }
    assert!(
        deaths > 5,
        "{deaths}: a frame is suspect only after five deliveries"
    );
    let books = scene.check().await;
    assert_eq!(
        (books.accepted, books.stored, books.dead_lettered),
        (8, 7, 1)
    );
    let letters = scene.letters().await;
    assert_eq!(letters[0].letter.reason, DeadLetterReason::Poison);
    let payload = String::from_utf8(letters[0].letter.payload.clone()).unwrap();
    assert!(payload.contains("killer"), "{payload}");
}

/// A frame that was delivered too often because processes died of something else is stored whole.
#[tokio::test]
async fn a_suspect_frame_that_kills_nobody_is_stored() {
    let rules = Arc::new(Rules::default());
    rules.kills.store(true, Ordering::SeqCst);
    let mut scene = Scene::begin().await;
    scene.settings.call_timeout = std::time::Duration::from_secs(600);
    scene
        .queued(vec![event(1, "fine"), event(2, "killer"), event(1, "fine")])
        .await;
    for death in 0..6 {
        assert!(
            !within("a life", lives(&mut scene, &rules)).await,
            "{death}"
        );
        scene = scene.reopened().await;
    }
    rules.kills.store(false, Ordering::SeqCst);
    assert!(within("a life", lives(&mut scene, &rules)).await);
    let books = scene.check().await;
    assert_eq!(
        (books.stored, books.duplicate, books.dead_lettered),
        (2, 1, 0)
    );
    let calls = scene.faults.calls();
    assert!(
        calls["cursors.set"] > 0,
        "it was taken one by one: {calls:?}"
    );
}
