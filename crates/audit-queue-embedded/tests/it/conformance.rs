//! The contract of the ports, on this queue.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use audit_queue::Marks;
use audit_queue::conformance::{self, Ports, Setup, Subject};
use audit_queue_embedded::{EmbeddedQueue, Options};
use tempfile::TempDir;

use crate::made::open;

struct Embedded {
    dir: TempDir,
    queue: Arc<EmbeddedQueue>,
    options: Options,
    kills: u32,
}

impl Embedded {
    fn path(&self) -> PathBuf {
        self.dir.path().join(format!("queue-{}", self.kills))
    }
}

#[async_trait]
impl Subject for Embedded {
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

    /// Goes on with a copy of what is committed at this moment, which is what SIGKILL leaves; the old queue cannot write
    /// anything more that counts.
    async fn kill(&mut self) {
        let killed = rusqlite::Connection::open(self.path()).unwrap();
        self.kills += 1;
        killed
            .execute("VACUUM INTO ?1", [self.path().to_str().unwrap()])
            .unwrap();
        self.queue = Arc::new(open(&self.path(), self.options.clone()));
    }
}

async fn check(options: Options) {
    conformance::run(async |setup: Setup| {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            events_max: setup.events_max,
            ..options.clone()
        };
        let queue = Arc::new(open(&dir.path().join("queue-0"), options.clone()));
        Embedded {
            dir,
            queue,
            options,
            kills: 0,
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract() {
    check(Options::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract_when_everything_is_read_from_the_file() {
    check(Options {
        tail_bytes_max: 0,
        ..Options::default()
    })
    .await;
}

#[tokio::test]
async fn it_keeps_the_contract_on_one_thread_with_room_for_one_command() {
    check(Options {
        pending_bytes_max: 1,
        tail_bytes_max: 1000,
        ..Options::default()
    })
    .await;
}
