//! Where events are kept.

use crate::key::Kind::{OneOf, Url};
use crate::key::Reload::{Now, Restart};
use crate::key::{Key, Standard, count, millis};

/// How an address of PostgreSQL begins.
pub(crate) const POSTGRES: &[&str] = &["postgresql", "postgres"];

pub(super) const KEYS: &[Key] = &[
    Key {
        path: "store.backend",
        kind: OneOf(&["sqlite", "postgres"]),
        default: Standard::Text("sqlite"),
        reload: Restart,
        meaning: "A file in `dataDir`, or a server that processes share.",
    },
    Key {
        path: "store.url",
        kind: Url(POSTGRES),
        default: Standard::None,
        reload: Now,
        meaning: "Address of PostgreSQL; must reach the server itself, not a pooler in transaction mode.",
    },
    Key {
        path: "store.maxConnections",
        kind: count(2, 10_000, ""),
        default: Standard::Whole(10),
        reload: Now,
        meaning: "Connections of one process besides those of its lanes.",
    },
    Key {
        path: "store.connectTimeoutMs",
        kind: millis(1, 86_400_000),
        default: Standard::Whole(5_000),
        reload: Now,
        meaning: "How long a connection may take to be made.",
    },
    Key {
        path: "store.statementTimeoutMs",
        kind: millis(1, 86_400_000),
        default: Standard::Whole(20_000),
        reload: Now,
        meaning: "How long the server may work on one statement. Less than half of `queue.holdMs`.",
    },
    Key {
        path: "store.replicaUrl",
        kind: Url(POSTGRES),
        default: Standard::None,
        reload: Now,
        meaning: "A read replica or a pooler, for searches; they then lag as it does. While it is away the primary serves them. See `docs/postgresql.md`.",
    },
];
