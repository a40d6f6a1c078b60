//! Webhooks, after Standard Webhooks (standardwebhooks.com).

use async_trait::async_trait;
use audit_runtime::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ring::hmac;

use crate::handler::{AlertHandler, HandlerError};
use crate::http_client::{HttpClient, Post, Receiver, UrlProblem};
use crate::notice::Notice;

/// Sends each notice as JSON, signed, so that the receiver knows whose it is and that it is not an old one.
///
/// `webhook-id` is the notice's key, `webhook-timestamp` the time of this attempt, `webhook-signature` has a `v1,` HMAC-SHA256 for each
/// secret: while a secret is replaced there are two.
#[derive(Debug, Clone)]
pub struct Webhook {
    client: HttpClient,
    receiver: Receiver,
    keys: Vec<SigningKey>,
}

/// A secret that no signature can be made with. It is not in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretProblem {
    /// Of another form.
    #[error("a webhook's secret is `whsec_` with base64 of 24 to 64 bytes behind it")]
    Form,
    /// Nothing to sign with.
    #[error("a webhook needs a secret")]
    None,
    /// The address.
    #[error("the webhook's address is {0}")]
    Url(UrlProblem),
}

#[derive(Clone)]
struct SigningKey(hmac::Key);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

impl Webhook {
    /// To this address, signed with these secrets: `whsec_` and base64 of 24 to 64 bytes.
    ///
    /// # Errors
    /// What is wrong with the address or a secret.
    pub fn new(
        client: HttpClient,
        url: &Secret,
        secrets: &[Secret],
    ) -> Result<Self, SecretProblem> {
        if secrets.is_empty() {
            return Err(SecretProblem::None);
        }
        let keys = secrets.iter().map(signing_key).collect::<Result<_, _>>()?;
        Ok(Self {
            client,
            receiver: Receiver::new(url).map_err(SecretProblem::Url)?,
            keys,
        })
    }

    fn signatures(&self, id: &str, seconds: i64, body: &str) -> String {
        let signed = format!("{id}.{seconds}.{body}");
        let signature = |key: &SigningKey| {
            let tag = hmac::sign(&key.0, signed.as_bytes());
            format!("v1,{}", STANDARD.encode(tag))
        };
        let signatures: Vec<String> = self.keys.iter().map(signature).collect();
        signatures.join(" ")
    }
}

fn signing_key(secret: &Secret) -> Result<SigningKey, SecretProblem> {
    let text = secret.expose().strip_prefix("whsec_");
    let bytes = text.and_then(|text| STANDARD.decode(text).ok());
    // Sizes of the specification.
    let bytes = bytes.filter(|bytes| (24..=64).contains(&bytes.len()));
    let bytes = bytes.ok_or(SecretProblem::Form)?;
    Ok(SigningKey(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
}

#[async_trait]
impl AlertHandler for Webhook {
    async fn handle(&self, notice: &Notice) -> Result<(), HandlerError> {
        let body = serde_json::to_string(notice)
            .map_err(|error| HandlerError::refused(format!("cannot be written: {error}")))?;
        let seconds = self.client.now_micros().div_euclid(1_000_000);
        let mut post = Post {
            headers: http::HeaderMap::new(),
            body: Bytes::new(),
        };
        post.set("content-type", "application/json");
        post.set("webhook-id", &notice.key);
        post.set("webhook-timestamp", &seconds.to_string());
        post.set(
            "webhook-signature",
            &self.signatures(&notice.key, seconds, &body),
        );
        post.body = Bytes::from(body);
        self.client.post(&self.receiver, post).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_the_form_of_the_specification() {
        let secret =
            |bytes: usize| Secret::new(format!("whsec_{}", STANDARD.encode(vec![7; bytes])));
        for (secret, fits) in [
            (secret(23), false),
            (secret(24), true),
            (secret(64), true),
            (secret(65), false),
            (Secret::new("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), false),
            (Secret::new("whsec_not base64"), false),
        ] {
            let key = signing_key(&secret);
            assert_eq!(key.is_ok(), fits, "{}", secret.expose());
            assert!(!format!("{key:?}").contains("BwcH"));
        }
    }

    /// From the test of the specification's own library (libraries/python/tests/test_webhooks.py).
    #[test]
    fn a_signature_is_the_one_of_the_specification() {
        let key = signing_key(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).unwrap();
        let signed = b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}";
        let tag = STANDARD.encode(hmac::sign(&key.0, signed));
        assert_eq!(tag, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
