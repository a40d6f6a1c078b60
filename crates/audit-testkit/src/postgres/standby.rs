//! A streaming standby of a private server.

use super::{PostgresServer, directory, program};

impl PostgresServer {
    /// A hot standby that streams from this server, on a port and in a directory of its own: reads are welcome, everything else is
    /// refused. It is a server like any other to whoever kills and restarts it.
    ///
    /// # Panics
    /// When it cannot be copied or does not start.
    #[must_use]
    pub fn start_standby(&self) -> Self {
        let dir = directory();
        let mut copy = program("pg_basebackup");
        // -R writes who to stream from, and that it is a standby.
        copy.args(["--write-recovery-conf", "--wal-method=stream"])
            .args(["--checkpoint=fast", "--no-sync", "--pgdata"])
            .arg(dir.path().join("data"))
            .args(["--host=127.0.0.1", "--username=postgres", "--port"])
            .arg(self.port.to_string())
            .current_dir(dir.path());
        let copied = copy.output().expect("pg_basebackup can be started");
        assert!(
            copied.status.success(),
            "pg_basebackup: {}",
            String::from_utf8_lossy(&copied.stderr)
        );
        // What it would lose by a power cut, it gets from its primary again.
        let mut settings = self.settings.clone();
        settings.push(("fsync".to_owned(), "off".to_owned()));
        Self::over(dir, settings)
    }

    /// Has a standby apply nothing more until [`Self::resume_replay`]: it goes on to answer, with what it has.
    ///
    /// # Panics
    /// When it is no standby.
    pub fn pause_replay(&self) {
        self.sql("postgres", "SELECT pg_wal_replay_pause()");
        crate::wait::wait_until("the replay stands still", super::START, || {
            let state = self.sql("postgres", "SELECT pg_get_wal_replay_pause_state()");
            (state == "paused").then_some(())
        });
    }

    /// Lets a standby go on.
    ///
    /// # Panics
    /// When it is no standby.
    pub fn resume_replay(&self) {
        self.sql("postgres", "SELECT pg_wal_replay_resume()");
    }

    /// Waits until a standby has applied everything that this server, its primary, has committed by now.
    ///
    /// # Panics
    /// When it does not get there.
    pub fn wait_for_standby(&self, standby: &Self) {
        let position = self.sql("postgres", "SELECT pg_current_wal_lsn()");
        let reached = format!("SELECT pg_last_wal_replay_lsn() >= '{position}'");
        crate::wait::wait_until("the standby follows", super::START, || {
            (standby.sql("postgres", &reached) == "t").then_some(())
        });
    }
}
