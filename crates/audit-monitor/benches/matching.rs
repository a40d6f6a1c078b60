//! What matching costs: the figures of `docs/performance.md`. Needs the test data (`AUDIT_TEST_DATA`).
//!
//! `cargo bench -p audit-monitor`
//!
//! Measured is the processor's time, not the wall's: other work on the machine changes it little.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench without its input cannot go on"
)]

use std::hint::black_box;
use std::sync::Arc;

use audit_event::forms::read_statement;
use audit_event::{AuditEvent, EventId, Form, OrganizationId, Stamps};
use audit_integrity::ledger::{LeafIndex, LedgerId};
use audit_monitor::{
    Batch, Engine, Limits, Matcher, MemoryWindows, RuleSet, Settings, WindowStore,
};
use audit_testkit::data::{cloudtrail_files, shared_data};
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::executor::block_on;
use serde_json::{Value, json};

fn sigma_files() -> Vec<(String, String)> {
    let directory = shared_data().join("sigma-cloudtrail/rules");
    let entries = std::fs::read_dir(directory).expect("the rules");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = paths
        .map(|path| {
            (
                path.display().to_string(),
                std::fs::read_to_string(&path).expect("a text"),
            )
        })
        .collect();
    // One wants a value for a placeholder.
    files.retain(|(_, text)| !text.contains("|expand"));
    files.sort();
    files
}

/// SigmaHQ's rules, and variations of them that watch other services.
fn rules(count: usize) -> Arc<RuleSet> {
    let mut files = sigma_files();
    for (number, (name, text)) in (0..)
        .zip(files.clone().into_iter().cycle())
        .take(count.saturating_sub(files.len()))
    {
        let text: Vec<String> = text
            .lines()
            .map(|line| match line.split_once(": ") {
                Some((name @ ("id" | "title"), value)) => format!("{name}: {value} {number}"),
                _ => line.replace(".amazonaws.com", &format!("{number}.amazonaws.com")),
            })
            .collect();
        files.push((format!("{name}-{number}"), text.join("\n")));
    }
    Arc::new(RuleSet::load(files.into_iter()))
}

fn records() -> Vec<Value> {
    let documents = cloudtrail_files().into_iter().map(|path| {
        let text = std::fs::read_to_string(path).expect("a file");
        serde_json::from_str::<Value>(&text).expect("JSON")
    });
    documents
        .flat_map(|document| document["Records"].as_array().expect("records").clone())
        .collect()
}

fn event(form: Form, json: &Value) -> AuditEvent {
    let statement = read_statement(form, json.to_string().as_bytes()).expect("an event");
    let stamps = Stamps {
        fallback_id: EventId::v5(json.to_string().as_bytes()),
        received_at: statement.timestamp,
        default_organization: OrganizationId::none(),
    };
    AuditEvent::stamp(statement, &stamps)
}

/// Accesses to patients' data by a thousand people of ten organisations: nearly each is counted by a built-in rule.
fn accesses() -> Vec<AuditEvent> {
    let one = |number: u32| {
        json!({
            "timestamp": format!("2024-01-05T12:{:02}:{:02}.{:03}Z", number / 60 % 60, number % 60, number % 1000),
            "action": "fhir.patient.read", "status": if number.is_multiple_of(50) { "failure" } else { "success" },
            "principalId": format!("user-{}", number % 1000), "organizationId": format!("org-{}", number % 10),
            "targetResourceType": "Patient", "targetResourceId": number.to_string(),
            "sessionContext": {"sessionId": "s", "ipAddress": "203.0.113.7", "userAgent": "Mozilla/5.0"},
            "details": {"ward": number % 7},
        })
    };
    (0..3_000)
        .map(|number| event(Form::Native, &one(number)))
        .collect()
}

/// The time that this thread was on a processor (Linux).
struct ProcessorTime;

impl Measurement for ProcessorTime {
    type Intermediate = u64;
    type Value = u64;

    fn start(&self) -> u64 {
        let times = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
        let nanoseconds = times.split(' ').next().expect("a number");
        nanoseconds.parse().expect("a number")
    }

    fn end(&self, start: u64) -> u64 {
        self.start() - start
    }

    fn add(&self, a: &u64, b: &u64) -> u64 {
        a + b
    }

    fn zero(&self) -> u64 {
        0
    }

    fn to_f64(&self, nanoseconds: &u64) -> f64 {
        u32::try_from(*nanoseconds / 1_000).map_or(f64::MAX, f64::from) * 1e3
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

fn matching(criterion: &mut Criterion<ProcessorTime>) {
    let json = records();
    let records: Vec<AuditEvent> = json
        .iter()
        .map(|record| event(Form::CloudTrail, record))
        .collect();
    let accesses = accesses();
    let mut group = criterion.benchmark_group("matching");
    group.throughput(Throughput::Elements(
        u64::try_from(json.len()).expect("few"),
    ));
    group.bench_function(
        "rsigma-eval alone, 57 rules, CloudTrail as serde_json",
        |bencher| {
            let mut engine = rsigma_eval::Engine::new();
            for (_, text) in sigma_files() {
                engine.add_rules(&rsigma_parser::parse_sigma_yaml(&text).expect("rules").rules);
            }
            let events: Vec<_> = json.iter().map(rsigma_eval::JsonEvent::borrow).collect();
            bencher.iter(|| {
                events
                    .iter()
                    .map(|event| black_box(engine.evaluate(event)).len())
                    .sum::<usize>()
            });
        },
    );
    for count in [57, 500] {
        let rules = rules(count);
        let matcher = Matcher::new(Arc::clone(&rules), Settings::default());
        for (name, events) in [("CloudTrail", &records), ("accesses", &accesses)] {
            group.throughput(Throughput::Elements(
                u64::try_from(events.len()).expect("few"),
            ));
            group.bench_function(
                format!("{} rules, {name}", rules.rules().len()),
                |bencher| {
                    bencher.iter(|| {
                        events
                            .iter()
                            .map(|event| black_box(matcher.matches(event)).len())
                            .sum::<usize>()
                    });
                },
            );
        }
    }
    group.finish();
}

fn detection(criterion: &mut Criterion<ProcessorTime>) {
    let rules = Arc::new(RuleSet::built_in());
    let matcher = Matcher::new(Arc::clone(&rules), Settings::default());
    let engine = Arc::new(Engine::new(Arc::clone(&rules), Limits::default()));
    let ledger = LedgerId::Events(0);
    let accesses = accesses();
    let records: Vec<AuditEvent> = records()
        .iter()
        .map(|record| event(Form::CloudTrail, record))
        .collect();
    let mut group = criterion.benchmark_group("built-in rules, matched and counted");
    for (name, events) in [("CloudTrail", &records), ("accesses", &accesses)] {
        group.throughput(Throughput::Elements(
            u64::try_from(events.len()).expect("few"),
        ));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let windows = MemoryWindows::new(Arc::clone(&engine), &[(ledger, LeafIndex(0))]);
                let mut at = LeafIndex(0);
                for chunk in events.chunks(300) {
                    let mut batch = Batch::new(ledger, at);
                    for event in chunk {
                        black_box(batch.read(&matcher, event));
                    }
                    at = batch.to();
                    block_on(windows.apply(&batch)).expect("a batch");
                }
                block_on(windows.raised(usize::MAX))
                    .expect("episodes")
                    .len()
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(ProcessorTime);
    targets = matching, detection
}
criterion_main!(benches);
