//! Raw configuration text to checked settings.
//!
//! What it is not: it runs nothing, and it is a start: one JSON file for the embedded form. Every key has a default; an
//! unknown key is an error that names the nearest known one; all problems are told at once.

mod nearest;
mod raw;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use raw::Reader;

/// What the `worker` binary is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSettings {
    /// `dataDir`: where everything is kept; default `./data`. Whoever can change it can hide the record.
    pub data_dir: PathBuf,
    /// `listen`: address and port; default `127.0.0.1:3001`. Beyond loopback, put TLS in front.
    pub listen: SocketAddr,
    /// `deploymentId`: name of the deployment; drawn at the first start when absent, immutable afterwards.
    pub deployment_id: Option<String>,
    /// `logFormat`: `human` or `json`; default `human`.
    pub log_format: LogFormat,
    /// `logFilter`: what is logged, in the syntax of `tracing`'s `EnvFilter`; default `info`.
    pub log_filter: String,
    /// `queue.eventsMax`: events that may wait before 503; default 1,000,000.
    pub queue_events_max: u64,
    /// `queue.bytesMax`: bytes that may wait before 503; default 536,870,912.
    pub queue_bytes_max: u64,
    /// `http.bodyBytesMax`: bytes of a request body, also decompressed; default 16,777,216.
    pub http_body_bytes_max: u64,
    /// `http.itemsMax`: events of a request; default 10,000.
    pub http_items_max: u64,
    /// `accept.maxAheadMs`: how far ahead of its arrival an event may say it happened; default 300,000.
    pub accept_max_ahead: Duration,
    /// `shutdown.drainDelayMs`: how long `/readyz` says 503 before the listener closes; default 0.
    pub drain_delay: Duration,
    /// `shutdown.graceMs`: how long each group of tasks may take to end; default 20,000.
    pub shutdown_grace: Duration,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Something wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct ConfigProblem {
    /// The key's path, "" for the whole file.
    pub key: String,
    /// What is wrong, and what would be right.
    pub reason: String,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 3001)),
            deployment_id: None,
            log_format: LogFormat::Human,
            log_filter: "info".to_owned(),
            queue_events_max: 1_000_000,
            queue_bytes_max: 512 << 20,
            http_body_bytes_max: 16 << 20,
            http_items_max: 10_000,
            accept_max_ahead: Duration::from_secs(300),
            drain_delay: Duration::ZERO,
            shutdown_grace: Duration::from_secs(20),
        }
    }
}

impl WorkerSettings {
    /// Reads a JSON configuration over the defaults.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn from_json(text: &str) -> Result<Self, Vec<ConfigProblem>> {
        let mut reader = Reader::new(text)?;
        let mut settings = Self::default();
        reader.text("dataDir", |value| settings.data_dir = value.into());
        reader.parsed(
            "listen",
            "an address and port, as 127.0.0.1:3001",
            |value| settings.listen = value,
        );
        reader.text("deploymentId", |value| settings.deployment_id = Some(value));
        reader.one_of(
            "logFormat",
            &[("human", LogFormat::Human), ("json", LogFormat::Json)],
            |value| {
                settings.log_format = value;
            },
        );
        reader.text("logFilter", |value| settings.log_filter = value);
        reader.number("queue.eventsMax", 1..=1 << 40, |value| {
            settings.queue_events_max = value
        });
        reader.number("queue.bytesMax", 1 << 20..=1 << 40, |value| {
            settings.queue_bytes_max = value
        });
        reader.number("http.bodyBytesMax", 1 << 10..=1 << 30, |value| {
            settings.http_body_bytes_max = value
        });
        reader.number("http.itemsMax", 1..=1_000_000, |value| {
            settings.http_items_max = value
        });
        reader.millis("accept.maxAheadMs", |value| {
            settings.accept_max_ahead = value
        });
        reader.millis("shutdown.drainDelayMs", |value| {
            settings.drain_delay = value
        });
        reader.millis("shutdown.graceMs", |value| settings.shutdown_grace = value);
        reader.finish()?;
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_gives_the_defaults() {
        assert_eq!(
            WorkerSettings::from_json("{}"),
            Ok(WorkerSettings::default())
        );
    }

    #[test]
    fn every_key_is_read() {
        let settings = WorkerSettings::from_json(
            r#"{"dataDir":"/srv/audit","listen":"0.0.0.0:80","deploymentId":"example.org/audit","logFormat":"json","logFilter":"debug",
                "queue":{"eventsMax":10,"bytesMax":2097152},"http":{"bodyBytesMax":2048,"itemsMax":5},
                "accept":{"maxAheadMs":1},"shutdown":{"drainDelayMs":2,"graceMs":3}}"#,
        );
        let expected = WorkerSettings {
            data_dir: "/srv/audit".into(),
            listen: SocketAddr::from(([0, 0, 0, 0], 80)),
            deployment_id: Some("example.org/audit".to_owned()),
            log_format: LogFormat::Json,
            log_filter: "debug".to_owned(),
            queue_events_max: 10,
            queue_bytes_max: 2 << 20,
            http_body_bytes_max: 2048,
            http_items_max: 5,
            accept_max_ahead: Duration::from_millis(1),
            drain_delay: Duration::from_millis(2),
            shutdown_grace: Duration::from_millis(3),
        };
        assert_eq!(settings, Ok(expected));
    }

    #[test]
    fn all_problems_are_told_at_once_with_the_nearest_known_key() {
        let problems = WorkerSettings::from_json(
            r#"{"dataDri":"x","listen":3001,"logFormat":"xml","queue":{"eventsMax":0},"http":7}"#,
        )
        .expect_err("all wrong");
        let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "listen: must be text: an address and port, as 127.0.0.1:3001",
                "logFormat: must be one of human, json",
                "queue.eventsMax: must be a whole number from 1 to 1099511627776",
                "dataDri: unknown key; did you mean dataDir?",
                "http: must be an object",
            ]
        );
    }

    #[test]
    fn a_file_that_is_no_object_is_one_problem() {
        assert!(WorkerSettings::from_json("[]").is_err());
        assert!(WorkerSettings::from_json("{").is_err());
    }
}
