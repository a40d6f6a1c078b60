//! A deployment on this machine: servers of its own, a key directory, workers and an ingest over one configuration.
//!
//! The worker is the program beside `audit-ingest` in the target directory, which a test run of the workspace builds first;
//! for a run of this package alone: `cargo build --bin worker`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use audit_testkit::child::ChildProcess;
use audit_testkit::events::EventSource;
use audit_testkit::postgres::PostgresServer;
use audit_testkit::redis::RedisServer;
use audit_testkit::wait::wait_until_async;
use serde_json::{Value, json};

/// Nothing here takes so long unless it is broken.
pub(crate) const BOUND: Duration = Duration::from_secs(90);

/// Events of a row of the fault matrix.
pub(crate) fn events_of_a_row() -> usize {
    if std::env::var_os("AUDIT_TEST_FULL").is_some_and(|full| full == "true") {
        100_000
    } else {
        5_000
    }
}

/// One of our processes. Killed when dropped.
pub(crate) struct Program {
    pub(crate) child: ChildProcess,
    pub(crate) url: String,
    name: String,
}

pub(crate) struct Site {
    pub(crate) postgres: PostgresServer,
    pub(crate) redis: RedisServer,
    config: PathBuf,
    http: reqwest::Client,
    dir: tempfile::TempDir,
}

impl Site {
    /// Servers and a configuration, nothing of ours running yet. `extra` is laid over the configuration.
    pub(crate) fn new(extra: &Value) -> Self {
        let postgres = PostgresServer::start();
        let redis = RedisServer::start_durable();
        let dir = tempfile::tempdir().expect("a directory");
        let database = postgres.create_database();
        let mut config = json!({
            "keys": { "dir": dir.path().join("keys") },
            "store": { "backend": "postgres", "url": postgres.url(&database), "maxConnections": 6 },
            "queue": { "backend": "redis", "url": redis.url() },
        });
        lay_over(&mut config, extra);
        let path = dir.path().join("config.json");
        std::fs::write(&path, config.to_string()).expect("written");
        let http = reqwest::Client::builder().timeout(Duration::from_secs(60));
        Self {
            postgres,
            redis,
            config: path,
            http: http.build().expect("a client"),
            dir,
        }
    }

    /// Starts a program on its own data directory, again or for the first time, and waits until it listens.
    fn start(&self, program: &Path, name: &str) -> Program {
        let mut command = Command::new(program);
        command
            .args(["--listen", "127.0.0.1:0", "--config"])
            .arg(&self.config)
            .arg("--data-dir")
            .arg(self.dir.path().join(name));
        let mut child = ChildProcess::start(&mut command);
        let line = child.wait_for_line("ready ", BOUND);
        let url = line.split_whitespace().last().expect("an address");
        Program {
            url: url.to_owned(),
            name: name.to_owned(),
            child,
        }
    }

    pub(crate) fn worker(&self, name: &str) -> Program {
        let ingest = Path::new(env!("CARGO_BIN_EXE_audit-ingest"));
        let program = ingest.with_file_name("worker");
        assert!(
            program.exists(),
            "{} is not there: run `cargo build --bin worker` first",
            program.display()
        );
        self.start(&program, name)
    }

    pub(crate) fn ingest(&self) -> Program {
        self.start(Path::new(env!("CARGO_BIN_EXE_audit-ingest")), "ingest")
    }

    /// SIGKILL, and the same again on the same directory.
    pub(crate) fn kill_and_restart(&self, program: &mut Program) {
        program.child.kill();
        *program = self.worker(&program.name);
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

    /// Sends a body of events; the answer, or nothing when the connection broke.
    pub(crate) async fn try_post(
        &self,
        program: &Program,
        path: &str,
        body: String,
    ) -> Option<(u16, Value)> {
        let request = self.http.post(format!("{}{path}", program.url));
        let request = request.header("content-type", "application/json");
        let response = request
            .bearer_auth(self.key())
            .body(body)
            .send()
            .await
            .ok()?;
        let status = response.status().as_u16();
        Some((status, response.json().await.ok()?))
    }

    pub(crate) async fn post(&self, program: &Program, path: &str, body: String) -> (u16, Value) {
        self.try_post(program, path, body)
            .await
            .expect("it answers")
    }

    /// Sends events in batches of 200 until every one is acknowledged, again where it is told to; gives back their ids.
    pub(crate) async fn send_all(
        &self,
        program: &Program,
        seed: u64,
        events: usize,
    ) -> HashSet<String> {
        let mut source = EventSource::new(seed);
        let mut sent = HashSet::new();
        while sent.len() < events {
            let batch = source.batch(200.min(events - sent.len()));
            sent.extend(self.send_until_taken(program, batch).await);
        }
        sent
    }

    /// Sends one body until all of it is accepted: an event keeps its id, so sending it again does no harm.
    pub(crate) async fn send_until_taken(&self, program: &Program, body: String) -> Vec<String> {
        wait_until_async("a batch is taken", BOUND, || async {
            let (status, answer) = self.try_post(program, "/v1/events", body.clone()).await?;
            let results = answer["results"].as_array()?;
            (status == 202).then(|| {
                let id = |result: &Value| result["id"].as_str().expect("an id").to_owned();
                results.iter().map(id).collect()
            })
        })
        .await
    }

    /// The status of the deployment once nothing waits any more, as `program` sees it.
    pub(crate) async fn settled(&self, program: &Program) -> Value {
        wait_until_async("everything is settled", BOUND, || async {
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

    /// Runs a verification of everything to its end.
    pub(crate) async fn verify(&self, program: &Program) -> Value {
        let (code, started) = self.post(program, "/v1/verify", "{}".to_owned()).await;
        assert_eq!(code, 202, "{started}");
        let path = format!("/v1/verify/{}", started["run"].as_str().expect("a run"));
        wait_until_async("the verification ends", BOUND, || async {
            let (code, report) = self.get(program, &path).await;
            assert_eq!(code, 200, "{report}");
            (report["state"] != "running").then_some(report)
        })
        .await
    }

    /// Everything that must hold at rest: the books balance, every id is stored once, the ledgers verify.
    pub(crate) async fn check(&self, worker: &Program, sent: &HashSet<String>) -> Value {
        let status = self.settled(worker).await;
        let parts = ["stored", "duplicate", "conflict", "deadLettered"];
        let sum: u64 = parts.iter().map(|part| number(&status, part)).sum();
        assert_eq!(number(&status, "accepted"), sum, "conservation: {status}");
        assert_eq!(number(&status, "stored"), sent.len() as u64, "{status}");
        let ids = self.all_ids(worker).await;
        let distinct: HashSet<String> = ids.iter().cloned().collect();
        assert_eq!(ids.len(), distinct.len(), "no id twice");
        assert!(distinct == *sent, "exactly what was sent is stored");
        // The newest commits are signed within half a second; until then there is less to verify against, not more.
        let report = self.verify(worker).await;
        assert_eq!(report["result"], "pass", "{report}");
        status
    }
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
