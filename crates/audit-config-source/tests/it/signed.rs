//! Documents that must be signed, or be these very bytes.

use audit_config_source::{Check, Sha256};
use audit_testkit::s3::{ACCESS_KEY_ID, S3Server, SECRET_ACCESS_KEY};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use s3::creds::Credentials;
use s3::{Bucket, Region};

use crate::keys::{BUCKET, KEY, OBJECT, document, refusal, settings, signed_by, signer, source};

const TEXT: &[u8] = b"{\"ledgers\": 4}";
const SIG: &str = "audit/worker.json.sig";

#[tokio::test]
async fn another_digest_is_refused_with_both() {
    let server = S3Server::start();
    server.put(BUCKET, KEY, TEXT);
    let check = |sha256| Check {
        sha256: Some(sha256),
        ..Check::default()
    };
    let settings = settings(server.address());
    let right = source(OBJECT, &settings, check(Sha256::of(TEXT)));
    assert_eq!(document(&*right).await.0.text.as_bytes(), TEXT);
    let wrong = source(OBJECT, &settings, check(Sha256::of(b"{}")));
    let expected = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    assert_eq!(
        refusal(&*wrong).await.to_string(),
        format!(
            "is not the configuration that was asked for: the SHA-256 is {} and should be {expected}",
            Sha256::of(TEXT)
        )
    );
}

#[tokio::test]
async fn a_signature_beside_the_object_is_raw_or_in_base64() {
    let server = S3Server::start();
    server.put(BUCKET, KEY, TEXT);
    let signer = signer(7);
    let source = source(OBJECT, &settings(server.address()), signed_by(&signer));
    let signature = signer.sign(TEXT);
    let line = format!("{}\n", BASE64_STANDARD.encode(signature));
    for content in [signature.as_ref(), line.as_bytes()] {
        server.put(BUCKET, SIG, content);
        let (document, _) = document(&*source).await;
        let kept = document.signature.expect("a signature");
        assert_eq!(kept.0.as_slice(), signature.as_ref());
    }
}

#[tokio::test]
async fn a_document_that_its_key_did_not_sign_is_refused() {
    let server = S3Server::start();
    server.put(BUCKET, KEY, TEXT);
    let (ours, theirs) = (signer(7), signer(8));
    let check = signed_by(&ours);
    let key = check.signed_by.expect("a key").to_string();
    let source = source(OBJECT, &settings(server.address()), check);
    let refused = async |said: &str| {
        let error = refusal(&*source).await.to_string();
        let said = format!("is not the configuration that was asked for: {said}");
        assert_eq!(error, said);
    };
    refused("there is no signature at s3://settings/audit/worker.json.sig").await;
    let digest = Sha256::of(TEXT);
    let not_of =
        format!("the signature is not of the key {key} over the document with SHA-256 {digest}");
    server.put(BUCKET, SIG, theirs.sign(TEXT).as_ref());
    refused(&not_of).await;
    // Of the right key over other bytes.
    server.put(BUCKET, SIG, ours.sign(b"{\"ledgers\": 5}").as_ref());
    refused(&not_of).await;
    let malformed = "what is at s3://settings/audit/worker.json.sig is no signature: 64 bytes, or these in base64";
    server.put(BUCKET, SIG, b"signed, honestly");
    refused(&format!("{malformed}, and not 16 bytes")).await;
    server.put(BUCKET, SIG, &[b'A'; 100_000]);
    refused(malformed).await;
    server.put(BUCKET, SIG, ours.sign(TEXT).as_ref());
    document(&*source).await;
}

#[tokio::test]
async fn a_signature_in_the_objects_metadata_goes_before_the_one_beside_it() {
    let server = S3Server::start();
    server.put(BUCKET, KEY, TEXT);
    server.put(BUCKET, SIG, b"an old one");
    let signer = signer(7);
    let credentials = Credentials::new(
        Some(ACCESS_KEY_ID),
        Some(SECRET_ACCESS_KEY),
        None,
        None,
        None,
    );
    let region = Region::Custom {
        region: "us-east-1".to_owned(),
        endpoint: server.endpoint(),
    };
    let bucket = Bucket::new(BUCKET, region, credentials.expect("credentials"));
    let mut bucket = bucket.expect("a bucket").with_path_style();
    let signature = BASE64_STANDARD.encode(signer.sign(TEXT));
    bucket.add_header("x-amz-meta-signature", &signature);
    let put = bucket.put_object(KEY, TEXT).await.expect("an answer");
    assert_eq!(put.status_code(), 200);
    let source = source(OBJECT, &settings(server.address()), signed_by(&signer));
    document(&*source).await;
}
