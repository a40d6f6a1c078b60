//! The house is tidy, and the check sees when it is not.

use audit_testkit::data::workspace_root;
use audit_testkit::tidy::{check, check_manifest, check_source};

#[test]
fn this_workspace_is_tidy() {
    let found = check(&workspace_root());
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

fn reported(path: &str, text: &str, expected: &[&str]) {
    assert_eq!(check_source(path, text), expected, "{path}: {text}");
}

#[test]
fn what_is_tidy_is_not_reported() {
    reported("crates/a/src/lib.rs", "//! What it is.\n", &[]);
    reported(
        "crates/a/src/lib.rs",
        "#![doc = include_str!(\"../README.md\")]\n",
        &[],
    );
    reported("crates/a/src/queue.rs", &"// line\n".repeat(600), &[]);
    reported(
        "crates/a/src/queue.rs",
        &format!(
            "{}mod tests {{\n{}}}\n",
            "// line\n".repeat(500),
            "// line\n".repeat(500)
        ),
        &[],
    );
    reported("crates/a/tests/it/queue.rs", &"// line\n".repeat(2000), &[]);
    reported(
        "crates/a/src/forms/smart_logs.rs",
        "pub struct SmartLogs;",
        &[],
    );
    // Used, not defined here; and words that only contain one.
    reported(
        "crates/a/src/http.rs",
        "impl tower::Service<Request> for Route {}\nstruct Utility;\npub struct Smartphone;\n",
        &[],
    );
}

#[test]
fn every_untidiness_is_reported() {
    reported(
        "crates/a/src/smart_logs_utils.rs",
        "",
        &["crates/a/src/smart_logs_utils.rs: the name says nothing: utils"],
    );
    reported(
        "crates/a/src/q.rs",
        "struct SmartLogsHelper;",
        &["crates/a/src/q.rs:1: the name of the type says nothing: Helper"],
    );
    reported(
        "crates/a/src/queue.rs",
        &"// line\n".repeat(601),
        &["crates/a/src/queue.rs: 601 lines, more than 600"],
    );
    reported(
        "crates/a/src/queue_utils.rs",
        "",
        &["crates/a/src/queue_utils.rs: the name says nothing: utils"],
    );
    reported(
        "crates/a/src/q.rs",
        "pub struct QueueManager<T> {",
        &["crates/a/src/q.rs:1: the name of the type says nothing: Manager"],
    );
    reported(
        "crates/a/src/q.rs",
        "\npub(crate) trait Helper {",
        &["crates/a/src/q.rs:2: the name of the type says nothing: Helper"],
    );
    reported(
        "crates/a/src/q.rs",
        "enum EnhancedEvent {",
        &["crates/a/src/q.rs:1: the name of the type says nothing: Enhanced"],
    );
    reported(
        "crates/a/src/q.rs",
        "type Util = u8;",
        &["crates/a/src/q.rs:1: the name of the type says nothing: Util"],
    );
    for unfinished in [
        concat!("    to", "do!()"),
        concat!("unimple", "mented!()"),
        concat!("// TO", "DO: later"),
        concat!("#[ig", "nore]"),
    ] {
        reported(
            "crates/a/tests/it/q.rs",
            unfinished,
            &["crates/a/tests/it/q.rs:1: unfinished"],
        );
    }
    let no_doc = "crates/a/src/lib.rs: the crate has no doc that says what it is";
    reported("crates/a/src/lib.rs", "pub mod a;\n", &[no_doc]);
    reported("crates/a/src/lib.rs", "//! a\n", &[no_doc]);
    reported(
        "crates/a/src/lib.rs",
        concat!("//! To be writ", "ten.\n"),
        &["crates/a/src/lib.rs:1: unfinished"],
    );
}

#[test]
fn a_dependency_without_a_reason_is_reported() {
    let manifest = "[workspace]\n[workspace.dependencies]\nown = { path = \"crates/own\" }\n\n# --- Parsing -----\n# Why it is here.\na = \"1\"\nb = \"1\"\n\nc = \"1\"\n\n# ------\nd = { version = \"1\" }\n[profile.dev]\ne = 1\n";
    assert_eq!(
        check_manifest(manifest),
        [
            "Cargo.toml: c has no reason in its group",
            "Cargo.toml: d has no reason in its group"
        ]
    );
}
