//! `EventQuery`: one statement a page, in the order of (timestamp, id, organisation), served by an index.
//!
//! A search over one organisation walks the index that its filter names. Over several, or all, each organisation gives its
//! first few and the server merges them, so no commit pays for an index on the time alone. What few events can match
//! (a correlation, a detail) is looked up first and then sorted. Each statement is a transaction of its own; rows that arrive
//! meanwhile are kept out by the ledger sizes of the first page.

mod condition;
mod details;
mod source;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use audit_integrity::ledger::LedgerId;
use audit_store::query::{OrganizationScope, Position};
use audit_store::{EventQuery, Page, PageRequest, StoreError, StoredEvent};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use crate::code::{ledger_of, uint};
use crate::database::Database;
use crate::error::{Failure, refused};
use crate::row::read_stored;
use crate::session::{GRACE, Sessions, settle};
use crate::settings::Settings;
use crate::sqlstate::Meaning;
use crate::value::get;
use condition::Conditions;

/// Events a page may have (`PageRequest::limit`).
const LIMIT_MAX: u32 = 1_000;
/// Rows of the first statement when each must be looked at here; every further one has four times as many.
const CHUNK_FIRST: u32 = 64;
const CHUNK_MAX: u32 = 2_048;

#[async_trait]
impl EventQuery for Database {
    async fn search(&self, request: &PageRequest) -> Result<Page, StoreError> {
        if !(1..=LIMIT_MAX).contains(&request.limit) {
            return Err(refused(format!("a page has 1 to {LIMIT_MAX} events")));
        }
        if request.filter.text.is_some() {
            return Err(refused("this store has no text index"));
        }
        let began = Instant::now();
        let page = self.page(request).await;
        self.now().primary.note("search", began.elapsed());
        page.map_err(|failure| failure.into_store("search"))
    }
}

impl Database {
    /// A page, of the server that searches have to themselves if it can serve it.
    async fn page(&self, request: &PageRequest) -> Result<Page, Failure> {
        let now = self.now();
        if let Some(elsewhere) = &now.elsewhere
            && elsewhere.is_to_be_asked()
        {
            let search = Search::new(&now.settings, &elsewhere.sessions, request);
            let page = match search.facts().await {
                Ok(facts) if facts.are_behind(request) => Ok(None),
                Ok(facts) => search.page(facts).await.map(Some),
                Err(failure) => Err(failure),
            };
            match page {
                Ok(Some(page)) => {
                    elsewhere.is_back();
                    return Ok(page);
                }
                Ok(None) => elsewhere.is_behind(),
                Err(failure) if is_so_everywhere(&failure) => return Err(failure),
                Err(failure) => elsewhere.failed(failure),
            }
        }
        let search = Search::new(&now.settings, &now.primary, request);
        let facts = search.facts().await?;
        search.page(facts).await
    }
}

/// Whether the search itself is at fault, or what is stored: no caller can turn searches away from their server.
fn is_so_everywhere(failure: &Failure) -> bool {
    matches!(failure, Failure::Store(_)) || failure.meaning() == Some(Meaning::Data)
}

/// A search while it runs.
struct Search<'s> {
    settings: &'s Settings,
    sessions: &'s Sessions,
    request: &'s PageRequest,
    began: Instant,
    found: Vec<StoredEvent>,
}

impl<'s> Search<'s> {
    /// One on this server, whose time begins now.
    fn new(settings: &'s Settings, sessions: &'s Sessions, request: &'s PageRequest) -> Self {
        Self {
            settings,
            sessions,
            request,
            began: Instant::now(),
            found: Vec::new(),
        }
    }

    async fn page(mut self, facts: Facts) -> Result<Page, Failure> {
        let sizes = match &self.request.after {
            Some(position) => position.sizes.clone(),
            None => facts.sizes,
        };
        let mut organizations = facts.organizations;
        if organizations.is_none() {
            organizations = self.organizations().await?;
        }
        let source = self.choose(facts.details_indexed, organizations).await?;
        if let Some(source) = source {
            self.read(&source, &sizes).await?;
        }
        Ok(self.into_page(sizes))
    }

    /// Reads until there is one event more than the page may have, or none is left.
    async fn read(
        &mut self,
        source: &source::Source,
        sizes: &[(LedgerId, u64)],
    ) -> Result<(), Failure> {
        let wanted = self.request.limit.saturating_add(1);
        let looked_at_here = !self.request.filter.details.is_empty();
        let mut after = self.request.after.as_ref().map(condition::key_of);
        let mut chunk = match looked_at_here {
            true => CHUNK_FIRST,
            false => wanted,
        };
        loop {
            let mut conditions = Conditions::of(self.request, after.as_ref(), sizes);
            if matches!(source, source::Source::Few(_)) {
                conditions.scope(self.request);
            }
            let (sql, parameters) = source.page(self.request.order, &conditions, chunk);
            let rows = self.ask(&sql, &parameters).await?;
            for row in &rows {
                let event = read_stored(row)?;
                after = Some(condition::key_of_event(&event));
                if details::hold(&self.request.filter.details, &event) {
                    self.found.push(event);
                }
            }
            let exhausted = rows.len() < usize::try_from(chunk).unwrap_or(usize::MAX);
            if exhausted || self.found.len() >= usize::try_from(wanted).unwrap_or(usize::MAX) {
                return Ok(());
            }
            if looked_at_here {
                chunk = chunk.saturating_mul(4).min(CHUNK_MAX);
            }
        }
    }

    fn into_page(mut self, sizes: Vec<(LedgerId, u64)>) -> Page {
        let limit = usize::try_from(self.request.limit).unwrap_or(usize::MAX);
        let more = self.found.len() > limit;
        self.found.truncate(limit);
        let next = self.found.last().filter(|_last| more).map(|last| Position {
            timestamp: last.timestamp,
            id: last.id,
            organization_id: last.organization_id.clone(),
            sizes,
        });
        Page {
            events: self.found,
            next,
        }
    }

    /// Runs one statement in a transaction of its own, within what is left of the time. Nothing is prepared and nothing is
    /// set beyond the transaction, so any pooler may be in between.
    async fn ask(
        &self,
        sql: &str,
        parameters: &[condition::Parameter],
    ) -> Result<Vec<Row>, Failure> {
        let allowed = self.settings.search_timeout;
        let left = allowed.saturating_sub(self.began.elapsed());
        match self.ask_within(left, sql, parameters).await {
            Err(Failure::Server(error)) if error.code == SqlState::QUERY_CANCELED => {
                Err(StoreError::TooBroad.into())
            }
            outcome => outcome,
        }
    }

    async fn ask_within(
        &self,
        left: Duration,
        sql: &str,
        parameters: &[condition::Parameter],
    ) -> Result<Vec<Row>, Failure> {
        if left < Duration::from_millis(1) {
            return Err(StoreError::TooBroad.into());
        }
        let client = self.sessions.connection().await?;
        // An index serves, or the search is too broad: what no index serves is not to be tried.
        let settings = self.settings;
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;
            SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}; SET LOCAL idle_in_transaction_session_timeout = {};
            SET LOCAL enable_seqscan = off; SET LOCAL jit = off",
            left.as_millis(),
            settings.lock_timeout.as_millis(),
            settings.idle_in_transaction_timeout.as_millis(),
        );
        let typed: Vec<_> = parameters.iter().map(condition::Parameter::typed).collect();
        let work = async {
            // All three are sent before the first answer, so a search that is dropped ends its transaction all the same.
            let (begun, rows, ended) = tokio::join!(biased;
                client.batch_execute(&begin),
                client.query_typed(sql, &typed),
                client.batch_execute("COMMIT"),
            );
            begun?;
            let rows = rows?;
            ended?;
            Ok(rows)
        };
        let patience = left.saturating_add(GRACE);
        let done = tokio::time::timeout(patience, work).await;
        settle(client, done, patience)
    }

    /// Ledger sizes, which indexes there are, and the organisations when the request names them.
    async fn facts(&self) -> Result<Facts, Failure> {
        let sql = "SELECT ledger, size, to_regclass('audit.event_by_details') IS NOT NULL
            FROM audit.ledger_head WHERE ledger >= 0 ORDER BY ledger";
        let rows = self.ask(sql, &[]).await?;
        let mut sizes = Vec::new();
        let mut details_indexed = false;
        for row in &rows {
            let ledger: i16 = get(row, 0, "head ledger")?;
            sizes.push((
                ledger_of(ledger.into())?,
                uint(get(row, 1, "head size")?, "head size")?,
            ));
            details_indexed = get(row, 2, "index of details")?;
        }
        Ok(Facts {
            sizes,
            details_indexed,
            organizations: self.named_organizations(),
        })
    }

    /// The organisations to look in, as far as scope and filter name them.
    fn named_organizations(&self) -> Option<Vec<String>> {
        let filter = &self.request.filter;
        let mut names: Vec<String> = match (&self.request.scope, &filter.organization_id) {
            (OrganizationScope::All, None) => return None,
            (OrganizationScope::All, Some(named)) => vec![named.as_str().to_owned()],
            (OrganizationScope::Only(scope), named) => scope
                .iter()
                .filter(|organization| named.as_ref().is_none_or(|named| named == *organization))
                .map(|organization| organization.as_str().to_owned())
                .collect(),
        };
        names.sort_unstable();
        names.dedup();
        Some(names)
    }
}

/// What a search needs to know first.
struct Facts {
    sizes: Vec<(LedgerId, u64)>,
    details_indexed: bool,
    organizations: Option<Vec<String>>,
}

impl Facts {
    /// Whether the server has less than the one that served the first page.
    fn are_behind(&self, request: &PageRequest) -> bool {
        let size = |ledger: LedgerId| {
            let found = self.sizes.iter().find(|(one, _)| *one == ledger);
            found.map_or(0, |(_, size)| *size)
        };
        let first = request.after.iter().flat_map(|after| &after.sizes);
        first.into_iter().any(|(ledger, had)| size(*ledger) < *had)
    }
}
