//! A small pool of read-only connections, used on blocking threads.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use audit_store::StoreError;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::connection;
use crate::error::{Failure, OpenError};
use crate::options::Options;

/// Read connections; opened when first needed, kept afterwards.
#[derive(Debug)]
pub(crate) struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    room: Arc<Semaphore>,
    place: Arc<Place>,
}

#[derive(Debug)]
struct Place {
    database: PathBuf,
    search: Option<PathBuf>,
    options: Options,
}

impl Readers {
    pub(crate) fn new(database: PathBuf, search: Option<PathBuf>, options: Options) -> Self {
        let room = usize::try_from(options.readers.max(1)).unwrap_or(1);
        Self {
            idle: Arc::default(),
            room: Arc::new(Semaphore::new(room)),
            place: Arc::new(Place {
                database,
                search,
                options,
            }),
        }
    }

    /// Runs `work` with a connection on a blocking thread. `what` names it in errors.
    pub(crate) async fn call<T, F>(&self, what: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    {
        let away = |source: audit_store::error::Source| StoreError::Unavailable { what, source };
        let permit = Arc::clone(&self.room)
            .acquire_owned()
            .await
            .map_err(|_closed| away("the store is closed".into()))?;
        let (idle, place) = (Arc::clone(&self.idle), Arc::clone(&self.place));
        let job = move || {
            let mut connection = take(&idle, &place).map_err(|error| StoreError::Unavailable {
                what,
                source: Box::new(error),
            })?;
            let outcome = work(&mut connection).map_err(|failure| failure.into_store(what));
            idle.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(connection);
            drop(permit);
            outcome
        };
        tokio::task::spawn_blocking(job)
            .await
            .map_err(|join| away(Box::new(join)))?
    }

    /// Lets no new read begin, waits for those that run, closes the connections.
    pub(crate) async fn close(&self) {
        let all = self.place.options.readers.max(1);
        // Held until the pool is empty, so that no waiting read slips in; an error means that it was closed before.
        let everything = self.room.acquire_many(all).await;
        self.room.close();
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        drop(everything);
    }
}

fn take(idle: &Mutex<Vec<Connection>>, place: &Place) -> Result<Connection, OpenError> {
    let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
    match kept {
        Some(connection) => Ok(connection),
        None => connection::reading(&place.database, place.search.as_deref(), &place.options),
    }
}
