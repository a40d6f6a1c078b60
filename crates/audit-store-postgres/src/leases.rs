//! `Leases`: who may write to which ledger, by the database's clock.

use async_trait::async_trait;
use audit_integrity::head::LedgerState;
use audit_integrity::ledger::LedgerId;
use audit_store::leases::LEASE_MICROS;
use audit_store::{Lease, LeaseInfo, Leases, StoreError};

use crate::code::{int, ledger_code, ledger_of, position, state_code, uint};
use crate::database::Database;
use crate::error::refused;
use crate::lane::SessionId;
use crate::value::get;

/// How long a takeover waits for the end of the session it ended, in milliseconds; what is left of it then is found out by
/// the lock on the head.
const END_MILLIS: i64 = 2_000;

/// The session columns are not in the update, so they still say which connection the last holder committed on.
const ACQUIRE: &str = "INSERT INTO audit.lease AS held (ledger, epoch, owner, expires_at)
    SELECT $1, coalesce((SELECT epoch FROM audit.ledger_head WHERE ledger = $1), 0) + 1, $2,
        clock_timestamp() + $3::bigint * interval '1 microsecond'
    ON CONFLICT (ledger) DO UPDATE SET epoch = greatest(held.epoch + 1, excluded.epoch), owner = excluded.owner,
        expires_at = excluded.expires_at
    WHERE held.owner IS NULL OR held.owner = excluded.owner OR held.expires_at <= clock_timestamp()
    RETURNING epoch, session_pid, session_start";

#[async_trait]
impl Leases for Database {
    async fn acquire(&self, ledger: LedgerId, owner: &str) -> Result<Option<Lease>, StoreError> {
        position(ledger, 0)?;
        let code = ledger_code(ledger);
        let sql = "SELECT state FROM audit.ledger_head WHERE ledger = $1";
        let head = self.query_opt("read a head", sql, &[&code]).await?;
        if let Some(row) = head
            && get::<i16>(&row, 0, "head state")? != state_code(LedgerState::Open)
        {
            return Err(refused(format!("ledger {ledger} takes no more entries")));
        }
        let taken = self
            .query_opt("take a lease", ACQUIRE, &[&code, &owner, &LEASE_MICROS])
            .await?;
        let Some(row) = taken else { return Ok(None) };
        let lease = Lease {
            ledger,
            epoch: uint(get(&row, 0, "lease epoch")?, "lease epoch")?,
            owner: owner.to_owned(),
        };
        let (pid, start) = (
            get(&row, 1, "lease session")?,
            get(&row, 2, "lease session")?,
        );
        if let (Some(pid), Some(start)) = (pid, start) {
            let session = SessionId { pid, start };
            if self.lanes.session_of(ledger) != Some(session) {
                self.end(ledger, session).await?;
            }
        }
        Ok(Some(lease))
    }

    async fn renew(&self, lease: &Lease) -> Result<bool, StoreError> {
        let sql = "UPDATE audit.lease SET expires_at = clock_timestamp() + $4::bigint * interval '1 microsecond'
            WHERE ledger = $1 AND epoch = $2 AND owner = $3";
        let (ledger, epoch) = (ledger_code(lease.ledger), int(lease.epoch)?);
        let renewed = self
            .execute(
                "renew a lease",
                sql,
                &[&ledger, &epoch, &lease.owner, &LEASE_MICROS],
            )
            .await?;
        Ok(renewed == 1)
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let sql = "UPDATE audit.lease SET owner = NULL, session_pid = NULL, session_start = NULL
            WHERE ledger = $1 AND epoch = $2 AND owner = $3";
        let (ledger, epoch) = (ledger_code(lease.ledger), int(lease.epoch)?);
        let released = self
            .execute("release a lease", sql, &[&ledger, &epoch, &lease.owner])
            .await?;
        if released == 1 {
            self.lanes.close(lease.ledger);
        }
        Ok(())
    }

    async fn list(&self) -> Result<Vec<LeaseInfo>, StoreError> {
        let sql = "SELECT ledger, epoch, owner, (extract(epoch FROM expires_at - clock_timestamp()) * 1000000)::bigint
            FROM audit.lease WHERE owner IS NOT NULL ORDER BY ledger < 0, ledger";
        let rows = self.query("read the leases", sql, &[]).await?;
        rows.iter()
            .map(|row| {
                let lease = Lease {
                    ledger: ledger_of(get::<i16>(row, 0, "lease ledger")?.into())?,
                    epoch: uint(get(row, 1, "lease epoch")?, "lease epoch")?,
                    owner: get(row, 2, "lease owner")?,
                };
                Ok(LeaseInfo {
                    lease,
                    expires_in_micros: get(row, 3, "lease expiry")?,
                })
            })
            .collect()
    }
}

impl Database {
    /// Ends the session on which the last holder committed, and waits until nothing of it holds the head any more. Afterwards
    /// what it had in flight is committed or gone, and the new holder reads a head that stands still.
    async fn end(&self, ledger: LedgerId, session: SessionId) -> Result<(), StoreError> {
        let sql = "SELECT pg_terminate_backend(pid, $3) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2";
        let ended = self
            .query(
                "end a lane's session",
                sql,
                &[&session.pid, &session.start, &END_MILLIS],
            )
            .await;
        match ended {
            Ok(rows) if rows.is_empty() => {}
            Ok(_) => {
                tracing::warn!(%ledger, pid = session.pid, "ended the session of the last holder")
            }
            // Without the right to end it (another role's session), the lock below waits for it instead.
            Err(error) => {
                tracing::warn!(%ledger, error = &error as &dyn std::error::Error, "cannot end a session")
            }
        }
        let sql = "SELECT FROM audit.ledger_head WHERE ledger = $1 FOR UPDATE";
        self.execute("wait for a head", sql, &[&ledger_code(ledger)])
            .await
            .map(|_rows| ())
    }
}
