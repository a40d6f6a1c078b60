//! Queues of other systems beside our own: translated, stored once, told what was refused.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use audit_event::{AuditEvent, EventId, OrganizationId};
use audit_integrity::ledger::LeafIndex;
use audit_pipeline::{OnMismatch, ProofPolicy, Source, Sources};
use audit_queue::{
    Batch, Budget, Consumer, Delivery, Payload, QueueError, Refused, SourcePosition,
};
use audit_runtime::SystemRandom;
use audit_store::DeadLetterReason;

use crate::scene::{LEDGER, Scene, events, until};

/// Position, bytes, and how often it was delivered.
type Item = (String, Vec<u8>, u32);

/// Another system's queue in memory: it holds what it handed out until it is settled, as the real ones do in Redis.
#[derive(Debug, Default)]
struct Other {
    form: &'static str,
    waiting: Mutex<VecDeque<Item>>,
    held: Mutex<HashMap<u64, Vec<Item>>>,
    tokens: AtomicU64,
    refused: Mutex<Vec<Refused>>,
    /// Settlements that are lost before they arrive.
    deaf: AtomicU64,
    away: AtomicBool,
    /// It does not even say that it is away.
    hangs: AtomicBool,
}

impl Other {
    fn of(form: &'static str, items: impl IntoIterator<Item = (String, String)>) -> Arc<Self> {
        let items = items
            .into_iter()
            .map(|(position, item)| (position, item.into_bytes(), 0));
        Arc::new(Self {
            form,
            waiting: Mutex::new(items.collect()),
            ..Self::default()
        })
    }

    fn is_done(&self) -> bool {
        self.waiting.lock().unwrap().is_empty() && self.held.lock().unwrap().is_empty()
    }
}

#[async_trait]
impl Consumer for Other {
    async fn receive(&self, budget: Budget) -> Result<Batch, QueueError> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.away.load(Ordering::SeqCst) {
            return Err(QueueError::Unavailable("away".into()));
        }
        let mut waiting = self.waiting.lock().unwrap();
        let count = waiting.len().min(budget.deliveries);
        let items: Vec<_> = waiting.drain(..count).collect();
        if items.is_empty() {
            return Ok(Batch::nothing());
        }
        let token = self.tokens.fetch_add(1, Ordering::SeqCst) + 1;
        let deliveries = items.iter().map(|(position, bytes, redelivered)| Delivery {
            source: SourcePosition(position.clone()),
            redelivered: *redelivered,
            payload: Payload::Foreign {
                form: self.form,
                bytes: bytes.clone(),
                received_micros: 1_704_067_200_000_000,
            },
        });
        let batch = Batch {
            deliveries: deliveries.collect(),
            ..Batch::named(0, token)
        };
        self.held.lock().unwrap().insert(token, items);
        Ok(batch)
    }

    async fn settle(&self, batch: Batch) -> Result<(), QueueError> {
        let lost = self
            .deaf
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        if lost.is_ok() {
            return Err(QueueError::Unknown("lost".into()));
        }
        let held = self.held.lock().unwrap().remove(&batch.token);
        held.ok_or(QueueError::NotHeld)?;
        self.refused.lock().unwrap().extend(batch.refused);
        Ok(())
    }

    async fn renew(&self, batch: &Batch) -> Result<(), QueueError> {
        let held = self.held.lock().unwrap();
        held.contains_key(&batch.token)
            .then_some(())
            .ok_or(QueueError::NotHeld)
    }

    async fn release(&self, batch: Batch) -> Result<(), QueueError> {
        let items = self.held.lock().unwrap().remove(&batch.token);
        let mut waiting = self.waiting.lock().unwrap();
        for (position, bytes, redelivered) in items.unwrap_or_default().into_iter().rev() {
            waiting.push_front((position, bytes, redelivered + 1));
        }
        Ok(())
    }
}

fn item(user: &str) -> String {
    format!(
        r#"{{"user_id":"{user}","resource_type":"api_key","event_type":"api_key_created","event_category":"info","metadata":{{}},"created_at":"2024-01-01T00:00:00.000Z"}}"#
    )
}

fn items(name: &str, count: usize) -> Vec<(String, String)> {
    let one = |n| (format!("list:{name}/{n}"), item("u-1"));
    (0..count).map(one).collect()
}

fn with(scene: &mut Scene, others: &[(&Arc<Other>, Option<&str>)]) {
    let sources = others.iter().map(|(other, organization)| Source {
        name: "other".to_owned(),
        consumer: Arc::clone(other) as _,
        organization: organization.map(OrganizationId::new),
    });
    let own = Arc::clone(&scene.consumer);
    let keys = scene.key_source();
    let ahead = Duration::from_secs(300);
    scene.consumer = Arc::new(Sources::new(
        own,
        sources.collect(),
        keys,
        Arc::new(SystemRandom),
        ahead,
    ));
}

async fn stored(scene: &Scene) -> Vec<AuditEvent> {
    let events = &scene.store.events;
    let rows = events
        .rows(LEDGER, LeafIndex(0), LeafIndex(1 << 40), u32::MAX)
        .await
        .unwrap();
    let event = |canonical: Vec<u8>| AuditEvent::from_canonical(&canonical).unwrap();
    rows.into_iter()
        .filter_map(|row| row.canonical)
        .map(event)
        .collect()
}

#[tokio::test]
async fn equal_items_of_other_systems_are_events_of_their_own_and_each_is_stored_once() {
    let mut scene = Scene::begin().await;
    let (one, two) = (
        Other::of("list_worker", items("a", 30)),
        Other::of("list_worker", items("b", 30)),
    );
    one.deaf.store(2, Ordering::SeqCst);
    with(&mut scene, &[(&one, Some("org-a")), (&two, Some("org-b"))]);
    scene.queued(events(0..20)).await;
    let lane = scene.work();
    until("everything is settled", || async {
        one.is_done() && two.is_done()
    })
    .await;
    scene.settled().await;
    lane.stop().await;
    let books = scene.check().await;
    assert_eq!((books.accepted, books.stored, books.duplicate), (80, 80, 0));
    let stored = stored(&scene).await;
    for (organization, name) in [("org-a", "a"), ("org-b", "b")] {
        let of_it = stored
            .iter()
            .filter(|event| event.organization_id.as_str() == organization);
        let mut ids: Vec<_> = of_it.map(|event| event.id).collect();
        ids.sort_unstable();
        let mut expected: Vec<_> = (0..30)
            .map(|n| EventId::v5(format!("list:{name}/{n}").as_bytes()))
            .collect();
        expected.sort_unstable();
        assert_eq!(ids, expected, "ids follow from the positions");
    }
}

#[tokio::test]
async fn what_is_no_event_is_a_dead_letter_as_it_came_and_its_source_is_told_even_after_a_lost_answer()
 {
    let mut scene = Scene::begin().await;
    let bad = r#"{"user_id":"u-1","event_type":"x","created_at":"yesterday"}"#;
    let mut all = items("a", 3);
    all.insert(1, ("list:a/bad".to_owned(), bad.to_owned()));
    let other = Other::of("list_worker", all);
    other.deaf.store(1, Ordering::SeqCst);
    with(&mut scene, &[(&other, None)]);
    let lane = scene.work();
    until("it is settled", || async { other.is_done() }).await;
    lane.stop().await;
    let books = scene.check().await;
    assert_eq!((books.stored, books.dead_lettered), (3, 1));
    let letters = scene.letters().await;
    let letter = &letters[0].letter;
    assert_eq!(letter.reason, DeadLetterReason::NotAnEvent);
    assert_eq!(letter.payload, bad.as_bytes());
    assert!(letter.detail.contains("/created_at"), "{}", letter.detail);
    let refused = other.refused.lock().unwrap().clone();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].source.0, "list:a/bad");
}

#[tokio::test]
async fn no_item_writes_for_another_organisation_than_its_source() {
    let mut scene = Scene::begin().await;
    let named = |organization: &str| {
        format!(
            r#"{{"timestamp":"2024-01-01T00:00:00.000Z","action":"a","status":"success","organizationId":"{organization}"}}"#
        )
    };
    let all = [
        ("q:1".to_owned(), named("org-a")),
        ("q:2".to_owned(), named("org-b")),
    ];
    let other = Other::of("smart_logs", all);
    with(&mut scene, &[(&other, Some("org-a"))]);
    let lane = scene.work();
    until("it is settled", || async { other.is_done() }).await;
    lane.stop().await;
    let books = scene.check().await;
    assert_eq!((books.stored, books.dead_lettered), (1, 1));
    assert_eq!(stored(&scene).await[0].organization_id.as_str(), "org-a");
    assert_eq!(other.refused.lock().unwrap()[0].source.0, "q:2");
}

#[tokio::test]
async fn a_source_that_is_away_costs_the_others_nothing() {
    let mut scene = Scene::begin().await;
    let (there, away) = (
        Other::of("list_worker", items("a", 10)),
        Other::of("list_worker", items("b", 10)),
    );
    away.away.store(true, Ordering::SeqCst);
    with(&mut scene, &[(&away, None), (&there, None)]);
    scene.queued(events(0..10)).await;
    let lane = scene.work();
    until("the others are settled", || async { there.is_done() }).await;
    scene.settled().await;
    assert_eq!(scene.books().await.stored, 20);
    away.away.store(false, Ordering::SeqCst);
    until("it is asked again", || async { away.is_done() }).await;
    lane.stop().await;
    assert_eq!(scene.check().await.stored, 30);
}

#[tokio::test]
async fn an_event_whose_hash_is_wrong_is_stored_with_that_verdict_or_kept_as_a_dead_letter() {
    let wrong =
        r#"{"timestamp":"2024-01-01T00:00:00.000Z","action":"a","status":"success","hash":"00"}"#;
    for (policy, expected) in [
        (OnMismatch::Record, (1, 0)),
        (OnMismatch::Alert, (1, 0)),
        (OnMismatch::DeadLetter, (0, 1)),
    ] {
        let mut scene = Scene::begin().await;
        scene.settings.proofs = ProofPolicy {
            smart_logs: policy,
            ..ProofPolicy::default()
        };
        let other = Other::of("smart_logs", [("q:1".to_owned(), wrong.to_owned())]);
        with(&mut scene, &[(&other, None)]);
        let lane = scene.work();
        until("it is settled", || async { other.is_done() }).await;
        lane.stop().await;
        let books = scene.check().await;
        assert_eq!((books.stored, books.dead_lettered), expected, "{policy:?}");
        match scene.letters().await.first() {
            Some(dead) => assert_eq!(dead.letter.reason, DeadLetterReason::ProofMismatch),
            None => {
                let proof = stored(&scene)
                    .await
                    .remove(0)
                    .statement
                    .producer_proof
                    .unwrap();
                assert_eq!(proof.reason.as_deref(), Some("hash-mismatch"));
                assert_eq!(proof.verdict.unwrap().as_str(), "mismatch");
            }
        }
        assert_eq!(other.refused.lock().unwrap().len() as u64, expected.1);
    }
}

/// The second item comes when the policy is another.
#[tokio::test]
async fn a_lane_at_work_judges_the_next_batch_by_the_new_policy() {
    let wrong = |second: u32| {
        let item = format!(
            r#"{{"timestamp":"2024-01-01T00:00:0{second}.000Z","action":"a","status":"success","hash":"00"}}"#
        );
        (format!("q:{second}"), item)
    };
    let mut scene = Scene::begin().await;
    scene.settings.proofs.smart_logs = OnMismatch::Record;
    let other = Other::of("smart_logs", [wrong(1)]);
    with(&mut scene, &[(&other, None)]);
    let lane = scene.work();
    until("the first is settled", || async { other.is_done() }).await;
    lane.settings
        .send_modify(|settings| settings.proofs.smart_logs = OnMismatch::DeadLetter);
    let (position, item) = wrong(2);
    let item = (position, item.into_bytes(), 0);
    other.waiting.lock().unwrap().push_back(item);
    until("the second is settled", || async { other.is_done() }).await;
    lane.stop().await;
    let books = scene.check().await;
    assert_eq!((books.stored, books.dead_lettered), (1, 1));
}

/// A receiver that goes away while its items are translated leaves them to the next one.
#[tokio::test]
async fn a_dropped_receive_loses_nothing() {
    let mut scene = Scene::begin().await;
    let other = Other::of("list_worker", items("a", 1_000));
    with(&mut scene, &[(&other, None)]);
    let budget = Budget {
        deliveries: 1_000,
        bytes: 1 << 30,
        wait: Duration::from_secs(5),
    };
    // Translating yields to other tasks; the first time is enough to be dropped at.
    let dropped = tokio::time::timeout(Duration::ZERO, scene.consumer.receive(budget)).await;
    assert!(dropped.is_err(), "it was not dropped half-way");
    let batch = scene.consumer.receive(budget).await.unwrap();
    assert_eq!(batch.deliveries.len(), 1_000);
    assert!(
        batch
            .deliveries
            .iter()
            .all(|delivery| delivery.redelivered == 1)
    );
    scene
        .consumer
        .settle(Batch::named(batch.partition, batch.token))
        .await
        .unwrap();
    assert!(other.is_done());
}

#[tokio::test]
async fn a_source_that_hangs_costs_the_others_little_and_is_asked_again() {
    let mut scene = Scene::begin().await;
    let there = Other::of("list_worker", items("a", 10));
    let hangs = Other::of("list_worker", items("b", 10));
    hangs.hangs.store(true, Ordering::SeqCst);
    with(&mut scene, &[(&hangs, None), (&there, None)]);
    scene.settings.call_timeout = Duration::from_secs(20);
    let lane = scene.work();
    until("the other is settled", || async { there.is_done() }).await;
    scene.queued(events(0..10)).await;
    scene.settled().await;
    hangs.hangs.store(false, Ordering::SeqCst);
    until("it is asked again", || async { hangs.is_done() }).await;
    lane.stop().await;
    assert_eq!(scene.check().await.stored, 30);
}
