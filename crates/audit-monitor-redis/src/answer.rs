//! What the scripts answer.

use audit_monitor::WindowError;
use deadpool_redis::redis::{FromRedisValue, Value, from_redis_value};

/// An answer that none of our scripts gives.
#[derive(Debug, thiserror::Error)]
#[error("redis answered what was not asked for")]
struct Unexpected;

pub(crate) fn unexpected() -> WindowError {
    WindowError::Unavailable(Box::new(Unexpected))
}

/// What there is for an evaluator.
#[derive(Debug)]
pub(crate) enum Read {
    Lost,
    /// It is another's turn.
    Busy,
    /// Its place is none of the log: begin from here.
    Snapshot(Kept),
    Entries {
        /// The last of the log, which may be further than these.
        last: u64,
        entries: Vec<Entry>,
    },
}

/// A snapshot, and what entry of what state it is of.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) name: String,
    pub(crate) at: u64,
    pub(crate) mark: String,
    pub(crate) bytes: Vec<u8>,
}

/// A batch of the log.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) at: u64,
    pub(crate) mark: String,
    /// How far the source's clock had come before it, in leaves that are no entry.
    pub(crate) quiet: Option<i64>,
    pub(crate) batch: Vec<u8>,
}

impl Read {
    pub(crate) fn of(answer: Vec<Value>) -> Result<Self, WindowError> {
        read(answer).ok_or_else(unexpected)
    }
}

fn read(answer: Vec<Value>) -> Option<Read> {
    let mut answer = answer.into_iter();
    match &*next::<String>(&mut answer)? {
        "lost" => Some(Read::Lost),
        "busy" => Some(Read::Busy),
        "snapshot" => Some(Read::Snapshot(Kept {
            name: next(&mut answer)?,
            at: next(&mut answer)?,
            mark: next(&mut answer)?,
            bytes: next(&mut answer)?,
        })),
        "entries" => Some(Read::Entries {
            last: next(&mut answer)?,
            entries: answer.map(entry).collect::<Option<_>>()?,
        }),
        _ => None,
    }
}

fn entry(value: Value) -> Option<Entry> {
    let mut fields = from_redis_value::<Vec<Value>>(value).ok()?.into_iter();
    Some(Entry {
        at: next(&mut fields)?,
        mark: next(&mut fields)?,
        quiet: match &*next::<String>(&mut fields)? {
            "" => None,
            micros => Some(micros.parse().ok()?),
        },
        batch: next(&mut fields)?,
    })
}

fn next<T: FromRedisValue>(values: &mut impl Iterator<Item = Value>) -> Option<T> {
    from_redis_value(values.next()?).ok()
}
