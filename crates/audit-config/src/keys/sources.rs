//! Queues of other systems, and what their producers sign.

use crate::key::Kind::{Objects, OneOf, Text, Url};
use crate::key::Reload::{Now, Restart};
use crate::key::{Key, Standard, count, millis};
use crate::keys::queue::REDIS;

/// Forms of what a queue of another system may carry.
const FORMS: &[&str] = &["smart_logs", "pake", "list_worker", "cloudtrail", "native"];

const MISMATCH: &[&str] = &["record", "alert", "deadLetter"];

pub(super) const KEYS: &[Key] = &[
    Key {
        path: "sources",
        kind: Objects(MEMBERS),
        default: Standard::None,
        reload: Restart,
        meaning: "Queues of other systems that the workers of a deployment empty; see `docs/migrating.md`.",
    },
    Key {
        path: "proofs.smartLogs",
        kind: OneOf(MISMATCH),
        default: Standard::Text("alert"),
        reload: Now,
        meaning: "What is done with an event whose smart-logs hash or signature does not match: it is counted, or an alert is raised, too, or it is kept as a dead letter instead of stored.",
    },
    Key {
        path: "proofs.pake",
        kind: OneOf(MISMATCH),
        default: Standard::Text("alert"),
        reload: Now,
        meaning: "The same for PAKE's signature.",
    },
];

/// Of one of `sources`. Which may stand together, and their defaults, are said in `crate::sources`.
const MEMBERS: &[Key] = &[
    Key {
        path: "kind",
        kind: OneOf(&["bullmq", "redisList"]),
        default: Standard::None,
        reload: Restart,
        meaning: "What it is.",
    },
    Key {
        path: "url",
        kind: Url(REDIS),
        default: Standard::Depends("`queue.url`"),
        reload: Restart,
        meaning: "Address of the Redis that it is in.",
    },
    Key {
        path: "organizationId",
        kind: Text,
        default: Standard::None,
        reload: Restart,
        meaning: "The organisation of events that name none, and the only one that others may name. Without it each event says its own: whoever can write to the queue writes for everybody.",
    },
    Key {
        path: "holdMs",
        kind: millis(1_000, 3_600_000),
        default: Standard::Depends("30,000 for `bullmq`, 60,000 for `redisList`"),
        reload: Restart,
        meaning: "How long what a worker took stays its own without a sign of life.",
    },
    Key {
        path: "queueName",
        kind: Text,
        default: Standard::None,
        reload: Restart,
        meaning: "`bullmq`: name of the producers' `Queue`.",
    },
    Key {
        path: "prefix",
        kind: Text,
        default: Standard::Depends("`bull`"),
        reload: Restart,
        meaning: "`bullmq`: the producers' `prefix`.",
    },
    Key {
        path: "form",
        kind: OneOf(FORMS),
        default: Standard::Depends("`smart_logs`"),
        reload: Restart,
        meaning: "`bullmq`: the form of what the jobs carry, see `docs/forms.md`. Items of a `redisList` are of the form `list_worker`.",
    },
    Key {
        path: "deadLetterQueue",
        kind: Text,
        default: Standard::None,
        reload: Restart,
        meaning: "`bullmq`: a queue where refused jobs are shown as well.",
    },
    Key {
        path: "key",
        kind: Text,
        default: Standard::Depends("`audit:queue`"),
        reload: Restart,
        meaning: "`redisList`: the list that producers push to.",
    },
    Key {
        path: "failedKey",
        kind: Text,
        default: Standard::Depends("`audit:failed`"),
        reload: Restart,
        meaning: "`redisList`: the list where refused items are shown as well.",
    },
    Key {
        path: "failedMax",
        kind: count(0, 10_000_000, "items"),
        default: Standard::Depends("50,000"),
        reload: Restart,
        meaning: "`redisList`: items in that list, at most; what is refused beyond it is in the dead letters only. 0 while a replaced worker that moves them back runs beside.",
    },
];
