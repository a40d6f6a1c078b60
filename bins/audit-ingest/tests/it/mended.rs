//! A store that takes no events until somebody mends it: nothing is given up meanwhile, and all goes on afterwards.

use std::collections::HashSet;
use std::time::Instant;

use audit_testkit::disk::SmallDisk;
use audit_testkit::events::EventSource;
use audit_testkit::postgres::PostgresServer;
use audit_testkit::wait::wait_until_async;
use serde_json::{Value, json};

use crate::site::{BOUND, Program, Site, component, events_of_a_row, is_full, number, record};
use crate::traffic::Traffic;

/// What workers counted under one name, together.
async fn counted(site: &Site, workers: &[Program], name: &str) -> u64 {
    let mut sum = 0;
    for worker in workers {
        let (_, metrics) = site.text(worker, "/metrics").await;
        let counted = metrics.lines().find_map(|line| line.strip_prefix(name));
        sum += counted.map_or(0, |count| count.trim().parse().expect("a number"));
    }
    sum
}

const STORED: &str = "audit_worker_events_stored_total{origin=\"producer\"}";
const OUTAGES: &str = "audit_worker_commit_failures_total{fault=\"outage\"}";

/// Waits until so many commits have failed, for the first time in a test.
async fn lanes_find_out(site: &Site, workers: &[Program], failures: u64) {
    wait_until_async("the lanes find out", BOUND, || async {
        (counted(site, workers, OUTAGES).await >= failures).then_some(())
    })
    .await;
}

/// Waits until a worker says that its store is away.
async fn not_ready(site: &Site, worker: &Program) {
    wait_until_async("a worker knows", BOUND, || async {
        let (code, ready) = site.get(worker, "/readyz").await;
        (code == 503 && component(&ready, "store")["status"] == "failing").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_has_nothing_to_do_is_not_ready_either_while_the_database_is_away() {
    let mut site = Site::new(&json!({}));
    let workers = [site.worker("holds"), site.worker("stands by")];
    site.postgres.kill();
    for worker in &workers {
        not_ready(&site, worker).await;
    }
    site.postgres.restart();
    for worker in &workers {
        wait_until_async("it is ready again", BOUND, || async {
            let (code, _) = site.get(worker, "/readyz").await;
            (code == 200).then_some(())
        })
        .await;
    }
}

fn nothing_is_given_up(site: &Site) {
    assert_eq!(site.sql("SELECT count(*) FROM audit.dead_letter"), "0");
}

/// Breaks the database by one statement while events come in, looks that nothing is stored and nothing given up, and mends
/// it by another.
async fn waits_until_mended(seed: u64, breaks: &str, mends: &str) {
    let mut site = Site::new(&json!({}));
    site.worker("one").child.terminate();
    site.log_in_as_writer();
    let workers = [site.worker("one"), site.worker("two")];
    let ingest = site.ingest();
    let traffic = Traffic::start(&site, &ingest, seed, events_of_a_row());
    traffic.reach(1, 3).await;
    site.sql(breaks);
    lanes_find_out(&site, &workers, 5).await;
    let stored = counted(&site, &workers, STORED).await;
    let sent = traffic.end().await;
    nothing_is_given_up(&site);
    let now = counted(&site, &workers, STORED).await;
    assert_eq!(now, stored, "the lanes have stopped");
    site.sql(mends);
    let status = site.check(&workers[0], &sent).await;
    assert_eq!(status["deadLettersWaiting"], 0, "{status}");
    site.check(&workers[1], &sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_right_stops_the_lanes_until_it_is_granted_again() {
    waits_until_mended(
        400,
        "LOCK TABLE audit.audit_event IN ACCESS EXCLUSIVE MODE; REVOKE INSERT ON audit.audit_event FROM audit_writer",
        "GRANT INSERT ON audit.audit_event TO audit_writer",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_column_stops_the_lanes_until_it_is_back() {
    // Kept aside, as an operator would restore it from a backup; without its values verification would fail, rightly.
    waits_until_mended(
        410,
        "LOCK TABLE audit.audit_event IN ACCESS EXCLUSIVE MODE;
         CREATE TABLE kept AS SELECT id, organization_id, timestamp, severity FROM audit.audit_event;
         ALTER TABLE audit.audit_event DROP COLUMN severity",
        "ALTER TABLE audit.audit_event ADD COLUMN severity smallint;
         UPDATE audit.audit_event AS event SET severity = kept.severity FROM kept
            WHERE (event.id, event.organization_id, event.timestamp) = (kept.id, kept.organization_id, kept.timestamp);
         ALTER TABLE audit.audit_event ALTER COLUMN severity SET NOT NULL",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_the_database_stops_the_lanes_until_there_is_room() {
    let mebibytes = if is_full() { 768 } else { 64 };
    let disk = SmallDisk::mount(mebibytes);
    let postgres = PostgresServer::start();
    postgres.give(disk.path());
    let space = format!(
        "CREATE TABLESPACE small LOCATION '{}'",
        disk.path().display()
    );
    postgres.sql("postgres", &space);
    postgres.sql("postgres", "CREATE DATABASE audited TABLESPACE small");
    let site = Site::over(postgres, "audited".to_owned(), &json!({}));
    let workers = [site.worker("one"), site.worker("two")];
    let ingest = site.ingest();
    let traffic = Traffic::start(&site, &ingest, 440, events_of_a_row());
    traffic.reach(1, 3).await;
    disk.fill();
    // The probe needs room as well: a lane tries a commit once, and then waits.
    lanes_find_out(&site, &workers, 1).await;
    let sent = traffic.end().await;
    let said = site.postgres.log();
    assert!(said.contains("No space left on device"), "{said}");
    nothing_is_given_up(&site);
    disk.free();
    let status = site.check(&workers[0], &sent).await;
    assert_eq!(status["deadLettersWaiting"], 0, "{status}");
    site.check(&workers[1], &sent).await;
}

/// Every 1,000th event is one that the database does not take.
fn with_poison(seed: u64) -> impl Iterator<Item = String> {
    EventSource::new(seed).enumerate().map(|(index, event)| {
        if index % 1_000 == 500 {
            event.replacen("\"action\":\"", "\"action\":\"poison.", 1)
        } else {
            event
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_refuses_is_in_the_dead_letters_with_the_reason_and_the_rest_is_stored() {
    let site = Site::new(&json!({}));
    let workers = [site.worker("one"), site.worker("two")];
    let ingest = site.ingest();
    let events = events_of_a_row();
    let poisoned: HashSet<String> = with_poison(420)
        .take(events)
        .filter(|event| event.contains("poison."))
        .map(|event| {
            let event: Value = serde_json::from_str(&event).expect("JSON");
            event["id"].as_str().expect("an id").to_owned()
        })
        .collect();
    assert_eq!(poisoned.len(), events / 1_000);
    site.sql(
        "ALTER TABLE audit.audit_event ADD CONSTRAINT no_poison CHECK (action NOT LIKE 'poison.%')",
    );
    // The first events of a month wait for its partition, which is not what is measured.
    let mut all = site.send_all(&ingest, 419, 400).await;
    site.settled(&workers[0]).await;

    let began = Instant::now();
    let traffic = Traffic::of(&site, &ingest, with_poison(420).take(events), events);
    let sent = traffic.end().await;
    site.settled(&workers[0]).await;
    record("one event in 1,000 refused, all settled", began.elapsed());
    all.extend(sent);
    let status = site.check_without(&workers[0], &all, &poisoned).await;
    assert_eq!(
        number(&status, "deadLettersWaiting"),
        poisoned.len() as u64,
        "{status}"
    );
    let (_, letters) = site.get(&workers[1], "/v1/dead-letters?limit=1000").await;
    let letters = letters["deadLetters"].as_array().expect("letters");
    let mut named = HashSet::new();
    for letter in letters {
        assert!(
            letter["detail"]
                .as_str()
                .expect("a reason")
                .contains("no_poison"),
            "the database's own words: {letter}"
        );
        named.insert(letter["eventId"].as_str().expect("an id").to_owned());
    }
    assert!(named == poisoned, "exactly the refused ones");

    // The same load without poison, for comparison.
    let began = Instant::now();
    all.extend(site.send_all(&ingest, 421, events).await);
    site.settled(&workers[0]).await;
    record("as many, none refused", began.elapsed());
    site.check_without(&workers[1], &all, &poisoned).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_database_down_nothing_is_given_up_and_work_resumes_soon_after_its_return() {
    let mut site = Site::new(&json!({}));
    let workers = [site.worker("one"), site.worker("two")];
    let ingest = site.ingest();
    let part = events_of_a_row() / 3;
    let mut sent = site.send_all(&ingest, 430, part).await;
    for round in 0..2 {
        let traffic = Traffic::start(&site, &ingest, 431 + round, part);
        traffic.reach(1, 4).await;
        site.postgres.kill();
        for worker in &workers {
            not_ready(&site, worker).await;
        }
        sent.extend(traffic.end().await);
        let before = counted(&site, &workers, STORED).await;
        site.postgres.restart();
        let began = Instant::now();
        wait_until_async("a commit", BOUND, || async {
            (counted(&site, &workers, STORED).await > before).then_some(())
        })
        .await;
        let what = "from the database's return to the first commit";
        record(what, began.elapsed());
        nothing_is_given_up(&site);
    }
    let status = site.check(&workers[0], &sent).await;
    assert_eq!(status["deadLettersWaiting"], 0, "{status}");
    site.check(&workers[1], &sent).await;
}
