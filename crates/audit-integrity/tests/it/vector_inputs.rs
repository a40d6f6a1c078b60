//! The inputs of the vectors: cases may be added at the end, none may change.

/// An event as a producer sends it, in the native form.
pub(crate) struct EventCase {
    pub(crate) name: &'static str,
    pub(crate) input: &'static str,
    /// What processors added.
    pub(crate) annotations: &'static str,
}

const fn case(name: &'static str, input: &'static str) -> EventCase {
    EventCase {
        name,
        input,
        annotations: "{}",
    }
}

pub(crate) const EVENTS: [EventCase; 16] = [
    case(
        "smallest: no id, no organisation, whole seconds",
        r#"{"action":"a","status":"attempt","timestamp":"2026-01-02T03:04:05Z"}"#,
    ),
    case(
        "every member",
        r#"{
            "id": "0190A1B2-C3D4-7E5F-8A6B-00000000000A", "eventVersion": "1.0",
            "producer": {"id": "billing", "epoch": 3, "seq": 9007199254740991},
            "timestamp": "2026-01-02T03:04:05.678901Z", "principalId": "user-1", "principalType": "user",
            "organizationId": "org-1", "action": "login", "targetResourceType": "Patient",
            "targetResourceId": "patient-1", "status": "success", "outcomeDescription": "as usual",
            "durationMs": 12.50, "severity": "warning", "dataClassification": "PHI", "retentionPolicy": "hipaa",
            "correlationId": "corr-1", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "sessionContext": {"sessionId": "s", "ipAddress": "192.0.2.1", "userAgent": "curl/8", "geolocation": "Bern"},
            "source": {"application": "portal", "environment": "production", "version": "3.1.4"},
            "reason": "kept in details"
        }"#,
    ),
    case(
        "milliseconds; an id that is no UUID, within an organisation",
        r#"{"action":"read","id":"evt-123","organizationId":"org-1","status":"success","timestamp":"2026-01-02T03:04:05.070Z"}"#,
    ),
    case(
        "an offset, eight fraction digits, the next day; an external id where the default organisation counts",
        r#"{"action":"read","id":"{0190a1b2}","status":"failure","timestamp":"2026-01-02T23:30:00.99999999-05:30"}"#,
    ),
    case(
        "numbers keep their exact value",
        r#"{"action":"n","status":"success","timestamp":"2026-01-02T03:04:05.000000Z","numbers":[0,-0,1.0,1.10,1e2,1E21,1e20,123456789012345678901,1234567890123456789012,0.000001,1e-7,-2.50E-3,12345678901234567.89,9007199254740993,18446744073709551615,5e-324,1e308,0e9]}"#,
    ),
    case(
        "members by UTF-16 code units; escapes; no normalisation",
        "{\"action\":\"u\",\"status\":\"success\",\"timestamp\":\"2026-01-02T03:04:05Z\",\"\u{fb33}\":1,\"\u{1f600}\":2,\"\\u20ac\":\"\u{20ac}\",\"a\\u0301\":\"e\u{301} \u{e9}\",\"\\u0001\\u001f\":\"\\b\\t\\n\\f\\r\\\"\\\\\\/\\u007f\\u2028\\ud83d\\ude80<>&\"}",
    ),
    case(
        "null in typed members means absent; in details null, empty text and empty objects stay",
        r#"{"action":"empty","status":"success","timestamp":"2026-01-02T03:04:05Z","principalId":null,"organizationId":"","sessionContext":{"sessionId":null},"severity":null,"x":null,"y":"","z":{},"w":[]}"#,
    ),
    case(
        "a producer's own details; members that contexts do not have",
        r#"{"action":"nested","status":"success","timestamp":"2026-01-02T03:04:05Z","details":{"details":{"a":[{"b":[[]]}]}},"sessionContext":{"sessionId":"s","device":"phone"},"source":{"application":"app","build":77}}"#,
    ),
    case(
        "organisation and policy need escapes in the header",
        r#"{"action":"escape","organizationId":"Klinik \"Süd\" \\ 1","retentionPolicy":"a\"b\\c","status":"success","timestamp":"2026-01-02T03:04:05Z"}"#,
    ),
    EventCase {
        name: "annotations are in the body and not in the claim",
        input: r#"{"action":"login","id":"0190a1b2-c3d4-7e5f-8a6b-00000000000b","status":"failure","timestamp":"2026-01-02T03:04:05Z"}"#,
        annotations: r#"{"geo":{"country":"CH"},"risk":0.5}"#,
    },
    case(
        "a producer's proof; the verdict is in the body and not in the claim",
        r#"{"action":"system.startup","organizationId":"org-1","status":"success","timestamp":"2024-01-01T00:00:00.000Z","producerProof":{"scheme":"smart-logs","preimage":"action:\"system.startup\"|organizationId:null|outcomeDescription:null|principalId:null|status:\"success\"|targetResourceId:null|targetResourceType:null|timestamp:\"2024-01-01T00:00:00.000Z\"","hash":"ab6c6d92e4b990df54ec19966b6a2d8650e5d6c708489246f9a07aaa0ae3c41b","signature":"060b4cb7c439073030a9e6ab69855786b05693c31480bd6cb6020c379e3cef2a","algorithm":"HMAC-SHA256"}}"#,
    ),
    case(
        "the first year",
        r#"{"action":"a","status":"success","timestamp":"0001-01-01T00:00:00Z"}"#,
    ),
    case(
        "before 1970, with a fraction",
        r#"{"action":"a","status":"success","timestamp":"1969-12-31T23:59:59.9999999Z"}"#,
    ),
    case(
        "the leap day; the zone in lower case",
        r#"{"action":"a","status":"success","timestamp":"2024-02-29t23:59:59z"}"#,
    ),
    case(
        "members that producer and proof do not have; empty text is a value",
        r#"{"action":"extra","principalId":"","producer":{"id":"p","epoch":0,"seq":1,"host":"h"},"producerProof":{"scheme":"smart-logs","preimage":"text","hash":"982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1","signature":"085ee1020f1f7f02d3fcae21002e9a1ef5dbf8419411136fd304d7ef8677e5d2","note":[1]},"status":"success","timestamp":"2026-01-02T03:04:05Z"}"#,
    ),
    case(
        "the longest organisation and policy, in escapes",
        r#"{"action":"long","dataClassification":"CONFIDENTIAL","organizationId":"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"","retentionPolicy":"\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\","status":"success","timestamp":"2026-01-02T03:04:05Z"}"#,
    ),
];

/// One of each kind, as the system would write it.
pub(crate) const CONTROLS: [(&str, &str); 7] = [
    (
        "control.ledger-opened",
        r#"{"ledger":0,"origin":"audit.invalid/01JGXVECT0RS0FVERS10N1AAAA/ledger/0"}"#,
    ),
    (
        "control.key",
        r#"{"key":"k1","validFrom":"2026-02-01T00:00:00.000000Z"}"#,
    ),
    (
        "control.snapshot",
        r#"{"ledgers":[{"id":0,"root":"","size":0,"state":"open"}]}"#,
    ),
    (
        "control.retention",
        r#"{"from":0,"ledger":0,"policy":"standard","to":100}"#,
    ),
    ("control.erasure", r#"{"dataKey":"d1"}"#),
    ("control.history-loss", r#"{"from":1,"ledger":0,"to":2}"#),
    ("control.ledger-closed", r#"{"ledger":0,"size":300}"#),
];

/// JSON texts whose canonical form is worth checking on its own.
pub(crate) const VALUES: [&str; 24] = [
    "0",
    "-0",
    "-0.0e-7",
    "1.10",
    "1e2",
    "1E+21",
    "999999999999999999999",
    "9999999999999999999999",
    "100000000000000000000",
    "1000000000000000000000",
    "0.000001",
    "0.0000001",
    "-1.5e-9",
    "123.456e5",
    "12345678901234567.89",
    "0.1000000000000000055511151231257827",
    "4.9e-324",
    "1.7976931348623157e308",
    "[ 1 , [ ] , { } , null , true , false , \"\" ]",
    r#"{"b":1,"a":2,"aa":3,"A":4,"":5}"#,
    "{\"\u{1f600}\":1,\"\u{fb33}\":2,\"\u{e000}\":3,\"z\":4}",
    r#""b\u00e9\ud83d\ude00\/""#,
    r#""\u0001\u0008\u0009\u000a\u000b\u000c\u000d\u001f\u0020\u0022\u005c\u007f\u2028\u2029""#,
    r#"{"a":{"c":[{"e":1,"d":2}],"b":null}}"#,
];
