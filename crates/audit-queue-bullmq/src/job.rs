//! From what the script answers to deliveries, and what of a job has to be known at its end.

use audit_queue::{Delivery, Payload, SourcePosition};
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// As `fetch.lua` answers: id, timestamp, data, options, earlier deliveries of ours, deferred failure, scheduler, earlier refusals of
/// ours, bytes of its data.
pub(crate) type Row = (
    Vec<u8>,
    i64,
    Vec<u8>,
    Vec<u8>,
    u32,
    Vec<u8>,
    Vec<u8>,
    u32,
    u64,
);

/// What a stall checker of Node leaves on a job whose workers died too often. No event's fault.
const STALLED_TOO_OFTEN: &[u8] = b"job stalled more than allowable limit";
/// Of the SHA-256 of a job's data, in its position: more than chance or malice can make two of.
const DIGEST_LEN: usize = 16;

/// A job that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) id: Vec<u8>,
    pub(crate) source: SourcePosition,
    pub(crate) data: Data,
    pub(crate) options: Options,
}

/// What a job's data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data {
    Json,
    NotJson,
    /// More bytes than are allowed; only the first were read.
    TooLarge,
}

/// What the producer wants done when the job has ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Options {
    pub(crate) attempts: u64,
    pub(crate) completed: Keep,
    pub(crate) failed: Keep,
}

/// How many ended jobs are kept. Numbers as the script takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keep {
    /// -1: all, 0: none, not even this one.
    pub(crate) count: i64,
    /// Seconds; -1: for ever.
    pub(crate) age: i64,
    /// Removed for their age at a time.
    pub(crate) at_a_time: i64,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            count: -1,
            age: -1,
            at_a_time: 1000,
        }
    }
}

/// Each field as it came: one that is of another kind than BullMQ's says nothing.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Written {
    attempts: Value,
    remove_on_complete: Value,
    remove_on_fail: Value,
}

impl Options {
    pub(crate) fn read(text: &[u8]) -> Self {
        let written: Written = serde_json::from_slice(text).unwrap_or_default();
        Self {
            attempts: whole(&written.attempts).map_or(0, i64::unsigned_abs),
            completed: Keep::read(&written.remove_on_complete),
            failed: Keep::read(&written.remove_on_fail),
        }
    }
}

impl Keep {
    fn read(written: &Value) -> Self {
        let all = Self::default();
        match written {
            Value::Bool(true) => Self { count: 0, ..all },
            Value::Number(_) => Self {
                count: whole(written).map_or(-1, |count| count.max(-1)),
                ..all
            },
            Value::Object(fields) => {
                let field = |name| fields.get(name).and_then(whole).filter(|n| *n >= 0);
                Self {
                    count: field("count").unwrap_or(-1),
                    age: field("age").unwrap_or(-1),
                    at_a_time: field("limit").map_or(all.at_a_time, |n| n.clamp(1, 1000)),
                }
            }
            _ => all,
        }
    }
}

fn whole(value: &Value) -> Option<i64> {
    // JavaScript writes whole numbers without a point, but 1e21 may stand there too.
    value
        .as_i64()
        .or_else(|| value.as_f64().map(|number| number as i64))
}

/// What makes positions of this queue unlike all others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// `<prefix>:<queue>`.
    pub(crate) queue: &'a str,
    /// Another one since the numbers of jobs began again.
    pub(crate) generation: &'a str,
    pub(crate) form: &'static str,
    /// Of a job's data.
    pub(crate) bytes_max: usize,
}

pub(crate) fn read(row: Row, place: Place<'_>) -> (Job, Delivery) {
    let (id, added_ms, data, options, earlier, deferred, scheduler, refusals, size) = row;
    let kind = if size > u64::try_from(place.bytes_max).unwrap_or(u64::MAX) {
        Data::TooLarge
    } else if serde_json::from_slice::<IgnoredAny>(&data).is_ok() {
        Data::Json
    } else {
        Data::NotJson
    };
    let mut source = position(&id, added_ms, &data, place);
    if kind == Data::TooLarge {
        // Only its beginning was read.
        source.0.push_str(&format!("+{size}"));
    }
    if refusals > 0 {
        source.0.push_str(&format!(":{refusals}"));
    }
    let received_micros = added_ms.saturating_mul(1000);
    let job = Job {
        id,
        source: source.clone(),
        data: kind,
        options: Options::read(&options),
    };
    let payload = match why_refused((kind, size, place.bytes_max), &deferred, &scheduler) {
        None => Payload::Foreign {
            form: place.form,
            bytes: data,
            received_micros,
        },
        Some(detail) => Payload::Refused {
            bytes: data,
            detail,
            received_micros,
        },
    };
    let delivery = Delivery {
        source,
        redelivered: earlier,
        payload,
    };
    (job, delivery)
}

/// The data stands in it because producers choose ids and times: the same of both with other data is another event.
fn position(id: &[u8], added_ms: i64, data: &[u8], place: Place<'_>) -> SourcePosition {
    let digest = digest(&SHA256, data);
    let digest = digest.as_ref().get(..DIGEST_LEN).unwrap_or_default();
    let id = std::str::from_utf8(id).map_or_else(|_| id.escape_ascii().to_string(), Into::into);
    let Place {
        queue, generation, ..
    } = place;
    let data = hex::encode(digest);
    SourcePosition(format!(
        "bullmq:{queue}:{id}:{added_ms}:{generation}:{data}"
    ))
}

fn why_refused(
    (data, size, bytes_max): (Data, u64, usize),
    deferred: &[u8],
    scheduler: &[u8],
) -> Option<String> {
    match data {
        Data::Json => {}
        Data::NotJson => return Some("the job's data is not JSON".into()),
        Data::TooLarge => {
            return Some(format!(
                "{size} bytes are more than {bytes_max} allowed; the job stays in the failed set"
            ));
        }
    }
    if !scheduler.is_empty() {
        let scheduler = String::from_utf8_lossy(scheduler);
        return Some(format!(
            "a job of the scheduler {scheduler}: schedulers are for workers that do something at a time, not for events"
        ));
    }
    if deferred.is_empty() || deferred == STALLED_TOO_OFTEN {
        return None;
    }
    Some(String::from_utf8_lossy(deferred).into_owned())
}
