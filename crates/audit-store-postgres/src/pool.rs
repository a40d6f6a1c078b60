//! The pool of one address. What is idle in the pool before it is taken over when it is as good.

use std::sync::{Mutex, MutexGuard, PoisonError};

use deadpool::managed;
use deadpool_postgres::{ClientWrapper, Manager, ManagerConfig, RecyclingMethod, Runtime};
use tokio_postgres::{Client, Error};

use crate::error::{Failure, OpenError};
use crate::identity::Identity;
use crate::settings::{ConnectionString, Settings};
use crate::tls;

/// Connections of one address, as many as the settings allow.
pub(crate) type Pool = managed::Pool<Opener>;
/// A connection of a pool; it goes back when it is dropped.
pub(crate) type Object = managed::Object<Opener>;
/// Why a pool gives none.
pub(crate) type PoolError = managed::PoolError<Error>;

/// Makes a pool; connects to nothing yet. Every session is told `words` before it is used here, one that is taken over, too.
pub(crate) fn pool(
    settings: &Settings,
    address: &ConnectionString,
    words: Option<String>,
    identity: &Identity,
    before: Option<&Pool>,
) -> Result<Pool, OpenError> {
    let connector = tls::connector(settings, address)?;
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let manager = Manager::from_config(address.config(settings), connector, recycling);
    let size = usize::try_from(settings.connections_max).unwrap_or(usize::MAX);
    let limit = Some(settings.connect_timeout);
    // Whoever only searches there has nothing acknowledged by it.
    let accept_loss = settings.accept_loss || words.is_none();
    let identity = identity.clone();
    // Not `Pool::resize`: deadpool 0.13 shrinks by idle connections only, and grows by more than it shrank when there are few.
    let pool = managed::Pool::builder(Opener::new(manager, before, size))
        .max_size(size)
        .timeouts(managed::Timeouts {
            wait: limit,
            create: limit,
            recycle: limit,
        })
        .runtime(Runtime::Tokio1)
        .post_create(managed::Hook::async_fn(
            move |client: &mut ClientWrapper, _| {
                let (words, identity) = (words.clone(), identity.clone());
                Box::pin(async move {
                    let client: &Client = client;
                    if let Some(words) = words {
                        let told = client.batch_execute(&words).await;
                        told.map_err(managed::HookError::Backend)?;
                    }
                    identity.check(client, accept_loss).await
                })
            },
        ));
    pool.build().map_err(|source| OpenError::Tls {
        what: "the pool of connections",
        source: Box::new(source),
    })
}

/// Opens connections; those taken over come first.
#[derive(Debug)]
pub(crate) struct Opener {
    manager: Manager,
    /// Not used since. Held for moments only, never while waiting.
    taken_over: Mutex<Vec<ClientWrapper>>,
}

impl Opener {
    fn new(manager: Manager, before: Option<&Pool>, size: usize) -> Self {
        // Whoever has one of them in use gives it back to a pool that nobody else asks.
        let mut idle = before.map_or_else(Vec::new, |pool| pool.retain(|_, _| false).removed);
        idle.extend(
            before
                .into_iter()
                .flat_map(|pool| std::mem::take(&mut *pool.manager().idle())),
        );
        idle.retain(|client| !client.is_closed());
        idle.truncate(size);
        Self {
            manager,
            taken_over: Mutex::new(idle),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<ClientWrapper>> {
        // A list is whole after any panic.
        self.taken_over
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn taken_over(&self) -> Option<ClientWrapper> {
        let mut idle = self.idle();
        std::iter::from_fn(|| idle.pop()).find(|client| !client.is_closed())
    }
}

impl managed::Manager for Opener {
    type Type = ClientWrapper;
    type Error = Error;

    async fn create(&self) -> Result<ClientWrapper, Error> {
        match self.taken_over() {
            Some(client) => Ok(client),
            None => self.manager.create().await,
        }
    }

    async fn recycle(
        &self,
        client: &mut ClientWrapper,
        metrics: &managed::Metrics,
    ) -> managed::RecycleResult<Error> {
        self.manager.recycle(client, metrics).await
    }

    fn detach(&self, client: &mut ClientWrapper) {
        self.manager.detach(client);
    }
}

/// The error of a connection's first words is an error of the server like any other.
pub(crate) fn failed_hook(error: PoolError) -> Failure {
    match error {
        PoolError::PostCreateHook(managed::HookError::Backend(error)) => error.into(),
        PoolError::PostCreateHook(managed::HookError::Message(why)) => Failure::Link(why.into()),
        other => other.into(),
    }
}
