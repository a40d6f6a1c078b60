//! What concerns `audit-ingest` only.

use crate::key::Kind::Address;
use crate::key::Reload::{Now, Restart};
use crate::key::{Key, Standard, count};

pub(super) const KEYS: &[Key] = &[
    Key {
        path: "ingest.listen",
        kind: Address,
        default: Standard::Text("127.0.0.1:3002"),
        reload: Restart,
        meaning: "Address and port of `audit-ingest`.",
    },
    Key {
        path: "ingest.spoolBytesMax",
        kind: count(1 << 20, 1 << 40, "bytes"),
        default: Standard::Whole(256 << 20),
        reload: Now,
        meaning: "Bytes that may wait on the disk of an ingest while the broker is away.",
    },
    Key {
        path: "ingest.eventsPerSecondPerKey",
        kind: count(1, 1 << 31, "events"),
        default: Standard::None,
        reload: Now,
        meaning: "Events an API key may send each second; more get 429 with `Retry-After`.",
    },
    Key {
        path: "ingest.criticalPerSecondPerKey",
        kind: count(1, 1 << 31, "events"),
        default: Standard::Whole(100),
        reload: Now,
        meaning: "Events of severity `critical` of one API key that go straight to the store past the mark; more go to the spool.",
    },
];
