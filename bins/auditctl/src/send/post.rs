//! Posts one batch until it is acknowledged.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use audit_runtime::{Backoff, SystemRandom};
use reqwest::header::RETRY_AFTER;
use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;

use super::batch::Batch;
use super::summary::{Rejection, Summary};
use crate::client::{Client, problem_line};
use crate::error::CliError;

/// First and longest wait between two attempts.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// Longest `Retry-After` that is obeyed as it stands.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// The sums of one batch.
pub(crate) type Outcome = Summary;

/// Posts batches to one worker.
#[derive(Debug)]
pub(crate) struct Poster<'c> {
    client: &'c Client,
    path: String,
    patience: Duration,
}

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    results: Vec<ItemResult>,
}

#[derive(Debug, Clone, Deserialize)]
struct ItemResult {
    index: usize,
    status: String,
    #[serde(default)]
    errors: Vec<ItemError>,
}

#[derive(Debug, Clone, Deserialize)]
struct ItemError {
    #[serde(default)]
    path: String,
    #[serde(default)]
    message: String,
}

/// What one attempt came to.
enum Attempt {
    /// Every event has its final answer.
    Done,
    /// Try the whole batch again, after so long at least; the error to give up with.
    Again(Duration, CliError),
}

impl<'c> Poster<'c> {
    /// Posts events of a format and waits for an acknowledgement; gives up after `patience` without one.
    pub(crate) fn new(client: &'c Client, format: &str, ack: &str, patience: Duration) -> Self {
        Self {
            client,
            path: format!("/v1/events?ack={ack}&form={format}"),
            patience,
        }
    }

    /// Posts until every event of the batch has its answer.
    ///
    /// A repetition carries the same key and the same events, so ids stay the same; an answer once final is kept,
    /// because at the second time an accepted event is called a duplicate.
    pub(crate) async fn deliver(&self, batch: &Batch) -> Result<Outcome, CliError> {
        let mut settled = BTreeMap::new();
        let (first, longest) = WAITS;
        let mut backoff = Backoff::new(first, longest);
        let started = Instant::now();
        while settled.len() < batch.items.len() {
            match self.attempt(batch, &mut settled).await? {
                Attempt::Done => {}
                Attempt::Again(_, error) if started.elapsed() >= self.patience => {
                    return Err(error);
                }
                Attempt::Again(at_least, _) => {
                    tokio::time::sleep(backoff.next_wait(&SystemRandom).max(at_least)).await;
                }
            }
        }
        Ok(outcome(batch, &settled))
    }

    async fn attempt(
        &self,
        batch: &Batch,
        settled: &mut BTreeMap<usize, ItemResult>,
    ) -> Result<Attempt, CliError> {
        let request = self
            .client
            .request(Method::POST, &self.path)
            .header("content-type", "application/json")
            .header("idempotency-key", &batch.key)
            .body(batch.body.clone());
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                return Ok(Attempt::Again(
                    Duration::ZERO,
                    self.client.unreachable(&error),
                ));
            }
        };
        let (status, wait) = (response.status(), retry_after(&response));
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(error) => {
                return Ok(Attempt::Again(
                    Duration::ZERO,
                    self.client.unreachable(&error),
                ));
            }
        };
        // A refusal of every event carries results, too; a refusal of the request does not.
        let results = serde_json::from_slice::<Answer>(&body)
            .map(|answer| answer.results)
            .unwrap_or_default();
        let refused = || {
            self.client
                .refusal_said(status, problem_line(status, &body))
        };
        if results.is_empty() {
            return match status {
                StatusCode::TOO_MANY_REQUESTS => Ok(Attempt::Again(wait, refused())),
                status if status.is_server_error() => Ok(Attempt::Again(wait, refused())),
                status if status.is_success() => self
                    .client
                    .decode::<Answer>(&body)
                    .and_then(|_empty| Err(self.incomplete())),
                _ => Err(refused()),
            };
        }
        let before = settled.len();
        for result in results
            .into_iter()
            .filter(|result| result.status != "retry")
        {
            if result.index < batch.items.len() {
                settled.entry(result.index).or_insert(result);
            }
        }
        match settled.len() {
            all if all == batch.items.len() => Ok(Attempt::Done),
            _ if status.is_success()
                && status != StatusCode::MULTI_STATUS
                && settled.len() == before =>
            {
                Err(self.incomplete())
            }
            _ => Ok(Attempt::Again(wait, refused())),
        }
    }

    fn incomplete(&self) -> CliError {
        CliError::Answer {
            url: self.client.url().to_owned(),
            reason: "it names no result for an event".to_owned(),
        }
    }
}

/// Seconds form of the header; the date form is not sent by a worker.
fn retry_after(response: &Response) -> Duration {
    let seconds = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok());
    seconds
        .map_or(Duration::ZERO, Duration::from_secs)
        .min(RETRY_AFTER_MAX)
}

fn outcome(batch: &Batch, settled: &BTreeMap<usize, ItemResult>) -> Outcome {
    let mut sums = Summary::default();
    for rejection in &batch.unreadable {
        sums.reject(rejection.clone());
    }
    for (position, result) in batch.items.iter().zip(settled.values()) {
        match result.status.as_str() {
            "duplicate" => sums.duplicates += 1,
            "conflict" => sums.conflicts += 1,
            "deadLettered" => sums.dead_lettered += 1,
            "rejected" => {
                sums.reject(rejection(batch, *position, &result.errors));
                continue;
            }
            _ => sums.accepted += 1,
        }
        sums.sent += 1;
    }
    sums
}

fn rejection(batch: &Batch, item: u64, errors: &[ItemError]) -> Rejection {
    let first = errors.first();
    let mut message = first.map_or_else(String::new, |error| error.message.clone());
    for error in errors.iter().skip(1) {
        message.push_str(&format!("; {} {}", error.path, error.message));
    }
    Rejection {
        file: batch.input.clone(),
        item,
        path: first.map_or_else(String::new, |error| error.path.clone()),
        message,
    }
}
