//! Every outward call of a lane, failing in every way: nothing acknowledged is lost, nothing is stored twice, the books balance.

use crate::faulty::Mode;
use audit_pipeline::{Ack, ItemStatus};

use crate::scene::{Scene, event, events, until, within};

/// Faults that bring a lane to calls which it does not make in good times.
fn preparation(call: &str) -> &'static [(&'static str, Mode)] {
    match call {
        "writer.probe" => &[("writer.commit", Mode::Error)],
        // Held long enough to be renewed.
        "queue.renew" => &[("writer.commit", Mode::Hang)],
        "queue.release" => &[("writer.commit", Mode::Panic)],
        _ => &[],
    }
}

/// One call fails in every way, each time with work to do; afterwards everything is as if it had not.
async fn survives(call: &'static str) {
    let scene = Scene::begin().await;
    // Stored before everything, and sent again every time, so that the lane has to look it up.
    let known = || event(1_000_000, "same");
    scene.queued(vec![known()]).await;
    let lane = scene.work();
    scene.settled().await;
    lane.stop().await;
    let (mut accepted, mut stored) = (1, 1);
    for (round, mode) in (0_u64..).zip(Mode::ALL) {
        for (before, how) in preparation(call) {
            scene.faults.plan(before, *how);
        }
        scene.faults.plan(call, mode);
        let first = round * 100;
        scene.queued(events(first..first + 30)).await;
        let lane = scene.work();
        let mut items = events(first + 30..first + 60);
        items.push(known());
        let told = scene.accept(items, Ack::Stored).await;
        assert!(
            told.results.iter().all(|result| matches!(
                result.status,
                ItemStatus::Accepted | ItemStatus::Duplicate
            ) && result.address.is_some()),
            "{call} {mode:?}: waiters are told"
        );
        (accepted, stored) = (accepted + 61, stored + 60);
        if call != "leases.release" {
            let nothing_pending = || async { scene.faults.pending() == 0 };
            until("the fault hits", nothing_pending).await;
        }
        scene.settled().await;
        lane.stop().await;
        assert_eq!(scene.faults.pending(), 0, "{call} {mode:?}: the fault hit");
        let books = scene.check().await;
        assert_eq!(
            (books.accepted, books.stored, books.duplicate),
            (accepted, stored, accepted - stored),
            "{call} {mode:?}"
        );
        assert!(scene.letters().await.is_empty(), "{call} {mode:?}");
    }
}

macro_rules! survive {
    ($($name:ident: $call:literal,)*) => { $(
        #[tokio::test]
        async fn $name() {
            within($call, survives($call)).await;
        }
    )* };
}

survive! {
    lease_not_acquired: "leases.acquire",
    lease_not_renewed: "leases.renew",
    lease_not_released: "leases.release",
    lane_key_not_read: "keys.lane_key",
    head_not_loaded: "ledgers.ledger",
    depth_not_told: "queue.depth",
    nothing_received: "queue.receive",
    receipts_not_read: "receipts.find",
    commit_failed: "writer.commit",
    probe_failed: "writer.probe",
    identities_not_found: "events.find",
    batch_not_settled: "queue.settle",
    batch_not_renewed: "queue.renew",
    batch_not_released: "queue.release",
}

/// The frontier is read from chunks, which are there only once something is stored.
#[tokio::test]
async fn chunks_not_loaded() {
    let scene = Scene::begin().await;
    for (round, mode) in (0_u64..).zip(Mode::ALL) {
        if round > 0 {
            scene.faults.plan("ledgers.chunks", mode);
        }
        scene.queued(events(round * 10..round * 10 + 10)).await;
        let lane = scene.work();
        scene.settled().await;
        lane.stop().await;
        assert_eq!(scene.faults.pending(), 0, "{mode:?}");
        assert_eq!(scene.check().await.stored, round * 10 + 10, "{mode:?}");
    }
}

/// A commit whose answer is lost is found by its receipts, even when nothing else ever comes.
#[tokio::test]
async fn a_lost_answer_is_cleared_up_without_further_work() {
    let scene = Scene::begin().await;
    scene.faults.plan("writer.commit", Mode::ErrorButDone);
    scene.queued(events(0..10)).await;
    let lane = scene.work();
    scene.settled().await;
    lane.stop().await;
    assert_eq!(scene.check().await.stored, 10);
    assert_eq!(
        scene.faults.calls()["writer.commit"],
        1,
        "not written again"
    );
}

/// A panic gives the batch back at once, not when its hold runs out.
#[tokio::test]
async fn a_panic_of_the_lane_gives_its_batches_back() {
    let mut scene = Scene::begin().await;
    scene.settings.renew_every = std::time::Duration::from_secs(3_600);
    scene.faults.plan("writer.commit", Mode::Panic);
    scene.queued(events(0..10)).await;
    let lane = scene.work();
    scene.settled().await;
    // Counted before the end, which settles again what was settled and not answered yet.
    let calls = scene.faults.calls();
    lane.stop().await;
    assert_eq!(scene.check().await.stored, 10);
    assert_eq!(calls["queue.release"], 1);
}

/// An outage of the receipts delays a batch and does not make its frames suspect.
#[tokio::test]
async fn an_outage_of_the_receipts_delivers_nothing_again() {
    let scene = Scene::begin().await;
    for _ in 0..8 {
        scene.faults.plan("receipts.find", Mode::Error);
    }
    scene.queued(events(0..10)).await;
    let lane = scene.work();
    scene.settled().await;
    // As above.
    let calls = scene.faults.calls();
    lane.stop().await;
    assert_eq!(scene.check().await.stored, 10);
    assert_eq!(calls.get("queue.release"), None, "{calls:?}");
    assert_eq!(calls["writer.commit"], 1, "all in one commit: {calls:?}");
}
