//! Which rules look at stored events, and how.

use crate::key::Kind::{Flag, Objects, OneOf, Ranges, Text, Texts, Words};
use crate::key::Reload::{Now, Restart};
use crate::key::{Key, MILLIS, Standard, count, millis};
use crate::settings::AlertLevel;

/// As a configuration names days; Monday comes first.
pub(crate) const DAYS: &[&str] = &["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// The private, local and link-local ranges.
const PRIVATE: &[&str] = &[
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
    "::1/128",
];
/// Ten years: what the correlations of rules are bounded by.
const WINDOW_MILLIS_MAX: u64 = 10 * 366 * 86_400_000;

pub(super) const KEYS: &[Key] = &[
    Key {
        path: "detection.enabled",
        kind: Flag,
        default: Standard::Flag(true),
        reload: Restart,
        meaning: "Whether stored events are looked at by rules.",
    },
    Key {
        path: "detection.builtInRules",
        kind: Flag,
        default: Standard::Flag(true),
        reload: Now,
        meaning: "Whether the built-in rules are in use.",
    },
    Key {
        path: "detection.rules",
        kind: Texts,
        default: Standard::None,
        reload: Now,
        meaning: "Where more rules are, as Sigma YAML: files, directories, `file://` or `s3://bucket/key`. Whoever can change what is there decides what is noticed.",
    },
    Key {
        path: "detection.rulesPollMs",
        kind: MILLIS,
        default: Standard::Whole(30_000),
        reload: Now,
        meaning: "Time between two looks at them; 0: they are looked at when asked only.",
    },
    Key {
        path: "detection.allowedLatenessMs",
        kind: MILLIS,
        default: Standard::Whole(60_000),
        reload: Now,
        meaning: "How much later than others an event may come and still be judged with those of its time. What comes later is judged apart, and marked late. Alerts wait as long.",
    },
    Key {
        path: "detection.groupsMax",
        kind: count(1, 100_000_000, "groups"),
        default: Standard::Whole(100_000),
        reload: Now,
        meaning: "Groups of correlations that are remembered at once; past it the oldest are forgotten, which is told.",
    },
    Key {
        path: "detection.observationsMax",
        kind: count(1, 1 << 32, "observations"),
        default: Standard::Whole(2_000_000),
        reload: Now,
        meaning: "Observations that are remembered at once, of all groups; likewise.",
    },
    Key {
        path: "detection.observationsPerGroupMax",
        kind: count(1, 1 << 32, "observations"),
        default: Standard::Depends("10,000, or `detection.observationsMax` when that is less"),
        reload: Now,
        meaning: "The same of one group; not more than `detection.observationsMax`.",
    },
    Key {
        path: "detection.timeZone",
        kind: Text,
        default: Standard::Text("UTC"),
        reload: Now,
        meaning: "Time zone of organisations that are not named, as `Europe/Berlin`.",
    },
    Key {
        path: "detection.workingFrom",
        kind: count(0, 23, "h"),
        default: Standard::Whole(6),
        reload: Now,
        meaning: "The hour in which work begins there.",
    },
    Key {
        path: "detection.workingTo",
        kind: count(1, 24, "h"),
        default: Standard::Whole(22),
        reload: Now,
        meaning: "The hour before which it ends. Not later than `detection.workingFrom`: it goes on past midnight; the same: it never ends.",
    },
    Key {
        path: "detection.workingDays",
        kind: Words(DAYS),
        default: Standard::List(DAYS),
        reload: Now,
        meaning: "Days of work.",
    },
    Key {
        path: "detection.internalNetworks",
        kind: Ranges,
        default: Standard::List(PRIVATE),
        reload: Now,
        meaning: "Ranges of addresses that count as internal.",
    },
    Key {
        path: "detection.organizations",
        kind: Objects(ORGANIZATION),
        default: Standard::None,
        reload: Now,
        meaning: "Organisations that work at other times, or from elsewhere.",
    },
    Key {
        path: "detection.tuning",
        kind: Objects(TUNING),
        default: Standard::None,
        reload: Now,
        meaning: "What is changed about rules, the built-in ones as well, without editing them.",
    },
];

/// Of one of `detection.organizations`; `crate::detection` says what is needed.
const ORGANIZATION: &[Key] = &[
    Key {
        path: "organizationId",
        kind: Text,
        default: Standard::None,
        reload: Now,
        meaning: "Whose it is; needed.",
    },
    Key {
        path: "timeZone",
        kind: Text,
        default: Standard::Depends("`detection.timeZone`"),
        reload: Now,
        meaning: "Its time zone.",
    },
    Key {
        path: "workingFrom",
        kind: count(0, 23, "h"),
        default: Standard::Depends("`detection.workingFrom`"),
        reload: Now,
        meaning: "The hour in which its work begins.",
    },
    Key {
        path: "workingTo",
        kind: count(1, 24, "h"),
        default: Standard::Depends("`detection.workingTo`"),
        reload: Now,
        meaning: "The hour before which it ends.",
    },
    Key {
        path: "workingDays",
        kind: Words(DAYS),
        default: Standard::Depends("`detection.workingDays`"),
        reload: Now,
        meaning: "Its days of work.",
    },
    Key {
        path: "internalNetworks",
        kind: Ranges,
        default: Standard::Depends("`detection.internalNetworks`"),
        reload: Now,
        meaning: "Ranges of addresses that are its own.",
    },
];

/// Of one of `detection.tuning`.
const TUNING: &[Key] = &[
    Key {
        path: "rule",
        kind: Text,
        default: Standard::None,
        reload: Now,
        meaning: "Key of the rule; needed.",
    },
    Key {
        path: "enabled",
        kind: Flag,
        default: Standard::Depends("as the rule says"),
        reload: Now,
        meaning: "Whether it is in use.",
    },
    Key {
        path: "threshold",
        kind: count(0, 1 << 50, ""),
        default: Standard::Depends("as the rule says"),
        reload: Now,
        meaning: "The number that its condition compares with; of a correlation.",
    },
    Key {
        path: "windowMs",
        kind: millis(1, WINDOW_MILLIS_MAX),
        default: Standard::Depends("as the rule says"),
        reload: Now,
        meaning: "Length of its window; of a correlation.",
    },
    Key {
        path: "level",
        kind: OneOf(AlertLevel::NAMES),
        default: Standard::Depends("as the rule says"),
        reload: Now,
        meaning: "How much it matters.",
    },
    Key {
        path: "organizations",
        kind: Texts,
        default: Standard::Depends("all"),
        reload: Now,
        meaning: "The only organisations it is for.",
    },
];
