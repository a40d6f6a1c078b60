//! Workers that are restarted in order, and workers that do not know what time it is.

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
    let mut wrong = site.worker_with_clock("wrong", "+1h");
    let ingest = site.ingest();
    let part = events_of_a_row() / 2;
    let mut sent = site.send_all(&ingest, 310, part).await;
    site.check(&wrong, &sent).await;
    wrong.child.kill();
    wrong = site.worker_with_clock("wrong", "-1h");
    sent.extend(site.send_all(&ingest, 311, part).await);
    site.check(&wrong, &sent).await;
    let status = site.check(&right, &sent).await;
    assert_eq!(status["deadLettersWaiting"], 0, "{status}");
}
