//! What a refused job's entry in the queue of dead letters says, in the words of the tools that look there.

use audit_event::timestamp::{Timestamp, TimestampForm};
use serde::Serialize;

use crate::job::Job;

/// Everything but `originalEvent`, which the script puts in front from the job itself.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rest<'a> {
    failure_reason: &'a str,
    failure_count: u32,
    first_failure_time: &'a str,
    last_failure_time: &'a str,
    original_job_id: &'a str,
    original_queue_name: &'a str,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    retry_history: [Attempt<'a>; 1],
}

#[derive(Serialize)]
struct Attempt<'a> {
    attempt: u32,
    timestamp: &'a str,
    error: &'a str,
}

/// The object's text from the comma behind its first member on.
pub(crate) fn rest(job: &Job, queue: &str, why: &str, now_micros: i64) -> String {
    let time = Timestamp::clamped(now_micros).to_text(&TimestampForm::Millis);
    let rest = Rest {
        failure_reason: why,
        failure_count: 1,
        first_failure_time: &time,
        last_failure_time: &time,
        original_job_id: &String::from_utf8_lossy(&job.id),
        original_queue_name: queue,
        metadata: Metadata {
            retry_history: [Attempt {
                attempt: 1,
                timestamp: &time,
                error: why,
            }],
        },
    };
    // Texts and numbers always have a JSON form.
    let object = serde_json::to_string(&rest).unwrap_or_default();
    format!(",{}", object.strip_prefix('{').unwrap_or("}"))
}
