//! Where the candidates of a search come from.

use audit_store::query::{ActionMatch, Order};

use super::condition::{Conditions, Parameter};
use super::{Search, details};
use crate::error::Failure;
use crate::row::STORED;
use crate::value::get;

/// Matches that may be sorted for every page. Above it the time is walked instead: what is that common is met soon.
const SORTED_MAX: i64 = 5_000;
/// Part of the search's time that may be spent on counting rare matches.
const COUNTING: u32 = 4;

/// Where candidates come from.
#[derive(Debug)]
pub(super) enum Source {
    /// The index of each organisation, in the order of the time.
    Organizations(Vec<String>),
    /// Few matches of one index, sorted. The condition under which an index finds them.
    Few(Conditions),
}

impl Search<'_> {
    /// The source of a search; `None` when there is nothing to look in.
    pub(super) async fn choose(
        &self,
        details_indexed: bool,
        organizations: Option<Vec<String>>,
    ) -> Result<Option<Source>, Failure> {
        let filter = &self.request.filter;
        if organizations.as_ref().is_some_and(Vec::is_empty) {
            return Ok(None);
        }
        if let Some(correlation) = &filter.correlation_id {
            let mut few = Conditions::default();
            few.and(
                "correlation_id = {}",
                [Parameter::Text(correlation.clone())],
            );
            few.time(filter);
            return Ok(Some(Source::Few(few)));
        }
        let organizations = organizations.unwrap_or_default();
        // Each of these has an index in the order of the time.
        let in_order = filter.principal_id.is_some()
            || matches!(filter.action, Some(ActionMatch::Exact(_)))
            || filter.target_resource_type.is_some() && filter.target_resource_id.is_some();
        if in_order {
            return Ok(Some(Source::Organizations(organizations)));
        }
        let mut rare = Vec::new();
        if details_indexed
            && filter
                .details
                .iter()
                .any(|one| details::documents(one).is_some())
        {
            let mut few = Conditions::default();
            few.details(filter);
            rare.push(few);
        }
        let leads = Parameter::Texts(organizations.clone());
        if let Some(ActionMatch::Prefix(_)) = &filter.action {
            let mut few = Conditions::default();
            few.and("organization_id = ANY ({})", [leads.clone()]);
            few.action(filter);
            rare.push(few);
        }
        if let Some(kind) = &filter.target_resource_type {
            let mut few = Conditions::default();
            few.and("organization_id = ANY ({})", [leads]);
            few.and("target_resource_type = {}", [Parameter::Text(kind.clone())]);
            rare.push(few);
        }
        for mut few in rare {
            few.time(filter);
            if self.is_rare(&few).await? {
                return Ok(Some(Source::Few(few)));
            }
        }
        Ok(Some(Source::Organizations(organizations)))
    }

    /// Whether a condition has few enough rows to sort them, as far as a part of the time is enough to tell.
    async fn is_rare(&self, few: &Conditions) -> Result<bool, Failure> {
        let sql = format!(
            "SELECT count(*) FROM (SELECT FROM audit.audit_event WHERE {} LIMIT {}) AS matches",
            few.sql,
            SORTED_MAX + 1
        );
        let allowed = self.settings.search_timeout / COUNTING;
        let rows = match self.ask_within(allowed, &sql, &few.parameters).await {
            Err(Failure::Server(error))
                if error.code == tokio_postgres::error::SqlState::QUERY_CANCELED =>
            {
                return Ok(false);
            }
            outcome => outcome?,
        };
        let count: i64 = rows.first().map_or(Ok(0), |row| get(row, 0, "count"))?;
        Ok(count <= SORTED_MAX)
    }

    /// All organisations there are: one look into the time index for each. `None` when the search needs none.
    pub(super) async fn organizations(&self) -> Result<Option<Vec<String>>, Failure> {
        if self.request.filter.correlation_id.is_some() {
            return Ok(None);
        }
        let sql = "WITH RECURSIVE named AS (
                (SELECT organization_id FROM audit.audit_event ORDER BY organization_id LIMIT 1)
                UNION ALL
                SELECT next.organization_id FROM named CROSS JOIN LATERAL (
                    SELECT organization_id FROM audit.audit_event WHERE organization_id > named.organization_id
                    ORDER BY organization_id LIMIT 1) AS next
            ) SELECT organization_id FROM named";
        let rows = self.ask(sql, &[]).await?;
        let names = rows.iter().map(|row| get(row, 0, "organization_id"));
        Ok(Some(names.collect::<Result<_, _>>()?))
    }
}

impl Source {
    /// The statement of a page, and its parameters.
    pub(super) fn page(
        &self,
        order: Order,
        conditions: &Conditions,
        limit: u32,
    ) -> (String, Vec<Parameter>) {
        let direction = match order {
            Order::Newest => "DESC",
            Order::Oldest => "ASC",
        };
        let by = format!("timestamp {direction}, id {direction}, organization_id {direction}");
        let mut all = conditions.clone();
        let sql = match self {
            Self::Organizations(names) => match names.as_slice() {
                [name] => {
                    all.and("organization_id = {}", [Parameter::Text(name.clone())]);
                    // Equal in the organisation, so the index gives the order without sorting.
                    format!(
                        "SELECT {STORED} FROM audit.audit_event WHERE {} ORDER BY timestamp {direction}, id {direction} LIMIT {limit}",
                        all.sql
                    )
                }
                names => {
                    let list = Parameter::Texts(names.to_vec());
                    all.and("cardinality({}) > 0", [list]);
                    let list = all.parameters.len();
                    format!(
                        "SELECT {STORED} FROM unnest(${list}) AS named (organization) CROSS JOIN LATERAL (
                            SELECT {STORED} FROM audit.audit_event WHERE organization_id = named.organization AND {}
                            ORDER BY timestamp {direction}, id {direction} LIMIT {limit}) AS first
                        ORDER BY {by} LIMIT {limit}",
                        all.sql
                    )
                }
            },
            Self::Few(few) => {
                let first = few.renumbered(all.parameters.len());
                all.parameters.extend(few.parameters.iter().cloned());
                format!(
                    "WITH few AS MATERIALIZED (SELECT * FROM audit.audit_event WHERE {first})
                    SELECT {STORED} FROM few WHERE {} ORDER BY {by} LIMIT {limit}",
                    all.sql
                )
            }
        };
        (sql, all.parameters)
    }
}

impl Conditions {
    /// The same condition with its parameters behind `count` others.
    fn renumbered(&self, count: usize) -> String {
        let mut sql = String::with_capacity(self.sql.len() + 16);
        let mut parts = self.sql.split('$');
        sql.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            let (number, rest) = part.split_at(digits);
            let number = number.parse::<usize>().map_or(0, |number| number + count);
            sql.push_str(&format!("${number}{rest}"));
        }
        sql
    }
}
