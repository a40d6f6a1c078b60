//! Keys that cannot be read at times.

use async_trait::async_trait;
use audit_integrity::keys::{KeyError, KeySource, LaneKey, ProducerSecret};
use audit_integrity::ledger::Origin;

use super::{Faulty, OnPurpose};

fn away() -> KeyError {
    KeyError::Unavailable {
        place: "faulty".to_owned(),
        source: Box::new(OnPurpose),
    }
}

#[async_trait]
impl KeySource for Faulty<dyn KeySource> {
    async fn lane_key(&self) -> Result<LaneKey, KeyError> {
        let real = self.inner.lane_key();
        self.faults.around("keys.lane_key", away, away, real).await
    }

    async fn verifier_key(&self, origin: &Origin) -> Result<String, KeyError> {
        let real = self.inner.verifier_key(origin);
        self.faults
            .around("keys.verifier_key", away, away, real)
            .await
    }

    async fn sign_checkpoint(&self, origin: &Origin, body: &str) -> Result<String, KeyError> {
        let real = self.inner.sign_checkpoint(origin, body);
        self.faults
            .around("keys.sign_checkpoint", away, away, real)
            .await
    }

    async fn producer_secret(
        &self,
        scheme: &str,
        key_id: Option<&str>,
    ) -> Result<Option<ProducerSecret>, KeyError> {
        let real = self.inner.producer_secret(scheme, key_id);
        self.faults
            .around("keys.producer_secret", away, away, real)
            .await
    }
}
