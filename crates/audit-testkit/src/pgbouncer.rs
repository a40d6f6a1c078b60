//! A PgBouncer of the test's own, in front of a private PostgreSQL server. Never the machine's instance.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::child::ChildProcess;
use crate::net::free_port;
use crate::postgres::{PostgresServer, as_server, directory, give_to_server};

/// It has next to nothing to do before it listens.
const START: Duration = Duration::from_secs(30);

/// A pooler in transaction mode: a client has a server's connection from `BEGIN` to `COMMIT` and no longer. Dropping it ends it.
#[derive(Debug)]
pub struct PgBouncer {
    process: Option<ChildProcess>,
    port: u16,
    dir: TempDir,
}

impl PgBouncer {
    /// Starts one that lets everybody in, with this many connections to each database of the server.
    ///
    /// # Panics
    /// When it is not installed or does not start.
    #[must_use]
    pub fn start(server: &PostgresServer, connections: u32) -> Self {
        let dir = directory();
        let port = free_port();
        let file = dir.path().join("pgbouncer.ini");
        let to = server.port();
        let settings = format!(
            "[databases]
* = host=127.0.0.1 port={to} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {connections}
server_login_retry = 1
"
        );
        std::fs::write(&file, settings).expect("the settings can be written");
        give_to_server(&file);
        let mut bouncer = Self {
            process: None,
            port,
            dir,
        };
        bouncer.restart();
        bouncer
    }

    /// Starts it again, on the same port, after [`Self::kill`].
    ///
    /// # Panics
    /// When it runs, or does not start.
    pub fn restart(&mut self) {
        assert!(self.process.is_none(), "the pooler runs");
        let mut command = as_server(&program());
        command.arg("pgbouncer.ini").current_dir(self.dir.path());
        let mut process = ChildProcess::start(&mut command);
        process.wait_for_line("process up", START);
        self.process = Some(process);
    }

    /// SIGKILL: every connection through it is cut.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self) {
        self.process.take().expect("the pooler runs").kill();
    }

    /// The address of a database of the server, through the pooler, for the server's superuser.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

/// Debian keeps it where only root's path looks.
fn program() -> PathBuf {
    let usual = Path::new("/usr/sbin/pgbouncer");
    if usual.exists() {
        return usual.to_owned();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir| dir.join("pgbouncer"))
        .find(|program| program.exists())
        .unwrap_or_else(|| panic!("PgBouncer is not installed: apt-get install pgbouncer"))
}
