//! Real AWS CloudTrail records: all are taken, and all come back whole.

use std::collections::BTreeSet;
use std::path::PathBuf;

use audit_event::canonical::to_canonical;
use audit_event::forms::cloudtrail::to_cloudtrail;
use audit_event::read::{LoneSurrogates, ReadLimits, read_value, split_batch};
use audit_event::{EventDraft, Form, Status};

use crate::support::accept;

/// The directory of the real records: under `AUDIT_TEST_DATA`, or beside the clone. See `docs/test-data.md`.
fn records_dir() -> PathBuf {
    let named = std::env::var_os("AUDIT_TEST_DATA").map(PathBuf::from);
    let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    let dir = named.unwrap_or(beside).join("cloudtrail");
    assert!(
        dir.is_dir(),
        "no CloudTrail records in {}; docs/test-data.md says where they come from",
        dir.display()
    );
    dir
}

#[test]
fn every_real_record_is_taken_and_comes_back_whole() {
    let mut identities = BTreeSet::new();
    let (mut total, mut failures) = (0, 0);
    let limits = ReadLimits {
        bytes_max: 1 << 20,
        depth_max: 32,
        lone_surrogates: LoneSurrogates::Refuse,
    };
    for entry in std::fs::read_dir(records_dir()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let body = std::fs::read(&path).unwrap();
        for record in split_batch(&body, 10_000).unwrap() {
            let draft = accept(Form::CloudTrail, std::str::from_utf8(record).unwrap()).unwrap();
            let original = read_value(record, &limits).unwrap().value;
            assert_eq!(to_cloudtrail(draft.event()), original);
            assert_eq!(
                to_canonical(&to_cloudtrail(draft.event())),
                to_canonical(&original)
            );
            total += 1;
            failures += usize::from(draft.event().statement.status == Status::Failure);
            identities.insert(draft.event().identity());
        }
    }
    assert_eq!((total, identities.len(), failures), (2_900, 2_900, 300));
}

const RECORD: &str = r#"{"eventVersion":"1.08","userIdentity":{"type":"IAMUser","principalId":"AIDA","arn":"arn:aws:iam::1:user/a",
    "accountId":"1"},"eventTime":"2023-07-10T12:20:00Z","eventSource":"s3.amazonaws.com","eventName":"GetObject",
    "awsRegion":"us-east-1","sourceIPAddress":"192.0.2.1","userAgent":"cli","requestParameters":null,
    "errorCode":"AccessDenied","errorMessage":"no","requestID":"r","eventID":"6f1c2a34-0d5e-4b7a-9c11-2b3d4e5f6a7b",
    "resources":[{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::b/k"}],"recipientAccountId":"123456789012"}"#;

fn principal(identity: &str) -> Option<String> {
    let record = RECORD.replace(
        r#""type":"IAMUser","principalId":"AIDA","arn":"arn:aws:iam::1:user/a","#,
        identity,
    );
    accept(Form::CloudTrail, &record)
        .unwrap()
        .event()
        .statement
        .principal_id
        .clone()
}

#[test]
fn a_record_has_its_typed_members() {
    let draft: EventDraft = accept(Form::CloudTrail, RECORD).unwrap();
    let said = &draft.event().statement;
    assert_eq!(
        draft.event().id.to_string(),
        "6f1c2a34-0d5e-4b7a-9c11-2b3d4e5f6a7b"
    );
    assert_eq!(draft.event().organization_id.as_str(), "123456789012");
    assert_eq!(
        (said.action.as_str(), said.status),
        ("GetObject", Status::Failure)
    );
    assert_eq!(said.outcome_description.as_deref(), Some("no"));
    assert_eq!(said.principal_id.as_deref(), Some("arn:aws:iam::1:user/a"));
    assert_eq!(said.principal_type.as_deref(), Some("IAMUser"));
    assert_eq!(
        said.source.as_ref().unwrap().application.as_deref(),
        Some("s3.amazonaws.com")
    );
    assert_eq!(
        said.session_context.as_ref().unwrap().ip_address.as_deref(),
        Some("192.0.2.1")
    );
    assert_eq!(said.target_resource_id.as_deref(), Some("arn:aws:s3:::b/k"));
    assert_eq!(
        said.details.get("eventName").and_then(|name| name.as_str()),
        Some("GetObject")
    );
}

#[test]
fn the_principal_is_the_most_exact_name_of_the_caller() {
    assert_eq!(
        principal(r#""type":"IAMUser","principalId":"AIDA","#).as_deref(),
        Some("AIDA")
    );
    assert_eq!(
        principal(r#""type":"AWSService","invokedBy":"ec2.amazonaws.com","#).as_deref(),
        Some("ec2.amazonaws.com")
    );
    assert_eq!(
        principal(r#""type":"Unknown","principalId":"","#).as_deref(),
        Some("1")
    );
}
