//! The measured processes: started with logs in a file, ended with the bench; and what the system says about any process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::error::CliError;

/// Longest start, and longest end.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time between two looks whether it is ready.
const POLL: Duration = Duration::from_millis(20);
/// Ticks a second in `/proc/<pid>/stat`: `USER_HZ`, 100 on every Linux that Rust runs on.
const TICKS_A_SECOND: f64 = 100.0;

/// A running process of ours. Killed when dropped: its data is thrown away with it.
#[derive(Debug)]
pub(super) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
    /// Where it listens.
    pub(super) address: SocketAddr,
    key_file: PathBuf,
}

impl Process {
    /// Starts it; `command` lacks nothing but where it listens. Its outputs go to `directory`.
    pub(super) fn start(
        name: &'static str,
        command: &mut Command,
        directory: &Path,
        key_file: &Path,
    ) -> Result<Self, CliError> {
        let address = free_address()?;
        let log = directory.join(format!("{name}.log"));
        let output =
            std::fs::File::create(&log).map_err(|error| CliError::file("create", &log, &error))?;
        let copy = output
            .try_clone()
            .map_err(|error| CliError::file("open", &log, &error))?;
        let child = command
            .args(["--listen", &address.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::from(output))
            .stderr(Stdio::from(copy))
            .spawn()
            .map_err(|error| CliError::file("start", Path::new(command.get_program()), &error))?;
        Ok(Self {
            name,
            child,
            log,
            address,
            key_file: key_file.to_owned(),
        })
    }

    /// Waits until it is.
    pub(super) async fn ready(&mut self) -> Result<(), CliError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ended = self.child.try_wait().ok().flatten();
            if ended.is_some() || Instant::now() > deadline {
                return Err(self.complaint("does not become ready"));
            }
            if self.key_file.exists()
                && let Ok(client) = self.client()
                && client.get_bytes("/readyz", &Vec::new()).await.is_ok()
            {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn complaint(&self, what: &str) -> CliError {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<_> = log.lines().rev().take(5).collect();
        CliError::Usage(format!("the {} {what}: {}", self.name, last.join(" / ")))
    }

    /// Asks it to end, and waits until it has.
    pub(super) async fn end(mut self) -> Result<(), CliError> {
        let id = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        if let Some(id) = id {
            // One that has ended already cannot be asked; that is seen below.
            rustix::process::kill_process(id, rustix::process::Signal::TERM).ok();
        }
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(_)) | Err(_) => break,
                Ok(None) => tokio::time::sleep(POLL).await,
            }
        }
        Err(self.complaint("does not end in order"))
    }

    /// A client with the admin key.
    pub(super) fn client(&self) -> Result<Client, CliError> {
        Client::new(&format!("http://{}", self.address), &self.key_file)
    }

    /// The admin key.
    pub(super) fn key(&self) -> Result<String, CliError> {
        crate::client::read_key(&self.key_file)
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
        Some(Stat::of(self.child.id())?.own)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Its data is thrown away with it, so nothing is lost by ending it at once.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What `/proc/<pid>/stat` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stat {
    /// The program's name, cut to 15 bytes.
    pub(super) name: String,
    /// Who started it.
    pub(super) parent: u32,
    /// Processor time of all its threads.
    pub(super) own: Duration,
    /// That of its children that have ended.
    pub(super) reaped: Duration,
}

impl Stat {
    /// Of a process, when there is one.
    pub(super) fn of(process: u32) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
    }

    fn parse(stat: &str) -> Option<Self> {
        // Behind the name in parentheses, which may hold blanks: state is field 3, parent 4, utime and stime 14 and 15, those of
        // its children 16 and 17.
        let (front, rest) = stat.rsplit_once(')')?;
        let fields: Vec<_> = rest.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
        let time = |ticks: f64| Duration::from_secs_f64(ticks / TICKS_A_SECOND);
        Some(Self {
            name: front.split_once('(')?.1.to_owned(),
            parent: fields.get(1)?.parse().ok()?,
            own: time(ticks(11)? + ticks(12)?),
            reaped: time(ticks(13)? + ticks(14)?),
        })
    }
}

/// Processor time of a process, of all its children that live, and of those that have ended.
pub(super) fn family_time(parent: u32) -> Option<Duration> {
    let own = Stat::of(parent)?;
    let processes = std::fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    let children = processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Stat::of)
        .filter(|stat| stat.parent == parent);
    let living: Duration = children.map(|child| child.own).sum();
    Some(own.own + own.reaped + living)
}

/// A program in the directory, or beside this one.
pub(super) fn program(directory: Option<&Path>, name: &str) -> Result<PathBuf, CliError> {
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let program = match directory {
        Some(directory) => directory.join(file),
        None => std::env::current_exe()
            .map_err(|error| CliError::Usage(format!("cannot find this program: {error}")))?
            .with_file_name(file),
    };
    if program.exists() {
        return Ok(program);
    }
    Err(CliError::Usage(format!(
        "{} is not there: build it with `cargo build --release --bin {name}`, or say where it is",
        program.display()
    )))
}

fn free_address() -> Result<SocketAddr, CliError> {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .map_err(|error| CliError::Usage(format!("no free port: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "42 (a b) c) S 7 42 42 0 -1 4194560 100 0 0 0 150 50 30 20 20 0 9 0 12345 1 2";
        let found = Stat::parse(stat).expect("it can be read");
        assert_eq!(found.name, "a b) c");
        assert_eq!(found.parent, 7);
        assert_eq!(found.own, Duration::from_secs(2));
        assert_eq!(found.reaped, Duration::from_millis(500));
    }

    #[test]
    fn our_own_process_is_of_the_family_of_its_parent() {
        let own = Stat::of(std::process::id()).expect("it runs");
        assert!(family_time(own.parent).expect("it runs") >= own.own);
    }
}
