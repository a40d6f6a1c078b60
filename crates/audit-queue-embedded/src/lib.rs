//! The queue in a local SQLite file: the default of a single process, and the spool of one whose broker is away.
//!
//! What it is not: it is no broker. One process owns the file; a second one is refused at [`EmbeddedQueue::open`].
//!
//! # How it works
//!
//! One thread owns the writing connection. It takes every command that waits, writes them in one transaction, and answers
//! all of them: enqueues that come together share one fsync, without any timer, because the next group gathers while this
//! one is written. Each transaction also writes the totals, so that [`audit_queue::Depth`] is exact after every crash.
//!
//! | kind of transaction | `synchronous` | survives |
//! |---|---|---|
//! | with at least one enqueue | `FULL`: the write-ahead log is fsync'd | the process, the machine |
//! | settles, given back, delivered up to | `NORMAL`: written, not fsync'd | the process; the machine from the next enqueue or checkpoint on |
//!
//! Receiving does not touch the file while the consumer keeps up: what was just enqueued is handed on from a tail in memory
//! that is bounded in bytes ([`Options::tail_bytes_max`]). A consumer that is behind reads from the file until it has caught up.
//!
//! # What it promises beyond the ports
//!
//! * A frame that was settled among the last [`Options::settled_ids_kept`] is known and not put in again; older ones are
//!   recognised by their receipts in the store.
//! * [`audit_queue::Delivery::redelivered`] counts deliveries of processes that died: the file knows up to where frames were handed out. It may
//!   count one too many for a frame that was given back and waited when the process died.
//! * A batch that is neither settled, released nor renewed within [`Options::hold`] is delivered again.
//! * A frame this program cannot read comes alone in its batch.
//! * A full disk refuses enqueues with [`audit_queue::QueueError::NoSpace`]; everything else goes on, and enqueues do when there is
//!   room. Settling has space of its own ([`Options::reserve_bytes`]), so that a full queue can always be emptied.
//! * Pages of settled frames are used again, and given back to the file system when the queue is idle.

mod group;
mod options;
mod queue;
mod reserve;
mod rows;
mod schema;
mod state;
mod writer;

pub use options::{OpenError, Options};
pub use queue::EmbeddedQueue;
