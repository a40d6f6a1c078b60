//! What every port of one opened store shares.

use audit_store::StoreError;
use tokio_postgres::Row;

use crate::elsewhere::Elsewhere;
use crate::error::Failure;
use crate::lane::Lanes;
use crate::partition::Months;
use crate::session::{Params, Sessions};
use crate::settings::Settings;

/// Everything of one opened store; each port is implemented on it in a file of its own.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) settings: Settings,
    /// Reads that must see every commit, and small writes.
    pub(crate) primary: Sessions,
    /// Searches, when they go to another server.
    pub(crate) elsewhere: Option<Elsewhere>,
    /// The connections on which lanes commit.
    pub(crate) lanes: Lanes,
    pub(crate) months: Months,
}

impl Database {
    pub(crate) async fn query(
        &self,
        what: &'static str,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Vec<Row>, StoreError> {
        self.primary.query(what, sql, params).await
    }

    pub(crate) async fn query_opt(
        &self,
        what: &'static str,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Option<Row>, StoreError> {
        self.primary.query_opt(what, sql, params).await
    }

    pub(crate) async fn execute(
        &self,
        what: &'static str,
        sql: &str,
        params: Params<'_>,
    ) -> Result<u64, StoreError> {
        let done = self.primary.execute(what, sql, params).await;
        done.map_err(|failure| failure.into_store(what))
    }

    /// As [`Self::execute`], for those who look at the failure themselves.
    pub(crate) async fn try_execute(
        &self,
        what: &'static str,
        sql: &str,
        params: Params<'_>,
    ) -> Result<u64, Failure> {
        self.primary.execute(what, sql, params).await
    }
}
