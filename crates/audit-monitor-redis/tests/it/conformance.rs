//! The contract of the port, on these windows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use audit_monitor::conformance::{TestWindows, run};
use audit_monitor::{Engine, WindowStore};
use audit_monitor_redis::{RedisWindows, Settings};
use audit_testkit::redis::RedisServer;

use crate::made::{busy, end_turn, open_with};

struct Redis {
    server: Arc<RedisServer>,
    settings: Settings,
    engine: Arc<Engine>,
    windows: Arc<RedisWindows>,
}

#[async_trait]
impl TestWindows for Redis {
    fn windows(&self) -> Arc<dyn WindowStore> {
        self.windows.clone()
    }

    async fn crash(&mut self) {
        self.windows = Arc::new(open_with(self.settings.clone(), Arc::clone(&self.engine)));
        end_turn(&self.server, &self.settings.name);
    }

    async fn lose(&mut self) {
        assert_eq!(self.server.command(&["FLUSHALL"]).text(), "OK");
    }
}

async fn check(server: RedisServer, url: &str) {
    let server = Arc::new(server);
    let made = AtomicU64::new(0);
    run(async |engine: Arc<Engine>| {
        let settings = Settings {
            name: format!("case-{}", made.fetch_add(1, Ordering::Relaxed)),
            entries_max: 40,
            ..busy(url)
        };
        Redis {
            server: Arc::clone(&server),
            windows: Arc::new(open_with(settings.clone(), Arc::clone(&engine))),
            engine,
            settings,
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract() {
    let server = RedisServer::start(&[]);
    let url = server.url();
    check(server, &url).await;
}

#[tokio::test]
async fn it_keeps_the_contract_on_one_thread_on_a_cluster() {
    let server = RedisServer::start_cluster_of_one();
    let url = format!("redis+cluster://{}", server.address());
    check(server, &url).await;
}
