//! Changes of the configuration while events flow: taken by every process, or taken back by themselves; nothing is lost.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use audit_testkit::net::free_port;
use audit_testkit::wait::wait_until_async;
use serde_json::{Value, json};

use crate::site::{BOUND, Program, Site, is_full, record};
use crate::traffic::Endless;

/// Changes of the row; the number at full size.
fn changes() -> u64 {
    if is_full() { 200 } else { 12 }
}

/// What is different from one number to the next: batches, thresholds, connections, logs, rules of detection, alerts.
fn change(number: u64) -> Value {
    let turn = usize::try_from(number % 3).expect("small");
    let of = |values: [u64; 3]| values[turn];
    let policy = ["record", "alert", "deadLetter"][turn];
    let filter = ["info", "warn", "error"][turn];
    json!({
        "batch": { "deliveries": of([50, 200, 500]), "bytesMax": of([1 << 20, 2 << 20, 3 << 20]) },
        "breaker": { "failures": of([2, 3, 5]), "pauseMs": of([200, 500, 1_000]) },
        "queue": { "eventsMax": of([500_000, 800_000, 1_000_000]) },
        "store": { "maxConnections": of([4, 6, 8]), "statementTimeoutMs": of([10_000, 15_000, 20_000]) },
        "proofs": { "pake": policy },
        "http": { "itemsMax": of([5_000, 10_000, 20_000]) },
        "logFilter": filter,
        "accept": { "maxAheadMs": 300_000 + number },
        "detection": { "tuning": [
            { "rule": "data-velocity", "threshold": of([50, 60, 70]) },
            { "rule": "privilege-change", "enabled": turn != 1 },
        ] },
        "alerts": { "cooldownMs": of([100_000, 200_000, 300_000]) },
    })
}

/// The newest version, and what processes said of it.
async fn newest(site: &Site, program: &Program) -> Value {
    let path = "/observability/configuration-status?versions=1";
    let (code, status) = site.get(program, path).await;
    assert_eq!(code, 200, "{status}");
    status["versions"][0].clone()
}

/// Waits until so many processes run with this version.
async fn applied(site: &Site, program: &Program, version: u64, processes: usize) -> Value {
    let what = format!("version {version} is applied by all");
    wait_until_async(&what, BOUND, || async {
        // Whoever asks more often is a load by himself.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let newest = newest(site, program).await;
        let reports = newest["reports"].as_array()?;
        let all =
            reports.len() == processes && reports.iter().all(|report| report["taken"] == "applied");
        (newest["version"] == version && all).then_some(newest)
    })
    .await
}

/// Two workers and an ingest that are given one change after another.
struct Fleet {
    site: Site,
    workers: [Program; 2],
    ingest: Program,
    /// Of the configuration.
    version: u64,
}

impl Fleet {
    async fn new() -> Self {
        let site = Site::new(&json!({ "configuration": { "pollMs": 0, "watchMs": 0 } }));
        let workers = [site.worker("one"), site.worker("two")];
        let ingest = site.ingest();
        applied(&site, &workers[0], 1, 3).await;
        Self {
            site,
            workers,
            ingest,
            version: 1,
        }
    }

    /// Makes a change, asks one process after the other to take it, and waits until all have.
    async fn change(&mut self) {
        self.site.lay_over(&change(self.version));
        let asked = match self.version % 3 {
            0 => &self.ingest,
            1 => &self.workers[0],
            _ => &self.workers[1],
        };
        let reload = "/admin/config/reload";
        let (code, answer) = self.site.post(asked, reload, String::new()).await;
        assert_eq!(code, 200, "{answer}");
        self.version += 1;
        assert_eq!(answer["version"], self.version, "{answer}");
        let newest = applied(&self.site, &self.workers[0], self.version, 3).await;
        assert_eq!(newest["state"], "inForce", "{newest}");
    }

    /// Events a second under each of the settings that the changes go through, and none while they change.
    async fn calm(&mut self, seed: u64, sent: &mut HashSet<String>) -> f64 {
        let (mut events, mut took) = (0, Duration::ZERO);
        for turn in 0..3 {
            self.change().await;
            let flow = Endless::start(&self.site, &self.ingest, seed + turn);
            let began = Instant::now();
            tokio::time::sleep(Duration::from_secs(if is_full() { 15 } else { 1 })).await;
            let ids = flow.stop();
            took += began.elapsed();
            events += ids.len();
            sent.extend(ids);
        }
        events as f64 / took.as_secs_f64()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_changes_while_events_flow_lose_nothing() {
    let mut fleet = Fleet::new().await;
    let mut sent = HashSet::new();
    let before = fleet.calm(60, &mut sent).await;
    let traffic = Endless::start(&fleet.site, &fleet.ingest, 70);
    let began = Instant::now();
    for _ in 0..changes() {
        fleet.change().await;
    }
    let changed = traffic.stop();
    let took = began.elapsed();
    let after = fleet.calm(80, &mut sent).await;
    // Shown, not judged. Compared with before and after, because the database grows all the while.
    let unchanged = f64::midpoint(before, after);
    let ratio = changed.len() as f64 / took.as_secs_f64() / unchanged;
    let figures = format!(
        "{} changes; throughput {ratio:.2} of unchanged ({before:.0}/s before, {after:.0}/s after)",
        changes()
    );
    record(&figures, took);
    assert!(!changed.is_empty());
    sent.extend(changed);
    let Fleet {
        site,
        workers,
        version,
        ..
    } = &fleet;
    site.check(&workers[0], &sent).await;
    // Every change is in the trail, once.
    let (_, page) = site
        .get(
            &workers[0],
            "/v1/events?organizationId=_audit&action=configuration.publish&limit=1000",
        )
        .await;
    let told = page["events"].as_array().expect("events").len();
    assert_eq!(told as u64, *version, "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_makes_the_store_unreachable_is_taken_back_by_itself() {
    let mut site = Site::new(&json!({ "configuration": { "pollMs": 0, "watchMs": 60_000 } }));
    let workers = [site.worker("one"), site.worker("two")];
    let ingest = site.ingest();
    applied(&site, &workers[0], 1, 3).await;
    let traffic = Endless::start(&site, &ingest, 63);
    let good = site.lay_over(&json!({ "store": { "url": format!("postgres://postgres@127.0.0.1:{}/audit", free_port()) } }));
    let (code, answer) = site
        .post(&ingest, "/admin/config/reload", String::new())
        .await;
    assert_eq!(code, 200, "{answer}");
    let back = applied(&site, &ingest, 3, 3).await;
    assert_eq!(
        (&back["state"], &back["restores"]),
        (&json!("inForce"), &json!(1)),
        "{back}"
    );
    assert!(
        back["reason"].as_str().expect("a reason").contains("store"),
        "{back}"
    );
    let (_, status) = site
        .get(&ingest, "/observability/configuration-status?versions=3")
        .await;
    assert_eq!(status["versions"][1]["state"], "rolledBack", "{status}");
    // No password and no other secret in any of it.
    assert!(!status.to_string().contains("postgres@"), "{status}");
    let sent = traffic.stop();
    assert!(!sent.is_empty());
    site.put_back(&good);
    site.check(&workers[0], &sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_a_wrong_file_and_a_rollback_do_what_they_should() {
    let mut site = Site::new(&json!({ "configuration": { "pollMs": 0, "watchMs": 0 } }));
    let worker = site.worker("one");
    applied(&site, &worker, 1, 1).await;
    site.lay_over(&json!({ "http": { "itemsMax": 7 } }));
    worker.child.hang_up();
    let second = applied(&site, &worker, 2, 1).await;
    assert_eq!(second["by"], "SIGHUP", "{second}");
    let many = json!([{}, {}, {}, {}, {}, {}, {}, {}]).to_string();
    let (code, answer) = site.post(&worker, "/v1/events", many).await;
    assert_eq!(code, 413, "eight are more than seven: {answer}");

    let good = site.lay_over(&json!({ "http": { "itemsMax": 0, "itemMax": 1 } }));
    let (code, answer) = site
        .post(&worker, "/admin/config/reload", String::new())
        .await;
    assert_eq!(code, 422, "{answer}");
    let errors: Vec<_> = answer["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| &error["path"])
        .collect();
    assert_eq!(errors, ["/http/itemMax", "/http/itemsMax"], "{answer}");
    site.put_back(&good);

    let body = json!({ "version": 1 }).to_string();
    let (code, answer) = site.post(&worker, "/admin/config/rollback", body).await;
    assert_eq!((code, &answer["version"]), (200, &json!(3)), "{answer}");
    let (code, answer) = site
        .post(
            &worker,
            "/admin/config/rollback",
            json!({ "version": 9 }).to_string(),
        )
        .await;
    assert_eq!(code, 404, "{answer}");
    let (_, status) = site
        .get(&worker, "/observability/configuration-status")
        .await;
    assert_eq!(status["settings"]["http"]["itemsMax"], 10_000, "{status}");
    // The file says otherwise; a restart does not undo what somebody asked for.
    let mut worker = worker;
    site.restart_in_order(&mut worker);
    let status = wait_until_async("it runs with what is in force", BOUND, || async {
        let (_, status) = site
            .get(&worker, "/observability/configuration-status")
            .await;
        (status["version"] == 3).then_some(status)
    })
    .await;
    assert_eq!(status["settings"]["http"]["itemsMax"], 10_000, "{status}");
}
