//! Writing alerts with their deliveries, and forgetting them: a transaction each.
//!
//! Everybody who writes takes locks in one order, so that two never wait for each other: alerts by id, then groups by digest,
//! then the deliveries. What is forgotten is locked only where nobody else has it.

use std::time::Instant;

use audit_event::Timestamp;
use audit_store::{AlertWrite, AlertWritten, NewDelivery, StoreError};
use deadpool_postgres::Transaction;
use futures::future::join_all;
use tokio_postgres::types::ToSql;

use crate::code::{alert_level_code, alert_state_code, int, span};
use crate::database::Database;
use crate::error::Failure;
use crate::pool::Object;
use crate::session::settle;
use crate::value::{Micros, get};

const INSERT: &str = "INSERT INTO audit.alert (id, group_digest, organization_id, rule, level, state, raised_at, escalation,
        escalate_at, notified, version, facts)
    VALUES ($1, $2, $3, $4, $5, $6, statement_timestamp(), $7, statement_timestamp() + $8::bigint * interval '1 microsecond',
        false, 1, $9)
    ON CONFLICT (id) DO NOTHING";

const UPDATE: &str = "UPDATE audit.alert SET level = $3, state = $4, escalation = $5,
        escalate_at = statement_timestamp() + $6::bigint * interval '1 microsecond', facts = $7, version = version + 1
    WHERE id = $1 AND version = $2";

/// Whoever waited for another compares with what that one wrote, by the clock of then. Without a cooldown nothing is compared.
const NOTIFY: &str = "INSERT INTO audit.alert_group AS known (group_digest, notified_at) VALUES ($1, clock_timestamp())
    ON CONFLICT (group_digest) DO UPDATE SET notified_at = clock_timestamp()
    WHERE $2::bigint = 0 OR known.notified_at <= clock_timestamp() - $2::bigint * interval '1 microsecond'";

/// Holds the group and begins no cooldown.
const HOLD: &str =
    "INSERT INTO audit.alert_group AS known (group_digest, notified_at) VALUES ($1, '-infinity')
    ON CONFLICT (group_digest) DO UPDATE SET notified_at = known.notified_at";

/// Numbered after the groups are held: in a group, numbers follow the order of the commits.
const DELIVER: &str = "INSERT INTO audit.alert_delivery (handler, key, alert, group_digest, payload, written_at, held_until,
        attempts, state, error)
    SELECT new.handler, new.key, new.alert, alert.group_digest, new.payload, statement_timestamp(), '-infinity', 0, 0, ''
    FROM unnest($1::text[], $2::text[], $3::bytea[], $4::text[]) WITH ORDINALITY AS new (handler, key, alert, payload, place)
        JOIN audit.alert AS alert ON alert.id = new.alert
    ORDER BY new.place
    ON CONFLICT (handler, key) DO NOTHING";

impl Database {
    pub(super) async fn write_alerts(
        &self,
        alerts: &[AlertWrite],
    ) -> Result<Vec<AlertWritten>, StoreError> {
        alerts.iter().try_for_each(AlertWrite::check)?;
        let what = "write alerts";
        let now = self.now();
        let outcome = async {
            let mut client = now.primary.connection().await?;
            let (began, patience) = (Instant::now(), now.primary.patience());
            let done = tokio::time::timeout(patience, write(&mut client, alerts)).await;
            now.primary.note(what, began.elapsed());
            settle(client, done, patience)
        };
        outcome
            .await
            .map_err(|failure: Failure| failure.into_store(what))
    }

    pub(super) async fn forget_resolved_alerts(
        &self,
        before: Timestamp,
        most: u32,
    ) -> Result<u64, StoreError> {
        let what = "forget alerts";
        let now = self.now();
        let outcome = async {
            let mut client = now.primary.connection().await?;
            let (began, patience) = (Instant::now(), now.primary.patience());
            let done = tokio::time::timeout(patience, forget(&mut client, before, most)).await;
            now.primary.note(what, began.elapsed());
            settle(client, done, patience)
        };
        outcome
            .await
            .map_err(|failure: Failure| failure.into_store(what))
    }
}

/// An alert to write, its place in the call, and what became of it.
struct Writing<'a> {
    alert: &'a AlertWrite,
    place: usize,
    kept: bool,
    told: bool,
}

async fn write(client: &mut Object, alerts: &[AlertWrite]) -> Result<Vec<AlertWritten>, Failure> {
    let transaction = client.transaction().await?;
    let mut all: Vec<_> = alerts
        .iter()
        .enumerate()
        .map(|(place, alert)| Writing {
            alert,
            place,
            kept: false,
            told: false,
        })
        .collect();
    all.sort_by_key(|one| one.alert.id);
    keep(&transaction, &mut all).await?;
    all.sort_by_key(|one| (one.alert.group, one.place));
    tell(&transaction, &mut all).await?;
    all.sort_by_key(|one| one.place);
    deliver(&transaction, &all).await?;
    transaction.commit().await?;
    let written = all.iter().map(|one| match (one.kept, one.told) {
        (true, notified) => AlertWritten::Done { notified },
        (false, _) => AlertWritten::Moved,
    });
    Ok(written.collect())
}

/// Writes the records. All are sent before the first answer comes.
async fn keep(transaction: &Transaction<'_>, all: &mut [Writing<'_>]) -> Result<(), Failure> {
    let (insert, update) = (
        transaction.prepare_cached(INSERT).await?,
        transaction.prepare_cached(UPDATE).await?,
    );
    let (insert, update) = (&insert, &update);
    let keeping = all.iter().map(|one| async move {
        let alert = one.alert;
        let id = alert.id.0.as_slice();
        let (level, state) = (alert_level_code(alert.level), alert_state_code(alert.state));
        let escalation = i16::from(alert.escalation);
        let escalate_after = alert.escalate_after.map(span);
        let changed = if alert.expected == 0 {
            let (group, organization) = (alert.group.as_slice(), alert.organization_id.as_str());
            let values: [&(dyn ToSql + Sync); 9] = [
                &id,
                &group,
                &organization,
                &alert.rule,
                &level,
                &state,
                &escalation,
                &escalate_after,
                &alert.facts,
            ];
            transaction.execute(insert, &values).await?
        } else {
            let expected = int(alert.expected)?;
            let values: [&(dyn ToSql + Sync); 7] = [
                &id,
                &expected,
                &level,
                &state,
                &escalation,
                &escalate_after,
                &alert.facts,
            ];
            transaction.execute(update, &values).await?
        };
        Ok::<_, Failure>(changed == 1)
    });
    let kept = join_all(keeping).await;
    for (one, kept) in all.iter_mut().zip(kept) {
        one.kept = kept?;
    }
    Ok(())
}

/// Decides what is told, and holds the groups of it.
async fn tell(transaction: &Transaction<'_>, all: &mut [Writing<'_>]) -> Result<(), Failure> {
    let (notify, hold) = (
        transaction.prepare_cached(NOTIFY).await?,
        transaction.prepare_cached(HOLD).await?,
    );
    for one in all
        .iter_mut()
        .filter(|one| one.kept && !one.alert.deliveries.is_empty())
    {
        let group = one.alert.group.as_slice();
        one.told = if one.alert.expected == 0 {
            let cooldown = span(one.alert.cooldown);
            transaction.execute(&notify, &[&group, &cooldown]).await? == 1
        } else {
            transaction.execute(&hold, &[&group]).await?;
            true
        };
    }
    Ok(())
}

/// Writes what is told.
async fn deliver(transaction: &Transaction<'_>, all: &[Writing<'_>]) -> Result<(), Failure> {
    let told = || all.iter().filter(|one| one.told).map(|one| one.alert);
    let raised: Vec<&[u8]> = told()
        .filter(|alert| alert.expected == 0)
        .map(|alert| alert.id.0.as_slice())
        .collect();
    if !raised.is_empty() {
        let sql = "UPDATE audit.alert SET notified = true WHERE id = ANY ($1)";
        let notified = transaction.prepare_cached(sql).await?;
        transaction.execute(&notified, &[&raised]).await?;
    }
    let new: Vec<(&AlertWrite, &NewDelivery)> = told()
        .flat_map(|alert| alert.deliveries.iter().map(move |one| (alert, one)))
        .collect();
    if new.is_empty() {
        return Ok(());
    }
    let of = |part: fn(&NewDelivery) -> &str| new.iter().map(|(_, one)| part(one)).collect();
    let handlers: Vec<&str> = of(|one| &one.handler);
    let keys: Vec<&str> = of(|one| &one.key);
    let payloads: Vec<&str> = of(|one| &one.payload);
    let alerts: Vec<&[u8]> = new.iter().map(|(alert, _)| alert.id.0.as_slice()).collect();
    let deliver = transaction.prepare_cached(DELIVER).await?;
    transaction
        .execute(&deliver, &[&handlers, &keys, &alerts, &payloads])
        .await?;
    Ok(())
}

/// Locks first and looks then: each statement sees what was committed before it began, so after the locks nothing can change.
async fn forget(client: &mut Object, before: Timestamp, most: u32) -> Result<u64, Failure> {
    let (before, most) = (Micros::from(before), i64::from(most));
    let transaction = client.transaction().await?;
    let find = "SELECT id FROM audit.alert WHERE state = 2 AND raised_at < $1
            AND NOT EXISTS (SELECT FROM audit.alert_delivery WHERE alert = alert.id AND alert_delivery.state = 0)
        ORDER BY raised_at, id LIMIT $2 FOR UPDATE SKIP LOCKED";
    let find = transaction.prepare_cached(find).await?;
    let mut ids: Vec<Vec<u8>> = Vec::new();
    for row in transaction.query(&find, &[&before, &most]).await? {
        ids.push(get(&row, 0, "alert")?);
    }
    let lock = "SELECT FROM audit.alert_delivery WHERE alert = ANY ($1) ORDER BY number FOR UPDATE";
    let drop_deliveries = "DELETE FROM audit.alert_delivery AS one WHERE alert = ANY ($1)
        AND NOT EXISTS (SELECT FROM audit.alert_delivery AS other WHERE other.alert = one.alert AND other.state = 0)";
    let drop_alerts = "DELETE FROM audit.alert WHERE id = ANY ($1)
        AND NOT EXISTS (SELECT FROM audit.alert_delivery WHERE alert = alert.id)";
    let mut forgotten = 0;
    for sql in [lock, drop_deliveries, drop_alerts] {
        let statement = transaction.prepare_cached(sql).await?;
        forgotten = transaction.execute(&statement, &[&ids]).await?;
    }
    let drop_groups = "DELETE FROM audit.alert_group WHERE group_digest IN (SELECT told.group_digest FROM audit.alert_group AS told
            WHERE told.notified_at < $1
                AND NOT EXISTS (SELECT FROM audit.alert WHERE alert.group_digest = told.group_digest)
            ORDER BY told.notified_at LIMIT $2 FOR UPDATE SKIP LOCKED)";
    let drop_groups = transaction.prepare_cached(drop_groups).await?;
    transaction.execute(&drop_groups, &[&before, &most]).await?;
    transaction.commit().await?;
    Ok(forgotten)
}
