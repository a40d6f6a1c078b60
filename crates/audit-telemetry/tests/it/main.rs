//! The list of metrics against the code and the document.

#![expect(
    clippy::expect_used,
    reason = "tests: a broken expectation is their answer"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use audit_telemetry::metric::{METRICS, document};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Names in string literals of the crates' own code, this crate's list aside.
fn used() -> BTreeSet<String> {
    let mut files = Vec::new();
    for group in ["crates", "bins"] {
        for entry in fs::read_dir(root().join(group)).expect("a directory") {
            let src = entry.expect("an entry").path().join("src");
            if src.is_dir()
                && !src
                    .parent()
                    .is_some_and(|member| member.ends_with("audit-telemetry"))
            {
                sources(&src, &mut files);
            }
        }
    }
    let mut names = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(file).expect("UTF-8");
        for rest in text.split("\"audit_worker_").skip(1) {
            let name: String = rest
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            names.insert(format!("audit_worker_{name}"));
        }
    }
    names
}

#[test]
fn the_list_and_the_code_name_the_same_metrics() {
    let listed: BTreeSet<String> = METRICS
        .iter()
        .map(|metric| metric.name.to_owned())
        .collect();
    // Who reads the page reads a histogram's series.
    let metric_of = |name: String| {
        let whole = ["_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        let whole = whole
            .filter(|whole| listed.contains(*whole))
            .map(str::to_owned);
        whole.unwrap_or(name)
    };
    let used: BTreeSet<String> = used().into_iter().map(metric_of).collect();
    assert_eq!(listed, used);
}

#[test]
fn the_list_is_in_order_and_names_follow_the_kind() {
    assert!(METRICS.is_sorted_by(|a, b| a.name < b.name));
    for metric in METRICS {
        assert_eq!(
            metric.name.ends_with("_total"),
            metric.kind.as_str() == "counter",
            "{}",
            metric.name
        );
    }
}

#[test]
fn the_document_is_fresh() {
    let path = root().join("docs/metrics.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, document()).expect("written");
    }
    assert_eq!(
        fs::read_to_string(&path).expect("docs/metrics.md"),
        document(),
        "UPDATE_GOLDEN=1 writes it again"
    );
}

#[test]
fn the_page_shows_what_was_counted_with_its_text_and_buckets() {
    let page = audit_telemetry::prometheus::install().expect("the first recorder of this process");
    metrics::counter!("audit_worker_events_duplicate_total").increment(3);
    metrics::histogram!("audit_worker_commit_seconds").record(0.004);
    let text = page();
    for line in [
        "# HELP audit_worker_events_duplicate_total Events found stored already with the same claim.",
        "# TYPE audit_worker_events_duplicate_total counter",
        "audit_worker_events_duplicate_total 3",
        "audit_worker_commit_seconds_bucket{le=\"0.0025\"} 0",
        "audit_worker_commit_seconds_bucket{le=\"0.005\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(
        audit_telemetry::prometheus::install().is_err(),
        "one recorder a process"
    );
}
