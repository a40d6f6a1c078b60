//! Opening a store, and the handle of what is open.

use std::sync::Arc;

use audit_store::{Migrations, Store, StoreError};
use tokio_postgres::Row;

use crate::database::{Connected, Database};
use crate::error::{Failure, OpenError};
use crate::identity::Identity;
use crate::schema;
use crate::settings::Settings;
use crate::value::get;

/// The oldest server that has everything the schema uses.
const VERSION_MIN: i32 = 150_000;

/// An opened store: its ports, and what only its opener may do. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    database: Arc<Database>,
}

impl PostgresStore {
    /// Connects, looks whether the server keeps what it acknowledges, and migrates unless told not to. Ten processes may do
    /// so at the same time: one migrates, the others wait for it.
    ///
    /// Must run on a Tokio runtime with time and I/O; the connections live on it.
    ///
    /// # Errors
    /// Why it cannot be opened; [`OpenError::Unavailable`] is worth another try.
    pub async fn open(settings: Settings) -> Result<Self, OpenError> {
        let store = Self::unconnected(settings)?;
        let now = store.database.now();
        let (settings, primary) = (&now.settings, &now.primary);
        let server = settings.primary.to_string();
        let away = |failure: Failure| OpenError::Unavailable {
            server: server.clone(),
            source: Box::new(failure.into_store("connect")),
        };
        let connection = primary.connection().await.map_err(away)?;
        let row = connection.query_one(SERVER, &[]).await;
        check_server(&row.map_err(|error| away(error.into()))?, settings)?;
        let found = schema::applied(&connection).await.map_err(away)?;
        drop(connection);
        if found > schema::known() && settings.migrate {
            return Err(OpenError::Newer {
                found,
                known: schema::known(),
            });
        }
        if settings.migrate && found < schema::known() {
            let migrated = store.database.up().await;
            migrated.map_err(|source| OpenError::Schema {
                server,
                source: Box::new(source),
            })?;
        }
        Ok(store)
    }

    /// The same without connecting: for a process that must start while the server is away. Nothing is looked at and nothing
    /// migrated; that is left to one that opens the store.
    ///
    /// # Errors
    /// When the settings cannot be; never because the server is away.
    pub fn unconnected(settings: Settings) -> Result<Self, OpenError> {
        let identity = Identity::default();
        let connected = Connected::new(settings, &identity)?;
        Ok(Self {
            database: Arc::new(Database::new(connected, identity)),
        })
    }

    /// Refuses every connection made from now on, to whatever address, that does not lead to the database of this deployment, or
    /// leads to a server that does not keep what it acknowledges: calls then answer as when the server is away. For good: another
    /// deployment named later is not believed.
    pub fn belongs_to(&self, deployment_id: &str) {
        self.database.identity.set(deployment_id);
    }

    /// Replaces the settings while the store works: they hold for every call that begins from now on, and for each lane at its
    /// next commit. What is under way ends on the connections it began on, which are closed then. When another server is named,
    /// or another way to it, everything goes over new connections; else idle ones go on, told the new time-outs.
    ///
    /// Connects to nothing: with an address where nobody answers, calls answer that the store is away, and the next settings may
    /// be the ones before. `migrate` and `profile` stay as they were, because they say what opening does. Name the deployment
    /// first ([`Self::belongs_to`]), or a wrong address may lead into another's.
    ///
    /// # Errors
    /// When the settings cannot be; never because a server is away. The settings before stay in force then.
    pub fn reconfigure(&self, settings: Settings) -> Result<(), OpenError> {
        self.database.reconnect(settings)
    }

    /// Whether [`Self::reconfigure`] with these settings would go on over the connections that there are.
    #[must_use]
    pub fn connects_as(&self, settings: &Settings) -> bool {
        self.database.is_alike(settings)
    }

    /// The ports.
    #[must_use]
    pub fn store(&self) -> Store {
        let database = &self.database;
        Store {
            writer: Arc::clone(database) as _,
            ledgers: Arc::clone(database) as _,
            events: Arc::clone(database) as _,
            query: Arc::clone(database) as _,
            leases: Arc::clone(database) as _,
            checkpoints: Arc::clone(database) as _,
            dead_letters: Arc::clone(database) as _,
            receipts: Arc::clone(database) as _,
            api_keys: Arc::clone(database) as _,
            cursors: Arc::clone(database) as _,
            runs: Arc::clone(database) as _,
            configs: Arc::clone(database) as _,
            alerts: Arc::clone(database) as _,
            text: None,
            migrations: Arc::clone(database) as _,
        }
    }

    /// Makes the views `audit_compat.audit_log` and `audit_compat.audit_logs` for those who read the tables of replaced systems
    /// with SQL, or makes them anew. Needs the right to make a schema.
    ///
    /// # Errors
    /// When the database refuses or does not answer; nothing is changed then.
    pub async fn make_compat_views(&self) -> Result<(), StoreError> {
        let what = "make views";
        let failed = |failure: Failure| failure.into_store(what);
        let now = self.database.now();
        let mut client = now.primary.connection().await.map_err(failed)?;
        let made = schema::compat_views(&mut client).await;
        made.map_err(failed)
    }

    /// Closes the connections that are idle; those in use close when their call ends. Afterwards every port answers that the
    /// store is not available. Closing twice is fine.
    pub async fn close(&self) {
        self.database.now().close();
        self.database.lanes.close_all();
    }
}

const SERVER: &str =
    "SELECT current_setting('server_version_num')::integer, current_setting('server_version'),
    current_setting('fsync'), current_setting('full_page_writes')";

fn check_server(row: &Row, settings: &Settings) -> Result<(), OpenError> {
    let malformed = |source| OpenError::Unavailable {
        server: settings.primary.to_string(),
        source: Box::new(source),
    };
    let version: i32 = get(row, 0, "server version").map_err(malformed)?;
    if version < VERSION_MIN {
        return Err(OpenError::TooOld {
            found: get(row, 1, "server version").map_err(malformed)?,
        });
    }
    for (index, setting) in [(2, "fsync"), (3, "full_page_writes")] {
        let value: String = get(row, index, setting).map_err(malformed)?;
        if value != "on" && !settings.accept_loss {
            return Err(OpenError::NotDurable {
                setting: setting.to_owned(),
                value,
            });
        }
    }
    Ok(())
}
