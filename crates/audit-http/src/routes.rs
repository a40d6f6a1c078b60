//! The table of routes: path, method, who may, and the handler, once.

use axum::Router;
use axum::routing::{MethodRouter, delete, get, post};

use crate::auth::Access;
use crate::compat::health as compat_health;
use crate::compat::{list_worker, pake, pake_query, smart_logs};
use crate::state::AppState;
use crate::{
    alerts, configuration, dead_letters, events, health, ingest, keys, ledgers, rules, search,
    status, verify,
};

/// A route as documented and tested.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// HTTP method.
    pub method: &'static str,
    /// Path, with `{names}`; `{*path}` takes the rest.
    pub path: &'static str,
    /// Who may.
    pub access: Access,
    /// What it does, for `/openapi.json`.
    pub summary: &'static str,
    handler: fn() -> MethodRouter<AppState>,
}

const fn route(
    method: &'static str,
    path: &'static str,
    access: Access,
    summary: &'static str,
    handler: fn() -> MethodRouter<AppState>,
) -> Route {
    Route {
        method,
        path,
        access,
        summary,
        handler,
    }
}

/// Every route. Access is checked in the handler; a test holds each handler to this table.
pub const ROUTES: &[Route] = &[
    route(
        "POST",
        "/v1/events",
        Access::Write,
        "Send events: object, array, {events:[]} or NDJSON",
        || post(ingest::post_events),
    ),
    route("GET", "/v1/events", Access::Read, "Search events", || {
        get(search::get_events)
    }),
    route(
        "GET",
        "/v1/events/{id}",
        Access::Read,
        "One event by id",
        || get(events::get_event),
    ),
    route(
        "GET",
        "/v1/events/{id}/canonical",
        Access::Prove,
        "Its leaf input, salt and canonical bytes",
        || get(events::get_event_canonical),
    ),
    route(
        "GET",
        "/v1/events/{id}/proof",
        Access::Prove,
        "Its tlog-proof file",
        || get(events::get_event_proof),
    ),
    route(
        "GET",
        "/v1/frames/{id}",
        Access::Any,
        "What became of a 202",
        || get(status::get_frame),
    ),
    route(
        "GET",
        "/v1/ledgers",
        Access::Read,
        "The ledgers, their sizes and roots",
        || get(ledgers::get_ledgers),
    ),
    route(
        "GET",
        "/v1/ledgers/{ledger}/checkpoint",
        Access::Read,
        "The newest signed checkpoint",
        || get(ledgers::get_checkpoint),
    ),
    route(
        "GET",
        "/v1/ledgers/{ledger}/key",
        Access::Read,
        "The verifier key line",
        || get(ledgers::get_key),
    ),
    route(
        "GET",
        "/v1/ledgers/{ledger}/tile/{*path}",
        Access::ProveAll,
        "A tile or entry bundle (C2SP tlog-tiles)",
        || get(ledgers::get_tile),
    ),
    route(
        "GET",
        "/v1/ledgers/{ledger}/entries/{index}",
        Access::Read,
        "The event at an address",
        || get(ledgers::get_entry),
    ),
    route(
        "GET",
        "/v1/ledgers/{ledger}/entries/{index}/canonical",
        Access::Prove,
        "Its leaf input, salt and canonical bytes",
        || get(ledgers::get_entry_canonical),
    ),
    route(
        "GET",
        "/v1/ledgers/{ledger}/entries/{index}/proof",
        Access::Prove,
        "Its tlog-proof file",
        || get(ledgers::get_entry_proof),
    ),
    route(
        "POST",
        "/v1/verify",
        Access::ProveAll,
        "Start a verification run",
        || post(verify::post_verify),
    ),
    route(
        "GET",
        "/v1/verify/{run}",
        Access::ProveAll,
        "The report of a run",
        || get(verify::get_verify),
    ),
    route(
        "GET",
        "/v1/dead-letters",
        Access::Operate,
        "List dead letters",
        || get(dead_letters::get_dead_letters),
    ),
    route(
        "GET",
        "/v1/dead-letters/{id}",
        Access::Operate,
        "One dead letter with its bytes",
        || get(dead_letters::get_dead_letter),
    ),
    route(
        "DELETE",
        "/v1/dead-letters/{id}",
        Access::Admin,
        "Remove a dead letter for ever",
        || delete(dead_letters::purge_dead_letter),
    ),
    route(
        "POST",
        "/v1/dead-letters/{id}/replay",
        Access::Admin,
        "Send a dead letter again",
        || post(dead_letters::replay_dead_letter),
    ),
    route(
        "GET",
        "/v1/alerts",
        Access::Operate,
        "List alerts, newest first",
        || get(alerts::get_alerts),
    ),
    route(
        "GET",
        "/v1/alerts/statistics",
        Access::Operate,
        "How many alerts there are, by state, level and rule",
        || get(alerts::get_statistics),
    ),
    route(
        "GET",
        "/v1/alerts/outbox",
        Access::Operate,
        "What waits to be told of alerts, by handler",
        || get(alerts::get_outbox),
    ),
    route(
        "POST",
        "/v1/alerts/outbox/{handler}/revive",
        Access::AdminAll,
        "Tell a handler again what was given up",
        || post(alerts::revive),
    ),
    route(
        "GET",
        "/v1/alerts/{id}",
        Access::Operate,
        "One alert",
        || get(alerts::get_alert),
    ),
    route(
        "POST",
        "/v1/alerts/{id}/acknowledge",
        Access::Operate,
        "Somebody looks at an alert",
        || post(alerts::acknowledge),
    ),
    route(
        "POST",
        "/v1/alerts/{id}/resolve",
        Access::Operate,
        "An alert is done with",
        || post(alerts::resolve),
    ),
    route(
        "GET",
        "/v1/rules",
        Access::Operate,
        "The rules in use, and what could not be loaded",
        || get(rules::get_rules),
    ),
    route(
        "POST",
        "/v1/rules/test",
        Access::Operate,
        "What rules make of an event, and why; stores nothing",
        || post(rules::post_test),
    ),
    route(
        "POST",
        "/v1/keys",
        Access::Admin,
        "Create an API key; its text is shown once",
        || post(keys::post_key),
    ),
    route("GET", "/v1/keys", Access::Admin, "List API keys", || {
        get(keys::get_keys)
    }),
    route(
        "DELETE",
        "/v1/keys/{id}",
        Access::Admin,
        "Revoke an API key",
        || delete(keys::revoke_key),
    ),
    route(
        "GET",
        "/v1/status",
        Access::Operate,
        "The conservation law's numbers, queue, ledgers, leases",
        || get(status::get_status),
    ),
    route(
        "GET",
        "/observability/configuration-status",
        Access::AdminAll,
        "The configuration in force, its versions, and how each process took them",
        || get(configuration::get_status),
    ),
    route(
        "POST",
        "/admin/config/reload",
        Access::AdminAll,
        "Look at the source of the configuration now",
        || post(configuration::post_reload),
    ),
    route(
        "POST",
        "/admin/config/rollback",
        Access::AdminAll,
        "Bring an earlier version of the configuration back",
        || post(configuration::post_rollback),
    ),
    route("GET", "/healthz", Access::Open, "Alive", || {
        get(health::healthz)
    }),
    route(
        "GET",
        "/readyz",
        Access::Open,
        "Ready, component by component",
        || get(health::readyz),
    ),
    route(
        "GET",
        "/health/{component}",
        Access::Open,
        "One component",
        || get(health::component),
    ),
    route("GET", "/metrics", Access::Open, "Prometheus", || {
        get(health::metrics)
    }),
    route(
        "GET",
        "/openapi.json",
        Access::Open,
        "This description",
        || get(health::openapi),
    ),
    route(
        "POST",
        "/events",
        Access::Producer,
        "smart-logs: send one event",
        || post(smart_logs::post_event),
    ),
    route(
        "POST",
        "/api/audit/events",
        Access::Producer,
        "PAKE: send one event",
        || post(pake::post_event),
    ),
    route(
        "GET",
        "/api/audit/events",
        Access::Read,
        "PAKE: search events",
        || get(pake_query::get_events),
    ),
    route(
        "POST",
        "/api/audit/events/batch",
        Access::Producer,
        "PAKE: send events",
        || post(pake::post_batch),
    ),
    route(
        "POST",
        "/api/audit/log",
        Access::Producer,
        "PAKE: send one flat item",
        || post(pake::post_log),
    ),
    route(
        "GET",
        "/api/v1/monitoring/audit-metrics",
        Access::Open,
        "List worker: its numbers and what they mean",
        || get(list_worker::audit_metrics),
    ),
    route(
        "GET",
        "/api/v1/monitoring/health",
        Access::Open,
        "List worker: whether queue and worker are there",
        || get(list_worker::health),
    ),
    route(
        "GET",
        "/health",
        Access::Open,
        "PAKE: the worst state",
        || get(compat_health::health),
    ),
    route(
        "GET",
        "/health/detailed",
        Access::Open,
        "PAKE: every component",
        || get(compat_health::detailed),
    ),
    route(
        "GET",
        "/health/database",
        Access::Open,
        "PAKE: asks the store",
        || get(compat_health::database),
    ),
    route(
        "GET",
        "/health/dependencies",
        Access::Open,
        "PAKE: asks the store and the queue",
        || get(compat_health::dependencies),
    ),
];

/// What `audit-ingest` serves of the table: taking events, saying how it is, and the paths of
/// replaced systems, whose clients know one address only. Everything else is asked of a worker.
pub const INGEST: &[(&str, &str)] = &[
    ("POST", "/v1/events"),
    ("GET", "/v1/frames/{id}"),
    ("GET", "/v1/status"),
    ("GET", "/observability/configuration-status"),
    ("POST", "/admin/config/reload"),
    ("POST", "/admin/config/rollback"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/health/{component}"),
    ("GET", "/metrics"),
    ("POST", "/events"),
    ("POST", "/api/audit/events"),
    ("GET", "/api/audit/events"),
    ("POST", "/api/audit/events/batch"),
    ("POST", "/api/audit/log"),
    ("GET", "/api/v1/monitoring/audit-metrics"),
    ("GET", "/api/v1/monitoring/health"),
    ("GET", "/health"),
    ("GET", "/health/detailed"),
    ("GET", "/health/database"),
    ("GET", "/health/dependencies"),
];

pub(crate) fn table(wanted: impl Fn(&Route) -> bool) -> Router<AppState> {
    ROUTES
        .iter()
        .filter(|route| wanted(route))
        .fold(Router::new(), |router, route| {
            router.route(route.path, (route.handler)())
        })
}
