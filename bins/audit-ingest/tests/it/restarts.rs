//! Workers that are restarted in order, and workers that do not know what time it is.

use std::collections::HashSet;

use audit_testkit::wrong_clock::WrongClock;
use serde_json::json;

use crate::site::{Site, events_of_a_row};
use crate::traffic::Traffic;

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_under_load_loses_nothing() {
    let site = Site::new(&json!({}));
    let mut workers = [site.worker("one"), site.worker("two")];
    let ingest = site.ingest();
    let traffic = Traffic::start(&site, &ingest, 300, events_of_a_row());
    for round in 0..4 {
        traffic.reach(round + 1, 6).await;
        site.restart_in_order(&mut workers[round % 2]);
    }
    let sent = traffic.end().await;
    for worker in &workers {
        let status = site.check(worker, &sent).await;
        assert_eq!(status["deadLettersWaiting"], 0, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_clock_is_an_hour_off_loses_nothing_and_takes_nothing_from_the_other() {
    let site = Site::new(&json!({ "lanes": 2 }));
    let right = site.worker("right");
    let ingest = site.ingest();
    let part = events_of_a_row() / 2;
    let mut sent = HashSet::new();
    for (seed, off) in [(310, 3_600), (311, -3_600)] {
        let clock = WrongClock::off_by(off);
        let wrong = site.worker_with_clock("wrong", &clock);
        // It holds its share: the other has two of four.
        sent.extend(site.send_all(&ingest, seed, part).await);
        site.check(&wrong, &sent).await;
        let sealed_by_it = format!(
            "SELECT count(*) > 0 FROM audit.audit_event WHERE abs(extract(epoch FROM sealed_at - received_at) - {off}) < 600"
        );
        assert_eq!(site.sql(&sealed_by_it), "t", "its clock is off by {off} s");
    }
    let status = site.check(&right, &sent).await;
    assert_eq!(status["deadLettersWaiting"], 0, "{status}");
}
