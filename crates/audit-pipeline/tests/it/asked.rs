//! What is asked of accept beyond taking events, and of dead letters beyond keeping them.

use std::time::Duration;

use audit_event::{Code, OrganizationId};
use audit_pipeline::{Ack, Item, ItemStatus, Refusal, dead_letters};
use audit_queue::{Frame, FrameEvent, Producer};
use audit_runtime::SystemClock;
use audit_store::query::OrganizationScope;

use crate::scene::{Scene, event, events, request, until};

fn item(text: &str) -> Item {
    Item::Bytes(text.as_bytes().to_vec().into())
}

#[tokio::test]
async fn a_key_writes_for_its_own_organisations_only_and_lends_its_default() {
    let scene = Scene::begin().await;
    let mut asked = request(
        vec![
            item(
                r#"{"timestamp":"2026-01-02T03:04:05Z","action":"a","status":"success","organizationId":"other"}"#,
            ),
            item(r#"{"timestamp":"2026-01-02T03:04:05Z","action":"a","status":"success"}"#),
        ],
        Ack::Stored,
    );
    asked.caller.default_organization = OrganizationId::new("acme");
    asked.caller.scope = OrganizationScope::Only(vec![OrganizationId::new("acme")]);
    let lane = scene.work();
    let answer = scene.acceptor.accept(asked).await.unwrap();
    let refused = &answer.results[0];
    assert_eq!(refused.status, ItemStatus::Rejected);
    assert_eq!(refused.errors[0].code, Code::Forbidden);
    assert_eq!(refused.errors[0].path.as_str(), "/organizationId");
    let address = answer.results[1].address.expect("the neighbour is stored");
    let row = scene
        .store
        .events
        .row(address.ledger, address.leaf_index)
        .await;
    assert_eq!(row.unwrap().unwrap().organization_id.as_str(), "acme");
    lane.stop().await;
}

#[tokio::test]
async fn a_retry_with_its_idempotency_key_is_recognised_and_one_without_is_not() {
    let scene = Scene::begin().await;
    let lane = scene.work();
    let said = r#"{"timestamp":"2026-01-02T03:04:05Z","action":"a","status":"success"}"#;
    let mut asked = request(vec![item(said), item(said)], Ack::Stored);
    asked.idempotency_key = Some("k".to_owned());
    let first = scene.acceptor.accept(asked.clone()).await.unwrap();
    let second = scene.acceptor.accept(asked.clone()).await.unwrap();
    for (first, second) in first.results.iter().zip(&second.results) {
        let statuses = (first.status, second.status);
        assert_eq!(statuses, (ItemStatus::Accepted, ItemStatus::Duplicate));
        assert_eq!((first.id, first.address), (second.id, second.address));
    }
    asked.idempotency_key = None;
    scene.acceptor.accept(asked).await.unwrap();
    scene.settled().await;
    lane.stop().await;
    let books = scene.check().await;
    assert_eq!((books.stored, books.duplicate), (4, 2));
}

#[tokio::test]
async fn who_waits_for_more_than_comes_in_time_is_told_what_is_known() {
    let scene = Scene::begin().await;
    let mut asked = request(events(0..2), Ack::Stored);
    asked.timeout = Duration::from_millis(20);
    // No lane works.
    let answer = scene.acceptor.accept(asked).await.unwrap();
    let mut results = answer.results.iter();
    assert!(results.all(|it| it.status == ItemStatus::Accepted && it.address.is_none()));
    assert!(
        answer.frame.is_some(),
        "there is something to ask for later"
    );
    let lane = scene.work();
    let mut asked = request(events(2..4), Ack::Sealed);
    asked.timeout = Duration::from_millis(1_000);
    // Nobody signs.
    let answer = scene.acceptor.accept(asked).await.unwrap();
    let mut results = answer.results.iter();
    assert!(
        results.all(|it| it.address.is_some() && !it.sealed),
        "{answer:?}"
    );
    lane.stop().await;
}

#[tokio::test]
async fn a_dead_letter_sent_again_is_stored_once_however_often_it_is_asked_for() {
    let mut scene = Scene::begin().await;
    scene
        .registry
        .processor_fn("closed", |_event| Err(Refusal::because("closed")));
    let lane = scene.work();
    scene.queued(vec![event(1, "a"), event(2, "a")]).await;
    scene.settled().await;
    lane.stop().await;
    scene.registry = audit_pipeline::Registry::default();
    for letter in scene.letters().await {
        let again = || {
            let letters = &*scene.store.dead_letters;
            dead_letters::replay(letters, &*scene.queue, &SystemClock, letter.letter.id)
        };
        let frame = again().await.unwrap();
        assert!(again().await.is_err(), "already sent again");
        // As after a crash between the queue and the mark: the same frame is put in again.
        let events = vec![FrameEvent {
            canonical: letter.letter.payload.clone(),
            api_key_id: String::new(),
        }];
        let same = Frame {
            id: frame,
            internal: false,
            received_at: letter.letter.dead_at,
            traceparent: None,
            events,
        };
        scene.queue.enqueue(same).await.unwrap();
    }
    let lane = scene.work();
    scene.settled().await;
    lane.stop().await;
    let books = scene.books().await;
    let decided = (books.accepted, books.stored, books.dead_lettered);
    assert_eq!(decided, (4, 2, 2), "counted as accepted again, stored once");
}

#[tokio::test]
async fn a_ledger_whose_head_or_tree_was_altered_is_frozen_and_takes_nothing() {
    for sql in [
        "UPDATE ledger_head SET mac = zeroblob(32)",
        "UPDATE ledger_chunk SET leaf_hashes = zeroblob(length(leaf_hashes))",
        "DELETE FROM ledger_chunk",
    ] {
        let scene = Scene::begin().await;
        let lane = scene.work();
        scene.queued(events(0..3)).await;
        scene.settled().await;
        lane.stop().await;
        scene.alter(sql);
        scene.queued(events(3..5)).await;
        let lane = scene.work();
        let is_stopped = || async { lane.switch.is_stopped() };
        until("the lane stops", is_stopped).await;
        assert_eq!(scene.queue.depth().await.unwrap().events, 2, "{sql}");
        assert_eq!(scene.books().await.stored, 3, "{sql}");
        lane.stop().await;
    }
}
