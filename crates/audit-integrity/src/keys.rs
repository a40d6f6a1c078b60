//! Keys that are handed in, and the port they come through.

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::ledger::Origin;

/// Key of the head MACs; never in the database, never printed.
#[derive(Clone)]
pub struct LaneKey(Zeroizing<[u8; 32]>);

impl LaneKey {
    /// Wraps 32 random bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for LaneKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LaneKey(..)")
    }
}

/// **Port.** The keys of a deployment. Filled by files of the key directory now, by the key ring later.
///
/// Callable concurrently. Errors mean "cannot be read now", never "there is no key".
#[async_trait]
pub trait KeySource: Send + Sync + std::fmt::Debug {
    /// The key of the head MACs.
    async fn lane_key(&self) -> Result<LaneKey, KeyError>;

    /// The C2SP verifier key line (`<name>+<hash>+<base64>`) of a ledger.
    async fn verifier_key(&self, origin: &Origin) -> Result<String, KeyError>;

    /// Signs a checkpoint body as the ledger `origin`; gives back the whole signed note. Ed25519, so the same body gives the same note.
    async fn sign_checkpoint(&self, origin: &Origin, body: &str) -> Result<String, KeyError>;

    /// Secrets that producers sign with, by key id, for the schemes of `producer`; none when unknown.
    async fn producer_secret(
        &self,
        scheme: &str,
        key_id: Option<&str>,
    ) -> Result<Option<ProducerSecret>, KeyError>;
}

/// A secret shared with a producer, and the id under which a verdict names it.
#[derive(Clone)]
pub struct ProducerSecret {
    /// Named in `producerProof.verifiedWith`.
    pub key_id: String,
    /// The secret itself.
    pub secret: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for ProducerSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ProducerSecret({})", self.key_id)
    }
}

/// A key cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The place keys are kept cannot be read now.
    #[error("keys cannot be read: {place}")]
    Unavailable {
        /// Which place.
        place: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What is there is no key.
    #[error("malformed key: {place}")]
    Malformed {
        /// Which place.
        place: String,
    },
}
