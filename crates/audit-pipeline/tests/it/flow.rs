//! From a request to a row: what is stored, what is not, and what everybody is told.

use audit_event::{Object, Value};
use audit_pipeline::{Ack, ItemStatus, Refusal};
use audit_queue::{Frame, FrameEvent, FrameId, Producer};
use audit_store::DeadLetterReason;

use crate::scene::{Scene, event, events};

fn statuses(accepted: &audit_pipeline::Accepted) -> Vec<ItemStatus> {
    accepted
        .results
        .iter()
        .map(|result| result.status)
        .collect()
}

#[tokio::test]
async fn a_thousand_events_are_stored_and_their_waiters_told_where() {
    let scene = Scene::begin().await;
    let lane = scene.work();
    let accepted = scene.accept(events(0..1_000), Ack::Stored).await;
    let mut leaves: Vec<u64> = accepted
        .results
        .iter()
        .map(|result| result.address.unwrap().leaf_index.0)
        .collect();
    leaves.sort_unstable();
    assert_eq!(leaves, (0..1_000).collect::<Vec<_>>());
    scene.settled().await;
    lane.stop().await;
    let books = scene.check().await;
    assert_eq!((books.accepted, books.stored), (1_000, 1_000));
}

#[tokio::test]
async fn duplicates_and_conflicts_are_recognised_in_a_batch_and_across_batches() {
    let scene = Scene::begin().await;
    let items = vec![
        event(1, "one"),
        event(2, "two"),
        event(1, "one"),
        event(1, "other"),
    ];
    let lane = scene.work();
    let first = scene.accept(items, Ack::Stored).await;
    use ItemStatus::{Accepted, Conflict, Duplicate};
    assert_eq!(statuses(&first), [Accepted, Accepted, Duplicate, Conflict]);
    let items = vec![event(2, "two"), event(2, "else"), event(3, "three")];
    let second = scene.accept(items, Ack::Stored).await;
    assert_eq!(statuses(&second), [Duplicate, Conflict, Accepted]);
    assert_eq!(
        second.results[0].address, first.results[1].address,
        "a duplicate is told where the first is"
    );
    scene.settled().await;
    lane.stop().await;
    let books = scene.check().await;
    assert_eq!(
        (
            books.accepted,
            books.stored,
            books.duplicate,
            books.conflict
        ),
        (7, 3, 2, 2)
    );
    let letters = scene.letters().await;
    assert!(
        letters
            .iter()
            .all(|letter| letter.letter.reason == DeadLetterReason::Conflict)
    );
}

#[tokio::test]
async fn processors_annotate_refuse_and_may_panic() {
    let mut scene = Scene::begin().await;
    scene.registry.processor_fn("judge", |event| {
        match event.statement.details.get("what").and_then(Value::as_str) {
            Some("refused") => Err(Refusal::because("not this one")),
            Some("panic") => panic!("on purpose"),
            _ => {
                let mut added = Object::new();
                drop(added.insert("seen", Value::Bool(true)));
                Ok(added)
            }
        }
    });
    let lane = scene.work();
    let items = vec![event(1, "fine"), event(2, "refused"), event(3, "panic")];
    let accepted = scene.accept(items, Ack::Stored).await;
    use ItemStatus::{Accepted, DeadLettered};
    assert_eq!(statuses(&accepted), [Accepted, DeadLettered, DeadLettered]);
    scene.settled().await;
    lane.stop().await;
    let books = scene.check().await;
    assert_eq!((books.stored, books.dead_lettered), (1, 2));
    let address = accepted.results[0].address.unwrap();
    let row = scene
        .store
        .events
        .row(address.ledger, address.leaf_index)
        .await;
    let canonical = String::from_utf8(row.unwrap().unwrap().canonical.unwrap()).unwrap();
    assert!(
        canonical.contains(r#""annotations":{"judge":{"seen":true}}"#),
        "{canonical}"
    );
    let mut details: Vec<String> = scene
        .letters()
        .await
        .into_iter()
        .map(|letter| {
            assert_eq!(letter.letter.reason, DeadLetterReason::RejectedByProcessor);
            letter.letter.detail
        })
        .collect();
    details.sort();
    assert_eq!(details, ["judge: not this one", "judge: panicked"]);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_a_dead_letter_and_its_neighbours_are_stored() {
    let scene = Scene::begin().await;
    scene.queued(events(0..2)).await;
    let event = |bytes: &[u8]| FrameEvent {
        canonical: bytes.to_vec(),
        api_key_id: String::new(),
    };
    let frame = Frame {
        id: FrameId([9; 16]),
        internal: false,
        received_at: audit_event::Timestamp::EPOCH,
        traceparent: None,
        events: vec![event(b"{\"not\":\"canonical\"}"), event(b"\xff")],
    };
    scene.queue.enqueue(frame).await.unwrap();
    let lane = scene.work();
    scene.settled().await;
    lane.stop().await;
    let books = scene.check().await;
    assert_eq!((books.stored, books.dead_lettered), (2, 2));
    let letters = scene.letters().await;
    assert_eq!(letters[1].letter.reason, DeadLetterReason::Unreadable);
    let payloads: Vec<&[u8]> = letters
        .iter()
        .map(|letter| letter.letter.payload.as_slice())
        .collect();
    assert!(payloads.contains(&b"\xff".as_slice()), "the bytes are kept");
}

#[tokio::test]
async fn a_lane_that_is_asked_to_end_finishes_what_it_holds_and_leaves_the_rest_queued() {
    let mut scene = Scene::begin().await;
    scene.settings.batch_by_depth = vec![(0, 3)];
    for first in 0..40 {
        scene.queued(events(first * 5..first * 5 + 5)).await;
    }
    let lane = scene.work();
    crate::scene::until("something is stored", || async {
        scene.books().await.stored > 0
    })
    .await;
    lane.stop().await;
    let held_back = scene.books().await;
    assert_eq!(held_back.accepted, 200);
    assert_eq!(
        held_back.stored + held_back.queued,
        200,
        "all is either stored or still queued"
    );
    let lane = scene.work();
    scene.settled().await;
    lane.stop().await;
    assert_eq!(scene.check().await.stored, 200);
}

/// Calls to the outside do not grow with the events of a batch.
#[tokio::test]
async fn a_batch_costs_a_fixed_number_of_calls() {
    let mut costs = Vec::new();
    for (frames, events_each) in [(1, 10), (100, 20)] {
        let scene = Scene::begin().await;
        for frame in 0..frames {
            scene
                .queued(events(frame * events_each..(frame + 1) * events_each))
                .await;
        }
        scene.faults.forget_calls();
        let lane = scene.work();
        scene.settled().await;
        // Counted before the end, which settles again what was settled and not answered yet.
        let calls = scene.faults.calls();
        lane.stop().await;
        assert_eq!(scene.check().await.stored, frames * events_each);
        let of = |name: &str| calls.get(name).copied().unwrap_or(0);
        costs.push(
            [
                "receipts.find",
                "writer.commit",
                "queue.settle",
                "events.find",
                "events.row",
                "letters.get",
                "cursors.set",
                "writer.probe",
                "queue.release",
                "keys.lane_key",
                "leases.acquire",
            ]
            .map(of),
        );
        let calls = scene.faults.calls();
        assert_eq!(calls["queue.depth"], calls["queue.receive"]);
    }
    // One look at the receipts, one commit, one settle; keys and lease once a session.
    assert_eq!(costs[0], [1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1]);
    assert_eq!(costs[1], costs[0], "a hundred frames cost what one costs");
}
