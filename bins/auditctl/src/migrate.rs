//! `migrate`: the schema of a store, forward and back, while no worker runs.

use std::path::PathBuf;

use audit_store::{Migration, StoreError};

use crate::error::{CliError, Verdict};
use crate::output::{Output, Rows, Text, Tone};
use crate::store;

/// What to do with the migrations.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Action {
    /// Applies all that are missing.
    Up(Place),
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
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
}

/// Runs the command.
pub(crate) async fn run(output: &Output, action: &Action) -> Result<Verdict, CliError> {
    let (Action::Up(place) | Action::Down { place, .. } | Action::Status(place)) = action;
    let store = store::open(&place.data_dir, false)?;
    let migrations = store.store().migrations;
    let changed = match action {
        Action::Up(_) => Some(("applied", migrations.up().await)),
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
