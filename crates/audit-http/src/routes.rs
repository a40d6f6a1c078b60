//! The table of routes: path, method, who may, and the handler, once.

use axum::Router;
use axum::routing::{MethodRouter, delete, get, post};

use crate::auth::Access;
use crate::state::AppState;
use crate::{dead_letters, events, health, ingest, keys, ledgers, search, status, verify};

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
];

/// What `audit-ingest` serves of the table: taking events, and saying how it is. Everything else is asked of a worker.
pub const INGEST: &[(&str, &str)] = &[
    ("POST", "/v1/events"),
    ("GET", "/v1/frames/{id}"),
    ("GET", "/v1/status"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/health/{component}"),
    ("GET", "/metrics"),
];

pub(crate) fn table(wanted: impl Fn(&Route) -> bool) -> Router<AppState> {
    ROUTES
        .iter()
        .filter(|route| wanted(route))
        .fold(Router::new(), |router, route| {
            router.route(route.path, (route.handler)())
        })
}
