//! Redis Streams as the queue: the default of a deployment; and, in [`list`], the Redis list of a replaced worker.
//!
//! What it is not: it starts no server, and the stream it makes is for our frames only. It needs Redis 7.0 or later.
//!
//! ```no_run
//! use std::sync::Arc;
//! use audit_queue::{Consumer, Producer};
//! use audit_queue_redis::{Address, RedisQueue, Settings};
//! use audit_runtime::SystemRandom;
//!
//! # async fn wire() -> Result<(), Box<dyn std::error::Error>> {
//! let address: Address = "rediss://user:secret@redis.internal:6379/0".parse()?;
//! // Connects when it is first used: a broker that is away at the start is an outage like any other.
//! let queue = Arc::new(RedisQueue::new(Settings::at(address), Arc::new(SystemRandom))?);
//! let (producer, consumer): (Arc<dyn Producer>, Arc<dyn Consumer>) = (queue.clone(), queue.clone());
//! // For /readyz: `Err` says what is wrong, in words for an operator.
//! queue.ready().await?;
//! // At the end: gives back what is held, so that nobody has to wait for it.
//! queue.close().await;
//! # Ok(()) }
//! ```
//!
//! # How it works
//!
//! Four keys in one hash slot, so that the same scripts run on a Cluster ([`Settings::name`] stands in braces):
//!
//! | key | type | holds |
//! |---|---|---|
//! | `{name}:frames` | stream, group `lanes` | an entry a frame: `id`, `n` events, `i` 1 when our own, `f` the frame |
//! | `{name}:totals` | hash | format version, events enqueued for ever, events and bytes that wait |
//! | `{name}:ids` | hash | frame id to entry, of what waits |
//! | `{name}:settled` | sorted set | ids of frames settled last, at most [`Settings::settled_ids_kept`] |
//!
//! Every change is one script, so the totals are exact whatever dies. The stream is never trimmed: fullness refuses. Enqueues that come
//! together share a connection and are pipelined; Redis writes and fsyncs its log once for all it read at a time.
//!
//! A delivery belongs to a consumer, which is one [`RedisQueue`], *and* to one count of deliveries: each new delivery counts up, so
//! whoever slept through its hold can settle nothing that was handed out again. What is given back belongs to the consumer `free`, from
//! whom everybody takes first, in order. What is neither settled nor renewed within [`Settings::hold`] is freed by whichever
//! consumer looks first, which also removes the names of dead consumers.
//!
//! Waiting for frames is asking again every few milliseconds, not a blocking read: a receiver that goes away loses nothing, and no
//! connection is ever held up.
//!
//! # What it promises beyond the ports
//!
//! * [`audit_queue::Durability`] is what Redis was found to do when connecting and every half minute: `Fsynced` under `appendonly yes`,
//!   `appendfsync always` and `maxmemory-policy noeviction`, otherwise, or when it may not be asked, `Buffered`; `Replicated`
//!   when [`Settings::replicas`] are waited for and at least one answered. With Sentinel or Cluster a failover may lose what only the old
//!   primary's disk has: set `replicas` there.
//! * No call waits longer than [`Settings::patience`] and one time-out of each kind more, `receive` besides its budget. While the broker
//!   is known to be away calls fail at once.
//! * A call whose answer was lost is made again: every script recognises what it did already.
//! * Everything that Redis refuses is an outage, except full memory, which is [`audit_queue::QueueError::NoSpace`]. Settling, renewing
//!   and releasing go on when memory is full.
//! * No password is in an error, a log line or a `Debug`.

pub mod bench;
mod delivery;
pub mod list;
mod queue;
mod script;
mod settings;

pub use audit_redis::{Address, AddressError, LinkError, Tls};
pub use queue::{NotReady, RedisQueue, Standing};
pub use settings::{Settings, SettingsError};
