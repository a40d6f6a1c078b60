//! Names of this crate's metrics; `docs/metrics.md` explains them.

/// Events by where they are, by `state` and `origin`; exact.
pub const BOOKS: &str = "audit_worker_books_events";
/// Frames that wait in the queue.
pub const QUEUE_FRAMES: &str = "audit_worker_queue_frames";
/// Bytes that wait in the queue.
pub const QUEUE_BYTES: &str = "audit_worker_queue_bytes";
/// Events that wait in the queue.
pub const QUEUE_EVENTS: &str = "audit_worker_queue_events";
/// Age of the oldest frame that waits.
pub const QUEUE_OLDEST_SECONDS: &str = "audit_worker_queue_oldest_seconds";
/// Frames that are handed out and not settled.
pub const QUEUE_PENDING_FRAMES: &str = "audit_worker_queue_pending_frames";
/// Dead letters that wait.
pub const DEAD_LETTERS_WAITING: &str = "audit_worker_dead_letters_waiting";
/// Requests answered, by `route` and `status`.
pub const REQUESTS: &str = "audit_worker_http_requests_total";
/// Seconds of a request, by `route`.
pub const REQUEST_SECONDS: &str = "audit_worker_http_request_seconds";
