//! The contract of the ports, on this queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use audit_queue::Marks;
use audit_queue::conformance::{self, Ports, Setup, Subject};
use audit_queue_redis::{RedisQueue, Settings};
use audit_testkit::redis::RedisServer;

use crate::made::{age_everything, open, settings};

struct Redis {
    server: Arc<RedisServer>,
    settings: Settings,
    queue: Arc<RedisQueue>,
}

#[async_trait]
impl Subject for Redis {
    fn ports(&self) -> Ports {
        Ports {
            producer: self.queue.clone(),
            consumer: self.queue.clone(),
            lookup: self.queue.clone(),
        }
    }

    fn set_marks(&self, marks: Marks) {
        self.queue.set_marks(marks);
    }

    /// Another process goes on, after the dead one's hold has run out.
    async fn kill(&mut self) {
        age_everything(&self.server, &self.settings.name);
        self.queue = open(self.settings.clone());
    }
}

async fn check(server: RedisServer, url: &str) {
    let server = Arc::new(server);
    let made = AtomicU64::new(0);
    conformance::run(async |setup: Setup| {
        let settings = Settings {
            name: format!("case-{}", made.fetch_add(1, Ordering::Relaxed)),
            events_max: setup.events_max,
            ..settings(url)
        };
        Redis {
            server: Arc::clone(&server),
            queue: open(settings.clone()),
            settings,
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract() {
    let server = RedisServer::start_durable();
    let url = server.url();
    check(server, &url).await;
}

#[tokio::test]
async fn it_keeps_the_contract_on_one_thread_with_everything_in_memory() {
    let server = RedisServer::start(&[]);
    let url = server.url();
    check(server, &url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract_on_a_cluster() {
    let server = RedisServer::start_cluster_of_one();
    let url = format!("redis+cluster://{}", server.address());
    check(server, &url).await;
}
