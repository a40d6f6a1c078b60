//! Ids: distinct types, so that one cannot be handed in for another.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::canonical::to_canonical;
use crate::number::Number;
use crate::timestamp::Timestamp;
use crate::value::Value;

/// Id of an event: a UUID, printed in the 36-character hyphenated lower-case form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Uuid);

impl EventId {
    /// From the 16 bytes of a UUID.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// UUIDv7 of a time and random bits, both handed in.
    #[must_use]
    pub fn v7(at: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(at.micros().max(0) / 1_000).unwrap_or_default();
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// UUIDv5 in our fixed namespace of `name`; used for external ids, idempotency keys and source positions
    /// (`docs/event-format.md` section 3).
    #[must_use]
    pub fn v5(name: &[u8]) -> Self {
        Self(Uuid::new_v5(&NAMESPACE, name))
    }

    /// The id of an event that its producer names `external`: UUIDv5 of `[organizationId or null, external]`.
    #[must_use]
    pub fn from_external(organization: &OrganizationId, external: &str) -> Self {
        let owner = if organization.is_none() {
            Value::Null
        } else {
            Value::from(organization.as_str())
        };
        Self::v5(&to_canonical(&Value::Array(vec![
            owner,
            Value::from(external),
        ])))
    }

    /// The id of event `index` of a request with an `Idempotency-Key`: UUIDv5 of `[apiKeyId, idempotencyKey, index]`.
    #[must_use]
    pub fn from_idempotency_key(request: IdempotentRequest<'_>, index: u64) -> Self {
        let parts = vec![
            Value::from(request.api_key_id),
            Value::from(request.idempotency_key),
            Value::Number(Number::from(index)),
        ];
        Self::v5(&to_canonical(&Value::Array(parts)))
    }

    /// The 36-character text, without an allocation.
    pub fn encode<'b>(&self, buffer: &'b mut [u8; 36]) -> &'b str {
        self.0.as_hyphenated().encode_lower(buffer)
    }
}

/// What makes the ids of a repeated request the same: who sent it, and the key it carried.
#[derive(Debug, Clone, Copy)]
pub struct IdempotentRequest<'r> {
    /// Id of the API key it was sent with.
    pub api_key_id: &'r str,
    /// The `Idempotency-Key` header.
    pub idempotency_key: &'r str,
}

/// `8a6e1f0c-5d1b-5b0e-9c52-6f0f3a1d7e11`, fixed by `docs/event-format.md` section 3.
const NAMESPACE: Uuid = Uuid::from_u128(0x8a6e_1f0c_5d1b_5b0e_9c52_6f0f_3a1d_7e11);

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0.as_hyphenated(), f)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a hyphenated 36-character UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a hyphenated 36-character UUID")]
pub struct NotAnEventId;

impl FromStr for EventId {
    type Err = NotAnEventId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // `Uuid::parse_str` also takes braces, URNs and bare hex; those are external ids here.
        if text.len() != 36 {
            return Err(NotAnEventId);
        }
        Uuid::parse_str(text)
            .map(Self)
            .map_err(|_source| NotAnEventId)
    }
}

/// The organisation of the system's own events: administration, reads of the trail, the lives of alerts.
pub const OWN_ORGANIZATION: &str = "_audit";

/// Name of an organisation; empty means none. At most 512 bytes as a JSON string.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct OrganizationId(Box<str>);

impl OrganizationId {
    /// No organisation.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Wraps a name; limits are checked by [`crate::EventDraft::new`].
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name, or "".
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for OrganizationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for OrganizationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What makes two deliveries the same event, in every backend. Ordered, because leaves are numbered in this order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The event's id.
    pub id: EventId,
    /// Its organisation.
    pub organization_id: OrganizationId,
    /// When it happened.
    pub timestamp: Timestamp,
}
