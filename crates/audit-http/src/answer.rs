//! The answer to `POST /v1/events` (DESIGN §3.9).

use audit_pipeline::{Accepted, Ack, ItemResult, ItemStatus};
use audit_queue::Durability;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use uuid::Uuid;

use crate::problem::{HttpProblem, ItemProblem};
use crate::stored::LedgerName;

/// The body, with the status and header that go with it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    #[serde(skip)]
    status: StatusCode,
    #[serde(skip)]
    retry_after: Option<u64>,
    accepted: usize,
    rejected: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    frame: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    durability: Option<&'static str>,
    results: Vec<ResultBody>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ResultBody {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ledger: Option<LedgerName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leaf_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leaf_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ItemProblem>,
}

impl Answer {
    /// What became of a request that was looked at.
    pub(crate) fn of(accepted: Accepted, ack: Ack) -> Self {
        let count = |status: &[ItemStatus]| {
            accepted
                .results
                .iter()
                .filter(|r| status.contains(&r.status))
                .count()
        };
        let (rejected, retry) = (count(&[ItemStatus::Rejected]), count(&[ItemStatus::Retry]));
        let total = accepted.results.len();
        let reached = |result: &ItemResult| match ack {
            Ack::Queued => false,
            Ack::Stored => result.status != ItemStatus::Accepted || result.address.is_some(),
            Ack::Sealed => result.status != ItemStatus::Accepted || result.sealed,
        };
        let status = if rejected == total {
            StatusCode::BAD_REQUEST
        } else if rejected + retry == total {
            StatusCode::SERVICE_UNAVAILABLE
        } else if rejected + retry > 0 {
            StatusCode::MULTI_STATUS
        } else if accepted.results.iter().all(reached) {
            StatusCode::CREATED
        } else {
            StatusCode::ACCEPTED
        };
        let retry_after =
            (retry > 0).then(|| accepted.retry_after.map_or(1, |wait| wait.as_secs().max(1)));
        Self {
            status,
            retry_after,
            accepted: total - rejected - retry,
            rejected,
            frame: accepted.frame.map(|frame| Uuid::from_bytes(frame.0)),
            durability: accepted.durability.map(durability_name),
            results: accepted.results.into_iter().map(ResultBody::of).collect(),
        }
    }
}

impl Answer {
    /// Adds that the body could not be read on from this item; what stands before it is answered all the same.
    pub(crate) fn stopped(mut self, index: usize, problem: &HttpProblem) -> Self {
        let again = problem.is_for_now();
        let status = if again {
            ItemStatus::Retry
        } else {
            ItemStatus::Rejected
        };
        self.rejected += usize::from(!again);
        self.status = StatusCode::MULTI_STATUS;
        if again {
            self.retry_after = Some(self.retry_after.unwrap_or(1));
        }
        self.results.push(ResultBody {
            index,
            id: None,
            status: status_name(status),
            ledger: None,
            leaf_index: None,
            leaf_hash: None,
            received_at: None,
            proof: None,
            errors: vec![problem.as_item("this item and what follows it were not taken")],
        });
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let (status, retry_after) = (self.status, self.retry_after);
        let mut response = (status, Json(self)).into_response();
        if let Some(secs) = retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        response
    }
}

impl ResultBody {
    fn of(result: ItemResult) -> Self {
        let proof = result.address.filter(|_| result.sealed).map(|address| {
            format!(
                "/v1/ledgers/{}/entries/{}/proof",
                address.ledger, address.leaf_index.0
            )
        });
        Self {
            index: result.index,
            id: result.id.map(|id| id.to_string()),
            status: status_name(result.status),
            ledger: result.address.map(|address| LedgerName(address.ledger)),
            leaf_index: result.address.map(|address| address.leaf_index.0),
            leaf_hash: result.address.map(|address| address.leaf_hash.to_string()),
            received_at: result.received_at.map(|at| at.to_string()),
            proof,
            errors: errors_of(&result),
        }
    }
}

/// What is wrong with an item; why it is to be sent again is the log's business.
pub(crate) fn errors_of(result: &ItemResult) -> Vec<ItemProblem> {
    if result.status != ItemStatus::Retry {
        return result.errors.iter().map(ItemProblem::from).collect();
    }
    vec![ItemProblem {
        path: String::new(),
        code: "unavailable",
        message: "not taken for now; send it again after Retry-After seconds".to_owned(),
    }]
}

pub(crate) fn status_name(status: ItemStatus) -> &'static str {
    match status {
        ItemStatus::Accepted => "accepted",
        ItemStatus::Duplicate => "duplicate",
        ItemStatus::Conflict => "conflict",
        ItemStatus::Rejected => "rejected",
        ItemStatus::DeadLettered => "deadLettered",
        ItemStatus::Retry => "retry",
    }
}

fn durability_name(durability: Durability) -> &'static str {
    match durability {
        Durability::Fsynced => "fsynced",
        Durability::Replicated(_) => "replicated",
        Durability::Buffered => "buffered",
    }
}
