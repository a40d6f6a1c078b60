//! API keys: only their hashes are kept.

use async_trait::async_trait;
use audit_event::{OrganizationId, Timestamp};

use crate::error::StoreError;
use crate::query::OrganizationScope;

/// What a key may do; each role includes what stands before it only where `docs/api-keys.md` says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Sends events.
    Writer,
    /// Searches and reads events.
    Viewer,
    /// Also dead letters, alerts and rules.
    Analyst,
    /// Also verification, proofs and exports of all organisations in scope.
    ComplianceOfficer,
    /// Everything, including keys and operation.
    Admin,
}

/// A key to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApiKey {
    /// Public id, part of the key's text.
    pub id: String,
    /// For people.
    pub name: String,
    /// SHA-256 of the secret part.
    pub secret_hash: [u8; 32],
    /// What it may do.
    pub role: Role,
    /// What it may see and write for.
    pub scope: OrganizationScope,
    /// The organisation of events that name none; must be in scope.
    pub default_organization: OrganizationId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
}

/// A key as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// As made.
    pub key: NewApiKey,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// **Port.** API keys. Writes are durable on return.
#[async_trait]
pub trait ApiKeys: Send + Sync + std::fmt::Debug {
    /// Keeps a key; [`StoreError::Refused`] when the id is taken.
    async fn create(&self, key: &NewApiKey) -> Result<(), StoreError>;

    /// The key of a public id.
    async fn get(&self, id: &str) -> Result<Option<ApiKey>, StoreError>;

    /// All keys, oldest first.
    async fn list(&self) -> Result<Vec<ApiKey>, StoreError>;

    /// Revokes; `false` when there is none, or it was already.
    async fn revoke(&self, id: &str, at: Timestamp) -> Result<bool, StoreError>;
}
