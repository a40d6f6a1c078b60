//! Shared by the tests: keys, settings, and what a fetch came to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use audit_config_source::{
    Check, ConfigSource, Credentials, Document, Fetched, Mark, Place, PublicKey, S3Settings,
    SourceError, SourceSettings, open,
};
use audit_testkit::s3::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

pub(crate) const OBJECT: &str = "s3://settings/audit/worker.json";
pub(crate) const BUCKET: &str = "settings";
pub(crate) const KEY: &str = "audit/worker.json";

/// A signer, always the same for the same number.
pub(crate) fn signer(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("a key")
}

pub(crate) fn signed_by(signer: &Ed25519KeyPair) -> Check {
    let key = signer.public_key().as_ref().try_into().expect("32 bytes");
    Check {
        signed_by: Some(PublicKey(key)),
        ..Check::default()
    }
}

pub(crate) fn credentials(id: &str, secret: &str) -> Credentials {
    Credentials {
        access_key_id: id.to_owned(),
        secret_access_key: secret.to_owned().into(),
        session_token: None,
    }
}

/// The right ones for the test server, at an address of its own or of a proxy before it.
pub(crate) fn settings(address: SocketAddr) -> SourceSettings {
    SourceSettings {
        timeout: Duration::from_secs(20),
        s3: S3Settings {
            endpoint: Some(format!("http://{address}")),
            credentials: Some(credentials(ACCESS_KEY_ID, SECRET_ACCESS_KEY)),
            ..S3Settings::default()
        },
    }
}

pub(crate) fn source(
    place: &str,
    settings: &SourceSettings,
    check: Check,
) -> Arc<dyn ConfigSource> {
    let place: Place = place.parse().expect("a place");
    open(&place, settings, check).expect("settings that work")
}

/// The object's source.
pub(crate) fn object(address: SocketAddr) -> Arc<dyn ConfigSource> {
    source(OBJECT, &settings(address), Check::default())
}

pub(crate) async fn document(source: &dyn ConfigSource) -> (Document, Mark) {
    match source.fetch(None).await {
        Ok(Fetched::Document(document, mark)) => (document, mark),
        other => panic!("no document: {other:?}"),
    }
}

pub(crate) async fn refusal(source: &dyn ConfigSource) -> SourceError {
    source.fetch(None).await.expect_err("nothing that is taken")
}
