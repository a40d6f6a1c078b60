//! What a lane does with the list, and dies at: nothing is lost, nothing is stored twice, whatever happens in between.

use std::collections::HashMap;
use std::sync::Mutex;

use audit_queue::{Batch, Budget, Consumer, Payload, SourcePosition};
use audit_queue_redis::list::RedisList;
use audit_testkit::fault_proxy::FaultProxy;
use audit_testkit::redis::RedisServer;

use super::made::{age_everything, item, open, settings};
use crate::made::budget;

/// What the store has: of each position the item and the time it came with.
#[derive(Default)]
struct Store(Mutex<HashMap<SourcePosition, (Vec<u8>, i64)>>);

impl Store {
    /// Commits a batch. What is there already has to be the same, in item and time.
    fn commit(&self, batch: &Batch) {
        let mut stored = self.0.lock().unwrap();
        for delivery in &batch.deliveries {
            let Payload::Foreign {
                bytes,
                received_micros,
                ..
            } = &delivery.payload
            else {
                panic!("{delivery:?}")
            };
            let this = (bytes.clone(), *received_micros);
            let known = stored
                .entry(delivery.source.clone())
                .or_insert_with(|| this.clone());
            assert_eq!(*known, this, "{:?}", delivery.source);
        }
    }
}

/// The same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// One lane's next step, and perhaps its end. `true`: it died, and what it held goes with it.
async fn step(list: &RedisList, store: &Store, dice: &mut Dice) -> bool {
    let budget = Budget {
        bytes: 10_000,
        ..budget(1 + dice.below(60) as usize)
    };
    let receiving = list.receive(budget);
    let batch = if dice.below(10) == 0 {
        // Dropped while the question or its answer is on its way.
        let impatience = dice.below(30);
        let given_up = async {
            for _ in 0..impatience {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            batch = receiving => batch,
            () = given_up => return false,
        }
    } else {
        receiving.await
    };
    let Ok(batch) = batch else { return false };
    match dice.below(20) {
        0 => return true,
        1 => {
            list.release(batch).await.ok();
            return false;
        }
        _ => store.commit(&batch),
    }
    if dice.below(15) == 0 {
        return true;
    }
    if dice.below(10) == 0 {
        list.renew(&batch).await.ok();
    }
    // An answer that is lost in the end leaves it held: it comes again.
    list.settle(batch).await.ok();
    false
}

fn pushed() -> u64 {
    let full = std::env::var_os("AUDIT_TEST_FULL").is_some_and(|full| full == "true");
    if full { 20_000 } else { 2_000 }
}

fn push_many(server: &RedisServer, numbers: std::ops::Range<u64>) {
    let items: Vec<String> = numbers.map(item).collect();
    for some in items.chunks(100) {
        let mut command = vec!["LPUSH", "audit:queue"];
        command.extend(some.iter().map(String::as_str));
        drop(server.command(&command).text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_dies_each_item_is_stored_once() {
    let server = RedisServer::start(&[]);
    let proxy = FaultProxy::start(server.address());
    let url = server.url_at(proxy.address());
    let (store, total) = (Store::default(), pushed());
    let mut dice = Dice(20_261_121);
    let mut lists = [open(settings(&url)), open(settings(&url))];
    let (mut deaths, mut next) = (0, 0);
    loop {
        if next < total {
            let until = (next + 1 + dice.below(90)).min(total);
            push_many(&server, next..until);
            next = until;
        }
        match dice.below(40) {
            0 => proxy.cut(),
            1 => proxy.halve_answers(1),
            2 => age_everything(&server),
            _ => {}
        }
        let which = dice.below(2) as usize;
        if step(&lists[which], &store, &mut dice).await {
            // Dropped without a word: what it held is anybody's once its time is over.
            lists[which] = open(settings(&url));
            deaths += 1;
        }
        let queue = server.command(&["LLEN", "audit:queue"]).text();
        if next == total && queue == "0" {
            age_everything(&server);
            let held = server.command(&["HLEN", "{audit:queue}:items"]).text();
            if held == "0" {
                break;
            }
        }
    }
    let mut stored: Vec<Vec<u8>> = {
        let stored = store.0.into_inner().unwrap();
        stored.into_values().map(|(item, _)| item).collect()
    };
    let mut expected: Vec<Vec<u8>> = (0..total).map(|n| item(n).into_bytes()).collect();
    stored.sort_unstable();
    expected.sort_unstable();
    assert_eq!(stored.len(), expected.len());
    assert!(stored == expected, "each item under one position");
    assert!(deaths > 3, "{deaths}");
    let depth = lists[0].depth().await.unwrap();
    assert_eq!(
        (depth.taken, depth.settled, depth.held, depth.lost),
        (total, total, 0, 0)
    );
    let left = server.command(&["ZCARD", "{audit:queue}:held"]).text();
    assert_eq!(left, "0");
}
