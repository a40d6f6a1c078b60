//! Proofs that stand alone: the C2SP tlog-proof file (c2sp.org/tlog-proof), and checking an event with one.
//!
//! A proof is believed with nothing but the ledger's verifier key, which the checker must have from somewhere it
//! trusts: never from where the proof came from.

use std::fmt;
use std::str::FromStr;

use audit_event::{AuditEvent, Problem};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{NoteError, SignedCheckpoint};
use crate::digest::leaf_hash;
use crate::entry::{EntryError, EntryHeader, EntryKind, Salt, body_digest};
use crate::ledger::{Digest, LeafIndex};
use crate::tree::{PROOF_HASHES_MAX, check_inclusion};

/// First line of every proof file.
pub const PROOF_LABEL: &str = "c2sp.org/tlog-proof@v1";

/// Longest proof file that is read: 64 hashes and 16 signatures need far less.
pub const PROOF_BYTES_MAX: usize = 256 * 1024;

/// A proof that an entry is in a ledger.
///
/// [`fmt::Display`] writes the file, [`FromStr`] reads it: strictly, only what would be written again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Opaque data that applications may add. Nothing authenticates it; we write none and ignore it.
    pub extra: Option<Vec<u8>>,
    /// Position of the entry.
    pub index: LeafIndex,
    /// Inclusion proof, from the leaf's sibling up.
    pub hashes: Vec<Digest>,
    /// The signed checkpoint, verbatim.
    pub note: String,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{PROOF_LABEL}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index.0)?;
        for hash in &self.hashes {
            writeln!(f, "{}", STANDARD.encode(hash.0))?;
        }
        write!(f, "\n{}", self.note)
    }
}

impl FromStr for Proof {
    type Err = ProofError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > PROOF_BYTES_MAX {
            return Err(malformed("it is too long"));
        }
        let (head, note) = text
            .split_once("\n\n")
            .ok_or_else(|| malformed("it has no checkpoint"))?;
        if signed_note::Note::from_bytes(note.as_bytes()).is_err() {
            return Err(malformed("what follows the hashes is no signed note"));
        }
        let mut lines = head.split('\n');
        if lines.next() != Some(PROOF_LABEL) {
            return Err(malformed(
                "the first line does not name tlog-proof version 1",
            ));
        }
        let mut line = lines.next();
        let extra = line
            .and_then(|line| line.strip_prefix("extra "))
            .map(|extra| base64(extra, "extra"));
        if extra.is_some() {
            line = lines.next();
        }
        let index = line
            .and_then(|line| line.strip_prefix("index "))
            .ok_or_else(|| malformed("it has no index"))?;
        let index = LeafIndex(
            index
                .parse()
                .map_err(|_number| malformed("the index is no number"))?,
        );
        let hashes = lines.map(hash).collect::<Result<Vec<_>, _>>()?;
        if hashes.len() > PROOF_HASHES_MAX {
            return Err(malformed("it has too many hashes"));
        }
        let proof = Self {
            extra: extra.transpose()?,
            index,
            hashes,
            note: note.to_owned(),
        };
        // A sign or a zero in front of the index does not survive this.
        if proof.to_string() == text {
            Ok(proof)
        } else {
            Err(malformed("it is not in its one form"))
        }
    }
}

fn hash(line: &str) -> Result<Digest, ProofError> {
    let bytes = base64(line, "hash")?;
    bytes
        .try_into()
        .map(Digest)
        .map_err(|_other_length| malformed("a hash is not 32 bytes long"))
}

fn base64(text: &str, what: &str) -> Result<Vec<u8>, ProofError> {
    STANDARD
        .decode(text)
        .map_err(|source| malformed(&format!("{what} is not base64: {source}")))
}

fn malformed(reason: &str) -> ProofError {
    ProofError::Malformed {
        reason: reason.to_owned(),
    }
}

/// What a proof has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The header of the entry that is in the ledger.
    pub header: EntryHeader,
    /// The signed tree it is in.
    pub checkpoint: SignedCheckpoint,
}

/// Checks that `entry` (a leaf input) is in the ledger of the key.
///
/// # Errors
/// The first step that fails: signature, entry, position, inclusion.
pub fn verify_proof(proof: &Proof, entry: &[u8], verifier_key: &str) -> Result<Proven, ProofError> {
    let checkpoint = SignedCheckpoint::verify(&proof.note, verifier_key)
        .map_err(|source| ProofError::Note { source })?;
    let header = EntryHeader::from_entry(entry).map_err(|source| ProofError::Entry { source })?;
    let signed = &checkpoint.checkpoint;
    if header.index != proof.index || signed.origin.ledger() != Some(header.ledger) {
        return Err(ProofError::OtherPlace);
    }
    check_inclusion(
        &proof.hashes,
        &signed.tree(),
        proof.index,
        &leaf_hash(entry),
    )
    .map_err(|_wrong| ProofError::NotIncluded)?;
    Ok(Proven { header, checkpoint })
}

/// Checks that this event, byte for byte, is what the ledger of the key holds at the proof's position. For a control
/// entry `canonical` is the control document.
///
/// # Errors
/// As [`verify_proof`], then: the body's digest, the canonical form, the members that the header repeats.
pub fn verify_event(
    entry: &[u8],
    salt: &Salt,
    canonical: &[u8],
    proof: &Proof,
    verifier_key: &str,
) -> Result<Proven, ProofError> {
    let proven = verify_proof(proof, entry, verifier_key)?;
    let header = &proven.header;
    if body_digest(salt, canonical) != header.body {
        return Err(ProofError::OtherBody);
    }
    if header.kind == EntryKind::Event {
        let event = AuditEvent::from_canonical(canonical)
            .map_err(|problems| ProofError::NotAnEvent { problems })?;
        if !repeats(header, &event) {
            return Err(ProofError::HeaderDiffers);
        }
    }
    Ok(proven)
}

/// Whether the header says of the event what the event says of itself.
fn repeats(header: &EntryHeader, event: &AuditEvent) -> bool {
    header.id == event.id
        && header.organization_id == event.organization_id
        && header.timestamp == event.statement.timestamp
        && header.received_at == event.received_at
        && header.data_classification == event.effective_classification()
        && header.retention_policy == event.effective_retention_policy()
}

/// A proof is not believed; the variant is the step that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The file is no proof.
    #[error("malformed proof: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// The checkpoint is not signed by the key.
    #[error("the checkpoint is not believed")]
    Note {
        /// Why.
        #[source]
        source: NoteError,
    },
    /// The leaf input is none.
    #[error("the entry is malformed")]
    Entry {
        /// Why.
        #[source]
        source: EntryError,
    },
    /// The entry says that it stands elsewhere.
    #[error("the entry belongs to another position or another ledger than the proof")]
    OtherPlace,
    /// The hashes do not lead from the entry to the signed root.
    #[error("the entry is not in the signed tree")]
    NotIncluded,
    /// Salt and canonical bytes do not have the digest that the entry holds.
    #[error("the body is not the one that the entry was sealed with")]
    OtherBody,
    /// The body is not a canonical event.
    #[error("the body is not a canonical event")]
    NotAnEvent {
        /// What is wrong with it.
        problems: Vec<Problem>,
    },
    /// The entry's header says something else than the event.
    #[error("the header differs from the event")]
    HeaderDiffers,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Checkpoint, SigningKey};
    use crate::claim::claim_of;
    use crate::digest::node_hash;
    use crate::entry::{Place, SealedEvent, seal};
    use crate::ledger::{LedgerId, Origin};
    use crate::tree::root_of_leaves;
    use audit_event::{EventDraft, OrganizationId, Timestamp};
    use zeroize::Zeroizing;

    const EVENT: &str = r#"{"action":"login","id":"0190a1b2-c3d4-7e5f-8a6b-000000000001","organizationId":"o","receivedAt":"2026-01-02T03:04:06.000000Z","status":"success","timestamp":"2026-01-02T03:04:05.000000Z"}"#;
    const SALT: Salt = Salt([5; 16]);

    fn sealed(index: u64) -> SealedEvent {
        let draft = EventDraft::from_canonical(EVENT.as_bytes().to_vec()).unwrap();
        let claim = claim_of(draft.event());
        let sealed_at = Timestamp::from_micros(1_767_323_047_000_000).unwrap();
        seal(
            draft,
            claim,
            &Place {
                ledger: LedgerId::Events(0),
                index: LeafIndex(index),
                sealed_at,
                salt: SALT,
            },
        )
    }

    fn key(ledger: u16) -> SigningKey {
        SigningKey::from_seed(
            &Origin::new("audit.invalid/x", LedgerId::Events(ledger)),
            &Zeroizing::new([1; 32]),
        )
    }

    fn note(root: Digest, size: u64, key: &SigningKey) -> String {
        key.sign(
            &Checkpoint {
                origin: key.origin().clone(),
                size,
                root,
            }
            .to_body(),
        )
        .unwrap()
        .note
    }

    /// The second entry of a ledger of three.
    fn proof_of(entry: &[u8]) -> Proof {
        let [first, third] = [sealed(0).leaf_hash, sealed(2).leaf_hash];
        let root = root_of_leaves([first, leaf_hash(entry), third]);
        Proof {
            extra: None,
            index: LeafIndex(1),
            hashes: vec![first, third],
            note: note(root, 3, &key(0)),
        }
    }

    #[test]
    fn a_proof_shows_its_event_and_no_other() {
        let event = sealed(1);
        let proof = proof_of(&event.entry);
        let key_line = key(0).verifier_key();
        let proven =
            verify_event(&event.entry, &SALT, EVENT.as_bytes(), &proof, &key_line).unwrap();
        assert_eq!(
            (proven.header, proven.checkpoint.checkpoint.size),
            (event.header.clone(), 3)
        );

        let verify = |entry: &[u8], salt: &Salt, body: &str, proof: &Proof, key: &str| {
            verify_event(entry, salt, body.as_bytes(), proof, key).unwrap_err()
        };
        let entry = &event.entry;
        let other_key = key(1).verifier_key();
        assert!(matches!(
            verify(entry, &SALT, EVENT, &proof, &other_key),
            ProofError::Note { .. }
        ));
        assert!(matches!(
            verify(b"x", &SALT, EVENT, &proof, &key_line),
            ProofError::Entry { .. }
        ));
        let moved = Proof {
            index: LeafIndex(2),
            ..proof.clone()
        };
        assert!(matches!(
            verify(entry, &SALT, EVENT, &moved, &key_line),
            ProofError::OtherPlace
        ));
        let shorter = Proof {
            hashes: proof.hashes[..1].to_vec(),
            ..proof.clone()
        };
        assert!(matches!(
            verify(entry, &SALT, EVENT, &shorter, &key_line),
            ProofError::NotIncluded
        ));
        let later = EntryHeader {
            sealed_at: Timestamp::from_micros(0).unwrap(),
            ..event.header.clone()
        }
        .to_entry();
        assert!(matches!(
            verify(&later, &SALT, EVENT, &proof, &key_line),
            ProofError::NotIncluded
        ));
        assert!(matches!(
            verify(entry, &Salt([6; 16]), EVENT, &proof, &key_line),
            ProofError::OtherBody
        ));
        let edited = EVENT.replace("login", "logon");
        assert!(matches!(
            verify(entry, &SALT, &edited, &proof, &key_line),
            ProofError::OtherBody
        ));
    }

    #[test]
    fn a_ledger_that_sealed_nonsense_is_not_believed_either() {
        let event = sealed(1);
        let key_line = key(0).verifier_key();
        let other = EntryHeader {
            organization_id: OrganizationId::new("p"),
            ..event.header.clone()
        }
        .to_entry();
        let result = verify_event(
            &other,
            &SALT,
            EVENT.as_bytes(),
            &proof_of(&other),
            &key_line,
        );
        assert!(matches!(result, Err(ProofError::HeaderDiffers)));
        let body = body_digest(&SALT, b"{}");
        let other = EntryHeader {
            body,
            ..event.header
        }
        .to_entry();
        let result = verify_event(&other, &SALT, b"{}", &proof_of(&other), &key_line);
        assert!(matches!(result, Err(ProofError::NotAnEvent { .. })));
    }

    #[test]
    fn an_inner_node_does_not_pass_for_a_leaf() {
        let (a, b) = (sealed(0).leaf_hash, sealed(1).leaf_hash);
        let forged = [a.0, b.0].concat();
        let proof = Proof {
            extra: None,
            index: LeafIndex(0),
            hashes: vec![],
            note: note(node_hash(&a, &b), 1, &key(0)),
        };
        assert!(verify_proof(&proof, &forged, &key(0).verifier_key()).is_err());
    }

    #[test]
    fn files_round_trip_in_the_form_of_the_specification() {
        // The header of the example of c2sp.org/tlog-proof; its signatures are abridged there.
        let text = "c2sp.org/tlog-proof@v1\nextra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6\nindex 73894\n\
            gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\nB95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=\n\n\
            example.com/fancylog\n109482\nsFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=\n\n— example.com/fancylog AAAAAAA=\n";
        let proof: Proof = text.parse().unwrap();
        assert_eq!((proof.index, proof.hashes.len()), (LeafIndex(73_894), 2));
        assert!(proof.note.starts_with("example.com/fancylog\n109482\n"));
        assert_eq!(
            proof.extra.as_deref(),
            Some(b"age-v1.2.1-darwin-arm64.tar.gz".as_slice())
        );
        assert_eq!(proof.to_string(), text);
        let own = proof_of(&sealed(1).entry);
        assert_eq!(own.to_string().parse::<Proof>().unwrap(), own);
        let single = Proof {
            hashes: vec![],
            ..own
        };
        assert_eq!(single.to_string().parse::<Proof>().unwrap(), single);
    }

    #[test]
    fn other_spellings_of_a_file_are_refused() {
        let text = proof_of(&sealed(1).entry).to_string();
        let hash = text.lines().nth(2).unwrap().to_owned();
        for (written, other) in [
            ("@v1", "@v2"),
            ("c2sp.org/tlog-proof@v1\n", ""),
            ("index 1", "index 01"),
            ("index 1", "index +1"),
            ("index 1", "index -1"),
            ("index 1", "Index 1"),
            ("index 1\n", ""),
            ("index 1", "index 1\nindex 1"),
            ("index 1", "extra !\nindex 1"),
            ("index 1", "extra eA==\nextra eA==\nindex 1"),
            ("index 1", "index 18446744073709551616"),
            ("index 1\n", "index 1\r\n"),
            ("\n— ", "\n- "),
            (&hash, &hash[..40]),
            (&hash, hash.trim_end_matches('=')),
            ("\n\n", "\n"),
        ] {
            let changed = text.replacen(written, other, if written == "\n\n" { 2 } else { 1 });
            assert_ne!(changed, text, "{written:?}");
            assert!(
                matches!(changed.parse::<Proof>(), Err(ProofError::Malformed { .. })),
                "{written:?} {other:?}"
            );
        }
        let many = text.replacen(&hash, &[hash.as_str(); 70].join("\n"), 1);
        assert!(many.parse::<Proof>().is_err());
        assert!(
            (text + &" ".repeat(PROOF_BYTES_MAX))
                .parse::<Proof>()
                .is_err()
        );
    }
}
