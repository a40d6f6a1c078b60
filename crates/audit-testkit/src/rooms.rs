//! Who may depend on whom. The walls of the design (one way, from the nouns to the binaries) as a check over `cargo metadata`.

use std::collections::BTreeMap;

use cargo_metadata::{Dependency, DependencyKind, Metadata, Package};

/// More features of one crate than this nobody tests in all combinations.
const FEATURES_MAX: usize = 9;

/// What is allowed. Dev-dependencies are free: a test may know everything.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// For each crate of the workspace the other crates of the workspace that its code may use. A crate without an entry has no room.
    pub may_use: BTreeMap<String, Vec<String>>,
    /// For a foreign crate the crates of the workspace whose code may use it; one without an entry is free.
    pub only_in: BTreeMap<String, Vec<String>>,
    /// For a crate of the workspace the foreign crates that its code must not use.
    pub never_in: BTreeMap<String, Vec<String>>,
    /// Crates that only tests may use.
    pub dev_only: Vec<String>,
}

/// Everything that breaks a rule, one sentence each, in a fixed order; empty when all is well.
#[must_use]
pub fn check(metadata: &Metadata, rules: &Rules) -> Vec<String> {
    let packages = metadata.workspace_packages();
    let ours: Vec<&str> = packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let mut found: Vec<String> = packages
        .iter()
        .flat_map(|package| check_package(package, &ours, rules))
        .collect();
    let rooms = rules
        .may_use
        .iter()
        .flat_map(|(room, uses)| std::iter::once(room).chain(uses));
    found.extend(
        rooms
            .filter(|name| !ours.contains(&name.as_str()))
            .map(|name| format!("the rules name {name}, which does not exist")),
    );
    found.sort();
    found.dedup();
    found
}

fn check_package(package: &Package, ours: &[&str], rules: &Rules) -> Vec<String> {
    let name = package.name.as_str();
    let mut found = Vec::new();
    if !rules.may_use.contains_key(name) {
        found.push(format!(
            "{name} has no room: say in the rules what it may use"
        ));
    }
    let features = package
        .features
        .iter()
        .filter(|(feature, turns_on)| !is_of_a_dependency(feature, turns_on))
        .count();
    if features > FEATURES_MAX {
        found.push(format!(
            "{name} has {features} features, more than {FEATURES_MAX}"
        ));
    }
    let used = package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development);
    found.extend(used.filter_map(|dependency| check_use(name, dependency, ours, rules)));
    found
}

/// An optional dependency brings a feature of its own name along.
fn is_of_a_dependency(feature: &str, turns_on: &[String]) -> bool {
    matches!(turns_on, [only] if only.strip_prefix("dep:") == Some(feature))
}

fn check_use(name: &str, dependency: &Dependency, ours: &[&str], rules: &Rules) -> Option<String> {
    let used = dependency.name.as_str();
    let holds = |table: &BTreeMap<String, Vec<String>>, key: &str, value: &str| {
        table
            .get(key)
            .is_some_and(|list| list.iter().any(|entry| entry == value))
    };
    if rules.dev_only.iter().any(|dev_only| dev_only == used) {
        return Some(format!("{name} uses {used}, which is for tests only"));
    }
    if ours.contains(&used) {
        return (!holds(&rules.may_use, name, used)).then(|| format!("{name} must not use {used}"));
    }
    if rules.only_in.contains_key(used) && !holds(&rules.only_in, used, name) {
        return Some(format!(
            "{name} must not use {used}: it belongs to other rooms"
        ));
    }
    holds(&rules.never_in, name, used)
        .then(|| format!("{name} must not use {used}: its room does not know it"))
}

/// Crates that assemble: they may use everything that is not for tests only.
const ASSEMBLERS: [&str; 5] = [
    "audit",
    "audit-process",
    "worker",
    "audit-ingest",
    "auditctl",
];

/// What an embedder writes: it sees the facade only.
const EXAMPLES: [&str; 3] = ["embedded", "custom-processor", "custom-alert-handler"];

/// Rooms below the assemblers, in order: a room uses only what stands before it, and of that only what is named.
const ROOMS: [(&str, &[&str]); 24] = [
    ("audit-event", &[]),
    ("audit-runtime", &[]),
    ("audit-integrity", &["audit-event"]),
    (
        "audit-store",
        &["audit-event", "audit-integrity", "audit-runtime"],
    ),
    ("audit-queue", &["audit-event", "audit-runtime"]),
    (
        "audit-store-sqlite",
        &[
            "audit-event",
            "audit-integrity",
            "audit-runtime",
            "audit-store",
        ],
    ),
    (
        "audit-store-postgres",
        &["audit-event", "audit-integrity", "audit-store"],
    ),
    (
        "audit-queue-embedded",
        &["audit-event", "audit-queue", "audit-runtime"],
    ),
    ("audit-redis", &["audit-queue", "audit-runtime"]),
    (
        "audit-queue-redis",
        &["audit-queue", "audit-redis", "audit-runtime"],
    ),
    (
        "audit-queue-bullmq",
        &["audit-event", "audit-queue", "audit-redis", "audit-runtime"],
    ),
    (
        "audit-keydir",
        &["audit-event", "audit-integrity", "audit-runtime"],
    ),
    (
        "audit-monitor",
        &["audit-event", "audit-integrity", "audit-runtime"],
    ),
    (
        "audit-monitor-redis",
        &[
            "audit-event",
            "audit-integrity",
            "audit-monitor",
            "audit-redis",
            "audit-runtime",
        ],
    ),
    (
        "audit-alert",
        &[
            "audit-event",
            "audit-integrity",
            "audit-monitor",
            "audit-runtime",
            "audit-store",
        ],
    ),
    (
        "audit-pipeline",
        &[
            "audit-event",
            "audit-integrity",
            "audit-monitor",
            "audit-queue",
            "audit-runtime",
            "audit-store",
        ],
    ),
    ("audit-telemetry", &["audit-runtime"]),
    ("audit-config", &["audit-runtime"]),
    ("audit-config-source", &["audit-runtime"]),
    (
        "audit-reload",
        &[
            "audit-config",
            "audit-config-source",
            "audit-event",
            "audit-runtime",
            "audit-store",
        ],
    ),
    (
        "audit-http",
        &[
            "audit-alert",
            "audit-event",
            "audit-integrity",
            "audit-monitor",
            "audit-pipeline",
            "audit-queue",
            "audit-runtime",
            "audit-store",
            "audit-telemetry",
        ],
    ),
    ("embedded", &["audit"]),
    ("custom-processor", &["audit"]),
    ("custom-alert-handler", &["audit"]),
];

/// Foreign crates that belong to one room or two; a second user would be a wall broken.
const BELONGS: [(&[&str], &[&str]); 17] = [
    (
        &["audit-store-sqlite", "audit-queue-embedded"],
        &["rusqlite", "libsqlite3-sys"],
    ),
    (
        &["audit-redis", "audit-queue-redis", "audit-monitor-redis"],
        &["deadpool-redis", "redis"],
    ),
    (
        &["audit-store-postgres"],
        &[
            "tokio-postgres",
            "deadpool-postgres",
            "tokio-postgres-rustls",
        ],
    ),
    (&["audit-process"], &["tikv-jemallocator"]),
    (&["audit-monitor"], &["rsigma-parser", "rsigma-eval"]),
    // For what a replaced system encrypted, and nothing else.
    (&["audit-integrity"], &["aes-gcm", "md-5"]),
    (&["audit-alert"], &["lettre", "croner"]),
    // `auditctl bench` needs a bare handler as its reference and a client that costs next to nothing; handlers of alerts need a client
    // that connects to the address that was checked.
    (&["audit-http", "auditctl"], &["axum"]),
    (&["audit-http", "auditctl", "audit-alert"], &["hyper"]),
    // The testkit's server that speaks S3 is served by it.
    (
        &["audit-http", "auditctl", "audit-alert", "audit-testkit"],
        &["hyper-util"],
    ),
    (&["audit-config-source"], &["rust-s3"]),
    // The client inside of rust-s3 is another version of the one that auditctl has.
    (&["auditctl", "audit-config-source"], &["reqwest"]),
    (
        &["audit-http"],
        &["tower", "tower-http", "utoipa", "async-compression"],
    ),
    (
        &["audit-telemetry"],
        &["metrics-exporter-prometheus", "tracing-subscriber"],
    ),
    (&["auditctl"], &["indicatif", "comfy-table", "csv", "glob"]),
    (
        &["auditctl", "audit-process", "worker", "audit-ingest"],
        &["clap"],
    ),
    (
        &[
            "auditctl",
            "audit-process",
            "worker",
            "audit-ingest",
            "embedded",
            "custom-processor",
            "custom-alert-handler",
            "custom-alert-handler",
        ],
        &["anyhow"],
    ),
];

/// What the pure rooms and the ports do not know: transport, storage, run time, logs, foreign encodings.
const NEVER: [(&str, &[&str]); 6] = [
    (
        "audit-event",
        &[
            "tokio",
            "tokio-util",
            "tracing",
            "serde",
            "serde_json",
            "ring",
            "rustix",
            "bytes",
            "async-trait",
        ],
    ),
    (
        "audit-integrity",
        &[
            "tokio",
            "tokio-util",
            "tracing",
            "serde",
            "serde_json",
            "rustix",
        ],
    ),
    (
        "audit-monitor",
        &["tokio", "tokio-util", "tracing", "metrics", "rustix"],
    ),
    ("audit-runtime", &["serde", "serde_json", "rustix"]),
    ("audit-store", &["serde", "serde_json", "rustix"]),
    ("audit-queue", &["serde", "serde_json", "rustix"]),
];

impl Rules {
    /// The rules of this workspace.
    #[must_use]
    pub fn of_this_workspace() -> Self {
        let owned = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        let mut rules = Self {
            dev_only: owned(&["audit-testkit"]),
            ..Self::default()
        };
        rules.may_use.extend(
            ROOMS
                .iter()
                .map(|(room, uses)| ((*room).to_owned(), owned(uses))),
        );
        let is_example = |room: &str| EXAMPLES.contains(&room);
        let everything: Vec<String> = ROOMS
            .iter()
            .filter(|(room, _)| !is_example(room))
            .map(|(room, _)| (*room).to_owned())
            .collect();
        for assembler in ASSEMBLERS {
            // In order: each may use those before it.
            let before = ASSEMBLERS.iter().take_while(|other| **other != assembler);
            let before = before.map(|other| (*other).to_owned());
            rules.may_use.insert(
                assembler.to_owned(),
                everything.iter().cloned().chain(before).collect(),
            );
        }
        // It wraps the ports for tests; it meets adapters only in its own tests.
        rules.may_use.insert(
            "audit-testkit".to_owned(),
            owned(&[
                "audit-integrity",
                "audit-queue",
                "audit-runtime",
                "audit-store",
            ]),
        );
        for (rooms, names) in BELONGS {
            rules
                .only_in
                .extend(names.iter().map(|name| ((*name).to_owned(), owned(rooms))));
        }
        rules.never_in.extend(
            NEVER
                .iter()
                .map(|(room, names)| ((*room).to_owned(), owned(names))),
        );
        rules
    }
}
