//! Notices, as the desk makes them.

use audit_alert::Notice;
use serde_json::json;

/// Of a critical alert of `acme`, with text that would like to be more than text.
pub(crate) fn notice(kind: &str) -> Notice {
    let id = "ab".repeat(32);
    let state = match kind {
        "acknowledged" => "acknowledged",
        "resolved" => "resolved",
        _ => "open",
    };
    let notice = json!({
        "key": format!("{id}-{kind}-1"),
        "kind": kind,
        "at": "2024-03-05T10:01:00.000000Z",
        "alert": {
            "id": id,
            "organizationId": "acme",
            "rule": "failed-authentication",
            "ruleHash": "cd".repeat(32),
            "title": "Failed <logins> & more\r\nBcc: victim@example.org",
            "level": "critical",
            "raisedLevel": "high",
            "source": "rule",
            "group": [
                { "field": "principalId", "value": "eve <!channel> & mallory\r\nX-Evil: 1" },
                { "field": "sessionContext.ipAddress", "value": null },
            ],
            "state": state,
            "raisedAt": "2024-03-05T10:00:30.000000Z",
            "firstAt": "2024-03-05T09:59:00.000000Z",
            "lastAt": "2024-03-05T10:00:00.000000Z",
            "ended": true,
            "events": 7,
            "value": 7.0,
            "evidence": [
                { "eventId": "018df0c8-7c00-7000-8000-000000000001", "at": "2024-03-05T09:59:00.000000Z", "ledger": 0, "leafIndex": 41 },
            ],
            "late": false,
            "escalation": 0,
            "escalateAt": null,
            "notified": true,
            "muted": null,
            "history": [
                { "state": "open", "by": "system", "at": "2024-03-05T10:00:30.000000Z", "note": null },
                { "state": state, "by": "user-7", "at": "2024-03-05T10:01:00.000000Z", "note": "on it" },
            ],
            "version": 2,
        },
    });
    serde_json::from_value(notice).expect("a notice")
}
