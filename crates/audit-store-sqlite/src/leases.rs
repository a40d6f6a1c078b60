//! `Leases`: who may write to which ledger, by the store's clock.

use async_trait::async_trait;
use audit_integrity::head::LedgerState;
use audit_integrity::ledger::LedgerId;
use audit_store::leases::LEASE_MICROS;
use audit_store::{Lease, LeaseInfo, Leases, StoreError};
use rusqlite::{Connection, OptionalExtension, params};

use crate::code::{int, ledger_code, ledger_of, state_code, uint};
use crate::database::Database;
use crate::error::{Failure, refused};

#[async_trait]
impl Leases for Database {
    async fn acquire(&self, ledger: LedgerId, owner: &str) -> Result<Option<Lease>, StoreError> {
        let (owner, clock) = (owner.to_owned(), self.clock.clone());
        // The clock is asked inside the transaction: waiting for the write thread must not shorten the lease.
        self.write("take a lease", move |transaction| {
            acquire(transaction, ledger, owner, clock.now_micros())
        })
        .await
    }

    async fn renew(&self, lease: &Lease) -> Result<bool, StoreError> {
        let (ledger, owner, epoch) = (
            ledger_code(lease.ledger),
            lease.owner.clone(),
            int(lease.epoch)?,
        );
        let clock = self.clock.clone();
        self.write("renew a lease", move |transaction| {
            let sql =
                "UPDATE lease SET expires_at = ?4 WHERE ledger = ?1 AND epoch = ?2 AND owner = ?3";
            let until = clock.now_micros().saturating_add(LEASE_MICROS);
            Ok(transaction
                .prepare_cached(sql)?
                .execute(params![ledger, epoch, owner, until])?
                == 1)
        })
        .await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let (ledger, owner, epoch) = (
            ledger_code(lease.ledger),
            lease.owner.clone(),
            int(lease.epoch)?,
        );
        self.write("release a lease", move |transaction| {
            let sql =
                "UPDATE lease SET owner = NULL WHERE ledger = ?1 AND epoch = ?2 AND owner = ?3";
            transaction
                .prepare_cached(sql)?
                .execute(params![ledger, epoch, owner])?;
            Ok(())
        })
        .await
    }

    async fn list(&self) -> Result<Vec<LeaseInfo>, StoreError> {
        let now = self.clock.now_micros();
        self.read("read the leases", move |connection| list(connection, now))
            .await
    }
}

fn acquire(
    connection: &Connection,
    ledger: LedgerId,
    owner: String,
    now: i64,
) -> Result<Option<Lease>, Failure> {
    let code = ledger_code(ledger);
    let sql = "SELECT epoch, owner, expires_at FROM lease WHERE ledger = ?1";
    let held: Option<(i64, Option<String>, i64)> = connection
        .query_row(sql, [code], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    if let Some((_, Some(holder), expires_at)) = &held
        && *holder != owner
        && *expires_at > now
    {
        return Ok(None);
    }
    let of_head = head_epoch(connection, ledger)?;
    let epoch = held
        .map_or(0, |(epoch, ..)| epoch)
        .max(of_head)
        .saturating_add(1);
    let sql = "INSERT INTO lease (ledger, epoch, owner, expires_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (ledger) DO UPDATE SET epoch = excluded.epoch, owner = excluded.owner, expires_at = excluded.expires_at";
    connection.execute(
        sql,
        params![code, epoch, owner, now.saturating_add(LEASE_MICROS)],
    )?;
    Ok(Some(Lease {
        ledger,
        epoch: uint(epoch, "lease epoch")?,
        owner,
    }))
}

/// The epoch of the head, 0 when the ledger is not opened yet; refused when it takes no more entries.
fn head_epoch(connection: &Connection, ledger: LedgerId) -> Result<i64, Failure> {
    let sql = "SELECT epoch, state FROM ledger_head WHERE ledger = ?1";
    let head: Option<(i64, i64)> = connection
        .query_row(sql, [ledger_code(ledger)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    match head {
        Some((_, state)) if state != i64::from(state_code(LedgerState::Open)) => {
            Err(refused(format!("ledger {ledger} takes no more entries")).into())
        }
        Some((epoch, _)) => Ok(epoch),
        None => Ok(0),
    }
}

fn list(connection: &Connection, now: i64) -> Result<Vec<LeaseInfo>, Failure> {
    let sql = "SELECT ledger, epoch, owner, expires_at FROM lease WHERE owner IS NOT NULL ORDER BY ledger < 0, ledger";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(())?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let lease = Lease {
            ledger: ledger_of(row.get(0)?)?,
            epoch: uint(row.get(1)?, "lease epoch")?,
            owner: row.get(2)?,
        };
        found.push(LeaseInfo {
            lease,
            expires_in_micros: row.get::<_, i64>(3)?.saturating_sub(now),
        });
    }
    Ok(found)
}
