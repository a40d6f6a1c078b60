//! The order at start.

use std::time::Duration;

use audit_config_source::{Check, From, KeptCopies, LoadError, LoadSettings, Loaded, load};
use audit_runtime::SystemRandom;
use audit_testkit::fault_proxy::FaultProxy;
use audit_testkit::net::free_address;
use audit_testkit::s3::S3Server;

use crate::answers::Answers;
use crate::keys::{BUCKET, KEY, document, object, settings, source};

fn quick(built_in_allowed: bool) -> LoadSettings {
    LoadSettings {
        retries: 2,
        wait: Duration::from_millis(1),
        wait_max: Duration::from_millis(2),
        built_in_allowed,
    }
}

async fn loaded(
    source: &dyn audit_config_source::ConfigSource,
    kept: &KeptCopies,
    built_in_allowed: bool,
) -> Result<Loaded, LoadError> {
    load(source, Some(kept), &quick(built_in_allowed), &SystemRandom).await
}

#[tokio::test]
async fn a_server_that_is_down_leaves_the_last_good_copy() {
    let dir = tempfile::tempdir().expect("a directory");
    let kept = KeptCopies::open(dir.path().join("config"), Check::default());
    let server = S3Server::start();
    server.put(BUCKET, KEY, b"{\"ledgers\": 4}");
    let mut proxy = FaultProxy::start(server.address());
    let source = object(proxy.address());

    let found = loaded(&*source, &kept, false).await.expect("loaded");
    assert_eq!((found.from, &found.why), (From::Source, &None));
    let (first, mark) = document(&*source).await;
    assert_eq!(
        (found.document, found.mark),
        (Some(first.clone()), Some(mark))
    );
    kept.keep(&first).expect("kept");
    kept.mark_good(first.sha256).expect("marked");
    // Kept, and never found good.
    server.put(BUCKET, KEY, b"{\"ledgers\": 5}");
    kept.keep(&document(&*source).await.0).expect("kept");

    proxy.refuse();
    let found = loaded(&*source, &kept, true).await.expect("loaded");
    assert_eq!(found.from, From::KeptCopy);
    assert_eq!(found.document, Some(first));
    let why = found.why.expect("a reason");
    assert!(
        why.starts_with("s3://settings/audit/worker.json cannot be read: "),
        "{why}"
    );
    assert!(why.ends_with(" (3 tries)"), "{why}");

    proxy.listen_again();
    let found = loaded(&*source, &kept, false).await.expect("loaded");
    assert_eq!(found.from, From::Source);
}

#[tokio::test]
async fn a_source_that_is_away_is_tried_again_and_one_that_refuses_is_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let kept = KeptCopies::open(dir.path(), Check::default());
    let busy = Answers::with("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    let error = loaded(&*object(busy.address), &kept, false).await;
    assert_eq!(busy.asked().len(), 3);
    let error = error.expect_err("busy");
    let said = "s3://settings/audit/worker.json answers with 503 (3 tries)";
    assert_eq!(error.attempts[0], said);

    let missing = Answers::with("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let error = loaded(&*object(missing.address), &kept, false).await;
    assert_eq!(missing.asked().len(), 1);
    let said = "s3://settings/audit/worker.json does not exist";
    assert_eq!(error.expect_err("missing").attempts[0], said);

    // One answer is cut, the next one is whole.
    let server = S3Server::start();
    server.put(BUCKET, KEY, &vec![b' '; 500_000]);
    let proxy = FaultProxy::start(server.address());
    proxy.halve_answers(1);
    let found = loaded(&*object(proxy.address()), &kept, false).await;
    assert_eq!(found.expect("loaded").from, From::Source);
}

#[tokio::test]
async fn built_in_defaults_stand_in_only_when_they_are_allowed() {
    let dir = tempfile::tempdir().expect("a directory");
    let kept = KeptCopies::open(dir.path(), Check::default());
    let source = object(free_address());
    let found = loaded(&*source, &kept, true).await.expect("loaded");
    assert_eq!((found.document, found.from), (None, From::BuiltIn));
    let why = found.why.expect("a reason");
    assert!(
        why.contains("(3 tries); there is no good copy in "),
        "{why}"
    );

    let error = loaded(&*source, &kept, false).await.expect_err("nothing");
    let [tried, copy, built_in] = &error.attempts[..] else {
        panic!("three attempts: {error}");
    };
    assert!(tried.contains("cannot be read"), "{tried}");
    let dir = dir.path().display();
    assert_eq!(*copy, format!("there is no good copy in {dir}"));
    let not = "the built-in defaults are not allowed (CONFIG_FALLBACK_ENABLED)";
    assert_eq!(built_in, not);
    assert_eq!(
        error.to_string(),
        format!("there is no configuration: {tried}; {copy}; {not}")
    );
}

#[tokio::test]
async fn a_copy_of_another_place_or_an_altered_one_does_not_stand_in() {
    let dir = tempfile::tempdir().expect("a directory");
    let kept = KeptCopies::open(dir.path(), Check::default());
    let server = S3Server::start();
    server.put(BUCKET, KEY, b"{}");
    let (document, _) = document(&*object(server.address())).await;
    kept.keep(&document).expect("kept");
    kept.mark_good(document.sha256).expect("marked");

    let mistyped = source(
        "s3://settings/audit/wroker.json",
        &settings(server.address()),
        Check::default(),
    );
    let error = loaded(&*mistyped, &kept, false).await.expect_err("nothing");
    let another = "is of another place, s3://settings/audit/worker.json";
    assert!(error.attempts[1].ends_with(another), "{error}");

    std::fs::write(dir.path().join(document.sha256.to_string()), "[]").expect("altered");
    let error = loaded(&*object(free_address()), &kept, false).await;
    let error = error.expect_err("nothing");
    assert!(error.attempts[1].contains("was altered"), "{error}");
}
