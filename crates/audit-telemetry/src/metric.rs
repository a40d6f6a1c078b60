//! The closed list of metrics.

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows, and starts again at 0 with the process: for rates.
    Counter,
    /// A state.
    Gauge,
    /// Samples in buckets with these upper bounds.
    Histogram(&'static [f64]),
}

impl Kind {
    /// The name in Prometheus' text format.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its labels, each from a short closed list; never an id from an event.
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
}

const SECONDS: &[f64] = &[
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
const EVENTS: &[f64] = &[
    1.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0,
];

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric {
        name,
        kind: Kind::Counter,
        labels,
        help,
    }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric {
        name,
        kind: Kind::Gauge,
        labels,
        help,
    }
}

const fn histogram(
    name: &'static str,
    buckets: &'static [f64],
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric {
        name,
        kind: Kind::Histogram(buckets),
        labels,
        help,
    }
}

/// Every metric there is, in alphabetical order.
pub const METRICS: &[Metric] = &[
    counter(
        "audit_worker_alert_deliveries_total",
        &["handler", "outcome"],
        "Attempts to tell a handler of an alert: told, put_off, given_up.",
    ),
    gauge(
        "audit_worker_alert_outbox_given_up",
        &["handler"],
        "Notices of alerts that a handler could not be told.",
    ),
    gauge(
        "audit_worker_alert_outbox_oldest_seconds",
        &["handler"],
        "Age of the oldest notice that waits for a handler; 0 when none does.",
    ),
    gauge(
        "audit_worker_alert_outbox_waiting",
        &["handler"],
        "Notices of alerts that wait for a handler.",
    ),
    counter(
        "audit_worker_alerts_raised_total",
        &["level"],
        "Alerts raised by this process.",
    ),
    gauge(
        "audit_worker_books_events",
        &["state", "origin"],
        "Events by where they are: accepted, stored, duplicate, conflict, deadLettered, queued. Exact, read from queue and store: at rest accepted equals the sum of the others.",
    ),
    gauge(
        "audit_worker_breaker_state",
        &[],
        "Circuit breaker of the store: 0 closed, 1 half-open, 2 open.",
    ),
    gauge(
        "audit_worker_broker_away",
        &[],
        "1 while the broker is away and the spool takes over.",
    ),
    gauge(
        "audit_worker_checkpoint_size",
        &["ledger"],
        "Leaves that the newest published checkpoint covers.",
    ),
    histogram(
        "audit_worker_commit_events",
        EVENTS,
        &[],
        "Events in a commit.",
    ),
    counter(
        "audit_worker_commit_failures_total",
        &["fault"],
        "Commits that failed.",
    ),
    histogram(
        "audit_worker_commit_seconds",
        SECONDS,
        &[],
        "Duration of a commit.",
    ),
    gauge(
        "audit_worker_configuration_needs_restart",
        &[],
        "Keys of the configuration whose new value waits for the next start.",
    ),
    gauge(
        "audit_worker_configuration_source",
        &["source"],
        "1 for where the configuration in force is from, 0 for the others: source, kept_copy (the source gave none at start), built_in.",
    ),
    gauge(
        "audit_worker_configuration_version",
        &[],
        "Version of the configuration that this process runs with; 0 while none is known.",
    ),
    gauge(
        "audit_worker_dead_letters_waiting",
        &[],
        "Dead letters that were neither sent again nor removed.",
    ),
    counter(
        "audit_worker_detection_episodes_total",
        &["rule"],
        "Findings of detection that became alerts, or brought one up to date.",
    ),
    counter(
        "audit_worker_detection_late_total",
        &[],
        "Observations of correlations that were later than is allowed and were counted apart.",
    ),
    counter(
        "audit_worker_detection_shortage_total",
        &["what"],
        "What the bounds of detection's memory forced: group_evicted, window_cut, hurried.",
    ),
    counter(
        "audit_worker_directory_failures_total",
        &[],
        "Directory entries that could not be written, or a lease that could not be kept.",
    ),
    counter(
        "audit_worker_events_accepted_total",
        &["origin"],
        "Events taken by this process.",
    ),
    counter(
        "audit_worker_events_conflict_total",
        &[],
        "Events found stored already with another claim; each is a dead letter.",
    ),
    counter(
        "audit_worker_events_dead_lettered_total",
        &[],
        "Events given to the dead letters for other reasons.",
    ),
    counter(
        "audit_worker_events_duplicate_total",
        &[],
        "Events found stored already with the same claim.",
    ),
    counter(
        "audit_worker_events_overflowed_total",
        &["how"],
        "Events that did not go the ordinary way: broker_away (to the spool), stored_directly and spooled (critical ones past the mark).",
    ),
    counter(
        "audit_worker_events_refused_total",
        &["reason"],
        "Valid events that were told to come back: full (past the mark), unavailable.",
    ),
    counter(
        "audit_worker_events_rejected_total",
        &[],
        "Items refused with a reason.",
    ),
    counter(
        "audit_worker_events_stored_total",
        &["origin"],
        "Events stored by this process.",
    ),
    gauge(
        "audit_worker_follower_behind",
        &["follower"],
        "Leaves that a follower has not seen yet.",
    ),
    histogram(
        "audit_worker_http_request_seconds",
        SECONDS,
        &["route"],
        "Duration of a request, body and waiting for ack included.",
    ),
    counter(
        "audit_worker_http_requests_total",
        &["route", "status"],
        "Requests answered, by route of the table and class of status (2xx, 4xx, ...).",
    ),
    gauge(
        "audit_worker_lane_stopped",
        &["ledger"],
        "1 while a lane waits for an operator.",
    ),
    counter(
        "audit_worker_ledger_diverged_total",
        &["ledger"],
        "Checks of the signer that a ledger failed; each is an alarm.",
    ),
    counter(
        "audit_worker_producer_proofs_total",
        &["scheme", "verdict"],
        "Producers' hashes and signatures as lanes read them, by verdict: verified, mismatch, unverifiable.",
    ),
    gauge(
        "audit_worker_queue_bytes",
        &[],
        "Bytes that wait in the queue.",
    ),
    gauge(
        "audit_worker_queue_events",
        &[],
        "Events that wait in the queue, producers' and ours.",
    ),
    gauge(
        "audit_worker_queue_frames",
        &[],
        "Frames that wait in the queue.",
    ),
    gauge(
        "audit_worker_queue_oldest_seconds",
        &[],
        "Age of the oldest frame that waits in the queue; 0 when none does.",
    ),
    gauge(
        "audit_worker_queue_pending_frames",
        &[],
        "Frames that are handed out to lanes and not settled; of all workers that share the queue.",
    ),
    counter(
        "audit_worker_search_fallbacks_total",
        &["reason"],
        "Searches that the primary served because the replica or pooler was away, or behind the first page of the search.",
    ),
    counter(
        "audit_worker_signer_failures_total",
        &[],
        "Ledgers that could not be signed, or heads that could not be read.",
    ),
    gauge(
        "audit_worker_source_items",
        &["source", "state"],
        "Items of another system's queue: waiting, held by workers, failed.",
    ),
    gauge(
        "audit_worker_spool_events",
        &[],
        "Events that wait in the spool of this process.",
    ),
    counter(
        "audit_worker_unreadable_frames_total",
        &[],
        "Frames that cannot be read and stay pending; each is an alarm.",
    ),
    counter(
        "audit_worker_verification_runs_total",
        &["result"],
        "Verification runs by result: pass, fail, inconclusive, failed.",
    ),
];

/// Tells the recorder what each metric means.
pub(crate) fn describe() {
    for metric in METRICS {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.help),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
            Kind::Histogram(_) => metrics::describe_histogram!(metric.name, metric.help),
        }
    }
}

/// `docs/metrics.md`.
#[must_use]
pub fn document() -> String {
    let mut text = "# Metrics\n\nWritten from `audit_telemetry::metric::METRICS`; `UPDATE_GOLDEN=1 cargo test -p audit-telemetry` writes it again.\n\
        Counters start at 0 with the process and serve for rates; `audit_worker_books_events` holds the exact numbers.\n\n\
        | name | type | labels | meaning |\n|---|---|---|---|\n"
        .to_owned();
    for Metric {
        name,
        kind,
        labels,
        help,
    } in METRICS
    {
        let labels = labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect::<Vec<_>>()
            .join(", ");
        text.push_str(&format!(
            "| `{name}` | {} | {labels} | {help} |\n",
            kind.as_str()
        ));
    }
    text
}
