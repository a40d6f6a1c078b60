//! A deployment on this machine: servers of its own, a key directory, workers and an ingest over one configuration.
//!
//! The worker is the program beside `audit-ingest` in the target directory, which a test run of the workspace builds first;
//! for a run of this package alone: `cargo build --bin worker`.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use audit_testkit::child::ChildProcess;
use audit_testkit::events::EventSource;
use audit_testkit::fault_proxy::FaultProxy;
use audit_testkit::postgres::PostgresServer;
use audit_testkit::redis::RedisServer;
use audit_testkit::wait::wait_until_async;
use audit_testkit::wrong_clock::WrongClock;
use serde_json::{Value, json};

use crate::traffic::Sender;

/// Nothing here takes so long unless it is broken.
pub(crate) const BOUND: Duration = Duration::from_secs(90);

/// How long everything that was sent may take to be settled, or verified: traffic at full speed for minutes makes a million events.
fn patience() -> Duration {
    if is_full() { BOUND * 6 } else { BOUND }
}

/// More ids than this are not walked page by page.
const WALKED_MAX: usize = 200_000;

/// Whether the sizes are those of the issue.
pub(crate) fn is_full() -> bool {
    std::env::var_os("AUDIT_TEST_FULL").is_some_and(|full| full == "true")
}

/// Events of a row of the fault matrix.
pub(crate) fn events_of_a_row() -> usize {
    if is_full() { 100_000 } else { 5_000 }
}

/// What is measured but not asserted, because machines differ: shown with `--nocapture`.
#[expect(clippy::print_stderr, reason = "read by people, beside the result")]
pub(crate) fn record(what: &str, took: Duration) {
    eprintln!("measured: {what}: {} ms", took.as_millis());
}

/// One of our processes. Killed when dropped.
pub(crate) struct Program {
    pub(crate) child: ChildProcess,
    pub(crate) url: String,
    name: String,
}

/// Proxies that every connection of our processes goes through.
pub(crate) struct Doors {
    pub(crate) store: FaultProxy,
    pub(crate) broker: FaultProxy,
}

pub(crate) struct Site {
    pub(crate) postgres: PostgresServer,
    pub(crate) redis: RedisServer,
    database: String,
    config: Value,
    http: reqwest::Client,
    dir: tempfile::TempDir,
}

impl Site {
    /// Servers and a configuration, nothing of ours running yet. `extra` is laid over the configuration.
    pub(crate) fn new(extra: &Value) -> Self {
        let postgres = PostgresServer::start();
        let database = postgres.create_database();
        Self::over(postgres, database, extra)
    }

    /// The same with a proxy in front of each server.
    pub(crate) fn behind_doors() -> (Self, Doors) {
        let mut site = Self::new(&json!({}));
        let doors = Doors {
            store: FaultProxy::start((Ipv4Addr::LOCALHOST, site.postgres.port()).into()),
            broker: FaultProxy::start(site.redis.address()),
        };
        let store = format!(
            "postgres://postgres@{}/{}",
            doors.store.address(),
            site.database
        );
        let broker = site.redis.url_at(doors.broker.address());
        site.lay_over(&json!({ "store": { "url": store }, "queue": { "url": broker } }));
        (site, doors)
    }

    /// On a database that somebody made.
    pub(crate) fn over(postgres: PostgresServer, database: String, extra: &Value) -> Self {
        let redis = RedisServer::start_durable();
        let dir = tempfile::tempdir().expect("a directory");
        let config = json!({
            "keys": { "dir": dir.path().join("keys") },
            "store": { "backend": "postgres", "url": postgres.url(&database), "maxConnections": 6 },
            "queue": { "backend": "redis", "url": redis.url() },
        });
        let http = reqwest::Client::builder().timeout(Duration::from_secs(60));
        let mut site = Self {
            postgres,
            redis,
            database,
            config,
            http: http.build().expect("a client"),
            dir,
        };
        site.lay_over(extra);
        site
    }

    /// Changes the configuration of whatever starts, or looks at it, from now on; gives it back as it was.
    pub(crate) fn lay_over(&mut self, extra: &Value) -> Value {
        let before = self.config.clone();
        lay_over(&mut self.config, extra);
        self.write_config();
        before
    }

    /// Has the configuration as it was.
    pub(crate) fn put_back(&mut self, config: &Value) {
        self.config.clone_from(config);
        self.write_config();
    }

    /// In one step, as whoever looks at it meanwhile must see one or the other.
    fn write_config(&self) {
        let written = self.config_file().with_extension("new");
        std::fs::write(&written, self.config.to_string()).expect("written");
        std::fs::rename(written, self.config_file()).expect("renamed");
    }

    fn config_file(&self) -> PathBuf {
        self.dir.path().join("config.json")
    }

    /// From now on programs log in with the rights that the documentation gives a worker's user. Something that migrates must
    /// have run before.
    pub(crate) fn log_in_as_writer(&mut self) {
        self.sql("CREATE ROLE operated LOGIN IN ROLE audit_writer");
        let url = self.postgres.url_as("operated", &self.database);
        self.lay_over(&json!({ "store": { "url": url } }));
    }

    /// As the database's superuser.
    pub(crate) fn sql(&self, statements: &str) -> String {
        self.postgres.sql(&self.database, statements)
    }

    /// Starts a program on its own data directory, again or for the first time, and waits until it listens.
    fn start(&self, mut command: Command, name: &str) -> Program {
        command
            .args(["--listen", "127.0.0.1:0", "--config"])
            .arg(self.config_file())
            .arg("--data-dir")
            .arg(self.dir.path().join(name));
        let mut child = ChildProcess::start(&mut command);
        let url = child.wait_for_value("ready", BOUND);
        Program {
            url,
            name: name.to_owned(),
            child,
        }
    }

    pub(crate) fn worker(&self, name: &str) -> Program {
        self.start(Command::new(worker_program()), name)
    }

    /// A worker that looks at another clock.
    pub(crate) fn worker_with_clock(&self, name: &str, clock: &WrongClock) -> Program {
        let mut command = Command::new(worker_program());
        clock.give_to(&mut command);
        self.start(command, name)
    }

    pub(crate) fn ingest(&self) -> Program {
        self.start(Command::new(env!("CARGO_BIN_EXE_audit-ingest")), "ingest")
    }

    /// SIGKILL, and the same again on the same directory.
    pub(crate) fn kill_and_restart(&self, program: &mut Program) {
        program.child.kill();
        *program = self.worker(&program.name);
    }

    /// SIGTERM, an end in order, and the same again on the same directory.
    pub(crate) fn restart_in_order(&self, program: &mut Program) {
        program.child.terminate();
        let status = program.child.wait(BOUND);
        assert!(status.success(), "{status}: {}", program.child.output());
        *program = self.worker(&program.name);
    }

    /// Whoever asks for the keys finds them in a program's own data directory.
    pub(crate) fn keys_are_in(&self, name: &str) {
        let own = self.dir.path().join(name).join("keys");
        std::os::unix::fs::symlink(own, self.dir.path().join("keys")).expect("a link");
    }

    /// The admin key that the first worker made.
    fn key(&self) -> String {
        let file = self.dir.path().join("keys").join("admin.key");
        let key = std::fs::read_to_string(file).expect("the key file");
        key.trim().to_owned()
    }

    pub(crate) async fn get(&self, program: &Program, path: &str) -> (u16, Value) {
        let request = self.http.get(format!("{}{path}", program.url));
        let response = request.bearer_auth(self.key()).send().await;
        let response = response.expect("it answers");
        let status = response.status().as_u16();
        (status, response.json().await.expect("JSON"))
    }

    /// As [`Self::get`], for what is no JSON.
    pub(crate) async fn text(&self, program: &Program, path: &str) -> (u16, String) {
        let request = self.http.get(format!("{}{path}", program.url));
        let response = request.send().await.expect("it answers");
        let status = response.status().as_u16();
        (status, response.text().await.expect("text"))
    }

    /// The status of a well-formed key that nobody made.
    pub(crate) async fn stranger(&self, program: &Program) -> u16 {
        let key = format!("ak_0123456789abcdef_{}", "s".repeat(43));
        let request = self.http.post(format!("{}/v1/events", program.url));
        let response = request.bearer_auth(key).body("[]").send().await;
        response.expect("it answers").status().as_u16()
    }

    /// Whoever sends events to a program.
    pub(crate) fn sender(&self, program: &Program) -> Sender {
        Sender::new(self.http.clone(), &program.url, self.key())
    }

    pub(crate) async fn post(&self, program: &Program, path: &str, body: String) -> (u16, Value) {
        let answer = self.sender(program).try_post(path, body).await;
        answer.expect("it answers")
    }

    /// Sends events until every one is acknowledged; gives back their ids.
    pub(crate) async fn send_all(
        &self,
        program: &Program,
        seed: u64,
        events: usize,
    ) -> HashSet<String> {
        let events = EventSource::new(seed).take(events);
        self.sender(program).send_all(events, |_| ()).await
    }

    /// Sends one body until all of it is accepted.
    pub(crate) async fn send_until_taken(&self, program: &Program, body: String) -> Vec<String> {
        self.sender(program).send_until_taken(body).await
    }

    /// The status of the deployment once nothing waits any more, as `program` sees it.
    pub(crate) async fn settled(&self, program: &Program) -> Value {
        wait_until_async("everything is settled", patience(), || async {
            let (code, status) = self.get(program, "/v1/status").await;
            let at_rest = code == 200
                && number(&status, "queued") == 0
                && status["internal"]["queued"] == 0
                && status["queue"]["frames"] == 0;
            at_rest.then_some(status)
        })
        .await
    }

    /// Ids of all stored events of producers, by walking the pages.
    pub(crate) async fn all_ids(&self, program: &Program) -> Vec<String> {
        let mut ids = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/v1/events?order=oldest&limit=1000{cursor}");
            let (code, page) = self.get(program, &path).await;
            assert_eq!(code, 200, "{page}");
            let events = page["events"].as_array().expect("events").iter();
            let own = |stored: &&Value| stored["event"]["organizationId"] == "_audit";
            ids.extend(
                events
                    .filter(|stored| !own(stored))
                    .map(|stored| stored["event"]["id"].as_str().expect("an id").to_owned()),
            );
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return ids,
            }
        }
    }

    /// The same ids, as the database says.
    fn ids_in_database(&self) -> Vec<String> {
        let rows = "SELECT id FROM audit.audit_event WHERE organization_id <> '_audit'";
        let rows = self.postgres.sql(&self.database, rows);
        rows.lines().map(str::to_owned).collect()
    }

    /// Runs a verification of everything to its end.
    pub(crate) async fn verify(&self, program: &Program) -> Value {
        let (code, started) = self.post(program, "/v1/verify", "{}".to_owned()).await;
        assert_eq!(code, 202, "{started}");
        let path = format!("/v1/verify/{}", started["run"].as_str().expect("a run"));
        wait_until_async("the verification ends", patience(), || async {
            let (code, report) = self.get(program, &path).await;
            assert_eq!(code, 200, "{report}");
            (report["state"] != "running").then_some(report)
        })
        .await
    }

    /// Everything that must hold at rest: the books balance, every id is stored once, the ledgers verify.
    pub(crate) async fn check(&self, worker: &Program, sent: &HashSet<String>) -> Value {
        self.check_without(worker, sent, &HashSet::new()).await
    }

    /// The same when these of the sent are in the dead letters, and only these.
    pub(crate) async fn check_without(
        &self,
        worker: &Program,
        sent: &HashSet<String>,
        refused: &HashSet<String>,
    ) -> Value {
        let status = self.settled(worker).await;
        let parts = ["stored", "duplicate", "conflict", "deadLettered"];
        let sum: u64 = parts.iter().map(|part| number(&status, part)).sum();
        assert_eq!(number(&status, "accepted"), sum, "conservation: {status}");
        for (name, expected) in [
            ("stored", sent.len() - refused.len()),
            ("deadLettered", refused.len()),
            ("conflict", 0),
        ] {
            assert_eq!(number(&status, name), expected as u64, "{name}: {status}");
        }
        let ids = if sent.len() > WALKED_MAX {
            self.ids_in_database()
        } else {
            self.all_ids(worker).await
        };
        let distinct: HashSet<String> = ids.iter().cloned().collect();
        assert_eq!(ids.len(), distinct.len(), "no id twice");
        let expected: HashSet<String> = sent.difference(refused).cloned().collect();
        assert!(distinct == expected, "exactly what was sent is stored");
        // The newest commits are signed within half a second; until then there is less to verify against, not more.
        let report = self.verify(worker).await;
        assert_eq!(report["result"], "pass", "{report}");
        status
    }
}

fn worker_program() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_audit-ingest")).with_file_name("worker");
    assert!(
        program.exists(),
        "{} is not there: run `cargo build --bin worker` first",
        program.display()
    );
    program
}

/// A number of the status.
pub(crate) fn number(status: &Value, name: &str) -> u64 {
    let found = status[name].as_u64();
    found.unwrap_or_else(|| panic!("no number {name} in {status}"))
}

/// A component of `/readyz`.
pub(crate) fn component<'a>(ready: &'a Value, name: &str) -> &'a Value {
    let components = ready["components"].as_array().expect("components");
    let found = components.iter().find(|found| found["component"] == name);
    found.unwrap_or_else(|| panic!("no component {name} in {ready}"))
}

fn lay_over(base: &mut Value, extra: &Value) {
    match (base, extra) {
        (Value::Object(base), Value::Object(extra)) => {
            for (key, value) in extra {
                lay_over(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, extra) => *base = extra.clone(),
    }
}
