//! SigmaHQ's CloudTrail rules on real records: the matches are those that two other engines agree on.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use audit_event::{AuditEvent, Form};
use audit_monitor::{Matcher, RuleSet, Settings};
use audit_testkit::data::{cloudtrail_files, shared_data};
use serde_json::Value;

use crate::made::event_of;

/// Name and text of every rule file, in order.
pub(crate) fn rule_files() -> Vec<(String, String)> {
    let directory = shared_data().join("sigma-cloudtrail/rules");
    let entries = std::fs::read_dir(&directory).expect("the rules are there");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy();
            let text = std::fs::read_to_string(&path).expect("a text");
            (name.into_owned(), text)
        })
        .collect();
    files.sort();
    files
}

/// Every record, as its event.
fn records() -> Vec<(String, AuditEvent)> {
    let texts = cloudtrail_files();
    let documents = texts.iter().map(|path| read_json(path));
    documents
        .flat_map(|document| document["Records"].as_array().expect("records").clone())
        .map(|record| {
            let id = record["eventID"].as_str().expect("an id").to_owned();
            (id, event_of(Form::CloudTrail, &record.to_string(), 0))
        })
        .collect()
}

fn read_json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn every_file_loads_or_names_what_is_unsupported() {
    let files = rule_files();
    let count = files.len();
    let set = RuleSet::load(files.into_iter());
    let expected = read_json(&shared_data().join("sigma-cloudtrail/expected.json"));
    let unsupported = expected["unsupported"].as_array().expect("a list");
    let found: Vec<&str> = set
        .problems()
        .iter()
        .map(|problem| problem.file.as_str())
        .collect();
    assert_eq!(
        found,
        unsupported
            .iter()
            .map(|file| file.as_str().expect("a name"))
            .collect::<Vec<_>>()
    );
    for problem in set.problems() {
        assert!(
            problem.reason.contains('%'),
            "{problem:?} names the placeholder"
        );
        assert!(problem.line > 1, "{problem:?} names its line");
    }
    assert_eq!(set.rules().len() + set.problems().len(), count);
}

#[test]
fn the_matches_are_the_expected_ones() {
    let set = RuleSet::load(rule_files().into_iter());
    let matcher = Matcher::new(Arc::new(set), Settings::default());
    let records = records();
    assert_eq!(records.len(), 2_900);
    let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (id, event) in &records {
        for rule in matcher.matches(event) {
            found.entry(rule.file()).or_default().push(id);
        }
    }
    let expected = read_json(&shared_data().join("sigma-cloudtrail/expected.json"));
    for (file, ids) in expected["rules"].as_object().expect("rules") {
        let ids = ids
            .as_array()
            .expect("ids")
            .iter()
            .map(|id| id.as_str().expect("an id"));
        let mut ids: Vec<&str> = ids.collect();
        ids.sort_unstable();
        let mut own = found.remove(file.as_str()).unwrap_or_default();
        own.sort_unstable();
        assert_eq!(own, ids, "{file}");
    }
    assert!(found.is_empty(), "{found:?}");
}
