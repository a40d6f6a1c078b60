//! `EventQuery`: candidates come in order from an index, each is checked against the whole filter, the page stops at its
//! limit.
//!
//! Candidates of one organisation are one stream; streams are merged by (timestamp, id, organisation). So a search over
//! several organisations, or all, is served by the organisation-time index as well, and no commit pays for an index on
//! the time alone. Reads go in steps, each a short read transaction; rows that arrive meanwhile are kept out by the
//! ledger sizes of the first page.

mod candidates;
mod check;
mod merge;
mod path;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use audit_event::OrganizationId;
use audit_integrity::ledger::LedgerId;
use audit_store::query::{OrganizationScope, Position};
use audit_store::{EventQuery, Page, PageRequest, StoreError, StoredEvent};
use rusqlite::Connection;

use crate::code::{ledger_of, uint};
use crate::database::Database;
use crate::error::{Failure, refused};
use crate::step::Step;
use candidates::Key;
use check::Check;
use merge::Merge;
use path::Words;

/// Events a page may have (`PageRequest::limit`).
const LIMIT_MAX: u32 = 1_000;
/// SQLite's virtual machine runs so many instructions between two looks at the deadline (about a millisecond).
const INSTRUCTIONS: i32 = 20_000;

#[async_trait]
impl EventQuery for Database {
    async fn search(&self, request: &PageRequest) -> Result<Page, StoreError> {
        if !(1..=LIMIT_MAX).contains(&request.limit) {
            return Err(refused(format!("a page has 1 to {LIMIT_MAX} events")));
        }
        let words = Words::of(request.filter.text.as_deref(), self.text.is_some())?;
        let (request, allowed) = (request.clone(), self.options.search_timeout);
        self.read("search", move |connection| {
            run(connection, &request, words, allowed)
        })
        .await
    }
}

/// Runs a search under its time limit.
fn run(
    connection: &mut Connection,
    request: &PageRequest,
    words: Option<Words>,
    allowed: Duration,
) -> Result<Page, Failure> {
    let Some(deadline) = Instant::now().checked_add(allowed) else {
        return Err(refused("the search time-out is beyond the clock").into());
    };
    // Interrupts one long statement; between statements the search looks itself.
    connection.progress_handler(INSTRUCTIONS, Some(move || Instant::now() >= deadline))?;
    let page = Search::run(connection, request, words, deadline);
    connection.progress_handler(0, None::<fn() -> bool>)?;
    page
}

/// A search while it runs; holds no statement and no transaction between steps.
struct Search<'r> {
    request: &'r PageRequest,
    sizes: Vec<(LedgerId, u64)>,
    merge: Merge,
    check: Check,
    found: Vec<StoredEvent>,
    deadline: Instant,
}

impl<'r> Search<'r> {
    fn run(
        connection: &mut Connection,
        request: &'r PageRequest,
        words: Option<Words>,
        deadline: Instant,
    ) -> Result<Page, Failure> {
        let mut search = Self::begin(connection, request, words, deadline)?;
        while search.step(connection)? {}
        Ok(search.into_page())
    }

    fn begin(
        connection: &mut Connection,
        request: &'r PageRequest,
        words: Option<Words>,
        deadline: Instant,
    ) -> Result<Self, Failure> {
        let transaction = connection.transaction()?;
        let sizes = match &request.after {
            Some(position) => position.sizes.clone(),
            None => ledger_sizes(&transaction)?,
        };
        let organizations = organizations(&transaction, request)?;
        let paths = path::choose(
            &transaction,
            &request.filter,
            &organizations,
            words.as_ref(),
        )?;
        let check = Check::new(&request.filter, &paths, words);
        let merge = Merge::new(request, paths);
        Ok(Self {
            request,
            sizes,
            merge,
            check,
            found: Vec::new(),
            deadline,
        })
    }

    /// One read transaction; `true` when there is more to do.
    fn step(&mut self, connection: &mut Connection) -> Result<bool, Failure> {
        let transaction = connection.transaction()?;
        let mut step = Step::begin();
        while !step.is_over() {
            if Instant::now() >= self.deadline {
                return Err(StoreError::TooBroad.into());
            }
            if self.is_full() {
                return Ok(false);
            }
            let Some(key) = self.merge.next(&transaction)? else {
                return Ok(false);
            };
            step.count(1);
            self.consider(&transaction, &key)?;
        }
        Ok(true)
    }

    fn consider(&mut self, connection: &Connection, key: &Key) -> Result<(), Failure> {
        let (ledger, index) = crate::code::address(key.position)?;
        let was_there = self
            .sizes
            .iter()
            .any(|(known, size)| *known == ledger && index.0 < *size);
        if was_there
            && crate::events::may_see(&self.request.scope, &OrganizationId::new(&key.organization))
            && let Some(event) = self.check.event(connection, key.position)?
        {
            self.found.push(event);
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.found.len() as u64 >= u64::from(self.request.limit)
    }

    fn into_page(self) -> Page {
        let more = self.is_full() && !self.merge.is_exhausted();
        let next = self.found.last().filter(|_last| more).map(|last| Position {
            timestamp: last.timestamp,
            id: last.id,
            organization_id: last.organization_id.clone(),
            sizes: self.sizes,
        });
        Page {
            events: self.found,
            next,
        }
    }
}

/// Sizes of the event ledgers now.
fn ledger_sizes(connection: &Connection) -> Result<Vec<(LedgerId, u64)>, Failure> {
    let sql = "SELECT ledger, size FROM ledger_head WHERE ledger >= 0 ORDER BY ledger";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(())?;
    let mut sizes = Vec::new();
    while let Some(row) = rows.next()? {
        sizes.push((ledger_of(row.get(0)?)?, uint(row.get(1)?, "head size")?));
    }
    Ok(sizes)
}

/// The organisations to look in: those of the scope, or all there are, and of these the one the filter names.
fn organizations(connection: &Connection, request: &PageRequest) -> Result<Vec<String>, Failure> {
    let mut names = match (&request.scope, &request.filter.organization_id) {
        (OrganizationScope::All, None) => all_organizations(connection)?,
        (OrganizationScope::All, Some(named)) => vec![named.as_str().to_owned()],
        (OrganizationScope::Only(scope), named) => scope
            .iter()
            .filter(|organization| named.as_ref().is_none_or(|named| named == *organization))
            .map(|organization| organization.as_str().to_owned())
            .collect(),
    };
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// Walks the distinct first members of the organisation-time index: one seek an organisation.
fn all_organizations(connection: &Connection) -> Result<Vec<String>, Failure> {
    let sql = "SELECT min(organization_id) FROM audit_event INDEXED BY event_by_time WHERE organization_id > ?1";
    let first = "SELECT min(organization_id) FROM audit_event INDEXED BY event_by_time";
    let mut names: Vec<String> = Vec::new();
    let mut next: Option<String> = connection
        .prepare_cached(first)?
        .query_row((), |row| row.get(0))?;
    let mut statement = connection.prepare_cached(sql)?;
    while let Some(name) = next {
        next = statement.query_row([&name], |row| row.get(0))?;
        names.push(name);
    }
    Ok(names)
}
