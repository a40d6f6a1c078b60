//! What every port of one opened store shares.

use std::sync::{Arc, PoisonError, RwLock};

use audit_integrity::ledger::LedgerId;
use audit_store::StoreError;
use tokio_postgres::Row;

use crate::elsewhere::Elsewhere;
use crate::error::{Failure, OpenError};
use crate::identity::Identity;
use crate::lane::{LaneSession, Lanes};
use crate::partition::Months;
use crate::session::{Params, Sessions};
use crate::settings::Settings;

/// Everything of one opened store; each port is implemented on it in a file of its own.
#[derive(Debug)]
pub(crate) struct Database {
    /// What a call works with that begins now. Replaced as a whole; held for moments only, never while waiting.
    current: RwLock<Arc<Connected>>,
    /// Whose database it has to be.
    pub(crate) identity: Identity,
    /// The connections on which lanes commit.
    pub(crate) lanes: Lanes,
    pub(crate) months: Months,
}

/// The pools, and the settings that they are made by. A call keeps what it began with to its end.
#[derive(Debug)]
pub(crate) struct Connected {
    /// Which of those this store has had, from 0.
    pub(crate) generation: u64,
    /// The first generation whose connections are as good as those of this one.
    pub(crate) since: u64,
    pub(crate) settings: Settings,
    /// Reads that must see every commit, and small writes.
    pub(crate) primary: Sessions,
    /// Searches, when they go to another server.
    pub(crate) elsewhere: Option<Elsewhere>,
}

impl Connected {
    /// Connects to nothing yet.
    pub(crate) fn new(settings: Settings, identity: &Identity) -> Result<Self, OpenError> {
        Self::made(settings, identity, None)
    }

    /// What comes after this one. Where connections lead stays the same mostly: then those that are idle go on there, told anew.
    pub(crate) fn next(&self, settings: Settings, identity: &Identity) -> Result<Self, OpenError> {
        Self::made(settings, identity, Some(self))
    }

    fn made(
        settings: Settings,
        identity: &Identity,
        before: Option<&Self>,
    ) -> Result<Self, OpenError> {
        settings.check()?;
        let generation = before.map_or(0, |before| before.generation.saturating_add(1));
        let alike = before.filter(|before| before.settings.connect_as(&settings));
        let idle = alike.map(|before| &before.primary);
        let primary = Sessions::new(&settings, &settings.primary, identity, idle)?;
        let idle = alike.and_then(|before| before.elsewhere.as_ref());
        let other = settings.searches.as_ref();
        let elsewhere = other.map(|address| Elsewhere::new(&settings, address, identity, idle));
        Ok(Self {
            generation,
            since: alike.map_or(generation, |before| before.since),
            primary,
            elsewhere: elsewhere.transpose()?,
            settings,
        })
    }

    /// These settings, but for what says what opening does: that was done.
    fn opened_by(&self, settings: Settings) -> Settings {
        Settings {
            migrate: self.settings.migrate,
            profile: self.settings.profile,
            ..settings
        }
    }

    /// Closes the connections that are idle; those in use close when their call ends, and no new ones are made.
    pub(crate) fn close(&self) {
        self.primary.pool.close();
        if let Some(elsewhere) = &self.elsewhere {
            elsewhere.sessions.pool.close();
        }
    }
}

impl Database {
    pub(crate) fn new(connected: Connected, identity: Identity) -> Self {
        Self {
            current: RwLock::new(Arc::new(connected)),
            identity,
            lanes: Lanes::default(),
            months: Months::default(),
        }
    }

    /// What a call works with that begins now.
    pub(crate) fn now(&self) -> Arc<Connected> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    /// Whether connections of these settings would be as good as those that there are.
    pub(crate) fn is_alike(&self, settings: &Settings) -> bool {
        let now = self.now();
        now.settings.connect_as(&now.opened_by(settings.clone()))
    }

    /// Has every call that begins from now on work with new pools, if these are settings that can be.
    pub(crate) fn reconnect(&self, settings: Settings) -> Result<(), OpenError> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let settings = current.opened_by(settings);
        if settings == current.settings {
            return Ok(());
        }
        let next = current.next(settings, &self.identity)?;
        if current.primary.pool.is_closed() {
            next.close();
        }
        let leads_elsewhere = next.since != current.since;
        // The pools before are not closed: whoever waits for one of their connections gets it. They go with their last call.
        *current = Arc::new(next);
        drop(current);
        if leads_elsewhere {
            self.months.forget();
            self.lanes.close_all();
        }
        Ok(())
    }

    /// Keeps a lane's connection for its next commit, unless the next one is to be made elsewhere.
    pub(crate) fn put_back(&self, ledger: LedgerId, session: LaneSession) {
        if session.since == self.now().since {
            self.lanes.put_back(ledger, session);
        }
    }

    pub(crate) async fn query(
        &self,
        what: &'static str,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Vec<Row>, StoreError> {
        self.now().primary.query(what, sql, params).await
    }

    pub(crate) async fn query_opt(
        &self,
        what: &'static str,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Option<Row>, StoreError> {
        self.now().primary.query_opt(what, sql, params).await
    }

    pub(crate) async fn execute(
        &self,
        what: &'static str,
        sql: &str,
        params: Params<'_>,
    ) -> Result<u64, StoreError> {
        let done = self.now().primary.execute(what, sql, params).await;
        done.map_err(|failure| failure.into_store(what))
    }

    /// As [`Self::execute`], for those who look at the failure themselves.
    pub(crate) async fn try_execute(
        &self,
        what: &'static str,
        sql: &str,
        params: Params<'_>,
    ) -> Result<u64, Failure> {
        self.now().primary.execute(what, sql, params).await
    }
}
