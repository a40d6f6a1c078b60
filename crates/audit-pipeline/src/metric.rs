//! Names of the pipeline's metrics; `docs/metrics.md` explains them.

/// Producers' events taken by accept, by `origin`.
pub const ACCEPTED: &str = "audit_worker_events_accepted_total";
/// Items refused by accept, by `reason`.
pub const REJECTED: &str = "audit_worker_events_rejected_total";
/// Events stored by a lane, by `origin`.
pub const STORED: &str = "audit_worker_events_stored_total";
/// Events found stored already with the same claim.
pub const DUPLICATE: &str = "audit_worker_events_duplicate_total";
/// Events found stored already with another claim.
pub const CONFLICT: &str = "audit_worker_events_conflict_total";
/// Events given to the dead letters.
pub const DEAD_LETTERED: &str = "audit_worker_events_dead_lettered_total";
/// Proofs of producers as a lane read them, by `scheme` and `verdict`: verified, mismatch, unverifiable.
pub const PRODUCER_PROOFS: &str = "audit_worker_producer_proofs_total";
/// Items of another system's queue, by `source` and `state`: waiting, held, failed.
pub const SOURCE_ITEMS: &str = "audit_worker_source_items";
/// Seconds of a commit.
pub const COMMIT_SECONDS: &str = "audit_worker_commit_seconds";
/// Events in a commit.
pub const COMMIT_EVENTS: &str = "audit_worker_commit_events";
/// Commits that failed, by `fault`.
pub const COMMIT_FAILURES: &str = "audit_worker_commit_failures_total";
/// 0 closed, 1 half-open, 2 open.
pub const BREAKER: &str = "audit_worker_breaker_state";
/// Frames that cannot be read and stay pending.
pub const UNREADABLE_FRAMES: &str = "audit_worker_unreadable_frames_total";
/// Lanes that stopped and wait for an operator, by `ledger`.
pub const LANE_STOPPED: &str = "audit_worker_lane_stopped";
/// Ledgers that could not be signed, or heads that could not be read.
pub const SIGNER_FAILURES: &str = "audit_worker_signer_failures_total";
/// Ledgers that failed a check of the signer, by `ledger`; each is an alert.
pub const LEDGER_DIVERGED: &str = "audit_worker_ledger_diverged_total";
/// Leaves that the newest published checkpoint covers, by `ledger`.
pub const CHECKPOINT_SIZE: &str = "audit_worker_checkpoint_size";
/// Directory entries that could not be written, or a lease that could not be kept.
pub const DIRECTORY_FAILURES: &str = "audit_worker_directory_failures_total";
/// Verification runs, by `result`: pass, fail, inconclusive, failed.
pub const VERIFICATION_RUNS: &str = "audit_worker_verification_runs_total";
/// Leaves that a follower has not seen yet, by `follower`.
pub const FOLLOWER_BEHIND: &str = "audit_worker_follower_behind";
/// Valid events that were told to come back, by `reason`: full, unavailable.
pub const REFUSED: &str = "audit_worker_events_refused_total";
/// Events that did not go the ordinary way, by `how`: broker_away, stored_directly, spooled.
pub const OVERFLOWED: &str = "audit_worker_events_overflowed_total";
/// 1 while the broker is away and the spool takes over.
pub const BROKER_AWAY: &str = "audit_worker_broker_away";
/// Events that wait in the spool.
pub const SPOOL_EVENTS: &str = "audit_worker_spool_events";
/// Findings of detection that became alerts or brought one up to date, by `rule`.
pub const EPISODES: &str = "audit_worker_detection_episodes_total";
/// Observations that were later than is allowed and were counted apart.
pub const DETECTION_LATE: &str = "audit_worker_detection_late_total";
/// What the bounds of detection's memory forced, by `what`: group_evicted, window_cut, hurried.
pub const DETECTION_SHORTAGE: &str = "audit_worker_detection_shortage_total";
