//! Real CloudTrail records: all of them, once, and searches that find what a plain scan of the files finds.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::worker::Site;

/// Every record of every file, read without any of our code.
fn records() -> Vec<Value> {
    let mut records = Vec::new();
    for file in audit_testkit::data::cloudtrail_files() {
        let text = std::fs::read(&file).expect("readable");
        let mut document: Value = serde_json::from_slice(&text).expect("JSON");
        records.append(document["Records"].as_array_mut().expect("records"));
    }
    records
}

fn ids<'r>(records: impl Iterator<Item = &'r Value>) -> BTreeSet<String> {
    records
        .map(|record| record["eventID"].as_str().expect("an id").to_owned())
        .collect()
}

fn found(site: &Site, filters: &[&str]) -> BTreeSet<String> {
    let events = site.search(filters);
    let ids: BTreeSet<_> = events
        .iter()
        .map(|stored| stored["event"]["id"].as_str().expect("an id").to_owned())
        .collect();
    assert_eq!(ids.len(), events.len(), "no event is found twice");
    ids
}

#[test]
fn all_records_are_stored_once_and_found_as_a_scan_of_the_files_finds_them() {
    let site = Site::start();
    let records = records();
    assert_eq!(records.len(), 2_900);
    let pattern = audit_testkit::data::shared_data()
        .join("cloudtrail/*.json")
        .display()
        .to_string();
    let arguments = ["send", &pattern, "--format", "cloudtrail"];
    let first = site.json(&arguments);
    assert_eq!(
        (first["sent"].as_u64(), first["accepted"].as_u64()),
        (Some(2_900), Some(2_900)),
        "{first}"
    );
    let second = site.json(&arguments);
    assert_eq!(
        (second["accepted"].as_u64(), second["duplicates"].as_u64()),
        (Some(0), Some(2_900)),
        "{second}"
    );

    for name in ["Decrypt", "GetUser", "StopLogging", "AssumeRole"] {
        let expected = ids(records.iter().filter(|record| record["eventName"] == name));
        assert_eq!(found(&site, &["--action", name]), expected, "{name}");
        assert_eq!(
            found(&site, &["--detail", &format!("eventName={name}")]),
            expected,
            "{name}"
        );
        assert!(
            name == "StopLogging" || !expected.is_empty(),
            "{name} says something"
        );
    }
    let prefix = ids(records.iter().filter(|record| {
        record["eventName"]
            .as_str()
            .is_some_and(|name| name.starts_with("Describe"))
    }));
    assert_eq!(found(&site, &["--action", "Describe*"]), prefix);

    let principals: BTreeSet<_> = records
        .iter()
        .filter_map(|record| record["userIdentity"]["arn"].as_str())
        .collect();
    for principal in principals.into_iter().take(5) {
        let expected = ids(records
            .iter()
            .filter(|record| record["userIdentity"]["arn"] == principal));
        assert_eq!(
            found(&site, &["--principal", principal]),
            expected,
            "{principal}"
        );
    }
    let failures = ids(records
        .iter()
        .filter(|record| record.get("errorCode").is_some_and(|code| !code.is_null())));
    assert_eq!(
        found(
            &site,
            &["--status", "failure", "--organization", "123837392027"]
        ),
        failures
    );
    assert_eq!(site.json(&["verify"])["result"], "pass");
}
