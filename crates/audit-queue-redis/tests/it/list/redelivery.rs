//! Positions and times that stay, and items of every kind.

use std::collections::HashSet;
use std::sync::Arc;

use audit_event::Form;
use audit_queue::{Consumer, Payload, SourcePosition};
use audit_queue_redis::list::{RedisList, Settings};
use audit_runtime::{Random, SystemRandom};
use audit_testkit::redis::{RedisServer, Reply};

use super::made::{
    age_everything, item, items, on, open, push, push_bytes, push_text, settings, stamps, texts,
};
use crate::made::budget;

#[tokio::test]
async fn position_and_time_of_an_item_are_the_same_for_ever() {
    let mut server = RedisServer::start_durable();
    push(&server, 0..3);
    let before: i64 = now_micros(&server);
    let list = on(&server);
    let first = list.receive(budget(9)).await.unwrap();
    let given = stamps(&first);
    let after = now_micros(&server);
    for (index, (position, micros)) in given.iter().enumerate() {
        let rest = position.strip_prefix("list:audit:queue:").unwrap();
        let (batch, at) = rest.split_once('/').unwrap();
        assert_eq!(at, index.to_string());
        // A UUID of version 4.
        assert_eq!((batch.len(), &batch[14..15]), (36, "4"), "{batch}");
        assert!((before..=after).contains(micros), "by the clock of redis");
    }
    // Given back, its holder dead, Redis killed, its holder closed.
    list.release(first).await.unwrap();
    assert_eq!(stamps(&list.receive(budget(9)).await.unwrap()), given);
    age_everything(&server);
    let list = on(&server);
    assert_eq!(stamps(&list.receive(budget(9)).await.unwrap()), given);
    server.kill();
    server.restart();
    age_everything(&server);
    let list = on(&server);
    assert_eq!(stamps(&list.receive(budget(9)).await.unwrap()), given);
    list.close().await;
    let last = on(&server).receive(budget(9)).await.unwrap();
    assert_eq!((stamps(&last), texts(&last)), (given, items(0..3)));
    assert!(
        last.deliveries
            .iter()
            .all(|delivery| delivery.redelivered == 4)
    );
}

fn now_micros(server: &RedisServer) -> i64 {
    let time = server.command(&["TIME"]);
    let part = |at: usize| -> i64 { time.list()[at].text().parse().unwrap() };
    part(0) * 1_000_000 + part(1)
}

#[tokio::test]
async fn equal_items_are_as_many_events_as_were_pushed() {
    let server = RedisServer::start(&[]);
    let list = on(&server);
    let mut positions = HashSet::new();
    for _ in 0..3 {
        push(&server, 7..8);
        push(&server, 7..8);
        let batch = list.receive(budget(9)).await.unwrap();
        assert_eq!(texts(&batch), items([7, 7]));
        positions.extend(stamps(&batch).into_iter().map(|(position, _)| position));
        list.settle(batch).await.unwrap();
    }
    assert_eq!(positions.len(), 6);
}

#[tokio::test]
async fn what_is_no_event_comes_as_it_is() {
    let server = RedisServer::start(&[]);
    push_bytes(&server, "audit:queue", "\\255\\254\\000\\r\\n");
    for text in ["", "not json", "[1]", "null", "{\"user_id\":"] {
        push_text(&server, "audit:queue", text);
    }
    let batch = on(&server).receive(budget(9)).await.unwrap();
    let expected: [&[u8]; 6] = [
        b"\xff\xfe\0\r\n",
        b"",
        b"not json",
        b"[1]",
        b"null",
        b"{\"user_id\":",
    ];
    assert_eq!(batch.deliveries.len(), expected.len());
    for (delivery, wanted) in batch.deliveries.iter().zip(expected) {
        assert!(
            matches!(&delivery.payload, Payload::Foreign { form, bytes, .. }
                if *form == Form::ListWorker.as_str() && bytes == wanted),
            "{delivery:?}"
        );
    }
}

#[tokio::test]
async fn an_item_that_is_a_byte_too_large_comes_refused() {
    let server = RedisServer::start(&[]);
    let list = open(Settings {
        item_bytes_max: 1000,
        ..settings(&server.url())
    });
    let (fits, large) = ("x".repeat(1000), "y".repeat(1001));
    push_text(&server, "audit:queue", &large);
    push_text(&server, "audit:queue", &fits);
    let batch = list.receive(budget(9)).await.unwrap();
    assert!(
        matches!(&batch.deliveries[0].payload, Payload::Refused { bytes, detail, received_micros }
            if *bytes == large.as_bytes() && detail == "the item has 1001 bytes, more than 1000; here are its first 1001" && *received_micros > 0),
        "{batch:?}"
    );
    assert!(
        matches!(&batch.deliveries[1].payload, Payload::Foreign { bytes, .. } if *bytes == fits.as_bytes())
    );
}

#[tokio::test]
async fn what_redis_lost_is_counted_and_holds_nothing_up() {
    let server = RedisServer::start(&[]);
    let list = on(&server);
    push(&server, 0..6);
    let batches = [
        list.receive(budget(3)).await.unwrap(),
        list.receive(budget(3)).await.unwrap(),
    ];
    for batch in batches {
        let SourcePosition(second) = &batch.deliveries[1].source;
        let field = second.strip_prefix("list:audit:queue:").unwrap();
        let gone = server.command(&["HDEL", "{audit:queue}:items", field]);
        assert_eq!(gone, Reply::Number(1));
        list.release(batch).await.unwrap();
    }
    let batch = list.receive(budget(9)).await.unwrap();
    assert_eq!(texts(&batch), items([0, 2]));
    list.settle(batch).await.unwrap();
    let depth = list.depth().await.unwrap();
    assert_eq!((depth.taken, depth.settled, depth.lost), (6, 2, 1));
    // All that is left of the other batch.
    let gone = server.command(&["DEL", "{audit:queue}:items"]);
    assert_eq!(gone, Reply::Number(1));
    push(&server, 6..7);
    let batch = list.receive(budget(9)).await.unwrap();
    assert_eq!(texts(&batch), [item(6)], "nothing is left of it");
    list.settle(batch).await.unwrap();
    let depth = list.depth().await.unwrap();
    assert_eq!((depth.taken, depth.settled, depth.lost), (7, 3, 4));
    assert_eq!(
        server.command(&["HLEN", "{audit:queue}:batches"]),
        Reply::Number(0)
    );
}

/// Draws the same batch id each time.
#[derive(Debug)]
struct OneId;

impl Random for OneId {
    fn fill(&self, bytes: &mut [u8]) {
        if bytes.len() == 16 {
            bytes.fill(7);
        } else {
            SystemRandom.fill(bytes);
        }
    }
}

#[tokio::test]
async fn a_question_that_reaches_redis_twice_gives_no_position_twice() {
    let server = RedisServer::start(&[]);
    let list = RedisList::new(settings(&server.url()), Arc::new(OneId)).unwrap();
    push(&server, 0..1);
    let batch = list.receive(budget(1)).await.unwrap();
    assert_eq!(texts(&batch), items(0..1));
    push(&server, 1..2);
    let twice = list.receive(budget(1)).await.unwrap();
    assert!(twice.deliveries.is_empty(), "{twice:?}");
    list.settle(batch).await.unwrap();
    let late = list.receive(budget(1)).await.unwrap();
    assert!(late.deliveries.is_empty(), "{late:?}");
    let next = on(&server).receive(budget(9)).await.unwrap();
    assert_eq!(texts(&next), items(1..2));
}
