//! A store in a database of its own.

use async_trait::async_trait;
use audit_store::Store;
use audit_store::conformance::TestStore;
pub(crate) use audit_store::conformance::scene::agree;
use audit_store_postgres::{PostgresStore, Settings};
use audit_testkit::postgres::PostgresServer;

/// A store under test, on the server that all tests share. Its database goes with the server: dropping it costs a checkpoint.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) server: &'static PostgresServer,
    pub(crate) database: String,
    pub(crate) open: PostgresStore,
}

/// Settings for a test's store: few connections, because there are many tests; searches over connections of their own.
pub(crate) fn settings(url: &str) -> Settings {
    Settings {
        connections_max: 4,
        searches: Some(url.parse().unwrap()),
        ..Settings::new(url.parse().unwrap())
    }
}

impl Place {
    pub(crate) async fn new() -> Self {
        let server = PostgresServer::shared();
        let database = server.create_database();
        let open = PostgresStore::open(settings(&server.url(&database)))
            .await
            .unwrap();
        Self {
            server,
            database,
            open,
        }
    }

    /// Runs statements as the superuser, behind the store's back.
    pub(crate) fn sql(&self, statements: &str) -> String {
        self.server.sql(&self.database, statements)
    }
}

#[async_trait]
impl TestStore for Place {
    fn store(&self) -> Store {
        self.open.store()
    }

    /// Every connection of the process is cut by the server, whatever it was doing, as when the process is killed; another one
    /// opens the same database. (What a killed server loses is a test of its own.)
    async fn crash(&mut self) {
        self.sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
        );
        self.open = PostgresStore::open(settings(&self.server.url(&self.database)))
            .await
            .unwrap();
    }

    /// The database's clock cannot be moved, so everything that is compared with it is: that is the same to whoever compares.
    async fn pass(&mut self, micros: i64) {
        let earlier = [
            ("lease", "expires_at"),
            ("alert", "escalate_at"),
            ("alert_group", "notified_at"),
            ("alert_delivery", "held_until"),
        ]
        .map(|(table, at)| {
            format!("UPDATE audit.{table} SET {at} = {at} - {micros} * interval '1 microsecond';")
        });
        self.sql(&earlier.concat());
    }
}
