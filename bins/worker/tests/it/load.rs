//! Senders that retry until they are told that their events are safe.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::worker::Client;

/// Events a request carries.
pub(crate) const BATCH: usize = 50;

/// What the senders were told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Ids that were acknowledged.
    pub(crate) acknowledged: BTreeSet<String>,
    /// Requests that were refused with a 5xx and its reason.
    pub(crate) refusals: Vec<(u16, String)>,
}

/// The id of event `n`.
pub(crate) fn id_of(n: usize) -> String {
    format!("0193a5c0-0000-7000-8000-{n:012x}")
}

/// A batch of events, the same bytes at every attempt.
pub(crate) fn body(first: usize) -> String {
    let events: Vec<String> = (first..first + BATCH)
        .map(|n| {
            let id = id_of(n);
            format!(
                r#"{{"id":"{id}","timestamp":"2026-01-01T00:{:02}:{:02}.{:06}Z","action":"record.read","status":"success","principalId":"user-{}","organizationId":"org-{}","targetResourceType":"Record","targetResourceId":"r-{n}","note":"{}"}}"#,
                n / 60 % 60, n % 60, n % 1_000_000, n % 97, n % 3, "x".repeat(200)
            )
        })
        .collect();
    format!("[{}]", events.join(","))
}

/// When the senders stop.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// When every batch is acknowledged.
    Acknowledged,
    /// When so many requests were refused, or every batch is acknowledged.
    Refused(usize),
}

/// Sends events `0..total` from four tasks; each batch is retried until it is acknowledged or the end has come.
pub(crate) async fn send_all(client: &Client, total: usize, until: Until) -> Told {
    let told = Arc::new(Mutex::new(Told::default()));
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..4 {
        let (client, told) = (client.clone(), Arc::clone(&told));
        senders.spawn(async move {
            for first in (sender * BATCH..total).step_by(4 * BATCH) {
                send_batch(&client, first, &told, until).await;
            }
        });
    }
    while let Some(sent) = senders.join_next().await {
        sent.expect("a sender does not panic");
    }
    Arc::try_unwrap(told)
        .expect("the senders ended")
        .into_inner()
        .expect("not poisoned")
}

async fn send_batch(client: &Client, first: usize, told: &Mutex<Told>, until: Until) {
    let body = body(first);
    let over = || matches!(until, Until::Refused(most) if told.lock().expect("not poisoned").refusals.len() >= most);
    while !over() {
        match client
            .post("/v1/events", body.clone(), &format!("batch-{first}"))
            .await
        {
            Ok((202, answer)) => {
                let mut told = told.lock().expect("not poisoned");
                for result in answer["results"].as_array().expect("results") {
                    assert_eq!(result["status"], "accepted", "{result}");
                    told.acknowledged
                        .insert(result["id"].as_str().expect("an id").to_owned());
                }
                return;
            }
            Ok((status, answer)) => {
                assert_eq!(
                    status, 503,
                    "only 202 and 503 are right answers to these events: {answer}"
                );
                told.lock()
                    .expect("not poisoned")
                    .refusals
                    .push((status, answer.to_string()));
            }
            // Killed under the request, or not up again yet.
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
