//! Streams of candidates merged into one order.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use audit_store::PageRequest;
use audit_store::query::Order;
use rusqlite::Connection;

use crate::error::Failure;
use crate::search::candidates::{Candidates, Key, Range};
use crate::search::path::Path;

/// All streams of a search.
#[derive(Debug)]
pub(super) struct Merge {
    streams: Vec<Candidates>,
    /// The next key of every stream that has one.
    heads: BinaryHeap<Head>,
    order: Order,
    started: bool,
}

/// The next key of a stream. The greatest is the one that comes first in the order of the search.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    key: Key,
    stream: usize,
    order: Order,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        let ascending = self.key.cmp(&other.key);
        match self.order {
            Order::Newest => ascending,
            Order::Oldest => ascending.reverse(),
        }
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Merge {
    pub(super) fn new(request: &PageRequest, paths: Vec<Path>) -> Self {
        let (order, range, count) = (request.order, Range::of(request), paths.len());
        let streams = paths
            .into_iter()
            .map(|path| Candidates::new(path, order, range.clone(), count))
            .collect();
        Self {
            streams,
            heads: BinaryHeap::new(),
            order,
            started: false,
        }
    }

    /// The next key of all streams.
    pub(super) fn next(&mut self, connection: &Connection) -> Result<Option<Key>, Failure> {
        if !self.started {
            for stream in 0..self.streams.len() {
                self.advance(stream, connection)?;
            }
            self.started = true;
        }
        let Some(Head { key, stream, .. }) = self.heads.pop() else {
            return Ok(None);
        };
        self.advance(stream, connection)?;
        Ok(Some(key))
    }

    fn advance(&mut self, stream: usize, connection: &Connection) -> Result<(), Failure> {
        let Some(candidates) = self.streams.get_mut(stream) else {
            return Ok(());
        };
        if let Some(key) = candidates.next(connection)? {
            self.heads.push(Head {
                key,
                stream,
                order: self.order,
            });
        }
        Ok(())
    }

    /// Whether no stream has a key left.
    pub(super) fn is_exhausted(&self) -> bool {
        self.started && self.heads.is_empty()
    }
}
