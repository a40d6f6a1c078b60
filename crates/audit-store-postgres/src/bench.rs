//! The reference of benchmarks: the same rows into the same schema by COPY and nothing else; and a database of its own for each
//! measurement.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use audit_event::Timestamp;
use audit_integrity::entry::SealedEvent;
use audit_store::StoreError;
use bytes::Bytes;
use futures::SinkExt as _;
use tokio_postgres::Statement;

use crate::copy::{COPY, Rows};
use crate::error::{Failure, OpenError, refused};
use crate::identity::Identity;
use crate::partition::Months;
use crate::pool::Object;
use crate::session::Sessions;
use crate::settings::{ConnectionString, Settings};
use crate::store::PostgresStore;
use crate::value::get;

/// Making or dropping a database copies or removes its files, and waits for the disk.
const PATIENCE: Duration = Duration::from_secs(120);

/// The address of another database on the same server, for the same user.
#[must_use]
pub fn address_of(address: &str, database: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else {
        // The last of two pairs with the same name counts.
        return format!("{address} dbname={database}");
    };
    let (place, parameters) = match rest.split_once('?') {
        Some((place, parameters)) => (place, format!("?{parameters}")),
        None => (rest, String::new()),
    };
    let host = place.split('/').next().unwrap_or(place);
    format!("{scheme}://{host}/{database}{parameters}")
}

/// A server on which databases can be made and dropped.
#[derive(Debug)]
pub struct Server {
    address: String,
    sessions: Sessions,
}

impl Server {
    /// Connects to nothing yet. `address` names a user who may make databases, and any database to be connected to meanwhile.
    ///
    /// # Errors
    /// When the address cannot be.
    pub fn at(address: &str) -> Result<Self, OpenError> {
        let settings = patient(address)?;
        let sessions = Sessions::new(&settings, &settings.primary, &Identity::default(), None)?;
        Ok(Self {
            address: address.to_owned(),
            sessions,
        })
    }

    /// Makes an empty database, and gives back its address. The name must be of letters, digits and underscores.
    ///
    /// # Errors
    /// Why it cannot.
    pub async fn create(&self, name: &str) -> Result<String, StoreError> {
        check_name(name)?;
        self.run("make a database", &format!("CREATE DATABASE {name}"))
            .await?;
        Ok(address_of(&self.address, name))
    }

    /// Drops a database, whoever is connected to it; nothing when it is not there.
    ///
    /// # Errors
    /// Why it cannot.
    pub async fn drop(&self, name: &str) -> Result<(), StoreError> {
        check_name(name)?;
        let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        self.run("drop a database", &sql).await
    }

    /// Has the server write out what it holds, so that one measurement does not pay for the one before. Users who may not
    /// do so measure without.
    pub async fn settle(&self) {
        // Left undone it makes numbers noisier, not wrong.
        self.run("checkpoint", "CHECKPOINT").await.ok();
    }

    /// Process id of one of its sessions, when it runs on this machine.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn local_process(&self) -> Result<Option<u32>, StoreError> {
        let sql = "SELECT pg_backend_pid(), coalesce(inet_server_addr() <<= '127.0.0.0/8' OR inet_server_addr() = '::1', true)";
        let row = self
            .sessions
            .query_opt("find the server's process", sql, &[])
            .await?;
        let Some(row) = row else { return Ok(None) };
        let (process, local): (i32, bool) = (get(&row, 0, "process id")?, get(&row, 1, "address")?);
        Ok(u32::try_from(process).ok().filter(|_process| local))
    }

    async fn run(&self, what: &'static str, sql: &str) -> Result<(), StoreError> {
        let done = async {
            let client = self.sessions.connection().await?;
            client.batch_execute(sql).await?;
            Ok(())
        };
        done.await
            .map_err(|failure: Failure| failure.into_store(what))
    }
}

/// Rows as the store sends them, a COPY each, ready before the clock starts.
#[derive(Debug)]
pub struct Copies {
    transaction_rows: usize,
    rows: usize,
    transactions: Vec<Vec<Bytes>>,
    /// The first event of each, whose month is given a partition. A month that no transaction begins with is missed, and told.
    times: Vec<Timestamp>,
}

impl Copies {
    /// None yet; `transaction_rows` to a transaction.
    #[must_use]
    pub fn new(transaction_rows: usize) -> Self {
        Self {
            transaction_rows: transaction_rows.max(1),
            rows: 0,
            transactions: Vec::new(),
            times: Vec::new(),
        }
    }

    /// Adds events, which begin a transaction of their own.
    ///
    /// # Errors
    /// When a column is too long for a row.
    pub fn add(&mut self, events: &[SealedEvent]) -> Result<(), StoreError> {
        for events in events.chunks(self.transaction_rows) {
            let rows = Rows::encode(events)?;
            self.rows += rows.len();
            self.times.extend(rows.times().next());
            self.transactions.push(rows.pieces(0..rows.len()));
        }
        Ok(())
    }
}

/// What the reference reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BareCopy {
    /// Rows copied.
    pub rows: usize,
    /// From the first BEGIN to the last COMMIT.
    pub elapsed: Duration,
}

/// The reference, with everything ready but the rows.
#[derive(Debug)]
pub struct Reference {
    copies: Arc<Copies>,
    clients: Vec<(Object, Statement)>,
}

impl Reference {
    /// Makes the store's schema with all its indexes in an empty database, and opens so many connections with its session settings.
    ///
    /// # Errors
    /// Why it cannot.
    pub async fn open(
        address: &str,
        copies: Arc<Copies>,
        connections: usize,
    ) -> Result<Self, StoreError> {
        let opened = async {
            let settings = patient(address)?;
            PostgresStore::open(settings.clone()).await?.close().await;
            Sessions::new(&settings, &settings.primary, &Identity::default(), None)
        };
        let sessions = opened
            .await
            .map_err(|error: OpenError| StoreError::Unavailable {
                what: "open the reference database",
                source: Box::new(error),
            })?;
        let connected = connect(&sessions, &copies, connections).await;
        let clients = connected.map_err(|failure| failure.into_store("prepare the reference"))?;
        Ok(Self { copies, clients })
    }

    /// Copies the rows into the event table, in transactions that are each fsync'd. No ledger, no receipts.
    ///
    /// # Errors
    /// Why they cannot be copied.
    pub async fn copy(&self) -> Result<BareCopy, StoreError> {
        let next = AtomicUsize::new(0);
        let began = Instant::now();
        let work = self.clients.iter().map(|(client, statement)| async {
            let transactions = &self.copies.transactions;
            while let Some(pieces) = transactions.get(next.fetch_add(1, Ordering::Relaxed)) {
                let sink = client.copy_in::<_, Bytes>(statement).await?;
                let mut sink = std::pin::pin!(sink);
                for piece in pieces {
                    sink.feed(piece.clone()).await?;
                }
                sink.finish().await?;
            }
            Ok::<_, Failure>(())
        });
        futures::future::try_join_all(work)
            .await
            .map_err(|failure| failure.into_store("copy reference rows"))?;
        Ok(BareCopy {
            rows: self.copies.rows,
            elapsed: began.elapsed(),
        })
    }
}

async fn connect(
    sessions: &Sessions,
    copies: &Copies,
    connections: usize,
) -> Result<Vec<(Object, Statement)>, Failure> {
    let months = Months::default();
    for at in months.unknown(copies.times.iter().copied()) {
        months.ensure(sessions, at).await?;
    }
    let mut clients = Vec::new();
    for _ in 0..connections.max(1) {
        let client = sessions.connection().await?;
        let statement = client.prepare(COPY).await?;
        clients.push((client, statement));
    }
    Ok(clients)
}

fn patient(address: &str) -> Result<Settings, OpenError> {
    let address: ConnectionString = address.parse()?;
    Ok(Settings {
        statement_timeout: PATIENCE,
        connect_timeout: Duration::from_secs(30),
        ..Settings::new(address)
    })
}

/// Names of databases cannot be parameters.
fn check_name(name: &str) -> Result<(), StoreError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match !name.is_empty() && name.chars().all(plain) {
        true => Ok(()),
        false => Err(refused(
            "a database's name has other characters than letters, digits and underscores",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_another_database_keeps_everything_else() {
        for (address, other) in [
            (
                "postgres://me:pw@db:5433/audit",
                "postgres://me:pw@db:5433/x",
            ),
            ("postgres://db", "postgres://db/x"),
            (
                "postgresql://db/?sslmode=disable",
                "postgresql://db/x?sslmode=disable",
            ),
            (
                "postgresql://%2Frun%2Fpostgresql/audit?user=me",
                "postgresql://%2Frun%2Fpostgresql/x?user=me",
            ),
            ("host=db dbname=audit", "host=db dbname=audit dbname=x"),
        ] {
            assert_eq!(address_of(address, "x"), other);
            let config: tokio_postgres::Config = other.parse().expect("an address");
            assert_eq!(config.get_dbname(), Some("x"), "{other}");
        }
    }

    #[test]
    fn a_name_is_no_statement() {
        check_name("audit_bench_0f").expect("a name");
        for wrong in ["", "x; DROP DATABASE y", "x\"", "ä"] {
            assert!(check_name(wrong).is_err(), "{wrong}");
        }
    }
}
