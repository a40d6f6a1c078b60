//! CPU of settling, per event, besides the store: a lane over a queue in memory and a writer that writes nothing.
//!
//! `cargo run --release -p audit-pipeline --example settle_speed`

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use audit_event::forms::read_statement;
use audit_event::{AuditEvent, EventDraft, EventId, Form, OrganizationId, Stamps, Timestamp};
use audit_integrity::head::{CompactRange, Head, LedgerState};
use audit_integrity::keys::KeySource;
use audit_integrity::ledger::{LedgerId, Origin};
use audit_keydir::KeyDir;
use audit_pipeline::{Lane, LaneParts, LaneSettings, Registry, Settlements};
use audit_queue::{
    Batch, Budget, Consumer, Delivery, Depth, Durability, Frame, FrameEvent, FrameId, Payload,
    Producer, QueueError, SourcePosition,
};
use audit_runtime::{Breaker, Shutdown, SystemClock, SystemRandom};
use audit_store::{Commit, CommitError, Lease, LedgerWriter, StoreError};
use audit_store_sqlite::{Options, SqliteStore};

const FRAMES: u64 = 2_000;
const EVENTS_EACH: u64 = 100;
const FRAMES_A_BATCH: usize = 10;
const LEDGER: LedgerId = LedgerId::Events(0);

/// Hands out prepared frames; ends the run after the last.
#[derive(Debug)]
struct Memory {
    batches: Mutex<VecDeque<Vec<Frame>>>,
    shutdown: Shutdown,
}

#[async_trait]
impl Consumer for Memory {
    async fn receive(&self, budget: Budget) -> Result<Batch, QueueError> {
        let next = self
            .batches
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        let Some(frames) = next else {
            self.shutdown.begin();
            tokio::time::sleep(budget.wait).await;
            return Ok(Batch::nothing());
        };
        let deliveries = frames.into_iter().map(|frame| Delivery {
            source: SourcePosition(frame.id.to_string()),
            redelivered: 0,
            payload: Payload::Frame(frame),
        });
        Ok(Batch {
            partition: 0,
            token: 1,
            deliveries: deliveries.collect(),
            refused: Vec::new(),
        })
    }
    async fn settle(&self, _batch: Batch) -> Result<(), QueueError> {
        Ok(())
    }
    async fn renew(&self, _batch: &Batch) -> Result<(), QueueError> {
        Ok(())
    }
    async fn release(&self, _batch: Batch) -> Result<(), QueueError> {
        Ok(())
    }
}

#[async_trait]
impl Producer for Memory {
    async fn enqueue(&self, _frame: Frame) -> Result<Durability, QueueError> {
        Err(QueueError::Closed)
    }
    async fn depth(&self) -> Result<Depth, QueueError> {
        Ok(Depth::default())
    }
}

/// Takes every commit and writes nothing.
#[derive(Debug)]
struct Nowhere(Arc<dyn LedgerWriter>);

#[async_trait]
impl LedgerWriter for Nowhere {
    async fn commit(&self, commit: Commit<'_>) -> Result<(), CommitError> {
        std::hint::black_box(&commit);
        Ok(())
    }
    async fn open_ledger(
        &self,
        ledger: LedgerId,
        origin: &Origin,
        head: &Head,
    ) -> Result<(), StoreError> {
        self.0.open_ledger(ledger, origin, head).await
    }
    async fn set_state(&self, lease: &Lease, head: &Head) -> Result<(), CommitError> {
        self.0.set_state(lease, head).await
    }
    fn writers(&self) -> usize {
        1
    }
    async fn probe(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

fn frame(number: u64) -> Result<Frame, Box<dyn std::error::Error>> {
    let mut events = Vec::new();
    for index in 0..EVENTS_EACH {
        let id = uuid_of(number * EVENTS_EACH + index);
        let text = format!(
            r#"{{"id":"{id}","timestamp":"2024-05-06T07:08:09.123456Z","action":"patient.record.read","status":"success","principalId":"user-{index}","organizationId":"hospital-7","targetResourceType":"Patient","targetResourceId":"patient-{number}","dataClassification":"PHI","correlationId":"c-{number}","sessionContext":{{"sessionId":"s-{index}","ipAddress":"10.1.2.3","userAgent":"Mozilla/5.0"}},"reason":"treatment","fields":["name","birthDate","diagnosis"],"count":{index}}}"#
        );
        let statement = read_statement(Form::Native, text.as_bytes())
            .map_err(|problems| format!("{problems:?}"))?;
        let stamps = Stamps {
            fallback_id: EventId::from_bytes([0; 16]),
            received_at: Timestamp::EPOCH,
            default_organization: OrganizationId::none(),
        };
        let draft = EventDraft::new(AuditEvent::stamp(statement, &stamps))
            .map_err(|problems| format!("{problems:?}"))?;
        events.push(FrameEvent {
            canonical: draft.into_parts().1,
            api_key_id: "key-1".to_owned(),
        });
    }
    let id = FrameId(u128::from(number).to_be_bytes());
    Ok(Frame {
        id,
        internal: false,
        received_at: Timestamp::EPOCH,
        traceparent: None,
        events,
    })
}

fn uuid_of(number: u64) -> String {
    // Spread, so that sorting by identity has work to do.
    let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!(
        "{:08x}-{:04x}-4000-8000-{number:012x}",
        spread >> 32,
        spread & 0xffff
    )
}

/// CPU time of this process in seconds, user and system.
fn cpu() -> Result<f64, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|field| field.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    Ok((ticks(11) + ticks(12)) / 100.0)
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "its one result")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join(format!("settle-speed-{}", std::process::id()));
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    let keys = Arc::new(KeyDir::open_or_create(
        &dir.join("keys"),
        Some("audit.example/b"),
        random.clone(),
        clock.clone(),
    )?);
    let open = SqliteStore::open(
        &dir.join("store"),
        Options {
            text_index: false,
            ..Options::default()
        },
        clock.clone(),
    )?;
    let mut store = open.store();
    let origin = keys.origin(LEDGER);
    let head = Head::seal(
        &keys.lane_key().await?,
        &origin,
        0,
        LedgerState::Open,
        CompactRange::default(),
    );
    store.writer.open_ledger(LEDGER, &origin, &head).await?;
    store.writer = Arc::new(Nowhere(store.writer));
    let frames: Vec<Frame> = (0..FRAMES).map(frame).collect::<Result<_, _>>()?;
    let bytes: usize = frames
        .iter()
        .flat_map(|frame| &frame.events)
        .map(|event| event.canonical.len())
        .sum();
    let batches = frames
        .chunks(FRAMES_A_BATCH)
        .map(<[Frame]>::to_vec)
        .collect();
    drop(frames);
    let shutdown = Shutdown::new();
    let memory = Arc::new(Memory {
        batches: Mutex::new(batches),
        shutdown: shutdown.clone(),
    });
    let parts = LaneParts {
        store,
        consumer: memory.clone(),
        producer: memory,
        keys,
        clock,
        random,
        registry: Arc::new(Registry::default()),
        settlements: Settlements::default(),
        breaker: Arc::new(Breaker::new(3, Duration::from_secs(1))),
        feed: None,
        shutdown: shutdown.signal(),
    };
    let lane = Lane::new(
        parts,
        LaneSettings::default(),
        LEDGER,
        origin,
        "bench".to_owned(),
    );
    let (before, started) = (cpu()?, std::time::Instant::now());
    lane.run().await;
    let events = (FRAMES * EVENTS_EACH) as f64;
    println!(
        "{events} events of {} bytes: {:.2} us CPU and {:.2} us wall each",
        bytes / (FRAMES * EVENTS_EACH) as usize,
        (cpu()? - before) * 1e6 / events,
        (started.elapsed() - Duration::from_millis(500)).as_secs_f64() * 1e6 / events
    );
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
