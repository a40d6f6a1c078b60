//! `LedgerWriter`.

use audit_event::{OrganizationId, Value};
use audit_integrity::head::{Head, LedgerState};
use audit_integrity::ledger::{LeafIndex, LedgerId};

use super::TestStore;
use super::dead_letters::letter;
use super::sample::{self, event, events};
use super::scene::{Books, LEDGER, Lane, key, origin, receipt};
use crate::leases::LEASE_MICROS;
use crate::{CommitError, StoreError, Via};

/// "Durable (fsync'd) when `commit` returns `Ok`"; "Unique on identity and on `Receipt::frame_id`".
pub async fn a_commit_is_durable_and_delivered_again_stores_nothing(subject: &mut dyn TestStore) {
    let mut lane = Lane::open(&subject.store(), LEDGER).await;
    // Enough for a full tile, so that tiles are part of what must survive.
    let mut first = lane.prepare(events(0..300)).receipted(1);
    first.dead_letters.push(letter(1));
    assert_eq!(first.tiles.len(), 1);
    lane.commit_twice(subject, first).await;
    let second = lane.prepare(events(300..310)).receipted(2);
    lane.commit_twice(subject, second).await;
    assert_eq!(lane.head.size, 310);
}

/// "`None` when only receipts or dead letters are written"; "the old one again when there is no chunk".
pub async fn a_commit_of_books_alone_leaves_the_head(subject: &mut dyn TestStore) {
    let mut lane = Lane::open(&subject.store(), LEDGER).await;
    lane.commit(&subject.store(), events(0..3)).await;
    let head = lane.head.clone();
    let mut books = lane.prepare(Vec::new());
    books.receipts.push(crate::Receipt {
        stored: 0,
        duplicate: 2,
        ..receipt(7, 2)
    });
    books.dead_letters.push(letter(2));
    lane.commit_twice(subject, books).await;
    let info = subject
        .store()
        .ledgers
        .ledger(LEDGER)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(info.head, head);
    assert_eq!(
        subject
            .store()
            .receipts
            .totals(Via::Queue)
            .await
            .unwrap()
            .duplicate,
        2
    );
}

/// "a crash at any moment leaves all of it or nothing": a failing event in the middle leaves nothing of the others.
pub async fn an_event_that_is_stored_already_takes_the_whole_commit_back(
    subject: &mut dyn TestStore,
) {
    let mut lane = Lane::open(&subject.store(), LEDGER).await;
    lane.commit(&subject.store(), events([5])).await;
    let before = Books::read(&subject.store(), LEDGER).await;
    let mut prepared = lane.prepare(events(0..10)).receipted(3);
    prepared.dead_letters.push(letter(3));
    let outcome = subject.store().writer.commit(prepared.commit()).await;
    assert!(
        matches!(outcome, Err(CommitError::AlreadyStored)),
        "{outcome:?}"
    );
    assert_eq!(Books::read(&subject.store(), LEDGER).await, before);
    subject.crash().await;
    assert_eq!(Books::read(&subject.store(), LEDGER).await, before);
    let store = subject.store();
    assert_eq!(store.receipts.find(&[sample::frame(3)]).await.unwrap(), []);
    // The same events without the one are taken: nothing of the failed commit is in the way.
    let rest = lane
        .prepare(events((0..10).filter(|n| *n != 5)))
        .receipted(3);
    lane.commit_twice(subject, rest).await;
}

/// "Unique on identity and on `Receipt::frame_id`".
pub async fn a_receipt_that_is_stored_already_takes_the_whole_commit_back(
    subject: &mut dyn TestStore,
) {
    let mut lane = Lane::open(&subject.store(), LEDGER).await;
    let first = lane.prepare(events(0..3)).receipted(9);
    lane.commit_twice(subject, first).await;
    let store = subject.store();
    let before = Books::read(&store, LEDGER).await;
    // Other events, the same frame.
    let again = lane.prepare(events(10..13)).receipted(9);
    let outcome = store.writer.commit(again.commit()).await;
    assert!(
        matches!(outcome, Err(CommitError::AlreadyStored)),
        "{outcome:?}"
    );
    assert_eq!(Books::read(&store, LEDGER).await, before);
}

/// "The head moves only when epoch and size are what the commit expects".
pub async fn another_epoch_fences_the_commit(subject: &mut dyn TestStore) {
    let lane = Lane::open(&subject.store(), LEDGER).await;
    let stale = lane.prepare(events(0..3)).receipted(1);
    subject.pass(LEASE_MICROS + 1).await;
    let store = subject.store();
    let taken = store
        .leases
        .acquire(LEDGER, "lane-2")
        .await
        .unwrap()
        .expect("the lease ran out");
    let before = Books::read(&store, LEDGER).await;
    let outcome = store.writer.commit(stale.commit()).await;
    assert!(matches!(outcome, Err(CommitError::Fenced)), "{outcome:?}");
    assert_eq!(Books::read(&store, LEDGER).await, before);
    // Not the clock but the takeover fences: the new lane's own lease may run out while it commits.
    subject.pass(LEASE_MICROS + 1).await;
    let mut lane = lane;
    lane.lease = taken;
    let prepared = lane.prepare(events(0..3)).receipted(1);
    subject
        .store()
        .writer
        .commit(prepared.commit())
        .await
        .unwrap();
}

/// "Gives it back at once": who gave the lease back commits nothing more.
pub async fn a_released_lease_fences_the_commit(subject: &mut dyn TestStore) {
    let store = subject.store();
    let lane = Lane::open(&store, LEDGER).await;
    let prepared = lane.prepare(events(0..3));
    store.leases.release(&lane.lease).await.unwrap();
    let outcome = store.writer.commit(prepared.commit()).await;
    assert!(matches!(outcome, Err(CommitError::Fenced)), "{outcome:?}");
}

/// "The size the ledger must have."
pub async fn a_head_that_moved_refuses_the_commit(subject: &mut dyn TestStore) {
    let store = subject.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    let late = lane.prepare(events(20..23));
    lane.commit(&store, events(0..3)).await;
    let before = Books::read(&store, LEDGER).await;
    let outcome = store.writer.commit(late.commit()).await;
    assert!(
        matches!(outcome, Err(CommitError::HeadMoved { expected: 0 })),
        "{outcome:?}"
    );
    assert_eq!(Books::read(&store, LEDGER).await, before);
}

/// "Events of the chunk, in leaf order"; "The new entries": parts that do not fit each other are never stored.
pub async fn parts_that_contradict_each_other_are_refused(subject: &mut dyn TestStore) {
    let store = subject.store();
    let lane = Lane::open(&store, LEDGER).await;
    let before = Books::read(&store, LEDGER).await;
    let whole = lane.prepare(events(0..3));
    let mut fewer = whole.clone();
    fewer.events.pop();
    let mut swapped = whole.clone();
    swapped.events.swap(0, 1);
    let mut headless = whole.clone();
    headless.head = lane.head.clone();
    let mut shifted = whole.clone();
    shifted.chunk.as_mut().unwrap().first_leaf = LeafIndex(1);
    for wrong in [fewer, swapped, headless, shifted] {
        let outcome = store.writer.commit(wrong.commit()).await;
        assert!(
            matches!(outcome, Err(CommitError::HeadMoved { .. })),
            "{outcome:?}"
        );
    }
    assert_eq!(Books::read(&store, LEDGER).await, before);
    store.writer.commit(whole.commit()).await.unwrap();
}

/// "Changes a ledger's state (closed, diverged) with the re-MACed head, if epoch and size still match."
pub async fn a_closed_ledger_takes_no_commit(subject: &mut dyn TestStore) {
    let mut lane = Lane::open(&subject.store(), LEDGER).await;
    lane.commit(&subject.store(), events(0..3)).await;
    let store = subject.store();
    let sealed =
        |epoch, range| Head::seal(&key(), &origin(LEDGER), epoch, LedgerState::Closed, range);
    let elsewhere = sealed(
        lane.lease.epoch,
        audit_integrity::head::CompactRange::default(),
    );
    let outcome = store.writer.set_state(&lane.lease, &elsewhere).await;
    assert!(
        matches!(outcome, Err(CommitError::HeadMoved { .. })),
        "{outcome:?}"
    );
    let closed = sealed(lane.lease.epoch, lane.head.range.clone());
    let foreign = crate::Lease {
        epoch: lane.lease.epoch + 1,
        ..lane.lease.clone()
    };
    let outcome = store.writer.set_state(&foreign, &closed).await;
    assert!(matches!(outcome, Err(CommitError::Fenced)), "{outcome:?}");
    store.writer.set_state(&lane.lease, &closed).await.unwrap();
    subject.crash().await;
    let store = subject.store();
    let info = store.ledgers.ledger(LEDGER).await.unwrap().unwrap();
    assert_eq!((info.state, info.head), (LedgerState::Closed, closed));
    let late = lane.prepare(events(10..12));
    let outcome = store.writer.commit(late.commit()).await;
    assert!(matches!(outcome, Err(CommitError::Fenced)), "{outcome:?}");
}

/// "If the future is dropped the commit may still happen": whole, or not at all.
pub async fn a_dropped_commit_happens_whole_or_not_at_all(subject: &mut dyn TestStore) {
    let store = subject.store();
    let lane = Lane::open(&store, LEDGER).await;
    let prepared = lane.prepare(events(0..50)).receipted(1);
    {
        let mut commit = std::pin::pin!(store.writer.commit(prepared.commit()));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        // Polled once and dropped: the work is handed over or not.
        drop(commit.as_mut().poll(&mut context));
    }
    // Anything that goes through the writer after it shows the outcome.
    store.writer.probe().await.unwrap();
    subject.crash().await;
    let store = subject.store();
    let size = store
        .ledgers
        .ledger(LEDGER)
        .await
        .unwrap()
        .unwrap()
        .head
        .size;
    let rows = store
        .events
        .rows(LEDGER, LeafIndex(0), LeafIndex(100), 100)
        .await
        .unwrap();
    let receipts = store.receipts.find(&[sample::frame(1)]).await.unwrap();
    let outcome = (size, rows.len(), receipts.len());
    assert!(
        outcome == (0, 0, 0) || outcome == (50, 50, 1),
        "{outcome:?}"
    );
}

/// "Unique on identity": (id, organisation, timestamp), not less.
pub async fn the_same_id_in_another_organization_or_at_another_time_is_another_event(
    subject: &mut dyn TestStore,
) {
    let mut lane = Lane::open(&subject.store(), LEDGER).await;
    let drafts = vec![
        event(1, |_same| ()),
        event(1, |event| {
            event.organization_id = OrganizationId::new("org-b")
        }),
        event(1, |event| event.organization_id = OrganizationId::none()),
        event(1, |event| event.statement.timestamp = sample::at(77)),
    ];
    let prepared = lane.prepare(drafts).receipted(1);
    lane.commit_twice(subject, prepared).await;
    // The same identity with another content is the same identity.
    let other = event(1, |event| {
        event.statement.details.insert("number", Value::Bool(true));
    });
    let prepared = lane.prepare(vec![other]);
    let outcome = subject.store().writer.commit(prepared.commit()).await;
    assert!(
        matches!(outcome, Err(CommitError::AlreadyStored)),
        "{outcome:?}"
    );
}

/// "A commit that writes and rolls back or writes a marker": it leaves the ledgers alone.
pub async fn a_probe_writes(subject: &mut dyn TestStore) {
    let store = subject.store();
    let lane = Lane::open(&store, LEDGER).await;
    store.writer.probe().await.unwrap();
    store.writer.probe().await.unwrap();
    assert_eq!(
        store.ledgers.ledger(LEDGER).await.unwrap().unwrap().head,
        lane.head
    );
    assert!(store.writer.writers() >= 1);
    // A ledger that does not exist is an answer, not a fault.
    let none: Result<_, StoreError> = store.ledgers.ledger(LedgerId::Events(9)).await;
    assert_eq!(none.unwrap(), None);
}
