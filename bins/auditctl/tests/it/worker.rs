//! The real worker on a directory of its own.
//!
//! It is the program beside `auditctl` in the target directory, which a test run of the workspace builds first; for a run
//! of this package alone: `cargo build --bin worker`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use audit_testkit::child::ChildProcess;

use crate::run::{Finished, command, finish};

/// Longest start and stop.
const BOUND: Duration = Duration::from_secs(60);

/// A running worker, and `auditctl` as its operator would run it: in the directory that holds `data`.
pub(crate) struct Site {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) url: String,
    worker: Option<ChildProcess>,
}

/// The worker's program.
pub(crate) fn program() -> PathBuf {
    sibling("worker")
}

/// A program of the workspace that this package does not build.
pub(crate) fn sibling(name: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_auditctl")).with_file_name(name);
    assert!(
        program.exists(),
        "{} is not there: run `cargo build --bin {name}` first",
        program.display()
    );
    program
}

impl Site {
    /// An empty directory and a worker on it.
    pub(crate) fn start() -> Self {
        let mut site = Self::prepare();
        site.start_worker();
        site
    }

    /// An empty directory.
    pub(crate) fn prepare() -> Self {
        Self {
            dir: tempfile::tempdir().expect("a directory"),
            url: String::new(),
            worker: None,
        }
    }

    /// Starts the worker, again or for the first time.
    pub(crate) fn start_worker(&mut self) {
        self.start_worker_with(&[]);
    }

    /// The same with flags of one's own.
    pub(crate) fn start_worker_with(&mut self, flags: &[&str]) {
        let mut command = Command::new(program());
        command
            .current_dir(self.dir.path())
            .args(["--listen", "127.0.0.1:0"])
            .args(flags);
        let mut worker = ChildProcess::start(&mut command);
        self.url = worker.wait_for_value("ready", BOUND);
        self.worker = Some(worker);
    }

    /// SIGTERM, and an end in order.
    pub(crate) fn stop_worker(&mut self) {
        let mut worker = self.worker.take().expect("it runs");
        worker.terminate();
        assert!(worker.wait(BOUND).success(), "{}", worker.output());
    }

    /// A command that is ready to be started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command
            .current_dir(self.dir.path())
            .env("AUDITCTL_URL", &self.url);
        command.env("XDG_STATE_HOME", self.dir.path().join("state"));
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        finish(self.command(arguments).output())
    }

    /// Runs a command that is expected to be fine, for its JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        self.run(&[arguments, &["-o", "json"]].concat())
            .expect_code(0)
            .json()
    }

    /// Every event that a search finds, walking all pages.
    pub(crate) fn search(&self, filters: &[&str]) -> Vec<serde_json::Value> {
        let arguments = [
            &["query", "--all", "--limit", "1000", "-o", "json"],
            filters,
        ]
        .concat();
        let lines = self.run(&arguments).expect_code(0).stdout;
        lines
            .lines()
            .map(|line| serde_json::from_str(line).expect("one event a line"))
            .collect()
    }

    /// Writes a file and gives back its name.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.dir.path().join(name), content).expect("written");
        name.to_owned()
    }
}
