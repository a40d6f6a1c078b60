//! One stream of candidates: keys in order, fetched in chunks that grow.

use std::collections::VecDeque;

use audit_store::query::{Order, Position};
use audit_store::{PageRequest, StoreError};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use crate::error::Failure;
use crate::search::path::Path;

/// Keys of the first chunk when there are many streams, each of which may give one event to the page.
const CHUNK_MANY: u32 = 8;
/// Keys of the first chunk otherwise.
const CHUNK_FIRST: u32 = 64;
/// Keys of a chunk at most; a read transaction is not held longer for it.
const CHUNK_MAX: u32 = 2_048;
/// Keys of a chunk that had to be sorted.
const CHUNK_SORTED: u32 = 10_000;
/// Streams above which they are many.
const MANY: usize = 16;

/// Where an event stands in the order of a search. An altered id may have any length; reading the row reports it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) timestamp: i64,
    pub(super) id: Vec<u8>,
    pub(super) organization: String,
    pub(super) position: i64,
}

/// The keys a search may still give: from `low` (inclusive) to `high` (exclusive), as (timestamp, id, organisation).
#[derive(Debug, Clone)]
pub(super) struct Range {
    low: (i64, Vec<u8>, String),
    high: (i64, Vec<u8>, String),
}

impl Range {
    pub(super) fn of(request: &PageRequest) -> Self {
        let (since, until) = (request.filter.since, request.filter.until);
        let low = (
            since.map_or(i64::MIN, |at| at.micros()),
            Vec::new(),
            String::new(),
        );
        let high = (
            until.map_or(i64::MAX, |at| at.micros()),
            Vec::new(),
            String::new(),
        );
        let mut range = Self { low, high };
        if let Some(Position {
            timestamp,
            id,
            organization_id,
            ..
        }) = &request.after
        {
            range.pass(
                request.order,
                timestamp.micros(),
                id.as_bytes(),
                organization_id.as_str(),
            );
        }
        range
    }

    /// Leaves out everything up to a key and the key itself.
    fn pass(&mut self, order: Order, timestamp: i64, id: &[u8], organization: &str) {
        let (id, mut organization) = (id.to_vec(), organization.to_owned());
        match order {
            Order::Newest => self.high = self.high.clone().min((timestamp, id, organization)),
            Order::Oldest => {
                // The next text in the order of bytes; an organisation's name has no control characters.
                organization.push('\0');
                self.low = self.low.clone().max((timestamp, id, organization));
            }
        }
    }
}

/// A stream of candidates.
#[derive(Debug)]
pub(super) struct Candidates {
    path: Path,
    order: Order,
    range: Range,
    chunk: u32,
    keys: VecDeque<Key>,
    exhausted: bool,
}

impl Candidates {
    pub(super) fn new(path: Path, order: Order, range: Range, streams: usize) -> Self {
        let chunk = match path.sorted {
            true => CHUNK_SORTED,
            false if streams > MANY => CHUNK_MANY,
            false => CHUNK_FIRST,
        };
        Self {
            path,
            order,
            range,
            chunk,
            keys: VecDeque::new(),
            exhausted: false,
        }
    }

    /// The next key.
    pub(super) fn next(&mut self, connection: &Connection) -> Result<Option<Key>, Failure> {
        if self.keys.is_empty() && !self.exhausted {
            self.fetch(connection)?;
        }
        Ok(self.keys.pop_front())
    }

    fn fetch(&mut self, connection: &Connection) -> Result<(), Failure> {
        let mut statement = connection.prepare_cached(&self.sql())?;
        let mut rows = statement.query(params_from_iter(self.values()))?;
        while let Some(row) = rows.next()? {
            self.keys.push_back(read(row)?);
        }
        self.exhausted = self.keys.len() < usize::try_from(self.chunk).unwrap_or(usize::MAX);
        if let Some(Key {
            timestamp,
            id,
            organization,
            ..
        }) = self.keys.back()
        {
            self.range.pass(self.order, *timestamp, id, organization);
        }
        if !self.path.sorted {
            self.chunk = self.chunk.saturating_mul(4).min(CHUNK_MAX);
        }
        Ok(())
    }

    /// The statement of a chunk.
    pub(super) fn sql(&self) -> String {
        let direction = match self.order {
            Order::Newest => "DESC",
            Order::Oldest => "ASC",
        };
        let from = &self.path.from;
        format!(
            "SELECT position, timestamp, id, organization_id {from}
             AND (timestamp, id, organization_id) >= (?, ?, ?) AND (timestamp, id, organization_id) < (?, ?, ?)
             ORDER BY timestamp {direction}, id {direction}, organization_id {direction} LIMIT ?"
        )
    }

    /// Its parameters.
    pub(super) fn values(&self) -> Vec<Value> {
        let mut values = self.path.values.clone();
        for (timestamp, id, organization) in [&self.range.low, &self.range.high] {
            values.extend([
                Value::Integer(*timestamp),
                Value::Blob(id.clone()),
                Value::Text(organization.clone()),
            ]);
        }
        values.push(Value::Integer(self.chunk.into()));
        values
    }
}

fn read(row: &Row<'_>) -> Result<Key, Failure> {
    let malformed = |_utf8| StoreError::Malformed {
        what: "organization_id of an event row".to_owned(),
    };
    let organization =
        std::str::from_utf8(row.get_ref(3)?.as_bytes().map_err(rusqlite::Error::from)?)
            .map_err(malformed)?;
    Ok(Key {
        position: row.get(0)?,
        timestamp: row.get(1)?,
        id: row.get(2)?,
        organization: organization.to_owned(),
    })
}
