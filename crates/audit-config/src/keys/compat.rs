//! What concerns producers of replaced systems, which have no API key.

use crate::key::Kind::{Ranges, Text};
use crate::key::Reload::Now;
use crate::key::{Key, Standard, count};

pub(super) const KEYS: &[Key] = &[
    Key {
        path: "compat.organizationId",
        kind: Text,
        default: Standard::None,
        reload: Now,
        meaning: "The organisation whose events may be sent without an API key, and the only one. Without it nobody sends without a key.",
    },
    Key {
        path: "compat.anonymousWriters",
        kind: Ranges,
        default: Standard::Depends("loopback, when `listen` is loopback, else none"),
        reload: Now,
        meaning: "Ranges of addresses that may. The address is that of the connection: behind a proxy every sender has the proxy's.",
    },
    Key {
        path: "compat.anonymousPerSecond",
        kind: count(1, 1 << 31, "events"),
        default: Standard::Whole(100),
        reload: Now,
        meaning: "Events of one such address each second.",
    },
];
