//! A process under test. It never outlives the guard.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::wait::wait_until;

/// Lines kept of each output; the oldest go first.
const LINES_MAX: usize = 10_000;

/// Kills the process when dropped. Both outputs are read all the time, so that a full pipe never stops the process, and are
/// kept for looking at.
#[derive(Debug)]
pub struct ChildProcess {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl ChildProcess {
    /// Starts it, with both outputs captured and nothing to read.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let spawned = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let outputs: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|output| Box::new(output) as _),
            child.stderr.take().map(|output| Box::new(output) as _),
        ];
        let readers = outputs
            .into_iter()
            .flatten()
            .map(|output| read_lines(output, Arc::clone(&lines)))
            .collect();
        Self {
            child,
            lines,
            readers,
        }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Memory that it has now, in bytes: `VmRSS` of `/proc`.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let file = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(file).expect("it runs");
        let kibibytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
            .expect("a process that runs has memory");
        kibibytes.parse::<u64>().expect("a number") * 1024
    }

    /// Everything it said so far, both outputs together, line by line.
    #[must_use]
    pub fn output(&self) -> String {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .join("\n")
    }

    /// Waits for a line that contains `text`; returns the line.
    ///
    /// # Panics
    /// When the bound is reached or the process ends without saying it; the output is in the message.
    pub fn wait_for_line(&mut self, text: &str, bound: Duration) -> String {
        self.wait_for(text, bound, |line| line.contains(text))
    }

    /// Waits for a line whose first word is `name`; returns its last word. For what a program says to other programs: a line
    /// of its log may contain any word.
    ///
    /// # Panics
    /// As [`Self::wait_for_line`].
    pub fn wait_for_value(&mut self, name: &str, bound: Duration) -> String {
        let line = self.wait_for(name, bound, |line| {
            line.split_whitespace().next() == Some(name)
        });
        let last = line.split_whitespace().last();
        last.unwrap_or_default().to_owned()
    }

    fn wait_for(&mut self, what: &str, bound: Duration, is_it: impl Fn(&str) -> bool) -> String {
        let found = |lines: &Mutex<Vec<String>>| {
            let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.iter().find(|line| is_it(line)).cloned()
        };
        wait_until(
            &format!("a line with {what:?} from a process"),
            bound,
            || {
                if let Some(line) = found(&self.lines) {
                    return Some(line);
                }
                if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                    self.readers
                        .drain(..)
                        .for_each(|reader| reader.join().expect("a reader does not panic"));
                    let line = found(&self.lines);
                    assert!(
                        line.is_some(),
                        "it ended with {status} before it said {what:?}:\n{}",
                        self.output()
                    );
                    return line;
                }
                None
            },
        )
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("a child can be asked")
            .is_none()
    }

    /// SIGKILL, and waits for the end: the moment it returns, the process does nothing more.
    pub fn kill(&mut self) -> ExitStatus {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for")
    }

    /// SIGTERM: asks it to end.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGHUP: asks it to look at its configuration again.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// SIGSTOP: it stands still until [`ChildProcess::resume`].
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .expect("a child has an id");
        kill_process(id, signal).expect("a child can be signalled");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When the bound is reached; the output is in the message.
    pub fn wait(&mut self, bound: Duration) -> ExitStatus {
        let deadline = std::time::Instant::now() + bound;
        let status = wait_until(
            "the end of a process",
            bound + Duration::from_secs(1),
            || {
                let ended = self.child.try_wait().expect("a child can be asked");
                assert!(
                    ended.is_some() || std::time::Instant::now() < deadline,
                    "it runs on after {bound:?}:\n{}",
                    self.output()
                );
                ended
            },
        );
        self.readers
            .drain(..)
            .for_each(|reader| reader.join().expect("a reader does not panic"));
        status
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to kill.
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            self.readers
                .drain(..)
                .for_each(|reader| reader.join().unwrap_or_default());
            #[expect(
                clippy::print_stderr,
                reason = "shown by the test harness with the failure it explains"
            )]
            {
                eprintln!(
                    "--- output of process {}:\n{}",
                    self.child.id(),
                    self.output()
                );
            }
        }
    }
}

fn read_lines(output: Box<dyn Read + Send>, lines: Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() == LINES_MAX {
                lines.remove(0);
            }
            lines.push(String::from_utf8_lossy(&line).into_owned());
        }
    })
}
