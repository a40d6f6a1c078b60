//! Scripts for Node that speak to what we test as producers and operators of other systems do, with the real packages.
//!
//! A script gets one argument, an object, and says lines of JSON. The packages are those that `scripts/test` installs.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::child::ChildProcess;

/// Where the packages are: the directory whose `node_modules` has them.
///
/// # Panics
/// When they are not there: a test without its peer fails, it is never skipped.
#[must_use]
pub fn packages() -> PathBuf {
    let place = find(
        std::env::var_os("AUDIT_TEST_NPM"),
        std::env::var_os("XDG_CACHE_HOME"),
        std::env::var_os("HOME"),
    );
    place.unwrap_or_else(|message| panic!("{message}"))
}

type Variable = Option<std::ffi::OsString>;

fn find(named: Variable, cache: Variable, home: Variable) -> Result<PathBuf, String> {
    let cache = cache
        .map(PathBuf::from)
        .or_else(|| home.map(|home| Path::new(&home).join(".cache")));
    let place = named
        .map(PathBuf::from)
        .or_else(|| cache.map(|cache| cache.join("audit-worker/npm")))
        .unwrap_or_default();
    if place.join("node_modules").is_dir() {
        return Ok(place);
    }
    Err(format!(
        "no packages for Node in {}: run scripts/test, which installs them, or set AUDIT_TEST_NPM",
        place.display()
    ))
}

/// Starts a script with what it is asked, and leaves it running.
///
/// # Panics
/// When Node or the packages are missing.
#[must_use]
pub fn start(script: &Path, asked: &Value) -> ChildProcess {
    let mut command = Command::new("node");
    command.arg(script).arg(asked.to_string());
    command.env("AUDIT_TEST_NPM", packages());
    ChildProcess::start(&mut command)
}

/// Runs a script to its end; the lines that it said.
///
/// # Panics
/// As [`start`], and when it fails.
#[must_use]
pub fn run(script: &Path, asked: &Value) -> Vec<Value> {
    let mut command = Command::new("node");
    command.arg(script).arg(asked.to_string());
    command.env("AUDIT_TEST_NPM", packages());
    let output = command.output().expect("node is installed");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{} failed:\n{said}\n{}",
        script.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    lines(&said)
}

/// What a script that still runs has said so far.
#[must_use]
pub fn said(child: &ChildProcess) -> Vec<Value> {
    lines(&child.output())
}

/// A script that answers one line to each that it is asked, because starting Node takes longer than most of what it is asked for.
/// It ends with its input: at the latest when the test's process does.
#[derive(Debug)]
pub struct Peer {
    inner: Mutex<Speaking>,
}

#[derive(Debug)]
struct Speaking {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts the script. What it complains of goes to the test's own errors.
    ///
    /// # Panics
    /// As [`start`].
    #[must_use]
    pub fn start(script: &Path) -> Self {
        let mut command = Command::new("node");
        command.arg(script).env("AUDIT_TEST_NPM", packages());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("node is installed");
        let to = child.stdin.take().expect("a piped input");
        let from = BufReader::new(child.stdout.take().expect("a piped output"));
        let inner = Mutex::new(Speaking { child, to, from });
        Self { inner }
    }

    /// What it answers. One question after the other.
    ///
    /// # Panics
    /// When it has ended, or says what is no JSON.
    pub fn ask(&self, question: &Value) -> Value {
        let mut speaking = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Speaking { child, to, from } = &mut *speaking;
        let mut line = String::new();
        let answered = writeln!(to, "{question}").and_then(|()| from.read_line(&mut line));
        assert!(
            answered.is_ok_and(|bytes| bytes > 0),
            "no answer to {question}: {:?}",
            child.try_wait()
        );
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let speaking = self.inner.get_mut();
        let child = &mut speaking.unwrap_or_else(PoisonError::into_inner).child;
        // It may have ended before.
        child.kill().ok();
        child.wait().ok();
    }
}

fn lines(text: &str) -> Vec<Value> {
    // A warning of Node is no line of JSON.
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_without_packages_says_how_to_get_them() {
        let dir = tempfile::tempdir().unwrap();
        let named = || Some(dir.path().as_os_str().to_owned());
        let missing = find(named(), None, None).unwrap_err();
        assert!(missing.contains("scripts/test"), "{missing}");
        std::fs::create_dir(dir.path().join("node_modules")).unwrap();
        assert_eq!(find(named(), None, None).as_deref(), Ok(dir.path()));
        let elsewhere = find(None, None, named()).unwrap_err();
        assert!(elsewhere.contains(".cache/audit-worker/npm"), "{elsewhere}");
    }
}
