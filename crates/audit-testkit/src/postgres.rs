//! A private PostgreSQL server: a cluster of its own in a temporary directory, on a free port of the loopback address, with
//! fsync on. Never the machine's own instance.
//!
//! PostgreSQL refuses to run as root; then it runs as the user `postgres`, whom its package makes.

mod standby;

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::child::ChildProcess;
use crate::net::free_port;
use crate::wait::wait_until;

/// How long a server may take to start, which after a kill includes recovery.
const START: Duration = Duration::from_secs(60);
/// Waits for the end of the test process (which closes its input), then ends the server and removes its directory: a server
/// in a `static` is never dropped, and a killed test drops nothing.
const KEEPER: &str = r#"cat >/dev/null
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
if [ -n "$pid" ]; then
  kill -QUIT "$pid" 2>/dev/null
  n=0; while kill -0 "$pid" 2>/dev/null && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
fi
rm -rf "$1""#;

/// A running server. Dropping it stops it and removes everything.
#[derive(Debug)]
pub struct PostgresServer {
    process: Option<ChildProcess>,
    settings: Vec<(String, String)>,
    port: u16,
    /// Ends when this process does.
    keeper: Child,
    dir: TempDir,
}

impl PostgresServer {
    /// Makes a cluster and starts it.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with settings of its own, as in `postgresql.conf`.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::start_in(directory(), settings)
    }

    /// A server with TLS whose certificate names `localhost` and nothing else.
    ///
    /// # Panics
    /// As [`Self::start`], and when `openssl` is missing.
    #[must_use]
    pub fn start_with_tls() -> Self {
        let dir = directory();
        for command in CERTIFICATES.lines() {
            let mut openssl = as_server(Path::new("openssl"));
            openssl.args(command.split(' ')).current_dir(dir.path());
            let made = openssl.output().expect("openssl can be started");
            let said = String::from_utf8_lossy(&made.stderr);
            assert!(made.status.success(), "openssl {command}: {said}");
        }
        let file = |name: &str| dir.path().join(name).display().to_string();
        let (certificate, key) = (file("server.crt"), file("server.key"));
        let settings = [
            ("ssl", "on"),
            ("ssl_cert_file", certificate.as_str()),
            ("ssl_key_file", key.as_str()),
        ];
        Self::start_in(dir, &settings)
    }

    /// The authority that signed the certificate of [`Self::start_with_tls`], and one that did not.
    #[must_use]
    pub fn authorities(&self) -> (PathBuf, PathBuf) {
        let file = |name: &str| self.dir.path().join(name);
        (file("ca.crt"), file("other.crt"))
    }

    fn start_in(dir: TempDir, settings: &[(&str, &str)]) -> Self {
        let mut initdb = program("initdb");
        initdb
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync", "--pgdata"])
            .arg(dir.path().join("data"))
            .current_dir(dir.path());
        let made = initdb.output().expect("initdb can be started");
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self::over(dir, settings.iter().map(owned).collect())
    }

    /// Starts a server over the cluster in `dir`.
    fn over(dir: TempDir, settings: Vec<(String, String)>) -> Self {
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("sh can be started");
        let mut server = Self {
            process: None,
            settings,
            port: free_port(),
            keeper,
            dir,
        };
        server.restart();
        server
    }

    /// One server for all tests of a process; each makes a database of its own in it and leaves the server alone.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<PostgresServer> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Starts it again, on the same port, after [`Self::kill`] or [`Self::stop_immediately`].
    ///
    /// # Panics
    /// When it runs, or does not start.
    pub fn restart(&mut self) {
        assert!(self.process.is_none(), "the server runs");
        let mut postgres = program("postgres");
        postgres
            .arg("-D")
            .arg(self.data())
            .current_dir(self.dir.path());
        let port = self.port.to_string();
        let own = [
            ("port", port.as_str()),
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", ""),
            ("max_connections", "200"),
            ("shared_buffers", "64MB"),
            ("lc_messages", "C"),
        ];
        let given = self
            .settings
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.into_iter().chain(given) {
            postgres.arg("-c").arg(format!("{name}={value}"));
        }
        let mut process = ChildProcess::start(&mut postgres);
        process.wait_for_line("database system is ready to accept", START);
        self.process = Some(process);
    }

    /// SIGKILL to the server and all of its processes, as when the power fails: nothing is written any more. Returns when they
    /// are gone.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("the server runs");
        let children = children_of(process.id());
        process.kill();
        for child in children {
            // It may have followed its parent already.
            kill_process(child, Signal::KILL).ok();
            wait_until("the end of a server process", START, || {
                (!Path::new(&format!("/proc/{}", child.as_raw_nonzero())).exists()).then_some(())
            });
        }
    }

    /// Immediate stop: connections are cut, nothing is flushed, and the next start recovers.
    ///
    /// # Panics
    /// When it does not run.
    pub fn stop_immediately(&mut self) {
        let mut process = self.process.take().expect("the server runs");
        let id = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
        kill_process(id.expect("a child has an id"), Signal::QUIT)
            .expect("a child can be signalled");
        process.wait(START);
    }

    /// Where it listens on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Lets it use a directory of somebody else's.
    ///
    /// # Panics
    /// When it is not ours to give.
    pub fn give(&self, dir: &Path) {
        give_to_server(dir);
    }

    /// Everything it said since it was last started.
    #[must_use]
    pub fn log(&self) -> String {
        self.process
            .as_ref()
            .map(ChildProcess::output)
            .unwrap_or_default()
    }

    /// The address of a database, for its superuser.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.url_as("postgres", database)
    }

    /// The address of a database, for a user; nobody needs a password.
    #[must_use]
    pub fn url_as(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes an empty database and gives back its name.
    ///
    /// # Panics
    /// When the server says no.
    #[must_use]
    pub fn create_database(&self) -> String {
        let name = unused_name();
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// Makes a copy of a database, and gives back its name. Whoever is connected to the original is cut off.
    ///
    /// # Panics
    /// When the server says no.
    #[must_use]
    pub fn copy_database(&self, template: &str) -> String {
        let name = unused_name();
        let cut = format!(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{template}'"
        );
        self.sql("postgres", &cut);
        let copy = format!("CREATE DATABASE {name} TEMPLATE {template}");
        self.sql("postgres", &copy);
        name
    }

    /// Runs statements as the superuser, as somebody at `psql` would; gives back what it prints, one row a line.
    ///
    /// # Panics
    /// When the server says no.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        let output = program("psql")
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set=ON_ERROR_STOP=1", "--dbname", &self.url(database)])
            .args(["--command", statements])
            .current_dir(self.dir.path())
            .output()
            .expect("psql can be started");
        assert!(
            output.status.success(),
            "{statements}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let id = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
            let asked = id.map(|id| kill_process(id, Signal::QUIT));
            // When it cannot be asked, dropping the process kills it.
            if matches!(asked, Some(Ok(()))) && process.is_running() {
                process.wait(START);
            }
        }
        // Its input closes; with the server gone, it removes the directory at once.
        drop(self.keeper.stdin.take());
        self.keeper.wait().ok();
    }
}

/// Two authorities, and a certificate for `localhost` that the first has signed.
const CERTIFICATES: &str = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.crt
req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=other -keyout other.key -out other.crt
req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=server -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE -CA ca.crt -CAkey ca.key -keyout server.key -out server.crt";

/// A directory that the server may use.
pub(crate) fn directory() -> TempDir {
    let dir = tempfile::Builder::new()
        .prefix("audit-postgres-")
        .tempdir()
        .expect("a temporary directory can be made");
    give_to_server(dir.path());
    dir
}

/// Makes a file or directory the server's own.
pub(crate) fn give_to_server(path: &Path) {
    if let Some((user, group)) = account() {
        chown(path, Some(user), Some(group)).expect("root may give its own away");
    }
}

fn unused_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A program of PostgreSQL, to be run as somebody whom it does not refuse.
fn program(name: &str) -> Command {
    as_server(&binaries().join(name))
}

/// A program that does not want to be root's.
pub(crate) fn as_server(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("LC_ALL", "C");
    if let Some((user, group)) = account() {
        command.uid(user).gid(group);
    }
    command
}

/// Debian keeps the server's programs out of the path, a directory for each version; the newest is taken.
fn binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let newest = versions
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join("bin/initdb").exists())
        .max_by_key(|entry| {
            let name = entry.file_name();
            name.to_string_lossy().parse::<u32>().unwrap_or(0)
        });
    if let Some(entry) = newest {
        return entry.path().join("bin");
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .find(|dir| dir.join("initdb").exists())
        .unwrap_or_else(|| panic!("PostgreSQL is not installed: apt-get install postgresql"))
}

/// User and group of the server when we are root; `None` when it may run as we do.
fn account() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("there are users");
    let fields = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&"postgres"))
        .expect("the package of PostgreSQL makes the user postgres");
    let number = |index: usize| {
        let text: &&str = fields.get(index).expect("a user has two ids");
        text.parse().expect("ids are numbers")
    };
    Some((number(2), number(3)))
}

/// Processes whose parent is `id`, as /proc has them.
fn children_of(id: u32) -> Vec<Pid> {
    let processes = std::fs::read_dir("/proc").expect("there is /proc");
    let is_child = |stat: &str| {
        // The name in brackets may contain anything; the parent is the second field behind it.
        let parent = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1));
        parent.is_some_and(|parent| parent == id.to_string())
    };
    processes
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok())
        .filter(|number| {
            std::fs::read_to_string(format!("/proc/{number}/stat"))
                .is_ok_and(|stat| is_child(&stat))
        })
        .filter_map(Pid::from_raw)
        .collect()
}
