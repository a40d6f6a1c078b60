//! BullMQ queues that Node producers fill, as a source of events.
//!
//! What it is not: it is no BullMQ for Rust. It runs no handlers, retries nothing, repeats nothing on a schedule, and adds no jobs
//! but the mirror of dead letters. The crate `bullmq-official` 1.4.4 is BullMQ's own port, and was tried first: it fetches and
//! finishes one job a call (`Worker::get_next_job_nonblocking`, `Job::move_to_completed`), which came to 1,800 jobs a second in turn and
//! 4,500 with 500 calls at a time on two busy cores, where this crate did 12,000 to 14,000; it hands out a job's data as `serde_json::Value`,
//! which is no longer what the producer signed; and its stall check makes jobs fail. So the transitions here are our own, a
//! batch each, written from a description of what BullMQ keeps in Redis. `examples/bullmq_speed.rs` measures them.
//!
//! ```no_run
//! use std::sync::Arc;
//! use audit_queue::Consumer;
//! use audit_queue_bullmq::{Address, BullmqQueue, Settings};
//! use audit_runtime::SystemRandom;
//!
//! # async fn wire() -> Result<(), Box<dyn std::error::Error>> {
//! let address: Address = "rediss://user:secret@redis.internal:6379/0".parse()?;
//! // Connects when it is first used: a broker that is away at the start is an outage like any other.
//! let settings = Settings::at(address, "audit-reliable", "smart_logs");
//! let queue = Arc::new(BullmqQueue::new(settings, Arc::new(SystemRandom))?);
//! let consumer: Arc<dyn Consumer> = queue.clone();
//! queue.ready().await?;
//! // At the end: gives back what is held, so that nobody has to wait for it.
//! queue.close().await;
//! # Ok(()) }
//! ```
//!
//! # What it promises beyond the port
//!
//! * **The same queue.** Every change is one script, and leaves the queue as BullMQ's own could have: states, fields, events, retention,
//!   parents, deduplication. Workers, `QueueEvents` and dashboards of versions 5 (from 5.53.2) and 6 work on beside it, and the
//!   two versions' ways to pause lose nothing by it. `docs/bullmq.md` lists what is honoured, refused and mirrored.
//! * **A position for ever.** `bullmq:<prefix>:<queue>:<job id>:<timestamp>:<generation>:<digest of the data>`, and behind it how often we refused the job
//!   before, when somebody retries one that failed. The generation is a field of the
//!   queue's `meta`, made when there is none: `obliterate` and `FLUSHALL`, which make the numbers of jobs begin again, take it along; nothing
//!   else does. The data stands in it because producers may choose both id and timestamp.
//! * **A crash of ours fails no job.** What a dead process held comes back after [`Settings::hold`] and two stall checks, as often as it takes: our
//!   check sets no limit, and what another worker's check gave up for it is delivered nevertheless. What was handed out to nobody,
//!   because an answer was lost or a receiver went away, is found by the next `receive`.
//! * **Settled is completed** with the value `null`; what became a dead letter is *failed*, with the reason, whatever attempts were left. A job
//!   whose answer was lost is settled again: the script knows what it ended.
//! * No call waits longer than [`Settings::patience`] and one time-out of each kind more for each script it takes, `receive` besides its
//!   budget. While the broker is known to be away calls fail at once. Settling, renewing and releasing go on when memory is full.
//! * No password is in an error, a log line or a `Debug`.
//!
//! It needs Redis 7.0 or later. Retry formulae of the replaced workers are not here: nothing of ours retries inside a job.

mod finish;
mod held;
mod job;
mod mirror;
mod queue;
mod script;
mod settings;

pub use audit_redis::{Address, AddressError, LinkError, Tls};
pub use queue::{BullmqQueue, Standing};
pub use settings::{Settings, SettingsError};
