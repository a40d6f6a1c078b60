//! One `worker` process on a data directory, killed and started again as a test needs.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A running worker; killed when dropped.
pub(crate) struct Worker {
    child: Child,
    data_dir: PathBuf,
    address: String,
    /// Everything it printed to standard output before it was ready.
    pub(crate) greeting: Vec<String>,
}

impl Worker {
    /// Starts one on a free port and waits until it is ready.
    pub(crate) fn start(data_dir: &Path) -> Self {
        Self::start_at(data_dir, free_port(), &[])
    }

    /// Starts one on a given port and waits until it is ready.
    pub(crate) fn start_at(data_dir: &Path, port: u16, extra: &[&str]) -> Self {
        Self::start_among(data_dir, port, extra, &[])
    }

    /// The same with variables of its environment.
    pub(crate) fn start_among(
        data_dir: &Path,
        port: u16,
        extra: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let address = format!("127.0.0.1:{port}");
        let mut child = Command::new(env!("CARGO_BIN_EXE_worker"))
            .args([
                "--data-dir",
                data_dir.to_str().expect("a UTF-8 path"),
                "--listen",
                &address,
            ])
            .args(extra)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the worker starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut greeting = Vec::new();
        for line in lines {
            let line = line.expect("text");
            let ready = line.starts_with("ready ");
            greeting.push(line);
            if ready {
                break;
            }
        }
        let worker = Self {
            child,
            data_dir: data_dir.to_owned(),
            address,
            greeting,
        };
        assert!(
            worker
                .greeting
                .last()
                .is_some_and(|line| line.starts_with("ready ")),
            "the worker ended before it was ready: {:?}",
            worker.greeting
        );
        worker
    }

    /// `http://address`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The admin key it created at its first start.
    pub(crate) fn admin_key(&self) -> String {
        std::fs::read_to_string(self.data_dir.join("admin.key"))
            .expect("the key file")
            .trim()
            .to_owned()
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killable");
        self.child.wait().expect("reaped");
    }

    /// SIGTERM, and waits for its exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .expect("kill runs")
                .success()
        );
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().expect("waitable") {
                return status.code();
            }
            assert!(
                Instant::now() < deadline,
                "the worker did not end within 30 s of SIGTERM"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Already gone after `kill` and `terminate`; otherwise a failed test must not leave it behind.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port nobody listens on now.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a free port")
        .port()
}

/// A client that talks to a worker as its admin.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    key: String,
}

impl Client {
    /// For a running worker.
    pub(crate) fn new(worker: &Worker) -> Self {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .build()
            .expect("a client");
        Self {
            http,
            url: worker.url(),
            key: worker.admin_key(),
        }
    }

    /// GET a path; the status and the JSON body.
    pub(crate) async fn get(&self, path: &str) -> Result<(u16, Value), reqwest::Error> {
        let response = self
            .http
            .get(format!("{}{path}", self.url))
            .bearer_auth(&self.key)
            .send()
            .await?;
        let status = response.status().as_u16();
        Ok((status, response.json().await?))
    }

    /// POST a JSON body with an idempotency key; the status and the JSON body.
    pub(crate) async fn post(
        &self,
        path: &str,
        body: String,
        idempotency_key: &str,
    ) -> Result<(u16, Value), reqwest::Error> {
        let request = self
            .http
            .post(format!("{}{path}", self.url))
            .bearer_auth(&self.key)
            .body(body);
        let request = request
            .header("content-type", "application/json")
            .header("idempotency-key", idempotency_key);
        let response = request.send().await?;
        let status = response.status().as_u16();
        Ok((status, response.json().await?))
    }

    /// `GET /v1/status` until nothing is queued and the books balance; panics after a minute.
    pub(crate) async fn settled_status(&self) -> Value {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let (code, status) = self.get("/v1/status").await.expect("the worker answers");
            assert_eq!(code, 200, "{status}");
            if number(&status, "queued") == 0 {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "still queued after a minute: {status}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ids of all stored events, by walking the pages oldest first.
    pub(crate) async fn all_ids(&self) -> Vec<String> {
        let mut ids = Vec::new();
        let mut cursor = String::new();
        loop {
            let (code, page) = self
                .get(&format!("/v1/events?order=oldest&limit=1000{cursor}"))
                .await
                .expect("the worker answers");
            assert_eq!(code, 200, "{page}");
            for stored in page["events"].as_array().expect("events") {
                ids.push(stored["event"]["id"].as_str().expect("an id").to_owned());
            }
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return ids,
            }
        }
    }

    /// Runs a verification to its end and gives back the report.
    pub(crate) async fn verify(&self) -> Value {
        let (code, started) = self
            .post("/v1/verify", "{}".to_owned(), "verify")
            .await
            .expect("the worker answers");
        assert_eq!(code, 202, "{started}");
        let run = started["run"].as_str().expect("a run id").to_owned();
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let (code, report) = self
                .get(&format!("/v1/verify/{run}"))
                .await
                .expect("the worker answers");
            assert_eq!(code, 200, "{report}");
            if report["state"] != "running" {
                return report;
            }
            assert!(
                Instant::now() < deadline,
                "still running after two minutes: {report}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A number of the status.
pub(crate) fn number(status: &Value, name: &str) -> u64 {
    status[name]
        .as_u64()
        .unwrap_or_else(|| panic!("no number {name} in {status}"))
}

/// accepted = stored + duplicate + conflict + deadLettered + queued, to the last event.
pub(crate) fn assert_conserved(status: &Value) {
    let parts: u64 = ["stored", "duplicate", "conflict", "deadLettered", "queued"]
        .iter()
        .map(|name| number(status, name))
        .sum();
    assert_eq!(
        number(status, "accepted"),
        parts,
        "the books do not balance: {status}"
    );
}
