//! A Redis of the test's own: on a free port, in a temporary directory, gone with its guard. Never the machine's instance.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::child::ChildProcess;
use crate::net::free_port;
use crate::wait::wait_until;

/// A start reads its files back; on a slow machine that takes a while.
const START_BOUND: Duration = Duration::from_secs(30);
/// One command of a test.
const ANSWER_BOUND: Duration = Duration::from_secs(20);
/// Another process may take a port between our look and the server's bind.
const STARTS_MAX: usize = 5;

/// A running `redis-server`. Dropping it kills the process and removes its files.
#[derive(Debug)]
pub struct RedisServer {
    child: ChildProcess,
    port: u16,
    options: Vec<(String, String)>,
    dir: TempDir,
}

/// What Redis answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A word, a text or nothing (the empty text stands for a null).
    Text(String),
    /// A number.
    Number(i64),
    /// A list.
    List(Vec<Reply>),
    /// An error, with its code.
    Error(String),
}

impl Reply {
    /// The text, or the number as one.
    ///
    /// # Panics
    /// When it is a list or an error.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            other => panic!("not a text: {other:?}"),
        }
    }

    /// The list.
    ///
    /// # Panics
    /// When it is something else.
    #[must_use]
    pub fn list(&self) -> &[Self] {
        match self {
            Self::List(list) => list,
            other => panic!("not a list: {other:?}"),
        }
    }
}

impl RedisServer {
    /// Starts one with these options of `redis.conf`, and waits until it answers. Without options it keeps everything in memory.
    ///
    /// # Panics
    /// When `redis-server` is not installed or does not start.
    #[must_use]
    pub fn start(options: &[(&str, &str)]) -> Self {
        let options: Vec<(String, String)> = options
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        for _ in 0..STARTS_MAX {
            let dir = tempfile::tempdir().expect("a temporary directory can be made");
            let port = free_port();
            let mut server = Self {
                child: run(port, &dir, &options),
                port,
                options: options.clone(),
                dir,
            };
            if server.answers() {
                return server;
            }
        }
        panic!("redis-server did not start on any of {STARTS_MAX} ports");
    }

    /// One that has every acknowledged write on its disk: `appendonly yes`, `appendfsync always`, `noeviction`.
    #[must_use]
    pub fn start_durable() -> Self {
        Self::start(&[
            ("appendonly", "yes"),
            ("appendfsync", "always"),
            ("maxmemory-policy", "noeviction"),
        ])
    }

    /// A Cluster of one node, which has every slot.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start_cluster_of_one() -> Self {
        let node = Self::start(&[("cluster-enabled", "yes")]);
        let taken = node.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
        assert_eq!(taken.text(), "OK");
        wait_until("a cluster", START_BOUND, || {
            let info = node.command(&["CLUSTER", "INFO"]).text();
            info.contains("cluster_state:ok").then_some(())
        });
        node
    }

    /// A Sentinel that knows `primary` under this name of a service.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_sentinel(primary: &Self, service: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let port = free_port();
        let file = dir.path().join("sentinel.conf");
        let watched = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor {service} 127.0.0.1 {} 1\n",
            primary.port
        );
        std::fs::write(&file, watched).expect("a temporary file can be written");
        let mut command = Command::new("redis-server");
        command.arg(&file).arg("--sentinel").current_dir(dir.path());
        let mut sentinel = Self {
            child: ChildProcess::start(&mut command),
            port,
            options: Vec::new(),
            dir,
        };
        assert!(
            sentinel.answers(),
            "the sentinel did not start:\n{}",
            sentinel.child.output()
        );
        sentinel
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its address as a client takes it, with the password when there is one.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_at(self.address())
    }

    /// The same through another address, which a proxy listens on.
    #[must_use]
    pub fn url_at(&self, address: SocketAddr) -> String {
        match self.option("requirepass") {
            Some(password) => format!("redis://:{password}@{address}"),
            None => format!("redis://{address}"),
        }
    }

    fn option(&self, wanted: &str) -> Option<&str> {
        let mut options = self.options.iter();
        options
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.as_str())
    }

    /// SIGKILL: whatever it had not written is gone.
    pub fn kill(&mut self) {
        self.child.kill();
    }

    /// Starts it again after [`RedisServer::kill`], on the same port and files, and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn restart(&mut self) {
        self.child = run(self.port, &self.dir, &self.options);
        assert!(
            self.answers(),
            "redis-server did not start again:\n{}",
            self.child.output()
        );
    }

    /// SIGSTOP: connections stay open and nothing answers.
    pub fn pause(&self) {
        self.child.pause();
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.child.resume();
    }

    /// Sends one command on a connection of its own.
    ///
    /// # Panics
    /// When there is no answer. An error is an answer.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Reply {
        self.try_command(words)
            .unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// The same, for a server that may be away.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn try_command(&self, words: &[&str]) -> std::io::Result<Reply> {
        let stream = TcpStream::connect(self.address())?;
        stream.set_read_timeout(Some(ANSWER_BOUND))?;
        let mut answers = BufReader::new(stream.try_clone()?);
        let mut stream = stream;
        if let Some(password) = self.option("requirepass") {
            write_command(&mut stream, &["AUTH", password])?;
            read_reply(&mut answers)?;
        }
        write_command(&mut stream, words)?;
        read_reply(&mut answers)
    }

    /// Waits until it answers; `false` when it ended instead.
    fn answers(&mut self) -> bool {
        wait_until("an answer of redis-server", START_BOUND, || {
            let pong = Reply::Text("PONG".into());
            if self.try_command(&["PING"]).is_ok_and(|reply| reply == pong) {
                return Some(self.child.is_running());
            }
            (!self.child.is_running()).then_some(false)
        })
    }
}

fn run(port: u16, dir: &TempDir, options: &[(String, String)]) -> ChildProcess {
    let mut command = Command::new("redis-server");
    command.current_dir(dir.path());
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
    command.args(["--save", "", "--daemonize", "no", "--dir", "."]);
    for (name, value) in options {
        command.args([&format!("--{name}"), value]);
    }
    ChildProcess::start(&mut command)
}

fn write_command(stream: &mut TcpStream, words: &[&str]) -> std::io::Result<()> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
    }
    stream.write_all(&bytes)
}

fn read_reply(answers: &mut BufReader<TcpStream>) -> std::io::Result<Reply> {
    let mut line = String::new();
    answers.read_line(&mut line)?;
    let ended = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let line = line.strip_suffix("\r\n").ok_or_else(ended)?;
    let (kind, rest) = line.split_at_checked(1).ok_or_else(ended)?;
    let number = || rest.parse::<i64>().map_err(std::io::Error::other);
    match kind {
        "+" => Ok(Reply::Text(rest.to_owned())),
        "-" => Ok(Reply::Error(rest.to_owned())),
        ":" => Ok(Reply::Number(number()?)),
        "$" => match usize::try_from(number()?) {
            Ok(length) => {
                let mut bytes = vec![0; length + 2];
                answers.read_exact(&mut bytes)?;
                bytes.truncate(length);
                Ok(Reply::Text(String::from_utf8_lossy(&bytes).into_owned()))
            }
            Err(_) => Ok(Reply::Text(String::new())),
        },
        "*" => {
            let list = (0..number()?).map(|_| read_reply(answers));
            Ok(Reply::List(list.collect::<std::io::Result<_>>()?))
        }
        _ => Err(std::io::Error::other(format!("not an answer: {line}"))),
    }
}
