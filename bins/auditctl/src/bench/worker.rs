//! The measured process of the embedded form: a worker on an empty directory.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{Process, program};
use crate::error::CliError;

/// Starts it and waits until it is ready.
pub(super) async fn start(named: Option<&Path>, directory: &Path) -> Result<Process, CliError> {
    let program: PathBuf = match named {
        Some(program) => program.to_owned(),
        None => program(None, "worker")?,
    };
    let data_dir = directory.join("data");
    let mut command = Command::new(program);
    command.arg("--data-dir").arg(&data_dir);
    let key_file = data_dir.join("admin.key");
    let mut worker = Process::start("worker", &mut command, directory, &key_file)?;
    worker.ready().await?;
    Ok(worker)
}
