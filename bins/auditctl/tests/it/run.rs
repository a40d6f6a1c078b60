//! Starts the program and looks at what it leaves.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A directory with a key file, and the address that commands are sent to.
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) url: String,
}

/// What a finished command left.
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Bench {
    /// Commands of this directory go to `url`.
    pub(crate) fn new(url: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(
            dir.path().join("key"),
            "# made for a test\nak_test_secret\n",
        )
        .expect("written");
        Self {
            dir,
            url: url.to_owned(),
        }
    }

    /// A path in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file and gives back its path.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).expect("written");
        self.path(name).display().to_string()
    }

    /// A command that is ready to be started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command
            .args(["--url", &self.url])
            .arg("--key-file")
            .arg(self.path("key"));
        command.env("XDG_STATE_HOME", self.path("state"));
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        finish(self.command(arguments).stdin(Stdio::null()).output())
    }
}

impl Finished {
    /// Its standard output as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.stdout, self.stderr))
    }

    /// Fails with everything it said when the exit code is another.
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout: {}\nstderr: {}",
            self.stdout, self.stderr
        );
        self
    }
}

/// A command without a server.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auditctl"));
    command
        .args(arguments)
        .env_remove("AUDITCTL_URL")
        .env_remove("AUDITCTL_KEY_FILE");
    command
}

/// Runs a command without a server.
pub(crate) fn run_in(dir: &Path, arguments: &[&str]) -> Finished {
    finish(
        command(arguments)
            .current_dir(dir)
            .stdin(Stdio::null())
            .output(),
    )
}

/// What a process left.
pub(crate) fn finish(output: std::io::Result<Output>) -> Finished {
    let output = output.expect("the program starts");
    Finished {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}
