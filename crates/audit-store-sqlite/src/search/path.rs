//! Which index serves a search.

use audit_store::StoreError;
use audit_store::query::{ActionMatch, Filter};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::error::{Failure, refused};

/// Matches that may be sorted for one page. Above it the time index is walked instead: what is that common is met soon.
const SORTED_MAX: i64 = 5_000;

/// A query of the text index.
#[derive(Debug, Clone)]
pub(super) struct Words(pub(super) String);

impl Words {
    /// Each word a phrase of its own, so that nothing in it is an operator; all of them must occur.
    pub(super) fn of(text: Option<&str>, indexed: bool) -> Result<Option<Self>, StoreError> {
        let Some(text) = text else { return Ok(None) };
        if !indexed {
            return Err(refused("this store has no text index"));
        }
        let quoted = |word: &str| format!("\"{}\"", word.replace('"', "\"\"").replace('\0', " "));
        let words: Vec<_> = text.split_whitespace().map(quoted).collect();
        if words.is_empty() {
            return Err(refused("no words to look for"));
        }
        Ok(Some(Self(words.join(" "))))
    }
}

/// One stream of candidates: where they come from and what is bound.
#[derive(Debug, Clone)]
pub(super) struct Path {
    /// `FROM audit_event INDEXED BY ... WHERE ...`; its parameters are `?`.
    pub(super) from: String,
    /// Its parameters.
    pub(super) values: Vec<Value>,
    /// Whether all candidates are sorted for every chunk; then few large chunks are better.
    pub(super) sorted: bool,
    /// Whether the words have been looked up already.
    pub(super) by_words: bool,
}

impl Path {
    fn new(index: &str, conditions: &str, values: Vec<Value>) -> Self {
        let from = format!("FROM audit_event INDEXED BY {index} WHERE {conditions}");
        Self {
            from,
            values,
            sorted: false,
            by_words: false,
        }
    }

    fn sorted(self) -> Self {
        Self {
            sorted: true,
            ..self
        }
    }
}

/// The streams that together hold every event of the search.
pub(super) fn choose(
    connection: &Connection,
    filter: &Filter,
    organizations: &[String],
    words: Option<&Words>,
) -> Result<Vec<Path>, Failure> {
    if organizations.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(correlation) = &filter.correlation_id {
        let values = vec![Value::Text(correlation.clone())];
        return Ok(vec![
            Path::new("event_by_correlation", "correlation_id = ?", values).sorted(),
        ]);
    }
    if let Some(words) = words
        && is_rare(
            connection,
            "SELECT 1 FROM search.event_text WHERE event_text MATCH ?",
            &[words.0.clone().into()],
        )?
    {
        return Ok(vec![by_words(words)]);
    }
    organizations
        .iter()
        .map(|organization| of_organization(connection, filter, organization))
        .collect()
}

fn by_words(words: &Words) -> Path {
    let from = "FROM audit_event WHERE position IN (SELECT rowid FROM search.event_text WHERE event_text MATCH ?)";
    Path {
        from: from.to_owned(),
        values: vec![words.0.clone().into()],
        sorted: true,
        by_words: true,
    }
}

fn of_organization(
    connection: &Connection,
    filter: &Filter,
    organization: &str,
) -> Result<Path, Failure> {
    let organization = Value::Text(organization.to_owned());
    let values = |more: &[&String]| {
        let more = more.iter().map(|text| Value::Text((*text).clone()));
        std::iter::once(organization.clone())
            .chain(more)
            .collect::<Vec<_>>()
    };
    if let Some(principal) = &filter.principal_id {
        let conditions = "organization_id = ? AND principal_id = ?";
        return Ok(Path::new(
            "event_by_principal",
            conditions,
            values(&[principal]),
        ));
    }
    if let (Some(kind), Some(id)) = (&filter.target_resource_type, &filter.target_resource_id) {
        let conditions =
            "organization_id = ? AND target_resource_type = ? AND target_resource_id = ?";
        return Ok(Path::new(
            "event_by_target",
            conditions,
            values(&[kind, id]),
        ));
    }
    if let Some(ActionMatch::Exact(action)) = &filter.action {
        return Ok(Path::new(
            "event_by_action",
            "organization_id = ? AND action = ?",
            values(&[action]),
        ));
    }
    let mut ranges = Vec::new();
    if let Some(ActionMatch::Prefix(prefix)) = &filter.action
        && let Some(end) = prefix_end(prefix)
    {
        let conditions = "organization_id = ? AND action >= ? AND action < ?";
        ranges.push(Path::new("event_by_action", conditions, values(&[prefix, &end])).sorted());
    }
    if let Some(kind) = &filter.target_resource_type {
        let conditions = "organization_id = ? AND target_resource_type = ?";
        ranges.push(Path::new("event_by_target", conditions, values(&[kind])).sorted());
    }
    for range in ranges {
        if is_rare(
            connection,
            &format!("SELECT 1 {}", range.from),
            &range.values,
        )? {
            return Ok(range);
        }
    }
    Ok(Path::new(
        "event_by_time",
        "organization_id = ?",
        values(&[]),
    ))
}

/// Whether a query has few enough rows to sort them.
fn is_rare(connection: &Connection, sql: &str, values: &[Value]) -> Result<bool, Failure> {
    let sql = format!("SELECT count(*) FROM ({sql} LIMIT {})", SORTED_MAX + 1);
    let rows: i64 = connection
        .prepare_cached(&sql)?
        .query_row(params_from_iter(values), |row| row.get(0))?;
    Ok(rows <= SORTED_MAX)
}

/// The least text that is greater than every text with this prefix; `None` when there is none.
///
/// SQLite compares UTF-8 bytes, whose order is that of code points; so the last character that has a successor is
/// raised and what follows it dropped.
pub(super) fn prefix_end(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        let mut successors = last..=char::MAX;
        successors.next();
        if let Some(raised) = successors.next() {
            characters.push(raised);
            return Some(characters.into_iter().collect());
        }
    }
    None
}
