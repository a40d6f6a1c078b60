//! An object as its source finds it.

use std::time::Duration;

use audit_config_source::{
    Check, DOCUMENT_BYTES_MAX, Fetched, S3Settings, Sha256, SourceError, SourceSettings,
};
use audit_runtime::{Fault, Faulty as _};
use audit_testkit::fault_proxy::FaultProxy;
use audit_testkit::s3::{ACCESS_KEY_ID, S3Server};

use crate::answers::Answers;
use crate::keys::{BUCKET, KEY, OBJECT, credentials, document, object, refusal, settings, source};

#[tokio::test]
async fn an_object_comes_once_and_again_when_it_changed() {
    let server = S3Server::start();
    server.put(BUCKET, KEY, b"{\"ledgers\": 4}");
    let source = object(server.address());
    let (first, mark) = document(&*source).await;
    assert_eq!(source.place(), OBJECT);
    assert_eq!(
        (first.name.as_str(), first.text.as_str()),
        (OBJECT, "{\"ledgers\": 4}")
    );
    assert_eq!(first.sha256, Sha256::of(b"{\"ledgers\": 4}"));
    assert!(first.etag.is_some() && first.version.is_none());

    let again = source.fetch(Some(&mark)).await;
    assert!(matches!(again, Ok(Fetched::Unchanged)), "{again:?}");

    server.put(BUCKET, KEY, b"{\"ledgers\": 5}");
    let Ok(Fetched::Document(second, new)) = source.fetch(Some(&mark)).await else {
        panic!("the object changed");
    };
    assert_eq!(second.text, "{\"ledgers\": 5}");
    let again = source.fetch(Some(&new)).await;
    assert!(matches!(again, Ok(Fetched::Unchanged)), "{again:?}");
    // A process that fell back knows no mark, and gets the document.
    assert_eq!(document(&*source).await, (second, new));
}

#[tokio::test]
async fn a_server_that_knows_conditions_sends_no_body_again() {
    let whole = Answers::with("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: \"a\"\r\n\r\n{}");
    let (_, mark) = document(&*object(whole.address)).await;
    let same = Answers::with("HTTP/1.1 304 Not Modified\r\n\r\n");
    let found = object(same.address).fetch(Some(&mark)).await;
    assert!(matches!(found, Ok(Fetched::Unchanged)), "{found:?}");
    let asked = same.asked().concat();
    assert!(asked.contains("if-none-match: \"a\"\r\n"), "{asked}");
}

#[tokio::test]
async fn without_an_etag_the_content_says_whether_it_changed() {
    let answer = |text: &str| {
        let length = text.len();
        Answers::with(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}"
        ))
    };
    let (_, mark) = document(&*object(answer("{}").address)).await;
    let same = object(answer("{}").address).fetch(Some(&mark)).await;
    assert!(matches!(same, Ok(Fetched::Unchanged)), "{same:?}");
    let other = object(answer("[]").address).fetch(Some(&mark)).await;
    assert!(matches!(other, Ok(Fetched::Document(..))), "{other:?}");
}

#[tokio::test]
async fn wrong_credentials_are_told_with_the_servers_word_and_without_themselves() {
    let server = S3Server::start();
    server.put(BUCKET, KEY, b"{}");
    for (id, code) in [
        (ACCESS_KEY_ID, "SignatureDoesNotMatch"),
        // This server's word for what AWS calls `InvalidAccessKeyId`.
        ("AKIAOTHER", "NotSignedUp"),
    ] {
        let mut settings = settings(server.address());
        settings.s3.credentials = Some(credentials(id, "hunter2"));
        let source = source(OBJECT, &settings, Check::default());
        let error = refusal(&*source).await;
        assert_eq!(error.to_string(), format!("refuses us ({code})"));
        assert_eq!(error.fault(), Fault::Rejected);
        let debug = format!("{error:?} {source:?} {settings:?}");
        assert!(!debug.contains("hunter2") && !debug.contains(id), "{debug}");
    }
}

#[tokio::test]
async fn without_credentials_nothing_is_asked() {
    let server = S3Server::start();
    let mut settings = settings(server.address());
    settings.s3 = S3Settings {
        credentials: None,
        no_instance_metadata: true,
        ..settings.s3
    };
    let error = refusal(&*source(OBJECT, &settings, Check::default())).await;
    assert!(
        matches!(error, SourceError::NoCredentials { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn what_is_not_there_is_missing() {
    let server = S3Server::start();
    server.put(BUCKET, "another", b"{}");
    let source = object(server.address());
    let error = refusal(&*source).await;
    assert_eq!(error.to_string(), "does not exist (NoSuchKey)");
    assert_eq!(error.fault(), Fault::Rejected);
    server.put(BUCKET, KEY, b"{}");
    let (_, mark) = document(&*source).await;
    server.remove(BUCKET, KEY);
    let gone = source.fetch(Some(&mark)).await;
    assert!(matches!(gone, Err(SourceError::Missing { .. })), "{gone:?}");
}

#[tokio::test]
async fn a_server_that_is_away_is_an_outage() {
    let server = S3Server::start();
    server.put(BUCKET, KEY, b"{}");
    let mut proxy = FaultProxy::start(server.address());
    let source = object(proxy.address());
    document(&*source).await;
    proxy.refuse();
    let error = refusal(&*source).await;
    assert!(matches!(error, SourceError::Unreachable(_)), "{error:?}");
    assert_eq!(error.fault(), Fault::Outage);
    proxy.listen_again();
    document(&*source).await;
}

#[tokio::test]
async fn a_truncated_object_is_an_error_and_never_a_short_document() {
    let server = S3Server::start();
    // Valid at any length, so that only the length tells.
    server.put(BUCKET, KEY, &vec![b' '; 500_000]);
    let proxy = FaultProxy::start(server.address());
    let source = object(proxy.address());
    // Far behind the head, far before the end.
    proxy.cut_answer_after(100_000);
    let error = refusal(&*source).await;
    assert_eq!(error.fault(), Fault::Transient, "{error:?}");
    let SourceError::Truncated { received, expected } = error else {
        panic!("truncated, and not {error:?}");
    };
    assert!(
        received < 500_000 && expected == Some(500_000),
        "{received}"
    );
    let (document, _) = document(&*source).await;
    assert_eq!(document.text.len(), 500_000);

    for (answer, said) in [
        (
            "Content-Length: 9\r\n\r\n{}",
            "broke off after 2 bytes of 9",
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
            "broke off after 2 bytes",
        ),
        // It ends with its connection: whether all of it came, nobody can say.
        (
            "\r\n{}",
            "answers with 200 (and does not say how long the object is)",
        ),
    ] {
        let server = Answers::with(format!("HTTP/1.1 200 OK\r\n{answer}"));
        assert_eq!(refusal(&*object(server.address)).await.to_string(), said);
    }
}

#[tokio::test]
async fn a_slow_answer_ends_with_the_timeout() {
    let server = S3Server::start();
    server.put(BUCKET, KEY, b"{}");
    let proxy = FaultProxy::start(server.address());
    let settings = SourceSettings {
        timeout: Duration::from_millis(200),
        ..settings(proxy.address())
    };
    let source = source(OBJECT, &settings, Check::default());
    proxy.freeze();
    let error = refusal(&*source).await;
    assert_eq!(error.to_string(), "did not answer within 200 ms");
    assert_eq!(error.fault(), Fault::Outage);
}

#[tokio::test]
async fn more_than_a_mebibyte_is_refused_before_it_came() {
    let server = S3Server::start();
    let all = usize::try_from(DOCUMENT_BYTES_MAX).expect("a length");
    server.put(BUCKET, KEY, &vec![b' '; all]);
    let source = object(server.address());
    assert_eq!(document(&*source).await.0.text.len(), all);
    server.put(BUCKET, KEY, &vec![b' '; all + 1]);
    let said = "has more than 1048576 bytes";
    assert_eq!(refusal(&*source).await.to_string(), said);

    // It announces a length that never comes: waiting for it would end with the timeout.
    let announced = Answers::with("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n");
    assert_eq!(refusal(&*object(announced.address)).await.to_string(), said);
    let mut endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..32 {
        endless.extend(b"10000\r\n");
        endless.extend([b' '; 0x1_0000]);
        endless.extend(b"\r\n");
    }
    let endless = Answers::with(endless);
    assert_eq!(refusal(&*object(endless.address)).await.to_string(), said);
}

#[tokio::test]
async fn what_is_no_text_is_refused_with_its_place() {
    let server = S3Server::start();
    server.put(BUCKET, KEY, b"{\"a\":\xff}");
    let error = refusal(&*object(server.address())).await;
    assert_eq!(error.to_string(), "is no UTF-8 text, from byte 5 on");
}

#[tokio::test]
async fn an_earlier_version_is_there_where_the_bucket_keeps_versions() {
    let server = S3Server::start_with_versions();
    let first = server.put(BUCKET, KEY, b"{\"ledgers\": 4}");
    let second = server.put(BUCKET, KEY, b"{\"ledgers\": 5}");
    let source = object(server.address());
    assert_eq!(document(&*source).await.0.version, second);
    let first = first.expect("a version");
    let earlier = source.fetch_version(&first).await.expect("an answer");
    let earlier = earlier.expect("the first version");
    assert_eq!(earlier.text, "{\"ledgers\": 4}");
    assert_eq!(earlier.version, Some(first));
    assert_eq!(source.fetch_version("99").await.expect("an answer"), None);

    let without = S3Server::start();
    without.put(BUCKET, KEY, b"{}");
    let answer = object(without.address()).fetch_version("1").await;
    assert_eq!(answer.expect("an answer"), None);
}

#[tokio::test]
async fn a_busy_server_is_asked_again_and_another_answer_is_told() {
    for (status, fault) in [
        ("503 Slow Down", Fault::Transient),
        ("400 Bad Request", Fault::Rejected),
    ] {
        let text = "<?xml?><Error><Code>SlowDown</Code><Message>AKIATESTKIT</Message></Error>";
        let length = text.len();
        let server = Answers::with(format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{text}"
        ));
        let error = refusal(&*object(server.address)).await;
        assert_eq!(error.fault(), fault);
        let said = format!("answers with {} (SlowDown)", &status[..3]);
        assert_eq!(error.to_string(), said);
    }
}
