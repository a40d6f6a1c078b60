//! A Redis that forgets: everything, the newest, a part; or that keeps what cannot be read. And what is refused because it is full.

use std::time::Duration;

use audit_event::Timestamp;
use audit_integrity::ledger::LeafIndex;
use audit_monitor::conformance::sample::{
    Dice, Found, SOURCES, beginnings, end, event, expected, find, matcher, read, settle_all,
    streams,
};
use audit_monitor::{Batch, WindowError, WindowStore};
use audit_monitor_redis::{RedisWindows, Settings};
use audit_runtime::{Fault, Faulty};
use audit_testkit::redis::{RedisServer, Reply};
use audit_testkit::wait::wait_until_async;

use crate::made::{BOUND, busy, end_turn, open, settings};

const STATE: &str = "{audit:detection}:state";
const LOG: &str = "{audit:detection}:log";
const SNAPSHOT: &str = "{audit:detection}:snapshot";

fn number(server: &RedisServer, words: &[&str]) -> i64 {
    server.command(words).text().parse().unwrap()
}

async fn is_lost(windows: &RedisWindows) {
    let cursor = windows.cursor(SOURCES[0]).await;
    assert!(matches!(cursor, Err(WindowError::Lost)), "{cursor:?}");
    let standing = windows.standing().await;
    assert!(matches!(standing, Err(WindowError::Lost)), "{standing:?}");
}

/// Reads streams from the cursors to their ends, and settles what is raised.
async fn finish(windows: &RedisWindows, seed: u64, found: &mut Found) {
    let streams = streams(&mut Dice::new(seed), 200, 150);
    let matcher = matcher();
    for (source, events) in &streams {
        let at = windows.cursor(*source).await.unwrap().0;
        let rest = events.get(usize::try_from(at).unwrap()..).unwrap();
        for part in rest.chunks(7) {
            read(windows, &matcher, *source, part).await;
        }
    }
    end(windows, &SOURCES).await;
    find(found, settle_all(windows).await);
    assert_eq!(*found, expected(&streams).await);
}

/// Reads about half of each stream, in small batches.
async fn half(windows: &RedisWindows, seed: u64) {
    let matcher = matcher();
    for (source, events) in streams(&mut Dice::new(seed), 200, 150) {
        for part in events.split_at(events.len() / 2).0.chunks(3) {
            read(windows, &matcher, source, part).await;
        }
    }
}

#[tokio::test]
async fn windows_that_were_lost_are_begun_again_and_raise_the_same() {
    let mut server = RedisServer::start(&[]);
    let windows = open(busy(&server.url()));
    let mut found = Found::new();
    windows.begin(&beginnings()).await.unwrap();
    half(&windows, 1).await;
    find(&mut found, settle_all(&windows).await);
    assert_eq!(server.command(&["FLUSHALL"]).text(), "OK");
    is_lost(&windows).await;
    // The evaluator of the old state sees it, too, when somebody has begun before it looked.
    open(busy(&server.url()))
        .begin(&beginnings())
        .await
        .unwrap();
    half(&windows, 1).await;
    find(&mut found, settle_all(&windows).await);
    // All in memory: nothing is left of it.
    server.kill();
    server.restart();
    wait_until_async("an answer", BOUND, async || {
        matches!(windows.raised(9).await, Err(WindowError::Lost)).then_some(())
    })
    .await;
    is_lost(&windows).await;
    windows.begin(&beginnings()).await.unwrap();
    finish(&windows, 1, &mut found).await;
}

#[tokio::test]
async fn an_evaluator_that_is_ahead_of_a_redis_that_went_back_begins_from_the_snapshot() {
    let mut server = RedisServer::start(&[("dbfilename", "old.rdb")]);
    let windows = open(settings(&server.url()));
    let mut found = Found::new();
    windows.begin(&beginnings()).await.unwrap();
    half(&windows, 2).await;
    find(&mut found, settle_all(&windows).await);
    assert_eq!(server.command(&["SAVE"]).text(), "OK");
    // All of this Redis forgets, and this process remembers.
    let before = windows.cursor(SOURCES[0]).await.unwrap();
    let others: Vec<_> = (1..200).map(|n| event("a", 77, 500, 10_000 + n)).collect();
    for part in others.chunks(4) {
        read(&windows, &matcher(), SOURCES[0], part).await;
        windows.raised(0).await.unwrap();
    }
    server.kill();
    server.restart();
    wait_until_async("an answer", BOUND, async || {
        windows.cursor(SOURCES[0]).await.ok()
    })
    .await;
    assert_eq!(windows.cursor(SOURCES[0]).await.unwrap(), before);
    // Other events take their leaves, and nothing of the forgotten ones is left.
    finish(&windows, 2, &mut found).await;
}

/// Breaks a state, and sees that it is given up, begun again, and right.
async fn is_given_up_when(broken: impl Fn(&RedisServer)) {
    let server = RedisServer::start(&[]);
    let windows = open(settings(&server.url()));
    let mut found = Found::new();
    windows.begin(&beginnings()).await.unwrap();
    half(&windows, 3).await;
    broken(&server);
    let raised = windows.raised(9).await;
    assert!(matches!(raised, Err(WindowError::Lost)), "{raised:?}");
    is_lost(&windows).await;
    windows.begin(&beginnings()).await.unwrap();
    finish(&windows, 3, &mut found).await;
}

#[tokio::test]
async fn a_state_of_which_a_part_is_gone_or_not_to_be_read_is_given_up() {
    // What an eviction does.
    is_given_up_when(|server| assert_eq!(number(server, &["DEL", LOG]), 1)).await;
    is_given_up_when(|server| assert_eq!(number(server, &["XDEL", LOG, "3-0"]), 1)).await;
    is_given_up_when(|server| assert_eq!(number(server, &["DEL", STATE]), 1)).await;
    // What another version does.
    is_given_up_when(|server| {
        let altered = ["HSET", SNAPSHOT, "bytes", "audit-windows/9\n"];
        assert_eq!(number(server, &altered), 0);
    })
    .await;
    is_given_up_when(|server| {
        assert_eq!(number(server, &["DEL", LOG]), 1);
        let fields = [
            "mark",
            "m",
            "total",
            "1",
            "quiet",
            "",
            "batch",
            "audit-batch/9\n",
        ];
        let entry = [&["XADD", LOG, "1-0"][..], &fields].concat();
        assert_eq!(server.command(&entry).text(), "1-0");
    })
    .await;
}

#[tokio::test]
async fn a_lost_snapshot_is_a_lost_state() {
    let server = RedisServer::start(&[]);
    let windows = open(settings(&server.url()));
    windows.begin(&beginnings()).await.unwrap();
    half(&windows, 4).await;
    assert_eq!(number(&server, &["DEL", SNAPSHOT]), 1);
    let raised = windows.raised(9).await;
    assert!(matches!(raised, Err(WindowError::Lost)), "{raised:?}");
    is_lost(&windows).await;
}

#[tokio::test]
async fn an_old_snapshot_never_replaces_a_newer_one() {
    let server = RedisServer::start(&[]);
    let (slow, quick) = (open(settings(&server.url())), open(busy(&server.url())));
    slow.begin(&beginnings()).await.unwrap();
    let mut found = Found::new();
    half(&slow, 5).await;
    find(&mut found, slow.raised(100).await.unwrap());
    // The turn of the slow one runs out, another folds further and keeps a snapshot.
    end_turn(&server, "audit");
    for more in 0..20 {
        let more = event("a", 0, 150, 5_000 + more);
        read(&quick, &matcher(), SOURCES[2], &[more]).await;
    }
    quick.raised(1).await.unwrap();
    quick.close().await;
    let kept = server.command(&["HGETALL", SNAPSHOT]);
    let at = number(&server, &["HGET", SNAPSHOT, "at"]);
    assert_eq!(at, number(&server, &["HGET", STATE, "last"]));
    // Something to say, which it may not.
    let settled: Vec<_> = found.keys().copied().collect();
    slow.settle(&settled).await.unwrap();
    slow.close().await;
    assert_eq!(number(&server, &["HGET", SNAPSHOT, "at"]), at);
    assert!(
        server.command(&["HGETALL", SNAPSHOT]) == kept,
        "it stays as it was"
    );
    assert_eq!(number(&server, &["XLEN", LOG]), 0);
}

#[tokio::test]
async fn a_snapshot_over_its_bound_is_not_written_and_the_log_grows_to_its_own() {
    let server = RedisServer::start(&[]);
    let windows = open(Settings {
        snapshot_bytes_max: 100,
        entries_max: 9,
        ..busy(&server.url())
    });
    windows.begin(&beginnings()).await.unwrap();
    let matcher = matcher();
    let mut refused = None;
    for n in 1..20 {
        let next = [event("a", n, 0, n)];
        let mut batch = Batch::new(SOURCES[0], LeafIndex(n - 1));
        batch.read(&matcher, &next[0]);
        let applied = windows.apply(&batch).await;
        windows.raised(1).await.unwrap();
        if let Err(error) = applied {
            refused = Some((n, error));
            break;
        }
    }
    let (n, error) = refused.unwrap();
    assert!(
        matches!(error, WindowError::Unsettled { waiting: 9 }),
        "{error:?}"
    );
    assert_eq!(n, 10);
    let standing = windows.standing().await.unwrap();
    assert_eq!(standing.entries, 9);
    assert!(standing.bytes > 9 * 100);
    // Another process, with room for it, sets it going again.
    end_turn(&server, "audit");
    let roomy = open(busy(&server.url()));
    roomy.raised(1).await.unwrap();
    assert_eq!(roomy.standing().await.unwrap().entries, 0);
}

#[tokio::test]
async fn a_full_redis_is_an_outage_and_folding_makes_room() {
    let server = RedisServer::start(&[("maxmemory-policy", "noeviction")]);
    let windows = open(settings(&server.url()));
    windows.begin(&beginnings()).await.unwrap();
    half(&windows, 6).await;
    assert_eq!(
        server.command(&["CONFIG", "SET", "maxmemory", "1"]).text(),
        "OK"
    );
    let mut batch = Batch::new(SOURCES[0], windows.cursor(SOURCES[0]).await.unwrap());
    batch.idle(Timestamp::clamped(i64::MAX));
    let error = windows.apply(&batch).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Outage, "{error:?}");
    windows.raised(1).await.unwrap();
    windows.close().await;
    assert_eq!(number(&server, &["XLEN", LOG]), 0);
    assert_eq!(
        server.command(&["CONFIG", "SET", "maxmemory", "0"]).text(),
        "OK"
    );
    let mut found = Found::new();
    finish(&windows, 6, &mut found).await;
}

#[tokio::test]
async fn windows_of_a_newer_format_are_left_alone() {
    let server = RedisServer::start(&[]);
    let windows = open(Settings {
        patience: Duration::ZERO,
        ..settings(&server.url())
    });
    windows.begin(&beginnings()).await.unwrap();
    assert_eq!(number(&server, &["HSET", STATE, "version", "2"]), 0);
    let empty = Batch::new(SOURCES[0], LeafIndex(0));
    for error in [
        windows.cursor(SOURCES[0]).await.unwrap_err(),
        windows.apply(&empty).await.unwrap_err(),
        windows.raised(1).await.unwrap_err(),
    ] {
        assert_eq!(error.fault(), Fault::Outage, "{error:?}");
    }
    assert_eq!(
        server.command(&["HGET", STATE, "version"]),
        Reply::Text("2".into())
    );
}

#[tokio::test]
async fn the_time_is_that_of_redis() {
    let server = RedisServer::start(&[]);
    let windows = open(settings(&server.url()));
    let seconds = || number(&server, &["EVAL", "return redis.call('TIME')[1]", "0"]);
    let before = seconds();
    let now = windows.now().await.unwrap().unwrap().micros() / 1_000_000;
    assert!((before..=seconds()).contains(&now));
}

#[tokio::test]
async fn what_says_nothing_new_makes_no_entry() {
    let server = RedisServer::start(&[]);
    let windows = open(busy(&server.url()));
    windows.begin(&beginnings()).await.unwrap();
    let matcher = matcher();
    for n in 0..100 {
        let at = i64::try_from(n / 10).unwrap();
        read(&windows, &matcher, SOURCES[0], &[event("c", 0, at, n)]).await;
    }
    assert_eq!(windows.cursor(SOURCES[0]).await.unwrap(), LeafIndex(100));
    // The first clock, and each four seconds further.
    assert_eq!(windows.standing().await.unwrap().entries, 3);
}
