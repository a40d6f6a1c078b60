//! Names of this crate's metrics; `docs/metrics.md` explains them.

/// Attempts to tell a notice, by `handler` and `outcome`: told, put_off, given_up.
pub(crate) const DELIVERIES: &str = "audit_worker_alert_deliveries_total";
/// Notices that wait, by `handler`.
pub(crate) const OUTBOX_WAITING: &str = "audit_worker_alert_outbox_waiting";
/// Notices that were given up, by `handler`.
pub(crate) const OUTBOX_GIVEN_UP: &str = "audit_worker_alert_outbox_given_up";
/// Age of the oldest notice that waits, by `handler`.
pub(crate) const OUTBOX_OLDEST_SECONDS: &str = "audit_worker_alert_outbox_oldest_seconds";
/// Alerts kept by this process, by `level`.
pub(crate) const RAISED: &str = "audit_worker_alerts_raised_total";
