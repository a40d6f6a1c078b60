//! The outbox of `Alerts`: what waits for a handler, in order.

use std::time::Duration;

use audit_store::alerts::DELIVERIES_MAX;
use audit_store::{AlertId, Delivery, NewDelivery, OutboxState, StoreError};
use tokio_postgres::Row;

use crate::alerts::digest;
use crate::code::{int, int32, span, uint, uint32};
use crate::database::Database;
use crate::value::{get, optional_time, time};

/// Of two who take at the same time one has the lock and the other goes on without waiting; who comes a moment later finds it
/// held. An older one that was settled since the statement began only makes those behind it wait for the next call.
const TAKE: &str = "WITH next AS MATERIALIZED (
        SELECT number FROM audit.alert_delivery AS one
        WHERE handler = $1 AND state = 0 AND held_until <= clock_timestamp()
            AND NOT EXISTS (SELECT FROM audit.alert_delivery AS older WHERE older.handler = $1 AND older.state = 0
                AND older.group_digest = one.group_digest AND older.number < one.number)
        ORDER BY number LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    UPDATE audit.alert_delivery AS taken
    SET held_until = clock_timestamp() + $3::bigint * interval '1 microsecond', attempts = attempts + 1
    FROM next WHERE taken.number = next.number
    RETURNING taken.number, alert, group_digest, handler, key, payload, written_at, attempts, error";

/// Each half is a walk along its index; what was told, which is most, is never touched.
const OUTBOX: &str = "SELECT handler, sum(waiting)::bigint, sum(dead)::bigint, min(oldest) FROM (
        SELECT handler, count(*) AS waiting, 0 AS dead, min(written_at) AS oldest
            FROM audit.alert_delivery WHERE state = 0 GROUP BY handler
        UNION ALL
        SELECT handler, 0, count(*), NULL FROM audit.alert_delivery WHERE state = 1 GROUP BY handler
    ) AS halves GROUP BY handler ORDER BY handler";

impl Database {
    pub(crate) async fn take_deliveries(
        &self,
        handler: &str,
        hold: Duration,
        most: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        let most = i64::from(most.min(DELIVERIES_MAX));
        let rows = self
            .query("take deliveries", TAKE, &[&handler, &most, &span(hold)])
            .await?;
        let mut taken: Vec<_> = rows.iter().map(read).collect::<Result<_, _>>()?;
        // What an UPDATE returns has no order.
        taken.sort_by_key(|delivery| delivery.number);
        Ok(taken)
    }

    pub(crate) async fn settle_delivered(&self, number: u64) -> Result<(), StoreError> {
        let sql =
            "UPDATE audit.alert_delivery SET state = 2, payload = '', error = '' WHERE number = $1";
        self.execute("settle a delivery", sql, &[&int(number)?])
            .await
            .map(|_rows| ())
    }

    pub(crate) async fn put_delivery_off(
        &self,
        taken: &Delivery,
        wait: Duration,
        error: &str,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE audit.alert_delivery SET error = $3,
                held_until = clock_timestamp() + $2::bigint * interval '1 microsecond'
            WHERE number = $1 AND state = 0 AND attempts = $4";
        let (number, error) = (int(taken.number)?, without_nul(error));
        let attempts = int32(taken.attempts)?;
        self.execute(
            "put a delivery off",
            sql,
            &[&number, &span(wait), &error, &attempts],
        )
        .await
        .map(|_rows| ())
    }

    pub(crate) async fn give_delivery_up(
        &self,
        taken: &Delivery,
        error: &str,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE audit.alert_delivery SET state = 1, error = $2
            WHERE number = $1 AND state = 0 AND attempts = $3";
        let (number, error) = (int(taken.number)?, without_nul(error));
        let attempts = int32(taken.attempts)?;
        self.execute("give a delivery up", sql, &[&number, &error, &attempts])
            .await
            .map(|_rows| ())
    }

    pub(crate) async fn deliveries_given_up(
        &self,
        handler: &str,
        most: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        let sql =
            "SELECT number, alert, group_digest, handler, key, payload, written_at, attempts, error
            FROM audit.alert_delivery WHERE handler = $1 AND state = 1 ORDER BY number LIMIT $2";
        let most = i64::from(most.min(DELIVERIES_MAX));
        let rows = self
            .query("list deliveries given up", sql, &[&handler, &most])
            .await?;
        rows.iter().map(read).collect()
    }

    pub(crate) async fn revive_deliveries(&self, handler: &str) -> Result<u64, StoreError> {
        let sql = "UPDATE audit.alert_delivery SET state = 0, held_until = '-infinity', attempts = 0, error = ''
            WHERE handler = $1 AND state = 1";
        self.execute("revive deliveries", sql, &[&handler]).await
    }

    pub(crate) async fn outbox_states(&self) -> Result<Vec<OutboxState>, StoreError> {
        let rows = self.query("look into the outbox", OUTBOX, &[]).await?;
        let states = rows.iter().map(|row| {
            Ok(OutboxState {
                handler: get(row, 0, "handler")?,
                waiting: uint(get(row, 1, "waiting deliveries")?, "waiting deliveries")?,
                dead: uint(get(row, 2, "deliveries given up")?, "deliveries given up")?,
                oldest: optional_time(row, 3, "time of a delivery")?,
            })
        });
        states.collect()
    }
}

fn read(row: &Row) -> Result<Delivery, StoreError> {
    let number = get(row, 0, "number of a delivery")?;
    let attempts = get(row, 7, "attempts of a delivery")?;
    Ok(Delivery {
        number: uint(number, "number of a delivery")?,
        alert: AlertId(digest(row, 1)?),
        group: digest(row, 2)?,
        what: NewDelivery {
            handler: get(row, 3, "handler of a delivery")?,
            key: get(row, 4, "key of a delivery")?,
            payload: get(row, 5, "payload of a delivery")?,
        },
        written_at: time(row, 6, "time of a delivery")?,
        attempts: uint32(attempts, "attempts of a delivery")?,
        error: get(row, 8, "error of a delivery")?,
    })
}

/// Reasons come from foreign servers, and this one keeps no NUL.
fn without_nul(text: &str) -> String {
    text.replace('\0', "")
}
