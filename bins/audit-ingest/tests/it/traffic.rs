//! Events on their way in while something goes wrong elsewhere.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use audit_testkit::events::EventSource;
use audit_testkit::wait::wait_until_async;
use serde_json::Value;

use crate::site::{BOUND, Program, Site};

/// Events of one request.
const BATCH: usize = 200;

/// Sends as a careful producer does: until it is told that every event is taken.
#[derive(Clone)]
pub(crate) struct Sender {
    http: reqwest::Client,
    url: String,
    key: String,
}

impl Sender {
    pub(crate) fn new(http: reqwest::Client, url: &str, key: String) -> Self {
        Self {
            http,
            url: url.to_owned(),
            key,
        }
    }

    /// Sends a body of events; the answer, or nothing when the connection broke.
    pub(crate) async fn try_post(&self, path: &str, body: String) -> Option<(u16, Value)> {
        let request = self.http.post(format!("{}{path}", self.url));
        let request = request.header("content-type", "application/json");
        let request = request.bearer_auth(&self.key).body(body);
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.json().await.ok()?))
    }

    /// Sends one body until all of it is accepted: an event keeps its id, so sending it again does no harm.
    pub(crate) async fn send_until_taken(&self, body: String) -> Vec<String> {
        wait_until_async("a batch is taken", BOUND, || async {
            let (status, answer) = self.try_post("/v1/events", body.clone()).await?;
            let results = answer["results"].as_array()?;
            (status == 202).then(|| {
                let id = |result: &Value| result["id"].as_str().expect("an id").to_owned();
                results.iter().map(id).collect()
            })
        })
        .await
    }

    /// Sends events in batches, again where it is told to, and says after each how many are acknowledged; gives back their ids.
    pub(crate) async fn send_all(
        &self,
        mut events: impl Iterator<Item = String>,
        acknowledged: impl Fn(usize),
    ) -> HashSet<String> {
        let mut sent = HashSet::new();
        loop {
            let batch: Vec<String> = events.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return sent;
            }
            let body = format!("[{}]", batch.join(","));
            sent.extend(self.send_until_taken(body).await);
            acknowledged(sent.len());
        }
    }
}

/// Events being sent, on a thread of their own: whoever waits for a server meanwhile does not stop them.
pub(crate) struct Traffic {
    events: usize,
    acknowledged: Arc<AtomicUsize>,
    sending: JoinHandle<HashSet<String>>,
}

impl Traffic {
    /// Begins to send so many of the events of this seed.
    pub(crate) fn start(site: &Site, ingest: &Program, seed: u64, events: usize) -> Self {
        Self::of(site, ingest, EventSource::new(seed).take(events), events)
    }

    /// Begins to send these, which are `events`.
    pub(crate) fn of(
        site: &Site,
        ingest: &Program,
        source: impl Iterator<Item = String> + Send + 'static,
        events: usize,
    ) -> Self {
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let (sender, counter) = (site.sender(ingest), Arc::clone(&acknowledged));
        let runtime = tokio::runtime::Handle::current();
        let sending = std::thread::spawn(move || {
            runtime
                .block_on(sender.send_all(source, |count| counter.store(count, Ordering::Release)))
        });
        Self {
            events,
            acknowledged,
            sending,
        }
    }

    /// Waits until this share of it (of `of` parts) is acknowledged.
    pub(crate) async fn reach(&self, part: usize, of: usize) {
        wait_until_async("traffic goes on", 2 * BOUND, || async {
            let ended = self.sending.is_finished();
            let reached = self.acknowledged.load(Ordering::Acquire) >= self.events * part / of;
            assert!(reached || !ended, "the traffic ended early");
            reached.then_some(())
        })
        .await;
    }

    /// Waits until all is acknowledged; the ids.
    pub(crate) async fn end(self) -> HashSet<String> {
        self.reach(1, 1).await;
        self.sending.join().expect("every event is taken")
    }
}

/// Events being sent until somebody says that it is enough.
pub(crate) struct Endless {
    enough: Arc<AtomicBool>,
    sending: JoinHandle<HashSet<String>>,
}

impl Endless {
    /// Begins to send the events of this seed.
    pub(crate) fn start(site: &Site, ingest: &Program, seed: u64) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let (sender, told) = (site.sender(ingest), Arc::clone(&enough));
        let events = EventSource::new(seed).take_while(move |_event| !told.load(Ordering::Acquire));
        let runtime = tokio::runtime::Handle::current();
        let sending =
            std::thread::spawn(move || runtime.block_on(sender.send_all(events, |_count| ())));
        Self { enough, sending }
    }

    /// Ends with the batch that is under way; the ids of all that were acknowledged.
    pub(crate) fn stop(self) -> HashSet<String> {
        self.enough.store(true, Ordering::Release);
        self.sending.join().expect("every event is taken")
    }
}
