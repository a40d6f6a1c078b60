//! Connections that break, stand still or end in the middle of an answer, to either server.

use std::time::{Duration, Instant};

use audit_testkit::fault_proxy::FaultProxy;
use audit_testkit::wait::wait_until_async;

use crate::site::{BOUND, Doors, Site, events_of_a_row, is_full};
use crate::traffic::Traffic;

/// Sends the events of a row while `fault` happens so many times, to the connections of one server and the other in turn.
async fn conserved_while(seed: u64, faults: usize, fault: impl AsyncFn(&FaultProxy)) {
    let (site, doors) = Site::behind_doors();
    let workers = [site.worker("one"), site.worker("two")];
    let ingest = site.ingest();
    let traffic = Traffic::start(&site, &ingest, seed, events_of_a_row());
    let before = accepted(&doors);
    for round in 0..faults {
        traffic.reach(round + 1, faults + 2).await;
        fault(if round % 2 == 0 {
            &doors.store
        } else {
            &doors.broker
        })
        .await;
    }
    let sent = traffic.end().await;
    let status = site.check(&workers[0], &sent).await;
    assert_eq!(status["deadLettersWaiting"], 0, "{status}");
    site.check(&workers[1], &sent).await;
    assert!(accepted(&doors) > before, "the connections are others");
}

fn accepted(doors: &Doors) -> usize {
    doors.store.accepted() + doors.broker.accepted()
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_cut_lose_nothing() {
    conserved_while(200, 10, async |proxy| proxy.cut()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_end_in_their_middle_lose_nothing() {
    conserved_while(210, 10, async |proxy| proxy.halve_answers(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_stand_still_lose_nothing() {
    // Longer than an answer of the broker is waited for (5 s), and, as the issue has it, 10 s.
    let (faults, silence) = if is_full() { (4, 10) } else { (2, 6) };
    let silence = Duration::from_secs(silence);
    conserved_while(220, faults, async |proxy| {
        let began = Instant::now();
        proxy.freeze_for(silence);
        // The length of the silence is what is tested; the traffic goes on meanwhile.
        wait_until_async("the silence ends", BOUND, || async {
            (began.elapsed() >= silence).then_some(())
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_again_and_again_loses_nothing() {
    let mut site = Site::new(&serde_json::json!({}));
    let workers = [site.worker("one"), site.worker("two")];
    let ingest = site.ingest();
    let traffic = Traffic::start(&site, &ingest, 230, events_of_a_row());
    for round in 0..5 {
        traffic.reach(round + 1, 7).await;
        site.redis.kill();
        site.redis.restart();
    }
    let sent = traffic.end().await;
    let status = site.check(&workers[0], &sent).await;
    assert_eq!(status["deadLettersWaiting"], 0, "{status}");
    site.check(&workers[1], &sent).await;
}
