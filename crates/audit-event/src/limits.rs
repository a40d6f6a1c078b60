//! Every limit of an event, each with its source. Text limits are UTF-8 bytes.
//!
//! `docs/event-format.md` sections 1 and 2 fix them for version 1: they are part of the format, not configuration.

/// The whole canonical event, numbers counted as [`crate::Number::counted_len`] says; section 1, "Size".
pub const EVENT_BYTES_MAX: usize = 65_535;
/// Deepest nesting of a canonical event, which is depth 1 itself; section 1.
pub const DEPTH_MAX: usize = 32;
/// Deepest nesting of an input: a producer's member moves one level down, into `details`.
pub const INPUT_DEPTH_MAX: usize = DEPTH_MAX - 1;
/// Longest input read as one event. White space and escapes may take six bytes for one of ours; beyond that the
/// event could not fit anyway.
pub const INPUT_BYTES_MAX: usize = 6 * EVENT_BYTES_MAX;
/// Significant digits of a number; section 1.
pub const NUMBER_DIGITS_MAX: usize = 100;
/// Decimal exponent from which a number counts with its written-out length: the databases that store numbers
/// exactly write them out; section 1.
pub const NUMBER_EXPONENT_FREE: i64 = 40;

/// Indexed text: principal, organisation, action, resource, correlation, external id. Keys of all indexes stay far
/// below PostgreSQL's 2,704 bytes.
pub const INDEXED_TEXT_MAX: usize = 512;
/// `producer.id`.
pub const PRODUCER_ID_MAX: usize = 128;
/// `producer.epoch` and `producer.seq`: exact in every JSON reader.
pub const PRODUCER_NUMBER_MAX: u64 = (1 << 53) - 1;
/// `eventVersion`.
pub const EVENT_VERSION_MAX: usize = 32;
/// `timestampText`.
pub const TIMESTAMP_TEXT_MAX: usize = 64;
/// `principalType`.
pub const PRINCIPAL_TYPE_MAX: usize = 64;
/// `sessionContext.sessionId`.
pub const SESSION_ID_MAX: usize = 512;
/// `sessionContext.ipAddress`.
pub const IP_ADDRESS_MAX: usize = 64;
/// `sessionContext.userAgent`.
pub const USER_AGENT_MAX: usize = 2_048;
/// `sessionContext.geolocation`.
pub const GEOLOCATION_MAX: usize = 512;
/// `outcomeDescription`; smart-logs' `maxStringLength`.
pub const OUTCOME_DESCRIPTION_MAX: usize = 10_000;
/// `retentionPolicy`, counted with JSON escapes: it stands in the entry header, which is at most 1,024 bytes.
pub const RETENTION_POLICY_MAX: usize = 64;
/// `traceparent` of version 00; W3C Trace Context section 3.2.
pub const TRACEPARENT_LEN: usize = 55;
/// `source.application`.
pub const APPLICATION_MAX: usize = 256;
/// `source.environment`.
pub const ENVIRONMENT_MAX: usize = 256;
/// `source.version`.
pub const SOURCE_VERSION_MAX: usize = 64;
/// `producerProof.scheme`, `algorithm`, `keyId`, `verifiedWith`.
pub const PROOF_NAME_MAX: usize = 256;
/// `producerProof.hash`.
pub const PROOF_HASH_MAX: usize = 256;
/// `producerProof.signature`: base64 of RSA-4096 is 684 bytes; larger schemes have room.
pub const PROOF_SIGNATURE_MAX: usize = 8_192;
/// `producerProof.reason`.
pub const PROOF_REASON_MAX: usize = 1_024;
