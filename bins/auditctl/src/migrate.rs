//! `migrate`: the schema of a store, forward and back, while no worker runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use audit_config::StoreSettings;
use audit_store::{Migration, Migrations, StoreError};
use audit_store_postgres::PostgresStore;
use audit_store_sqlite::SqliteStore;

use crate::config;
use crate::error::{CliError, Verdict};
use crate::output::{Output, Rows, Text, Tone};
use crate::store;

/// What to do with the migrations.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Action {
    /// Applies all that are missing.
    Up {
        #[command(flatten)]
        place: Place,
        /// Makes the views of `audit_compat`, too, for those who read the tables of replaced systems with SQL.
        #[arg(long, requires = "config")]
        compat_views: bool,
    },
    /// Takes back everything above a number.
    Down {
        #[command(flatten)]
        place: Place,
        /// The newest migration that stays; 0 takes back everything.
        #[arg(long, value_name = "NUMBER")]
        to: u32,
        /// Even when that drops stored events.
        #[arg(long)]
        destroy: bool,
    },
    /// Lists them.
    Status(Place),
}

/// Which store.
#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// Data directory of the worker.
    #[arg(long, value_name = "DIR", required_unless_present = "config")]
    data_dir: Option<PathBuf>,
    /// Configuration file of a deployment, whose PostgreSQL it is.
    #[arg(long, value_name = "FILE", conflicts_with = "data_dir")]
    config: Option<PathBuf>,
}

/// The store of either form.
enum Opened {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

impl Opened {
    async fn of(place: &Place) -> Result<Self, CliError> {
        match (&place.data_dir, &place.config) {
            (Some(data_dir), _) => Ok(Self::Sqlite(store::open(data_dir, false)?)),
            (None, Some(config)) => Ok(Self::Postgres(postgres(config).await?)),
            (None, None) => Err(CliError::Usage("name --data-dir or --config".to_owned())),
        }
    }

    fn migrations(&self) -> Arc<dyn Migrations> {
        match self {
            Self::Sqlite(store) => store.store().migrations,
            Self::Postgres(store) => store.store().migrations,
        }
    }

    async fn close(&self) {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => store.close().await,
        }
    }
}

async fn postgres(file: &Path) -> Result<PostgresStore, CliError> {
    let settings = config::read(file)?;
    let StoreSettings::Postgres(postgres) = &settings.store else {
        let reason = format!("{} names no PostgreSQL; use --data-dir", file.display());
        return Err(CliError::Usage(reason));
    };
    let address = postgres.url.expose().parse();
    let address = address.map_err(|error| CliError::Usage(format!("store.url: {error}")))?;
    let settings = audit_store_postgres::Settings {
        migrate: false,
        ..audit_store_postgres::Settings::new(address)
    };
    let opened = PostgresStore::open(settings).await;
    opened.map_err(|error| CliError::Server {
        what: "PostgreSQL",
        reason: store::chain(&error),
    })
}

/// Runs the command.
pub(crate) async fn run(output: &Output, action: &Action) -> Result<Verdict, CliError> {
    let (Action::Up { place, .. } | Action::Down { place, .. } | Action::Status(place)) = action;
    let store = Opened::of(place).await?;
    let migrations = store.migrations();
    let changed = match action {
        Action::Up { .. } => Some(("applied", migrations.up().await)),
        Action::Down { to, destroy, .. } => {
            Some(("taken back", migrations.down(*to, *destroy).await))
        }
        Action::Status(_) => None,
    };
    if let Some((verb, result)) = changed {
        let numbers = result.map_err(|error| refused(&error))?;
        output.remark(&match numbers.as_slice() {
            [] => "nothing to do".to_owned(),
            numbers => format!(
                "{verb}: {}",
                numbers
                    .iter()
                    .map(u32::to_string)
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        })?;
    }
    if let (
        Action::Up {
            compat_views: true, ..
        },
        Opened::Postgres(store),
    ) = (action, &store)
    {
        let made = store.make_compat_views().await;
        made.map_err(|error| store::failed(&error))?;
        output.remark("made: audit_compat.audit_log, audit_compat.audit_logs")?;
    }
    let known = migrations
        .status()
        .await
        .map_err(|error| store::failed(&error))?;
    store.close().await;
    print(output, &known)?;
    let missing = known.iter().any(|migration| migration.applied_at.is_none());
    Ok(if missing && matches!(action, Action::Status(_)) {
        Verdict::Finding
    } else {
        Verdict::Fine
    })
}

/// What would lose events is done only when it is asked for by name.
fn refused(error: &StoreError) -> CliError {
    match error {
        StoreError::Refused { .. } => CliError::Usage(format!(
            "{error}; --destroy does it all the same, and cannot be undone"
        )),
        error => store::failed(error),
    }
}

fn print(output: &Output, migrations: &[Migration]) -> Result<(), CliError> {
    let mut rows = Rows::new(&["number", "name", "appliedAt"]);
    let mut json = Vec::new();
    for migration in migrations {
        let at = migration.applied_at.map(|at| at.to_string());
        json.push(serde_json::json!({"number": migration.number, "name": migration.name, "appliedAt": at}));
        let cell = at.map_or_else(|| Text::toned("not applied", Tone::Bad), Text::from);
        rows.push(vec![
            migration.number.to_string().into(),
            migration.name.as_str().into(),
            cell,
        ]);
    }
    output.rows_or(&rows, &serde_json::json!({"migrations": json}))
}
