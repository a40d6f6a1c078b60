//! Detection in a deployment: the same alerts for any number of workers, also when they are killed.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use audit_event::Timestamp;
use audit_runtime::{Clock as _, SystemClock};
use audit_testkit::wait::wait_until_async;
use serde_json::{Value, json};

use crate::site::{BOUND, Program, Site, events_of_a_row, is_full, record};

/// Accounts of which five logins fail, and as many of which four do.
const ACCOUNTS: usize = 20;
/// Longer than sending takes, restarts included: nothing is late.
fn lateness() -> Duration {
    Duration::from_secs(if is_full() { 60 } else { 25 })
}

fn site() -> Site {
    Site::new(&json!({
        "detection": { "allowedLatenessMs": u64::try_from(lateness().as_millis()).expect("small") },
    }))
}

/// One failed login of each account that still has one in this round, now.
fn failures(round: usize) -> String {
    let at = Timestamp::clamped(SystemClock.now_micros()).to_string();
    let of = |account: usize| {
        json!({
            "timestamp": at,
            "action": "auth.login.failure",
            "status": "failure",
            "principalId": format!("account-{account}"),
            "organizationId": "clinic",
        })
    };
    let all = (0..ACCOUNTS * 2).filter(|account| *account < ACCOUNTS || round < 4);
    Value::from_iter(all.map(of)).to_string()
}

/// Others that nobody minds, between two rounds. No more than the windows have room for by default: nearly each is a group of its
/// own. A million, half of them in groups that are counted alike, are in `audit-monitor`'s `padding_changes_nothing`.
fn padding() -> usize {
    if is_full() { 10_000 } else { 200 }
}

/// How many events the alerts of failed logins have, by account; an account twice is an error.
fn alerts(site: &Site) -> BTreeMap<String, Vec<u64>> {
    let rows = site.sql("SELECT facts FROM audit.alert WHERE rule = 'failed-authentication'");
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for row in rows.lines().filter(|row| !row.is_empty()) {
        let facts: Value = serde_json::from_str(row).expect("JSON");
        let account = facts["group"][0]["value"].as_str().expect("an account");
        let events = facts["events"].as_u64().expect("a number");
        found.entry(account.to_owned()).or_default().push(events);
    }
    found
}

async fn five_of_twenty_accounts(site: &Site) {
    let expected: BTreeMap<String, Vec<u64>> = (0..ACCOUNTS)
        .map(|account| (format!("account-{account}"), vec![5]))
        .collect();
    wait_until_async("the alerts are there", BOUND + lateness(), || async {
        (alerts(site) == expected).then_some(())
    })
    .await;
    // What was still to be closed is: nothing more comes of it.
    let ended = "SELECT count(*) FROM audit.alert WHERE rule = 'failed-authentication'";
    assert_eq!(site.sql(ended), ACCOUNTS.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_two_and_four_workers_raise_the_same_alerts_also_when_they_are_killed() {
    for count in [1, 2, 4] {
        let site = site();
        let names = ["one", "two", "three", "four"];
        let mut workers: Vec<Program> = names[..count]
            .iter()
            .map(|name| site.worker(name))
            .collect();
        let ingest = site.ingest();
        for round in 0..5 {
            site.send_until_taken(&ingest, failures(round)).await;
            let seed = 700 + u64::try_from(round * 10 + count).expect("small");
            site.send_all(&ingest, seed, padding()).await;
            site.kill_and_restart(&mut workers[round % count]);
        }
        five_of_twenty_accounts(&site).await;
    }
}

/// Takes connections and requests, and never says a word. How many it has taken and how many were given up.
struct Silent {
    url: String,
    taken: Arc<AtomicUsize>,
    left: Arc<AtomicUsize>,
}

impl Silent {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let (taken, left) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let (counting, leaving) = (Arc::clone(&taken), Arc::clone(&left));
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.expect("a connection");
                counting.fetch_add(1, Ordering::SeqCst);
                let leaving = Arc::clone(&leaving);
                std::thread::spawn(move || {
                    let mut bytes = [0; 4_096];
                    while matches!(connection.read(&mut bytes), Ok(1..)) {}
                    leaving.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { url, taken, left }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_answers_delays_no_event() {
    let silent = Silent::start();
    let site = Site::new(&json!({
        "detection": { "allowedLatenessMs": 1_000 },
        "alerts": { "handlers": [{
            "name": "silent",
            "kind": "alertmanager",
            "url": silent.url,
            "allowedNetworks": ["127.0.0.0/8"],
            "timeoutMs": 300_000,
        }] },
    }));
    let worker = site.worker("one");
    let ingest = site.ingest();
    let flow = async |seed: u64, what: &str| {
        let began = Instant::now();
        let sent = site.send_all(&ingest, seed, events_of_a_row()).await;
        site.settled(&worker).await;
        record(what, began.elapsed());
        sent
    };
    let mut sent = flow(801, "a row of events, nobody to be told").await;
    for round in 0..5 {
        sent.extend(site.send_until_taken(&ingest, failures(round)).await);
    }
    wait_until_async("somebody is told", BOUND, || async {
        (silent.taken.load(Ordering::SeqCst) > 0).then_some(())
    })
    .await;
    sent.extend(flow(802, "the same while a handler hangs").await);
    site.check(&worker, &sent).await;
    // It hung all the time: nothing was given up, and nothing was told.
    assert_eq!(silent.left.load(Ordering::SeqCst), 0);
    let waiting = site
        .sql("SELECT count(*) FROM audit.alert_delivery WHERE handler = 'silent' AND state = 0");
    assert!(
        waiting.parse::<usize>().expect("a number") >= ACCOUNTS,
        "{waiting}"
    );
    let raised = alerts(&site);
    assert_eq!(raised.len(), ACCOUNTS, "{raised:?}");
}
