//! What concerns the process as a whole.

use crate::key::Kind::{Address, OneOf, Text};
use crate::key::Reload::{Now, Restart};
use crate::key::{Key, MILLIS, Standard, count};

/// Ledgers of a deployment at most; each costs a lane's worth of memory and a connection.
const LEDGERS_MAX: u64 = 256;

pub(super) const KEYS: &[Key] = &[
    Key {
        path: "dataDir",
        kind: Text,
        default: Standard::Text("./data"),
        reload: Restart,
        meaning: "What belongs to one process: store and queue when it is alone; its name, its spool and its copy of the API keys when deployed. Never shared.",
    },
    Key {
        path: "keys.dir",
        kind: Text,
        default: Standard::Depends("`keys` in `dataDir`"),
        reload: Restart,
        meaning: "The key directory, see below. Shared by the processes of a deployment on one machine.",
    },
    Key {
        path: "listen",
        kind: Address,
        default: Standard::Text("127.0.0.1:3001"),
        reload: Restart,
        meaning: "Address and port of the worker. Beyond loopback, put TLS in front.",
    },
    Key {
        path: "deploymentId",
        kind: Text,
        default: Standard::Depends("drawn at the first start"),
        reload: Restart,
        meaning: "Name of the deployment, part of every checkpoint; immutable.",
    },
    Key {
        path: "logFormat",
        kind: OneOf(&["human", "json"]),
        default: Standard::Text("human"),
        reload: Restart,
        meaning: "How logs are written: for people, or one JSON object a line.",
    },
    Key {
        path: "logFilter",
        kind: Text,
        default: Standard::Text("info"),
        reload: Now,
        meaning: "What is logged, in the syntax of `tracing`'s `EnvFilter`.",
    },
    Key {
        path: "ledgers",
        kind: count(1, LEDGERS_MAX, ""),
        default: Standard::Depends("4 deployed, 1 alone"),
        reload: Restart,
        meaning: "Event ledgers that lanes work on. Never lower it on existing data.",
    },
    Key {
        path: "lanes",
        kind: count(1, LEDGERS_MAX, ""),
        default: Standard::Depends("`ledgers`"),
        reload: Restart,
        meaning: "Ledgers that one worker holds at once at most; the others are left to other workers.",
    },
    Key {
        path: "batch.deliveries",
        kind: count(1, 10_000, "deliveries"),
        default: Standard::Depends("100; 300 past 5,000 waiting events, 1,000 past 10,000"),
        reload: Now,
        meaning: "What a lane takes from the queue at once, at most. A delivery is a frame: the events of one request, or of small requests that came together; in a queue of another system, one item.",
    },
    Key {
        path: "batch.bytesMax",
        kind: count(64 << 10, 64 << 20, "bytes"),
        default: Standard::Whole(3 << 20),
        reload: Now,
        meaning: "Bytes of one batch at most. A lane needs about ten times as much memory.",
    },
    Key {
        path: "breaker.failures",
        kind: count(1, 100, ""),
        default: Standard::Whole(3),
        reload: Now,
        meaning: "Outages of the store in a row after which lanes pause instead of asking it again at once.",
    },
    Key {
        path: "breaker.pauseMs",
        kind: crate::key::millis(10, 300_000),
        default: Standard::Whole(1_000),
        reload: Now,
        meaning: "How long that pause is; then one of them tries.",
    },
    Key {
        path: "http.bodyBytesMax",
        kind: count(1 << 10, 1 << 30, "bytes"),
        default: Standard::Whole(16 << 20),
        reload: Now,
        meaning: "Bytes of a request body, also decompressed.",
    },
    Key {
        path: "http.itemsMax",
        kind: count(1, 1_000_000, "events"),
        default: Standard::Whole(10_000),
        reload: Now,
        meaning: "Events of a request.",
    },
    Key {
        path: "accept.maxAheadMs",
        kind: MILLIS,
        default: Standard::Whole(300_000),
        reload: Now,
        meaning: "How far ahead of its arrival an event may say it happened.",
    },
    Key {
        path: "shutdown.drainDelayMs",
        kind: MILLIS,
        default: Standard::Whole(0),
        reload: Now,
        meaning: "How long `/readyz` says 503 before the listener closes.",
    },
    Key {
        path: "shutdown.graceMs",
        kind: MILLIS,
        default: Standard::Whole(20_000),
        reload: Restart,
        meaning: "How long each group of tasks may take to end.",
    },
    Key {
        path: "configuration.pollMs",
        kind: MILLIS,
        default: Standard::Whole(30_000),
        reload: Now,
        meaning: "Time between two looks at where the configuration comes from; 0: it is looked at when asked only.",
    },
    Key {
        path: "configuration.watchMs",
        kind: crate::key::millis(0, 3_600_000),
        default: Standard::Whole(30_000),
        reload: Now,
        meaning: "How long a change is watched: when a part that it concerns begins to fail meanwhile, what held before is put back. 0: it is not watched.",
    },
    Key {
        path: "configuration.onRestartKeys",
        kind: OneOf(&["defer", "refuse"]),
        default: Standard::Text("defer"),
        reload: Now,
        meaning: "A change of keys that need a restart: `defer` applies the others, and names those until the next start; `refuse` applies nothing.",
    },
];
