//! `Alerts`: records and their queries. Writing them is in `alerts/write.rs`, the outbox in `outbox.rs`.

mod write;

use std::time::Duration;

use async_trait::async_trait;
use audit_event::{OrganizationId, Timestamp};
use audit_store::alerts::ALERTS_MAX;
use audit_store::{
    AlertCount, AlertFilter, AlertId, AlertRecord, AlertWrite, AlertWritten, Alerts, Delivery,
    OutboxState, StoreError,
};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::code::{
    alert_level_code, alert_level_of, alert_state_code, alert_state_of, fixed, uint,
};
use crate::database::Database;
use crate::error::malformed;
use crate::value::{Micros, get, optional_time, time};

const ALERT: &str =
    "id, group_digest, organization_id, rule, level, state, raised_at, escalation, escalate_at,
    notified, version, facts";

#[async_trait]
impl Alerts for Database {
    async fn write(&self, alerts: &[AlertWrite]) -> Result<Vec<AlertWritten>, StoreError> {
        self.write_alerts(alerts).await
    }

    async fn get(
        &self,
        id: AlertId,
        organizations: Option<&[OrganizationId]>,
    ) -> Result<Option<AlertRecord>, StoreError> {
        let sql = format!("SELECT {ALERT} FROM audit.alert WHERE id = $1");
        let found = self
            .query_opt("read an alert", &sql, &[&id.0.as_slice()])
            .await?;
        let alert = found.as_ref().map(read).transpose()?;
        let may_see = |alert: &AlertRecord| {
            organizations.is_none_or(|of| of.contains(&alert.organization_id))
        };
        Ok(alert.filter(may_see))
    }

    async fn list(&self, filter: &AlertFilter) -> Result<Vec<AlertRecord>, StoreError> {
        filter.check_page()?;
        let mut wanted = Conditions::of(filter);
        if let Some((raised_at, id)) = filter.after {
            let (raised_at, id) = (
                wanted.value(Micros::from(raised_at)),
                wanted.value(id.0.to_vec()),
            );
            wanted.and(&format!("(raised_at, id) < ({raised_at}, {id})"));
        }
        let limit = wanted.value(i64::from(filter.limit));
        let sql = format!(
            "SELECT {ALERT} FROM audit.alert WHERE {} ORDER BY raised_at DESC, id DESC LIMIT {limit}",
            wanted.sql
        );
        let rows = self.query("list alerts", &sql, &wanted.values()).await?;
        rows.iter().map(read).collect()
    }

    async fn due(&self, most: u32) -> Result<Vec<AlertRecord>, StoreError> {
        let sql = format!(
            "SELECT {ALERT} FROM audit.alert WHERE state = 0 AND escalate_at IS NOT NULL AND escalate_at <= clock_timestamp()
            ORDER BY escalate_at, id LIMIT $1"
        );
        let most = i64::from(most.min(ALERTS_MAX));
        let rows = self
            .query("find alerts to escalate", &sql, &[&most])
            .await?;
        rows.iter().map(read).collect()
    }

    async fn count(&self, filter: &AlertFilter) -> Result<Vec<AlertCount>, StoreError> {
        filter.check()?;
        let wanted = Conditions::of(filter);
        let sql = format!(
            "SELECT rule, level, state, count(*) FROM audit.alert WHERE {} GROUP BY rule, level, state
            ORDER BY rule, level, state",
            wanted.sql
        );
        let rows = self.query("count alerts", &sql, &wanted.values()).await?;
        let counts = rows.iter().map(|row| {
            Ok(AlertCount {
                rule: get(row, 0, "rule of an alert")?,
                level: alert_level_of(get::<i16>(row, 1, "level of an alert")?.into())?,
                state: alert_state_of(get::<i16>(row, 2, "state of an alert")?.into())?,
                count: uint(get(row, 3, "alerts")?, "alerts")?,
            })
        });
        counts.collect()
    }

    async fn forget_resolved(&self, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        self.forget_resolved_alerts(before, most).await
    }

    async fn take(
        &self,
        handler: &str,
        hold: Duration,
        most: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.take_deliveries(handler, hold, most).await
    }

    async fn delivered(&self, number: u64) -> Result<(), StoreError> {
        self.settle_delivered(number).await
    }

    async fn put_off(
        &self,
        taken: &Delivery,
        wait: Duration,
        error: &str,
    ) -> Result<(), StoreError> {
        self.put_delivery_off(taken, wait, error).await
    }

    async fn give_up(&self, taken: &Delivery, error: &str) -> Result<(), StoreError> {
        self.give_delivery_up(taken, error).await
    }

    async fn given_up(&self, handler: &str, most: u32) -> Result<Vec<Delivery>, StoreError> {
        self.deliveries_given_up(handler, most).await
    }

    async fn revive(&self, handler: &str) -> Result<u64, StoreError> {
        self.revive_deliveries(handler).await
    }

    async fn outbox(&self) -> Result<Vec<OutboxState>, StoreError> {
        self.outbox_states().await
    }
}

/// What a filter asks for, as SQL: only what it names, so that the plan of each is that of its index.
struct Conditions {
    sql: String,
    values: Vec<Box<dyn ToSql + Send + Sync>>,
}

impl Conditions {
    /// All but the page.
    fn of(filter: &AlertFilter) -> Self {
        let mut wanted = Self {
            sql: "true".to_owned(),
            values: Vec::new(),
        };
        wanted.organizations(filter.organizations.as_deref());
        if !filter.states.is_empty() {
            let codes = filter.states.iter().map(|state| alert_state_code(*state));
            wanted.compare("state = ANY", codes.collect::<Vec<i16>>());
        }
        if let Some(level) = filter.at_least {
            wanted.compare("level >=", alert_level_code(level));
        }
        if let Some(rule) = &filter.rule {
            wanted.compare("rule =", rule.clone());
        }
        if let Some(group) = filter.group {
            wanted.compare("group_digest =", group.to_vec());
        }
        if let Some(since) = filter.since {
            wanted.compare("raised_at >=", Micros::from(since));
        }
        if let Some(until) = filter.until {
            wanted.compare("raised_at <", Micros::from(until));
        }
        wanted
    }

    /// One organisation has an order in its index, several have none.
    fn organizations(&mut self, named: Option<&[OrganizationId]>) {
        match named {
            None => {}
            Some([only]) => self.compare("organization_id =", only.as_str().to_owned()),
            Some(several) => {
                let names = several.iter().map(|named| named.as_str().to_owned());
                self.compare("organization_id = ANY", names.collect::<Vec<String>>());
            }
        }
    }

    fn compare(&mut self, left: &str, value: impl ToSql + Send + Sync + 'static) {
        let value = self.value(value);
        self.and(&format!("{left} ({value})"));
    }

    fn and(&mut self, condition: &str) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
    }

    /// Keeps a value, and gives its name in the SQL.
    fn value(&mut self, value: impl ToSql + Send + Sync + 'static) -> String {
        self.values.push(Box::new(value));
        format!("${}", self.values.len())
    }

    fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.values
            .iter()
            .map(|value| &**value as &(dyn ToSql + Sync))
            .collect()
    }
}

fn read(row: &Row) -> Result<AlertRecord, StoreError> {
    let escalation: i16 = get(row, 7, "escalation of an alert")?;
    Ok(AlertRecord {
        id: AlertId(digest(row, 0)?),
        group: digest(row, 1)?,
        organization_id: OrganizationId::new(get(row, 2, "organization of an alert")?),
        rule: get(row, 3, "rule of an alert")?,
        level: alert_level_of(get::<i16>(row, 4, "level of an alert")?.into())?,
        state: alert_state_of(get::<i16>(row, 5, "state of an alert")?.into())?,
        raised_at: time(row, 6, "time of an alert")?,
        escalation: u8::try_from(escalation)
            .map_err(|_source| malformed(format!("escalation {escalation} of an alert")))?,
        escalate_at: optional_time(row, 8, "escalation of an alert")?,
        notified: get(row, 9, "notice of an alert")?,
        version: uint(get(row, 10, "version of an alert")?, "version of an alert")?,
        facts: get(row, 11, "facts of an alert")?,
    })
}

/// Id of an alert, or digest of its group.
pub(crate) fn digest(row: &Row, index: usize) -> Result<[u8; 32], StoreError> {
    let what = "digest of an alert";
    fixed(get(row, index, what)?, what)
}
