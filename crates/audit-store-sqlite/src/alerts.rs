//! `Alerts`: one process only, but its tasks may ask at the same time; each change is one transaction. The outbox is in
//! `outbox.rs`.

use std::time::Duration;

use async_trait::async_trait;
use audit_event::{OrganizationId, Timestamp};
use audit_store::alerts::ALERTS_MAX;
use audit_store::{
    AlertCount, AlertFilter, AlertId, AlertRecord, AlertWrite, AlertWritten, Alerts, Delivery,
    OutboxState, StoreError,
};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, Transaction, params, params_from_iter};

use crate::code::{
    alert_level_code, alert_level_of, alert_state_code, alert_state_of, fixed, int, span, time,
    uint,
};
use crate::database::Database;
use crate::error::{Failure, malformed};
use crate::outbox;

const ALERT: &str =
    "id, group_digest, organization_id, rule, level, state, raised_at, escalation, escalate_at,
    notified, version, facts";

#[async_trait]
impl Alerts for Database {
    async fn write(&self, alerts: &[AlertWrite]) -> Result<Vec<AlertWritten>, StoreError> {
        alerts.iter().try_for_each(AlertWrite::check)?;
        let (alerts, now) = (alerts.to_vec(), self.now()?);
        self.write("write alerts", move |transaction| {
            let written = alerts.iter().map(|alert| write(transaction, alert, now));
            written.collect()
        })
        .await
    }

    async fn get(
        &self,
        id: AlertId,
        organizations: Option<&[OrganizationId]>,
    ) -> Result<Option<AlertRecord>, StoreError> {
        let organizations = organizations.map(<[_]>::to_vec);
        self.read("read an alert", move |connection| {
            let sql = format!("SELECT {ALERT} FROM alert WHERE id = ?1");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query([id.0])?;
            let Some(row) = rows.next()? else {
                return Ok(None);
            };
            let alert = read(row)?;
            let may_see = organizations.is_none_or(|of| of.contains(&alert.organization_id));
            Ok(may_see.then_some(alert))
        })
        .await
    }

    async fn list(&self, filter: &AlertFilter) -> Result<Vec<AlertRecord>, StoreError> {
        filter.check_page()?;
        let filter = filter.clone();
        self.read("list alerts", move |connection| {
            let mut wanted = Conditions::of(&filter);
            if let Some((raised_at, id)) = filter.after {
                wanted.and(
                    "(raised_at, id) < (?, ?)",
                    [raised_at.micros().into(), id.0.to_vec().into()],
                );
            }
            let sql = format!(
                "SELECT {ALERT} FROM alert WHERE {} ORDER BY raised_at DESC, id DESC LIMIT {}",
                wanted.sql, filter.limit
            );
            read_all(connection, &sql, wanted.values)
        })
        .await
    }

    async fn due(&self, most: u32) -> Result<Vec<AlertRecord>, StoreError> {
        let (most, now) = (most.min(ALERTS_MAX), self.now()?);
        self.read("find alerts to escalate", move |connection| {
            let sql = format!(
                "SELECT {ALERT} FROM alert
                WHERE state = 0 AND escalate_at IS NOT NULL AND escalate_at <= ?
                ORDER BY escalate_at, id LIMIT {most}"
            );
            read_all(connection, &sql, vec![now.micros().into()])
        })
        .await
    }

    async fn count(&self, filter: &AlertFilter) -> Result<Vec<AlertCount>, StoreError> {
        filter.check()?;
        let wanted = Conditions::of(filter);
        self.read("count alerts", move |connection| count(connection, wanted))
            .await
    }

    async fn forget_resolved(&self, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        self.write("forget alerts", move |transaction| {
            forget(transaction, before, most)
        })
        .await
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

/// Writes one alert, and what is to be told of it.
fn write(
    transaction: &Transaction<'_>,
    alert: &AlertWrite,
    now: Timestamp,
) -> Result<AlertWritten, Failure> {
    let is_new = alert.expected == 0;
    let kept = match is_new {
        true => insert(transaction, alert, now)?,
        false => update(transaction, alert, now)?,
    };
    if !kept {
        return Ok(AlertWritten::Moved);
    }
    let notified = match alert.deliveries.is_empty() {
        true => false,
        false if is_new => notify(transaction, alert, now)?,
        false => true,
    };
    if notified {
        for delivery in &alert.deliveries {
            outbox::insert(transaction, alert, delivery, now)?;
        }
    }
    Ok(AlertWritten::Done { notified })
}

/// A new alert; `false` when there is one of that id.
fn insert(
    transaction: &Transaction<'_>,
    alert: &AlertWrite,
    now: Timestamp,
) -> Result<bool, Failure> {
    let sql = "INSERT INTO alert (id, group_digest, organization_id, rule, level, state, raised_at, escalation,
            escalate_at, notified, version, facts)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, 1, ?10) ON CONFLICT (id) DO NOTHING";
    let inserted = transaction.prepare_cached(sql)?.execute(params![
        alert.id.0,
        alert.group,
        alert.organization_id.as_str(),
        alert.rule,
        alert_level_code(alert.level),
        alert_state_code(alert.state),
        now.micros(),
        alert.escalation,
        escalate_at(alert, now),
        alert.facts
    ])?;
    Ok(inserted == 1)
}

/// The next version; `false` when there is another than the expected one.
fn update(
    transaction: &Transaction<'_>,
    alert: &AlertWrite,
    now: Timestamp,
) -> Result<bool, Failure> {
    let sql = "UPDATE alert SET level = ?3, state = ?4, escalation = ?5, escalate_at = ?6, facts = ?7, version = version + 1
        WHERE id = ?1 AND version = ?2";
    let updated = transaction.prepare_cached(sql)?.execute(params![
        alert.id.0,
        int(alert.expected)?,
        alert_level_code(alert.level),
        alert_state_code(alert.state),
        alert.escalation,
        escalate_at(alert, now),
        alert.facts
    ])?;
    Ok(updated == 1)
}

fn escalate_at(alert: &AlertWrite, now: Timestamp) -> Option<i64> {
    let after = alert.escalate_after?;
    Some(now.micros().saturating_add(span(after)))
}

/// Whether the raising of a new alert is to be told; its group's cooldown begins then.
fn notify(
    transaction: &Transaction<'_>,
    alert: &AlertWrite,
    now: Timestamp,
) -> Result<bool, Failure> {
    // Without a cooldown nothing is compared: two tasks may come here in another order than they looked at the clock.
    let sql = "INSERT INTO alert_group (group_digest, notified_at) VALUES (?1, ?2)
        ON CONFLICT (group_digest) DO UPDATE SET notified_at = excluded.notified_at WHERE ?3 = 0 OR notified_at <= ?2 - ?3";
    let cooldown = span(alert.cooldown);
    let values = params![alert.group, now.micros(), cooldown];
    let told = transaction.prepare_cached(sql)?.execute(values)? == 1;
    if told {
        let sql = "UPDATE alert SET notified = 1 WHERE id = ?1";
        transaction.prepare_cached(sql)?.execute([alert.id.0])?;
    }
    Ok(told)
}

fn forget(transaction: &Transaction<'_>, before: Timestamp, most: u32) -> Result<u64, Failure> {
    let sql = "SELECT id FROM alert WHERE state = 2 AND raised_at < ?1
            AND NOT EXISTS (SELECT 1 FROM alert_delivery WHERE alert = alert.id AND state = 0)
        ORDER BY raised_at, id LIMIT ?2";
    let mut statement = transaction.prepare_cached(sql)?;
    let found = statement.query_map(params![before.micros(), most], |row| row.get(0))?;
    let ids: Vec<Vec<u8>> = found.collect::<Result<_, _>>()?;
    for sql in [
        "DELETE FROM alert_delivery WHERE alert = ?1",
        "DELETE FROM alert WHERE id = ?1",
    ] {
        let mut statement = transaction.prepare_cached(sql)?;
        for id in &ids {
            statement.execute([id])?;
        }
    }
    let sql = "DELETE FROM alert_group WHERE group_digest IN (SELECT told.group_digest FROM alert_group AS told
            WHERE told.notified_at < ?1
                AND NOT EXISTS (SELECT 1 FROM alert WHERE alert.group_digest = told.group_digest)
            ORDER BY told.notified_at LIMIT ?2)";
    transaction
        .prepare_cached(sql)?
        .execute(params![before.micros(), most])?;
    Ok(ids.len() as u64)
}

/// What a filter asks for, as SQL.
#[derive(Debug)]
struct Conditions {
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    /// All but the page.
    fn of(filter: &AlertFilter) -> Self {
        let mut wanted = Self {
            sql: "true".to_owned(),
            values: Vec::new(),
        };
        if let Some(organizations) = &filter.organizations {
            let names = organizations.iter().map(|named| named.as_str().to_owned());
            wanted.one_of("organization_id", names.map(Value::Text).collect());
        }
        if !filter.states.is_empty() {
            let codes = filter.states.iter().map(|state| alert_state_code(*state));
            wanted.one_of("state", codes.map(Value::from).collect());
        }
        if let Some(level) = filter.at_least {
            wanted.and("level >= ?", [alert_level_code(level).into()]);
        }
        if let Some(rule) = &filter.rule {
            wanted.and("rule = ?", [rule.clone().into()]);
        }
        if let Some(group) = filter.group {
            wanted.and("group_digest = ?", [group.to_vec().into()]);
        }
        if let Some(since) = filter.since {
            wanted.and("raised_at >= ?", [since.micros().into()]);
        }
        if let Some(until) = filter.until {
            wanted.and("raised_at < ?", [until.micros().into()]);
        }
        wanted
    }

    fn and<const N: usize>(&mut self, condition: &str, values: [Value; N]) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.values.extend(values);
    }

    fn one_of(&mut self, column: &str, values: Vec<Value>) {
        let marks = vec!["?"; values.len()].join(", ");
        self.sql.push_str(&format!(" AND {column} IN ({marks})"));
        self.values.extend(values);
    }
}

fn count(connection: &Connection, wanted: Conditions) -> Result<Vec<AlertCount>, Failure> {
    let sql = format!(
        "SELECT rule, level, state, count(*) FROM alert WHERE {} GROUP BY rule, level, state ORDER BY rule, level, state",
        wanted.sql
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(params_from_iter(wanted.values))?;
    let mut counts = Vec::new();
    while let Some(row) = rows.next()? {
        counts.push(AlertCount {
            rule: row.get(0)?,
            level: alert_level_of(row.get(1)?)?,
            state: alert_state_of(row.get(2)?)?,
            count: uint(row.get(3)?, "alerts")?,
        });
    }
    Ok(counts)
}

fn read_all(
    connection: &Connection,
    sql: &str,
    values: Vec<Value>,
) -> Result<Vec<AlertRecord>, Failure> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn read(row: &Row<'_>) -> Result<AlertRecord, Failure> {
    let escalate_at: Option<i64> = row.get(8)?;
    let escalation: i64 = row.get(7)?;
    Ok(AlertRecord {
        id: AlertId(digest(row, 0)?),
        group: digest(row, 1)?,
        organization_id: OrganizationId::new(&row.get::<_, String>(2)?),
        rule: row.get(3)?,
        level: alert_level_of(row.get(4)?)?,
        state: alert_state_of(row.get(5)?)?,
        raised_at: time(row.get(6)?, "time of an alert")?,
        escalation: u8::try_from(escalation)
            .map_err(|_source| malformed(format!("escalation {escalation} of an alert")))?,
        escalate_at: escalate_at
            .map(|at| time(at, "escalation of an alert"))
            .transpose()?,
        notified: row.get(9)?,
        version: uint(row.get(10)?, "version of an alert")?,
        facts: row.get(11)?,
    })
}

/// Id of an alert, or digest of its group.
pub(crate) fn digest(row: &Row<'_>, index: usize) -> Result<[u8; 32], Failure> {
    let what = "digest of an alert";
    let bytes = row.get_ref(index)?.as_blob();
    Ok(fixed(bytes.map_err(|_type| malformed(what))?, what)?)
}
