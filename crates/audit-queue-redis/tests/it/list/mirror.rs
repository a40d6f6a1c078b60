//! What was refused, the way back, counters, and keys that are something else.

use std::time::Duration;

use audit_queue::{Batch, Budget, Consumer, Payload, QueueError, Refused};
use audit_queue_redis::list::{Depth, RedisList, Settings};
use audit_queue_redis::{NotReady, SettingsError};
use audit_runtime::{Fault, Faulty, SystemRandom};
use audit_testkit::redis::{RedisServer, Reply};

use super::made::{
    item, items, listed, on, open, push, push_bytes, push_text, settings, stamps, texts,
};
use crate::made::budget;

/// Settles the batch with these of its deliveries refused.
async fn refuse(list: &RedisList, mut batch: Batch, indexes: &[usize]) {
    for index in indexes {
        batch.refused.push(Refused {
            source: batch.deliveries[*index].source.clone(),
            reason: "no event".into(),
        });
    }
    list.settle(batch).await.unwrap();
}

#[tokio::test]
async fn refused_items_are_shown_among_the_failed_as_they_came_and_the_rest_is_gone() {
    let server = RedisServer::start(&[]);
    let list = on(&server);
    push_text(&server, "audit:failed", "of before");
    push(&server, 0..2);
    push_bytes(&server, "audit:queue", "\\255{");
    push(&server, 3..5);
    let batch = list.receive(budget(9)).await.unwrap();
    refuse(&list, batch, &[1, 2]).await;
    let failed = listed(&server, "audit:failed");
    assert_eq!(failed, ["\u{fffd}{", &item(1), "of before"]);
    let whole = "return redis.call('LINDEX', KEYS[1], 0) == '\\255{'";
    let whole = server.command(&["EVAL", whole, "1", "audit:failed"]);
    assert_eq!(whole, Reply::Number(1), "byte for byte");
    let depth = list.depth().await.unwrap();
    let expected = Depth {
        failed: 3,
        taken: 5,
        settled: 5,
        refused: 2,
        ..Depth::default()
    };
    assert_eq!(depth, expected);
}

#[tokio::test]
async fn a_part_of_a_batch_mirrors_its_own_and_a_stranger_nothing() {
    let server = RedisServer::start(&[]);
    let list = on(&server);
    push(&server, 0..6);
    let whole = list.receive(budget(6)).await.unwrap();
    let stranger = whole.deliveries[0].source.clone();
    list.release(whole).await.unwrap();
    let first = list.receive(budget(4)).await.unwrap();
    let mut rest = list.receive(budget(4)).await.unwrap();
    for source in [
        stranger,
        audit_queue::SourcePosition("list:audit:queue:other/5".into()),
    ] {
        let reason = "of another batch".into();
        rest.refused.push(Refused { source, reason });
    }
    refuse(&list, rest, &[1]).await;
    assert_eq!(listed(&server, "audit:failed"), items([5]));
    refuse(&list, first, &[3]).await;
    assert_eq!(listed(&server, "audit:failed"), items([3, 5]));
    assert_eq!(list.depth().await.unwrap().refused, 2);
}

#[tokio::test]
async fn over_its_bound_nothing_is_added_to_the_failed_and_that_is_counted() {
    let server = RedisServer::start(&[]);
    let list = open(Settings {
        failed_max: 3,
        ..settings(&server.url())
    });
    push(&server, 0..5);
    let batch = list.receive(budget(9)).await.unwrap();
    refuse(&list, batch, &[0, 1, 2, 3, 4]).await;
    assert_eq!(listed(&server, "audit:failed"), items([2, 1, 0]));
    let depth = list.depth().await.unwrap();
    assert_eq!((depth.failed, depth.refused, depth.unmirrored), (3, 5, 2));
    assert_eq!(depth.dropped, 0, "nothing was dropped");
}

#[tokio::test]
async fn an_item_over_the_limit_is_never_handed_out_whole_and_kept_whole() {
    let server = RedisServer::start(&[]);
    let list = open(Settings {
        item_bytes_max: 1 << 20,
        ..settings(&server.url())
    });
    let large = "y".repeat(2 << 20);
    push(&server, 0..1);
    push_text(&server, "audit:queue", &large);
    push(&server, 2..3);
    let first = list.receive(budget(9)).await.unwrap();
    let positions = stamps(&first);
    list.release(first).await.unwrap();
    // Handed out again, it is what it was.
    let batch = list.receive(budget(9)).await.unwrap();
    assert_eq!(stamps(&batch), positions);
    let [before, cut, after] = &*batch.deliveries else {
        panic!("{} deliveries", batch.deliveries.len());
    };
    for (delivery, n) in [(before, 0), (after, 2)] {
        assert!(
            matches!(&delivery.payload, Payload::Foreign { bytes, .. } if *bytes == item(n).as_bytes())
        );
    }
    let said = "the item has 2097152 bytes, more than 1048576; here are its first 4096";
    assert!(
        matches!(&cut.payload, Payload::Refused { bytes, detail, .. }
            if *bytes == large.as_bytes()[..4096] && detail == said)
    );
    refuse(&list, batch, &[1]).await;
    let kept = listed(&server, "{audit:queue}:oversized");
    assert!(
        kept == [large.as_str()],
        "its own bytes, {} of them",
        kept.len()
    );
    assert_eq!(listed(&server, "audit:failed"), items([]));
    let expected = Depth {
        taken: 3,
        settled: 3,
        refused: 1,
        oversized: 1,
        ..Depth::default()
    };
    assert_eq!(list.depth().await.unwrap(), expected);
}

#[tokio::test]
async fn an_item_over_the_limit_fits_a_small_budget_by_what_is_shown_of_it_and_goes_back_whole() {
    let server = RedisServer::start(&[]);
    let list = open(Settings {
        item_bytes_max: 5000,
        ..settings(&server.url())
    });
    let large = "y".repeat(9000);
    for _ in 0..3 {
        push_text(&server, "audit:queue", &large);
    }
    let small = Budget {
        bytes: 2 * 4096,
        ..budget(9)
    };
    let two = list.receive(small).await.unwrap();
    assert_eq!(two.deliveries.len(), 2);
    list.release(two).await.unwrap();
    // One of them, settled by a receiver that does not call it refused: it is kept all the same.
    let one = list.receive(budget(1)).await.unwrap();
    assert_eq!(one.deliveries.len(), 1);
    list.settle(one).await.unwrap();
    assert!(listed(&server, "{audit:queue}:oversized") == [large.as_str()]);
    assert_eq!(list.hand_back().await.unwrap(), 1);
    assert!(listed(&server, "audit:queue") == [large.as_str(), &large]);
}

#[tokio::test]
async fn the_way_back_is_asked_for_and_ends_where_it_began_when_refused_again() {
    let server = RedisServer::start(&[]);
    let list = on(&server);
    for n in 0..3 {
        push_text(&server, "audit:failed", &item(n));
    }
    let none = list.receive(budget(9)).await.unwrap();
    assert!(none.deliveries.is_empty(), "nothing is adopted unasked");
    push(&server, 9..10);
    assert_eq!(list.retry_failed(2).await.unwrap(), 2);
    assert_eq!(
        listed(&server, "audit:queue"),
        items([1, 0, 9]),
        "the oldest, behind what waits"
    );
    let batch = list.receive(budget(9)).await.unwrap();
    let positions = stamps(&batch);
    refuse(&list, batch, &[1, 2]).await;
    assert_eq!(listed(&server, "audit:failed"), items([1, 0, 2]));
    let none = list.receive(budget(9)).await.unwrap();
    assert!(none.deliveries.is_empty(), "no loop");
    assert_eq!(list.retry_failed(5000).await.unwrap(), 3, "all there are");
    let again = list.receive(budget(9)).await.unwrap();
    assert_eq!(texts(&again), items([2, 0, 1]));
    assert!(
        stamps(&again)
            .iter()
            .all(|stamp| !positions.contains(stamp)),
        "new items"
    );
    list.settle(again).await.unwrap();
    // By hand, as an operator of the replaced worker does.
    push_text(&server, "audit:failed", &item(7));
    let moved = server.command(&["RPOPLPUSH", "audit:failed", "audit:queue"]);
    assert_eq!(moved.text(), item(7));
    let batch = list.receive(budget(9)).await.unwrap();
    assert_eq!(texts(&batch), items([7]));
    refuse(&list, batch, &[0]).await;
    let depth = list.depth().await.unwrap();
    assert_eq!((depth.failed, depth.refused, depth.retried), (1, 3, 5));
}

#[tokio::test]
async fn more_than_one_script_s_worth_comes_back() {
    let server = RedisServer::start(&[]);
    let list = on(&server);
    let script = "for n = 1, 2500 do redis.call('LPUSH', KEYS[1], n) end return 0";
    assert_eq!(
        server.command(&["EVAL", script, "1", "audit:failed"]),
        Reply::Number(0)
    );
    assert_eq!(list.retry_failed(2100).await.unwrap(), 2100);
    let depth = list.depth().await.unwrap();
    assert_eq!(
        (depth.waiting, depth.failed, depth.retried),
        (2100, 400, 2100)
    );
}

#[tokio::test]
async fn the_producers_counters_are_read_and_never_written() {
    let server = RedisServer::start(&[]);
    let list = on(&server);
    for (key, value) in [("audit:dropped_count", "17"), ("audit:overflow_count", "4")] {
        assert_eq!(server.command(&["SET", key, value]).text(), "OK");
    }
    push(&server, 0..4);
    let held = list.receive(budget(2)).await.unwrap();
    let batch = list.receive(budget(1)).await.unwrap();
    refuse(&list, batch, &[0]).await;
    let expected = Depth {
        waiting: 1,
        held: 2,
        failed: 1,
        dropped: 17,
        overflow: 4,
        taken: 3,
        settled: 1,
        refused: 1,
        ..Depth::default()
    };
    assert_eq!(list.depth().await.unwrap(), expected);
    list.release(held).await.unwrap();
    let counts = server.command(&["MGET", "audit:dropped_count", "audit:overflow_count"]);
    let counts: Vec<String> = counts.list().iter().map(Reply::text).collect();
    assert_eq!(counts, ["17", "4"]);
}

#[tokio::test]
async fn a_key_that_is_something_else_is_an_outage_that_names_it_and_changes_nothing() {
    for (key, kind) in [
        ("audit:queue", "list"),
        ("audit:failed", "list"),
        ("{audit:queue}:items", "hash"),
        ("{audit:queue}:batches", "hash"),
        ("{audit:queue}:held", "zset"),
        ("{audit:queue}:totals", "hash"),
        ("{audit:queue}:settled", "zset"),
        ("{audit:queue}:oversized", "list"),
    ] {
        let server = RedisServer::start(&[]);
        let list = open(Settings {
            patience: Duration::from_millis(50),
            ..settings(&server.url())
        });
        if key != "audit:queue" {
            push(&server, 0..2);
        }
        assert_eq!(server.command(&["SET", key, "mine"]).text(), "OK");
        let refused = list.receive(budget(1)).await.unwrap_err();
        let said = format!("the key {key} is a string, not a {kind}");
        assert!(
            matches!(&refused, QueueError::Unavailable(why) if why.to_string().contains(&said)),
            "{refused:?}"
        );
        assert_eq!(refused.fault(), Fault::Outage);
        let not_ready = list.ready().await.unwrap_err();
        assert!(matches!(not_ready, NotReady::Away(_)), "{not_ready:?}");
        assert_eq!(server.command(&["GET", key]).text(), "mine");
        if key != "audit:queue" {
            assert_eq!(listed(&server, "audit:queue"), items([1, 0]));
        }
    }
}

#[tokio::test]
async fn a_counter_that_is_no_number_and_a_newer_format_are_outages() {
    let server = RedisServer::start(&[]);
    let list = open(Settings {
        patience: Duration::from_millis(50),
        ..settings(&server.url())
    });
    push(&server, 0..2);
    assert_eq!(
        server
            .command(&["SET", "audit:dropped_count", "many"])
            .text(),
        "OK"
    );
    let refused =
        list.depth().await.unwrap_err().to_string() + &format!("{:?}", list.depth().await);
    assert!(
        refused.contains("audit:dropped_count is not a number"),
        "{refused}"
    );
    let batch = list.receive(budget(1)).await.unwrap();
    assert_eq!(
        server.command(&["HSET", "{audit:queue}:totals", "version", "2"]),
        Reply::Number(0)
    );
    for refused in [
        list.receive(budget(1)).await.map(drop),
        list.renew(&batch).await,
        list.settle(batch).await,
    ] {
        let refused = format!("{refused:?}");
        assert!(refused.contains("format 2"), "{refused}");
    }
    assert_eq!(listed(&server, "audit:queue"), items([1]));
}

#[tokio::test]
async fn readiness_says_what_redis_may_lose() {
    let durable = RedisServer::start_durable();
    assert_eq!(
        on(&durable).ready().await.unwrap(),
        audit_queue::Durability::Fsynced
    );
    let weak = RedisServer::start(&[]);
    let not_ready = on(&weak).ready().await.unwrap_err();
    assert!(matches!(not_ready, NotReady::MayLose(_)), "{not_ready:?}");
    let careless = open(Settings {
        accept_loss: true,
        ..settings(&weak.url())
    });
    assert_eq!(
        careless.ready().await.unwrap(),
        audit_queue::Durability::Buffered
    );
}

#[tokio::test]
async fn on_a_cluster_all_keys_have_one_tag() {
    let server = RedisServer::start_cluster_of_one();
    let url = format!("redis+cluster://:hush@{}", server.address());
    let make = |settings| RedisList::new(settings, std::sync::Arc::new(SystemRandom));
    let refused = make(settings(&url)).unwrap_err();
    assert!(matches!(refused, SettingsError::Keys(_)), "{refused:?}");
    assert!(refused.to_string().contains("{audit}:queue"), "{refused}");
    let url = format!("redis+cluster://{}", server.address());
    let tagged = Settings {
        queue: "{audit}:queue".into(),
        failed: "{audit}:failed".into(),
        dropped: "{audit}:dropped_count".into(),
        overflow: "{audit}:overflow_count".into(),
        ..settings(&url)
    };
    let list = open(tagged.clone());
    for n in 0..4 {
        push_text(&server, "{audit}:queue", &item(n));
    }
    let batch = list.receive(budget(2)).await.unwrap();
    assert!(
        batch.deliveries[0]
            .source
            .0
            .starts_with("list:{audit}:queue:")
    );
    refuse(&list, batch, &[0]).await;
    let batch = list.receive(budget(2)).await.unwrap();
    list.renew(&batch).await.unwrap();
    list.release(batch).await.unwrap();
    assert_eq!(list.retry_failed(1).await.unwrap(), 1);
    list.close().await;
    let depth = open(tagged).depth().await.unwrap();
    assert_eq!((depth.waiting, depth.held, depth.settled), (1, 2, 2));
}

#[tokio::test]
async fn a_user_of_its_own_needs_the_keys_of_the_list_and_nothing_dangerous() {
    let server = RedisServer::start_durable();
    let user = [
        "ACL",
        "SETUSER",
        "anna",
        "on",
        ">hush",
        "~audit:*",
        "~{audit:queue}:*",
        "+@all",
        "-@dangerous",
        "+config|get",
    ];
    assert_eq!(server.command(&user).text(), "OK");
    let list = open(settings(&format!("redis://anna:hush@{}", server.address())));
    list.ready().await.unwrap();
    push(&server, 0..3);
    let batch = list.receive(budget(1)).await.unwrap();
    list.renew(&batch).await.unwrap();
    refuse(&list, batch, &[0]).await;
    let batch = list.receive(budget(1)).await.unwrap();
    list.release(batch).await.unwrap();
    assert_eq!(list.retry_failed(1).await.unwrap(), 1);
    list.close().await;
    assert!(!format!("{list:?}").contains("hush"), "{list:?}");
}

#[test]
fn settings_that_contradict_themselves_are_refused() {
    let good = || settings("redis://localhost");
    for (bad, said) in [
        (
            Settings {
                queue: String::new(),
                ..good()
            },
            "empty",
        ),
        (
            Settings {
                failed: "audit:queue".into(),
                ..good()
            },
            "the same",
        ),
        (
            Settings {
                queue: "a}b".into(),
                ..good()
            },
            "brace",
        ),
        (
            Settings {
                hold: Duration::ZERO,
                ..good()
            },
            "hold",
        ),
    ] {
        let refused = RedisList::new(bad, std::sync::Arc::new(SystemRandom)).unwrap_err();
        assert!(refused.to_string().contains(said), "{said}: {refused}");
    }
}
