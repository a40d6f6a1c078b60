//! OpenAPI 3.1, made from the table of routes, so that a route cannot be missing from it.

use serde_json::{Map, Value, json};

use crate::auth::Access;
use crate::routes::{ROUTES, Route};

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        let path = route.path.replace("{*path}", "{path}");
        let item = paths.entry(path).or_insert_with(|| json!({}));
        if let Some(item) = item.as_object_mut() {
            item.insert(route.method.to_ascii_lowercase(), operation(route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Audit Worker",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Takes audit events, keeps them, proves that none was altered. Errors are RFC 9457 problem details.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": { "securitySchemes": { "apiKey": { "type": "http", "scheme": "bearer" } }, "schemas": schemas() },
    })
}

fn operation(route: &Route) -> Value {
    let names = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = names
        .map(|name| {
            let name = name.trim_start_matches('*');
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
        })
        .collect();
    parameters.extend(query_parameters(route));
    let mut operation = json!({
        "summary": route.summary,
        "operationId": operation_id(route),
        "parameters": parameters,
        "responses": responses(route),
    });
    if let Some(members) = operation.as_object_mut() {
        if route.access != Access::Open {
            let needs = match route.access {
                // Also whoever `compat.anonymousWriters` names.
                Access::Producer => json!([{ "apiKey": [] }, {}]),
                _ => json!([{ "apiKey": [] }]),
            };
            members.insert("security".to_owned(), needs);
        }
        if let Some(body) = request_body(route) {
            members.insert("requestBody".to_owned(), body);
        }
    }
    operation
}

fn operation_id(route: &Route) -> String {
    let path: String = route
        .path
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let words = path
        .split('_')
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("_");
    format!("{}_{words}", route.method.to_ascii_lowercase())
}

fn query_parameters(route: &Route) -> Vec<Value> {
    let names: &[&str] = match (route.method, route.path) {
        ("POST", "/v1/events") => &["ack", "timeoutMs", "form"],
        ("GET", "/v1/events") => &[
            "since",
            "until",
            "principalId",
            "organizationId",
            "action",
            "targetResourceType",
            "targetResourceId",
            "status",
            "severity",
            "dataClassification",
            "correlationId",
            "details.<path>",
            "text",
            "order",
            "limit",
            "cursor",
        ],
        ("GET", path) if path.starts_with("/v1/events/{id}") => &["organizationId", "timestamp"],
        ("GET", "/api/audit/events") => &[
            "startTime",
            "endTime",
            "actorId",
            "actorType",
            "actionType",
            "resource",
            "resourceId",
            "result",
            "limit",
            "offset",
            "page",
            "orderBy",
            "orderDirection",
        ],
        ("GET", "/v1/alerts") => &[
            "state",
            "atLeast",
            "rule",
            "organizationId",
            "since",
            "until",
            "limit",
            "cursor",
        ],
        ("GET", "/v1/alerts/statistics") => &[
            "state",
            "atLeast",
            "rule",
            "organizationId",
            "since",
            "until",
        ],
        ("GET", "/v1/dead-letters") => &["reason", "includeReplayed", "after", "limit"],
        _ => &[],
    };
    names
        .iter()
        .map(|name| json!({ "name": name, "in": "query", "schema": { "type": "string" } }))
        .collect()
}

fn request_body(route: &Route) -> Option<Value> {
    let content = match (route.method, route.path) {
        ("POST", "/v1/events") => json!({
            "application/json": { "schema": { "oneOf": [
                { "$ref": "#/components/schemas/Event" },
                { "type": "array", "items": { "$ref": "#/components/schemas/Event" } },
                { "type": "object", "required": ["events"], "properties": {
                    "events": { "type": "array", "items": { "$ref": "#/components/schemas/Event" } } } },
            ] } },
            "application/x-ndjson": { "schema": { "type": "string" } },
        }),
        ("POST", "/api/audit/events/batch") => {
            json!({ "application/json": { "schema": { "type": "object", "required": ["events"], "properties": {
            "batchId": { "type": "string" }, "events": { "type": "array", "items": { "type": "object" } } } } } })
        }
        ("POST", _) if route.access == Access::Producer => {
            json!({ "application/json": { "schema": { "type": "object", "additionalProperties": true } } })
        }
        ("POST", "/v1/verify") => {
            json!({ "application/json": { "schema": { "type": "object", "properties": {
            "ledger": { "type": ["integer", "string"] }, "since": { "type": "string", "format": "date-time" },
            "until": { "type": "string", "format": "date-time" },
            "checkpoints": { "type": "array", "items": { "type": "string" } } } } } })
        }
        ("POST", "/v1/alerts/{id}/acknowledge" | "/v1/alerts/{id}/resolve") => {
            json!({ "application/json": { "schema": { "type": "object", "properties": { "note": { "type": "string" } } } } })
        }
        ("POST", "/v1/rules/test") => {
            json!({ "application/json": { "schema": { "type": "object", "required": ["event"], "properties": {
            "event": { "type": "object" }, "rules": { "type": "string" },
            "form": { "enum": ["native", "smart_logs", "pake", "list_worker", "cloudtrail"] } } } } })
        }
        ("POST", "/v1/keys") => {
            json!({ "application/json": { "schema": { "type": "object", "required": ["name", "role"],
            "properties": { "name": { "type": "string" }, "role": { "enum": ["writer", "viewer", "analyst", "compliance_officer", "admin"] },
            "organizations": { "type": "array", "items": { "type": "string" } }, "defaultOrganization": { "type": "string" },
            "expiresAt": { "type": "string", "format": "date-time" } } } } })
        }
        _ => return None,
    };
    Some(json!({ "content": content }))
}

fn responses(route: &Route) -> Value {
    let mut responses = match (route.method, route.path) {
        ("POST", "/v1/events") => json!({
            "201": { "description": "Stored or sealed, as asked" }, "202": { "description": "Queued as durably as it says" },
            "207": { "description": "Some items were refused" }, "413": { "description": "Too large" },
            "415": { "description": "Unknown media type or encoding" }, "503": { "description": "Come back later" },
        }),
        ("POST", _) if route.access == Access::Producer => json!({
            "201": { "description": "Taken; stored says whether it is committed already" },
            "429": { "description": "Too many events of this sender" }, "503": { "description": "Come back later" },
        }),
        ("POST", "/v1/keys") => json!({ "201": { "description": "Created" } }),
        ("POST", "/v1/alerts/{id}/acknowledge" | "/v1/alerts/{id}/resolve") => json!({
            "200": { "description": "The alert as it is now" }, "404": { "description": "No such alert" },
            "409": { "description": "It is resolved already" },
        }),
        ("POST", path) if path.starts_with("/v1/alerts/") || path.starts_with("/v1/rules/") => {
            json!({ "200": { "description": "Fine" } })
        }
        ("POST", _) => json!({ "202": { "description": "Begun" } }),
        ("DELETE", _) => json!({ "204": { "description": "Done" } }),
        _ => json!({ "200": { "description": "Fine" } }),
    };
    if let Some(members) = responses.as_object_mut()
        && route.access != Access::Open
    {
        let problem = json!({ "description": "Problem", "content": {
            "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } } });
        for status in ["400", "401", "403"] {
            members.insert(status.to_owned(), problem.clone());
        }
    }
    responses
}

fn schemas() -> Value {
    json!({
        "Event": {
            "type": "object",
            "required": ["timestamp", "action", "status"],
            "additionalProperties": true,
            "properties": {
                "id": { "type": "string" }, "timestamp": { "type": "string", "format": "date-time" },
                "action": { "type": "string", "minLength": 1 }, "status": { "enum": ["attempt", "success", "failure"] },
                "principalId": { "type": "string" }, "organizationId": { "type": "string" },
                "targetResourceType": { "type": "string" }, "targetResourceId": { "type": "string" },
                "severity": { "enum": ["info", "warning", "critical"] },
                "dataClassification": { "enum": ["PUBLIC", "INTERNAL", "CONFIDENTIAL", "PHI"] },
            },
        },
        "Problem": {
            "type": "object",
            "properties": {
                "status": { "type": "integer" }, "title": { "type": "string" }, "code": { "type": "string" },
                "detail": { "type": "string" },
                "errors": { "type": "array", "items": { "type": "object", "properties": {
                    "path": { "type": "string" }, "code": { "type": "string" }, "message": { "type": "string" } } } },
            },
        },
    })
}
