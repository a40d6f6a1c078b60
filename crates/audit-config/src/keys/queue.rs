//! Where events wait.

use crate::key::Kind::{Flag, OneOf, Text, Url};
use crate::key::Reload::{Now, Restart};
use crate::key::{Key, Standard, count, millis};

/// How an address of Redis begins.
pub(crate) const REDIS: &[&str] = &[
    "redis",
    "rediss",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
];

/// The shortest `queue.holdMs`. A lane renews four times within it, and the slowest renewal waits once for the lease (as long
/// as between two renewals) and once for Redis (5 s): half of 10 s and 5 s.
const HOLD_MILLIS_MIN: u64 = 10_000;
/// The longest: what a dead worker held is late by as much.
pub(crate) const HOLD_MILLIS_MAX: u64 = 3_600_000;

pub(super) const KEYS: &[Key] = &[
    Key {
        path: "queue.backend",
        kind: OneOf(&["embedded", "redis"]),
        default: Standard::Text("embedded"),
        reload: Restart,
        meaning: "A file in `dataDir`, or a server that processes share.",
    },
    Key {
        path: "queue.url",
        kind: Url(REDIS),
        default: Standard::None,
        reload: Restart,
        meaning: "Address of Redis 7; Sentinel and Cluster addresses, too.",
    },
    Key {
        path: "queue.queueName",
        kind: Text,
        default: Standard::Text("audit-events"),
        reload: Restart,
        meaning: "Part of every key in Redis.",
    },
    Key {
        path: "queue.acceptLoss",
        kind: Flag,
        default: Standard::Flag(false),
        reload: Restart,
        meaning: "Be ready although Redis may lose what it acknowledges (anything but `appendonly yes`, `appendfsync always`, `noeviction`).",
    },
    Key {
        path: "queue.holdMs",
        kind: millis(HOLD_MILLIS_MIN, HOLD_MILLIS_MAX),
        default: Standard::Depends("60,000, or what `store.statementTimeoutMs` needs"),
        reload: Restart,
        meaning: "How long what a worker received stays its own without a sign of life; then others get it. More than twice `store.statementTimeoutMs`.",
    },
    Key {
        path: "queue.eventsMax",
        kind: count(1, 1 << 40, "events"),
        default: Standard::Whole(1_000_000),
        reload: Now,
        meaning: "The high-water mark: events that may wait. Past it ordinary events get 503 with `Retry-After`.",
    },
    Key {
        path: "queue.bytesMax",
        kind: count(1 << 20, 1 << 40, "bytes"),
        default: Standard::Whole(512 << 20),
        reload: Now,
        meaning: "The same in bytes; whichever comes first.",
    },
];
