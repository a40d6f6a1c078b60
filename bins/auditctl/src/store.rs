//! The store opened directly, for commands that work while no worker runs.

use std::path::Path;
use std::sync::Arc;

use audit_runtime::SystemClock;
use audit_store_sqlite::{DATABASE_FILE, OpenError, Options, SqliteStore};

use crate::error::CliError;

/// Opens the store of a data directory. `migrate` applies what is missing; only commands that need the newest schema do.
pub(crate) fn open(data_dir: &Path, migrate: bool) -> Result<SqliteStore, CliError> {
    let database = data_dir.join(DATABASE_FILE);
    if !migrate && !database.exists() {
        return Err(CliError::Usage(format!(
            "{} has no store ({DATABASE_FILE}); name the worker's data directory with --data-dir",
            data_dir.display()
        )));
    }
    let options = Options {
        migrate,
        ..Options::default()
    };
    SqliteStore::open(data_dir, options, Arc::new(SystemClock)).map_err(|error| match error {
        OpenError::InUse { .. } => CliError::Usage(format!(
            "{error}; leave out --data-dir to ask the running worker"
        )),
        error => CliError::Usage(chain(&error)),
    })
}

/// A failed operation on the store.
pub(crate) fn failed(error: &audit_store::StoreError) -> CliError {
    CliError::Usage(chain(error))
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
