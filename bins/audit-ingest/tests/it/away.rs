//! The broker away, the store away, and both.

use audit_testkit::events::EventSource;
use audit_testkit::wait::wait_until_async;
use serde_json::{Value, json};

use crate::site::{BOUND, Program, Site, component, events_of_a_row, number};

/// The readiness of a program, once `name` has this state.
async fn once(site: &Site, program: &Program, name: &str, state: &str) -> Value {
    wait_until_async("a component changes", BOUND, || async {
        let (_, ready) = site.get(program, "/readyz").await;
        (component(&ready, name)["status"] == state).then_some(ready)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spool_takes_over_when_the_broker_is_killed_and_drains_when_it_is_back() {
    let mut site = Site::new(&json!({}));
    let workers = [site.worker("one"), site.worker("two")];
    let ingest = site.ingest();
    let part = events_of_a_row() / 5;
    let mut sent = site.send_all(&ingest, 20, part).await;
    for round in 0..2 {
        site.redis.kill();
        sent.extend(site.send_all(&ingest, 30 + round, part).await);
        let ready = once(&site, &ingest, "spool", "degraded").await;
        assert_eq!(
            ready["ready"], true,
            "events are taken all the same: {ready}"
        );
        assert_eq!(
            once(&site, &ingest, "broker", "degraded").await["ready"],
            true
        );
        let ready = once(&site, &workers[0], "broker", "failing").await;
        assert_eq!(ready["ready"], false, "a worker has no spool: {ready}");
        site.redis.restart();
        sent.extend(site.send_all(&ingest, 40 + round, part).await);
        once(&site, &ingest, "spool", "ok").await;
    }
    site.check(&workers[1], &sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_spool_holds_survives_a_kill_of_the_ingest() {
    let mut site = Site::new(&json!({}));
    let worker = site.worker("one");
    let mut ingest = site.ingest();
    let mut sent = site.send_all(&ingest, 50, 200).await;
    site.redis.kill();
    sent.extend(site.send_all(&ingest, 51, 400).await);
    ingest.child.kill();
    let ingest = site.ingest();
    let ready = once(&site, &ingest, "spool", "degraded").await;
    assert_eq!(ready["ready"], true, "{ready}");
    site.redis.restart();
    once(&site, &ingest, "spool", "ok").await;
    site.check(&worker, &sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_taken_for_a_day_without_the_store_also_after_a_restart() {
    let mut site = Site::new(&json!({}));
    let mut worker = site.worker("one");
    let mut ingest = site.ingest();
    let mut sent = site.send_all(&ingest, 60, 200).await;
    site.settled(&worker).await;
    let (code, _) = site.get(&ingest, "/v1/status").await;
    assert_eq!(code, 200, "the key was seen");
    site.postgres.kill();
    sent.extend(site.send_all(&ingest, 61, 200).await);
    let ready = once(&site, &ingest, "store", "degraded").await;
    assert_eq!(ready["ready"], true, "{ready}");
    let (code, answer) = site
        .post(
            &ingest,
            "/v1/events?ack=stored&timeoutMs=300",
            EventSource::new(62).batch(1),
        )
        .await;
    assert_eq!(code, 202, "queued, and no more is known: {answer}");
    sent.insert(
        answer["results"][0]["id"]
            .as_str()
            .expect("an id")
            .to_owned(),
    );

    ingest.child.kill();
    let ingest = site.ingest();
    sent.extend(site.send_all(&ingest, 63, 200).await);
    let refused = site.stranger(&ingest).await;
    assert_eq!(refused, 401, "a key nobody made is no key, store or not");

    site.postgres.restart();
    let began = std::time::Instant::now();
    let status = wait_until_async("work resumes", BOUND, || async {
        let (code, status) = site.get(&worker, "/v1/status").await;
        (code == 200 && number(&status, "queued") == 0).then_some(status)
    })
    .await;
    assert!(began.elapsed().as_secs() < 15, "{:?}", began.elapsed());
    assert_eq!(status["deadLettersWaiting"], 0, "an outage burns nothing");
    site.check(&worker, &sent).await;
    worker.child.terminate();
    assert!(worker.child.wait(BOUND).success(), "it ends in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_killed_again_and_again_burns_no_event() {
    let mut site = Site::new(&json!({}));
    let workers = [site.worker("one"), site.worker("two")];
    let ingest = site.ingest();
    let part = events_of_a_row() / 10;
    let mut sent = site.send_all(&ingest, 90, part).await;
    for round in 0..5 {
        sent.extend(site.send_all(&ingest, 100 + round, part).await);
        site.postgres.kill();
        sent.extend(site.send_all(&ingest, 110 + round, part / 2).await);
        site.postgres.restart();
    }
    let status = site.check(&workers[0], &sent).await;
    assert_eq!(status["deadLettersWaiting"], 0, "{status}");
}
