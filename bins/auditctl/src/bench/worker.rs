//! The measured process: started on an empty directory, ended with the bench.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::error::CliError;

/// Longest start.
const START_MAX: Duration = Duration::from_secs(30);
/// Time between two looks whether it is ready.
const POLL: Duration = Duration::from_millis(20);
/// Ticks a second in `/proc/<pid>/stat`: `USER_HZ`, 100 on every Linux that Rust runs on.
const TICKS_A_SECOND: f64 = 100.0;

/// A running worker.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// Its data directory.
    pub(super) data_dir: PathBuf,
}

impl Worker {
    /// Starts it and waits until it is ready.
    pub(super) async fn start(program: Option<&Path>, directory: &Path) -> Result<Self, CliError> {
        let program = match program {
            Some(program) => program.to_owned(),
            None => sibling()?,
        };
        let address = free_address()?;
        let data_dir = directory.join("data");
        let log = std::fs::File::create(directory.join("worker.log"))
            .map_err(|error| CliError::file("create", &directory.join("worker.log"), &error))?;
        let copy = log
            .try_clone()
            .map_err(|error| CliError::file("open", directory, &error))?;
        let child = Command::new(&program)
            .arg("--data-dir")
            .arg(&data_dir)
            .args(["--listen", &address.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::from(log))
            .stderr(Stdio::from(copy))
            .spawn()
            .map_err(|error| CliError::file("start", &program, &error))?;
        let mut worker = Self {
            child,
            address,
            data_dir,
        };
        worker.wait_until_ready(directory).await?;
        Ok(worker)
    }

    async fn wait_until_ready(&mut self, directory: &Path) -> Result<(), CliError> {
        let deadline = Instant::now() + START_MAX;
        let key_file = self.key_file();
        loop {
            let ended = self.child.try_wait().ok().flatten();
            if ended.is_some() || Instant::now() > deadline {
                let log = std::fs::read_to_string(directory.join("worker.log")).unwrap_or_default();
                let last: Vec<_> = log.lines().rev().take(5).collect();
                return Err(CliError::Usage(format!(
                    "the worker does not become ready: {}",
                    last.join(" / ")
                )));
            }
            if key_file.exists()
                && let Ok(client) = self.client()
                && client.get_bytes("/readyz", &Vec::new()).await.is_ok()
            {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// A client with its admin key.
    pub(super) fn client(&self) -> Result<Client, CliError> {
        Client::new(&format!("http://{}", self.address), &self.key_file())
    }

    /// The file of its admin key.
    pub(super) fn key_file(&self) -> PathBuf {
        self.data_dir.join("admin.key")
    }

    /// Peak resident memory, in bytes (`VmHWM`).
    pub(super) fn peak_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim()
            .strip_suffix(" kB")?
            .trim()
            .parse::<u64>()
            .ok()
            .map(|kib| kib * 1024)
    }

    /// Processor time of all its threads so far.
    pub(super) fn cpu_time(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // Behind the name in parentheses, which may hold blanks: state is field 3, utime and stime 14 and 15.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
        Some(Duration::from_secs_f64(
            (ticks(11)? + ticks(12)?) / TICKS_A_SECOND,
        ))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Its data is thrown away with it, so nothing is lost by ending it at once.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn sibling() -> Result<PathBuf, CliError> {
    let own = std::env::current_exe()
        .map_err(|error| CliError::Usage(format!("cannot find this program: {error}")))?;
    let worker = own.with_file_name(format!("worker{}", std::env::consts::EXE_SUFFIX));
    if worker.exists() {
        return Ok(worker);
    }
    Err(CliError::Usage(format!(
        "{} is not there: build it with `cargo build --release --bin worker`, or name one with --worker",
        worker.display()
    )))
}

fn free_address() -> Result<SocketAddr, CliError> {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .map_err(|error| CliError::Usage(format!("no free port: {error}")))
}
