//! The outbox of `Alerts`: what waits for a handler, in order.

use std::time::Duration;

use audit_event::Timestamp;
use audit_store::alerts::DELIVERIES_MAX;
use audit_store::{AlertId, AlertWrite, Delivery, NewDelivery, OutboxState, StoreError};
use rusqlite::{Row, Transaction, params};

use crate::alerts::digest;
use crate::code::{int, span, time, uint, uint32};
use crate::database::Database;
use crate::error::Failure;

const DELIVERY: &str =
    "number, alert, group_digest, handler, key, payload, written_at, attempts, error";

impl Database {
    pub(crate) async fn take_deliveries(
        &self,
        handler: &str,
        hold: Duration,
        most: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        let (handler, most) = (handler.to_owned(), most.min(DELIVERIES_MAX));
        let now = self.now()?;
        self.write("take deliveries", move |transaction| {
            let mut taken = waiting(transaction, &handler, now, most)?;
            let sql = "UPDATE alert_delivery SET held_until = ?2, attempts = ?3 WHERE number = ?1";
            let mut statement = transaction.prepare_cached(sql)?;
            let held_until = now.micros().saturating_add(span(hold));
            for delivery in &mut taken {
                delivery.attempts = delivery.attempts.saturating_add(1);
                statement.execute(params![
                    int(delivery.number)?,
                    held_until,
                    delivery.attempts
                ])?;
            }
            Ok(taken)
        })
        .await
    }

    pub(crate) async fn settle_delivered(&self, number: u64) -> Result<(), StoreError> {
        let number = int(number)?;
        self.write("settle a delivery", move |transaction| {
            let sql =
                "UPDATE alert_delivery SET state = 2, payload = '', error = '' WHERE number = ?1";
            transaction.execute(sql, [number])?;
            Ok(())
        })
        .await
    }

    pub(crate) async fn put_delivery_off(
        &self,
        taken: &Delivery,
        wait: Duration,
        error: &str,
    ) -> Result<(), StoreError> {
        let (number, attempts) = (int(taken.number)?, taken.attempts);
        let (error, now) = (without_nul(error), self.now()?);
        self.write("put a delivery off", move |transaction| {
            let sql = "UPDATE alert_delivery SET held_until = ?2, error = ?3
                WHERE number = ?1 AND state = 0 AND attempts = ?4";
            let until = now.micros().saturating_add(span(wait));
            transaction.execute(sql, params![number, until, error, attempts])?;
            Ok(())
        })
        .await
    }

    pub(crate) async fn give_delivery_up(
        &self,
        taken: &Delivery,
        error: &str,
    ) -> Result<(), StoreError> {
        let (number, attempts) = (int(taken.number)?, taken.attempts);
        let error = without_nul(error);
        self.write("give a delivery up", move |transaction| {
            let sql = "UPDATE alert_delivery SET state = 1, error = ?2
                WHERE number = ?1 AND state = 0 AND attempts = ?3";
            transaction.execute(sql, params![number, error, attempts])?;
            Ok(())
        })
        .await
    }

    pub(crate) async fn deliveries_given_up(
        &self,
        handler: &str,
        most: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        let (handler, most) = (handler.to_owned(), most.min(DELIVERIES_MAX));
        self.read("list deliveries given up", move |connection| {
            let sql = format!(
                "SELECT {DELIVERY} FROM alert_delivery WHERE handler = ?1 AND state = 1 ORDER BY number LIMIT ?2"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![handler, most])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(read(row)?);
            }
            Ok(found)
        })
        .await
    }

    pub(crate) async fn revive_deliveries(&self, handler: &str) -> Result<u64, StoreError> {
        let handler = handler.to_owned();
        self.write("revive deliveries", move |transaction| {
            let sql =
                "UPDATE alert_delivery SET state = 0, held_until = 0, attempts = 0, error = ''
                WHERE handler = ?1 AND state = 1";
            Ok(transaction.execute(sql, [handler])? as u64)
        })
        .await
    }

    pub(crate) async fn outbox_states(&self) -> Result<Vec<OutboxState>, StoreError> {
        self.read("look into the outbox", |connection| {
            // Each half is a walk along its index; what was told, which is most, is never touched.
            let sql = "SELECT handler, sum(waiting), sum(dead), min(oldest) FROM (
                    SELECT handler, count(*) AS waiting, 0 AS dead, min(written_at) AS oldest
                        FROM alert_delivery WHERE state = 0 GROUP BY handler
                    UNION ALL
                    SELECT handler, 0, count(*), NULL FROM alert_delivery WHERE state = 1 GROUP BY handler
                ) GROUP BY handler ORDER BY handler";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(())?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let oldest: Option<i64> = row.get(3)?;
                found.push(OutboxState {
                    handler: row.get(0)?,
                    waiting: uint(row.get(1)?, "waiting deliveries")?,
                    dead: uint(row.get(2)?, "deliveries given up")?,
                    oldest: oldest
                        .map(|at| time(at, "time of a delivery"))
                        .transpose()?,
                });
            }
            Ok(found)
        })
        .await
    }
}

/// Writes what is to be told, unless the handler has its key.
pub(crate) fn insert(
    transaction: &Transaction<'_>,
    alert: &AlertWrite,
    delivery: &NewDelivery,
    now: Timestamp,
) -> Result<(), Failure> {
    let sql = "INSERT INTO alert_delivery (handler, key, alert, group_digest, payload, written_at, held_until, attempts,
            state, error)
        VALUES (?1, ?2, ?3, (SELECT group_digest FROM alert WHERE id = ?3), ?4, ?5, 0, 0, 0, '')
        ON CONFLICT (handler, key) DO NOTHING";
    transaction.prepare_cached(sql)?.execute(params![
        delivery.handler,
        delivery.key,
        alert.id.0,
        delivery.payload,
        now.micros()
    ])?;
    Ok(())
}

/// What a handler may have now: of each group the oldest that waits, unless it is held or put off.
fn waiting(
    transaction: &Transaction<'_>,
    handler: &str,
    now: Timestamp,
    most: u32,
) -> Result<Vec<Delivery>, Failure> {
    let sql = format!(
        "SELECT {DELIVERY} FROM alert_delivery AS one WHERE handler = ?1 AND state = 0 AND held_until <= ?2
            AND NOT EXISTS (SELECT 1 FROM alert_delivery AS older WHERE older.handler = ?1 AND older.state = 0
                AND older.group_digest = one.group_digest AND older.number < one.number)
        ORDER BY number LIMIT ?3"
    );
    let mut statement = transaction.prepare_cached(&sql)?;
    let mut rows = statement.query(params![handler, now.micros(), most])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn read(row: &Row<'_>) -> Result<Delivery, Failure> {
    Ok(Delivery {
        number: uint(row.get(0)?, "number of a delivery")?,
        alert: AlertId(digest(row, 1)?),
        group: digest(row, 2)?,
        what: NewDelivery {
            handler: row.get(3)?,
            key: row.get(4)?,
            payload: row.get(5)?,
        },
        written_at: time(row.get(6)?, "time of a delivery")?,
        attempts: uint32(row.get(7)?, "attempts of a delivery")?,
        error: row.get(8)?,
    })
}

/// Reasons come from foreign servers, and the port promises no NUL in them.
fn without_nul(text: &str) -> String {
    text.replace('\0', "")
}
