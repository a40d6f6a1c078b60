//! Who is told of what, and when not.

use crate::key::Kind::{Hook, Number, Objects, OneOf, Ranges, Secret, Text, Texts};
use crate::key::Reload::Now;
use crate::key::{Key, Standard, count, millis};
use crate::settings::AlertLevel;

/// How addresses of handlers begin; which of them a kind has is said in `crate::alerts`.
const SCHEMES: &[&str] = &["https", "http", "smtps", "smtp"];
const KINDS: &[&str] = &[
    "webhook",
    "slack",
    "pagerduty",
    "email",
    "alertmanager",
    "ntfy",
    "log",
];
const MONTH_MILLIS: u64 = 31 * 86_400_000;

pub(super) const KEYS: &[Key] = &[
    Key {
        path: "alerts.cooldownMs",
        kind: millis(0, MONTH_MILLIS),
        default: Standard::Whole(300_000),
        reload: Now,
        meaning: "How long after one alert of a group was told another one is kept, but not told. 0 tells all.",
    },
    Key {
        path: "alerts.keepResolvedDays",
        kind: count(1, 36_500, "days"),
        default: Standard::Whole(90),
        reload: Now,
        meaning: "How long an alert is kept after it was resolved.",
    },
    Key {
        path: "alerts.escalation",
        kind: Objects(ESCALATION),
        default: Standard::None,
        reload: Now,
        meaning: "What happens while nobody acknowledges an alert, in order of time.",
    },
    Key {
        path: "alerts.suppressions",
        kind: Objects(SUPPRESSION),
        default: Standard::None,
        reload: Now,
        meaning: "Times in which alerts are kept, but told to nobody.",
    },
    Key {
        path: "alerts.handlers",
        kind: Objects(HANDLER),
        default: Standard::None,
        reload: Now,
        meaning: "Who is told; see `docs/alerts.md`. Whoever can change them reads what happens.",
    },
    Key {
        path: "alerts.attemptsMax",
        kind: count(1, 10_000, "attempts"),
        default: Standard::Whole(20),
        reload: Now,
        meaning: "Attempts to tell a handler of something, with growing pauses; then it is a dead letter of that handler.",
    },
    Key {
        path: "alerts.system.queueDepth",
        kind: count(1, 1 << 40, "events"),
        default: Standard::Whole(100_000),
        reload: Now,
        meaning: "Waiting events past which this system raises an alert about itself.",
    },
    Key {
        path: "alerts.system.deadLetters",
        kind: count(1, 1 << 40, "dead letters"),
        default: Standard::Whole(10),
        reload: Now,
        meaning: "The same for dead letters that nobody has dealt with.",
    },
    Key {
        path: "alerts.system.errorRatePercent",
        kind: Number {
            min: 0.0,
            max: 100.0,
        },
        default: Standard::Whole(5),
        reload: Now,
        meaning: "The same for events that could not be stored, of 100 that were taken.",
    },
    Key {
        path: "alerts.system.latencyMs",
        kind: millis(1, 86_400_000),
        default: Standard::Whole(30_000),
        reload: Now,
        meaning: "The same for the age of the oldest waiting event.",
    },
    Key {
        path: "alerts.system.detectionBehind",
        kind: count(1, 1 << 40, "events"),
        default: Standard::Whole(1_000_000),
        reload: Now,
        meaning: "The same for stored events that detection has not seen.",
    },
];

/// Of one of `alerts.escalation`.
const ESCALATION: &[Key] = &[
    Key {
        path: "afterMs",
        kind: millis(1_000, MONTH_MILLIS),
        default: Standard::None,
        reload: Now,
        meaning: "How long after the raising; needed, and later than the one before.",
    },
    Key {
        path: "raiseTo",
        kind: OneOf(AlertLevel::NAMES),
        default: Standard::Depends("its own level"),
        reload: Now,
        meaning: "The level that it has from then on, unless it has a higher one.",
    },
    Key {
        path: "handlers",
        kind: Texts,
        default: Standard::None,
        reload: Now,
        meaning: "Names of handlers that hear of it from then on, whatever they hear of otherwise.",
    },
];

/// Of one of `alerts.suppressions`.
const SUPPRESSION: &[Key] = &[
    Key {
        path: "name",
        kind: Text,
        default: Standard::None,
        reload: Now,
        meaning: "Given as the reason; needed.",
    },
    Key {
        path: "starts",
        kind: Text,
        default: Standard::None,
        reload: Now,
        meaning: "When it begins, as a cron expression: `0 2 * * *`; needed.",
    },
    Key {
        path: "lastsMs",
        kind: millis(1_000, MONTH_MILLIS),
        default: Standard::None,
        reload: Now,
        meaning: "How long it lasts; needed.",
    },
    Key {
        path: "timeZone",
        kind: Text,
        default: Standard::Depends("`detection.timeZone`"),
        reload: Now,
        meaning: "Time zone of `starts`.",
    },
    Key {
        path: "rules",
        kind: Texts,
        default: Standard::Depends("all"),
        reload: Now,
        meaning: "Only alerts of these rules.",
    },
    Key {
        path: "organizations",
        kind: Texts,
        default: Standard::Depends("all"),
        reload: Now,
        meaning: "Only alerts of these organisations.",
    },
];

/// Of one of `alerts.handlers`. Which may stand together is said in `crate::alerts`.
const HANDLER: &[Key] = &[
    Key {
        path: "name",
        kind: Text,
        default: Standard::None,
        reload: Now,
        meaning: "Its name; needed. What waits for a handler waits under it.",
    },
    Key {
        path: "kind",
        kind: OneOf(KINDS),
        default: Standard::None,
        reload: Now,
        meaning: "What it is; needed.",
    },
    Key {
        path: "url",
        kind: Hook(SCHEMES),
        default: Standard::Depends("`pagerduty`: `https://events.pagerduty.com/v2/enqueue`"),
        reload: Now,
        meaning: "Where it is. `email`: `smtp://host:port`, or `smtps://` for TLS from the first byte. `ntfy`: the topic is the organisation, behind it.",
    },
    Key {
        path: "secret",
        kind: Secret,
        default: Standard::None,
        reload: Now,
        meaning: "`webhook`: what signs, as `whsec_…`, needed; `pagerduty`: the routing key, needed; `alertmanager`, `ntfy`: a bearer token.",
    },
    Key {
        path: "username",
        kind: Text,
        default: Standard::None,
        reload: Now,
        meaning: "`email`, `alertmanager`, `ntfy`: with `password`.",
    },
    Key {
        path: "password",
        kind: Secret,
        default: Standard::None,
        reload: Now,
        meaning: "With `username`.",
    },
    Key {
        path: "from",
        kind: Text,
        default: Standard::None,
        reload: Now,
        meaning: "`email`: the sender; needed.",
    },
    Key {
        path: "to",
        kind: Texts,
        default: Standard::None,
        reload: Now,
        meaning: "`email`: who gets it; needed.",
    },
    Key {
        path: "atLeast",
        kind: OneOf(AlertLevel::NAMES),
        default: Standard::Text("low"),
        reload: Now,
        meaning: "The lowest level that it hears of.",
    },
    Key {
        path: "organizations",
        kind: Texts,
        default: Standard::Depends("all"),
        reload: Now,
        meaning: "Only alerts of these organisations.",
    },
    Key {
        path: "rules",
        kind: Texts,
        default: Standard::Depends("all"),
        reload: Now,
        meaning: "Only alerts of these rules; `abc*` stands for all that begin with `abc`.",
    },
    Key {
        path: "allowedNetworks",
        kind: Ranges,
        default: Standard::None,
        reload: Now,
        meaning: "Ranges of addresses where it may be although they are not public. Whoever can change this and `url` can have requests sent within your network.",
    },
    Key {
        path: "timeoutMs",
        kind: millis(100, 300_000),
        default: Standard::Depends("10,000"),
        reload: Now,
        meaning: "How long one attempt may take.",
    },
];
