//! Windows made for tests.

use std::sync::Arc;
use std::time::Duration;

use audit_monitor::Engine;
use audit_monitor::conformance::sample::{engine, limits};
use audit_monitor_redis::{RedisWindows, Settings};
use audit_runtime::SystemRandom;
use audit_testkit::redis::RedisServer;

/// Long enough for a slow machine.
pub(crate) const BOUND: Duration = Duration::from_secs(60);

pub(crate) fn settings(url: &str) -> Settings {
    Settings::at(url.parse().unwrap())
}

/// Small bounds, so that logs are trimmed and snapshots taken all the time.
pub(crate) fn busy(url: &str) -> Settings {
    Settings {
        snapshot_batches: 5,
        quiet: Duration::from_secs(4),
        ..settings(url)
    }
}

pub(crate) fn open_with(settings: Settings, engine: Arc<Engine>) -> RedisWindows {
    RedisWindows::new(settings, engine, Arc::new(SystemRandom)).unwrap()
}

pub(crate) fn open(settings: Settings) -> RedisWindows {
    open_with(settings, engine(limits()))
}

/// Does what time does after an evaluator's death: its turn runs out.
pub(crate) fn end_turn(server: &RedisServer, name: &str) {
    let key = format!("{{{name}:detection}}:turn");
    // Absent when nobody evaluated.
    let _ended: i64 = server.command(&["DEL", &key]).text().parse().unwrap();
}
