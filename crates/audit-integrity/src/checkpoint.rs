//! C2SP checkpoints and signed notes, and the port of the anchor that keeps the newest one outside the database.

use async_trait::async_trait;
use ed25519_dalek::Signer as _;
use signed_note::{Note, Signature, StandardVerifier, Verifier as _, VerifierList};
use zeroize::Zeroizing;

use crate::ledger::{Digest, LedgerId, Origin};
use crate::tree::Tree;

/// A tree a checkpoint speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which ledger.
    pub origin: Origin,
    /// Leaves.
    pub size: u64,
    /// Root.
    pub root: Digest,
}

/// A checkpoint with the signed note it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// The tree.
    pub checkpoint: Checkpoint,
    /// The whole note, as served.
    pub note: String,
}

impl Checkpoint {
    /// The note's text, before its signatures.
    #[must_use]
    pub fn to_body(&self) -> String {
        format!(
            "{}\n{}\n{}\n",
            self.origin.as_str(),
            self.size,
            tlog_tiles::Hash(self.root.0)
        )
    }

    /// Reads a note's text back; strict: exactly what [`Self::to_body`] writes, so without extension lines.
    ///
    /// # Errors
    /// [`NoteError::Malformed`] when it is not.
    pub fn from_body(body: &str) -> Result<Self, NoteError> {
        let read = tlog_tiles::Checkpoint::from_bytes(body.as_bytes())
            .map_err(|_malformed| NoteError::Malformed)?;
        let origin = Origin::from_text(read.origin()).ok_or(NoteError::Malformed)?;
        let checkpoint = Self {
            origin,
            size: read.size(),
            root: Digest(read.hash().0),
        };
        if checkpoint.to_body() == body {
            Ok(checkpoint)
        } else {
            Err(NoteError::Malformed)
        }
    }

    /// The tree without its name.
    #[must_use]
    pub fn tree(&self) -> Tree {
        Tree {
            size: self.size,
            root: self.root,
        }
    }
}

impl SignedCheckpoint {
    /// Reads a note and checks its signature with a verifier key line.
    ///
    /// Signatures by other keys (cosignatures of witnesses, an earlier key of the ledger) are not looked at.
    ///
    /// # Errors
    /// When it is no checkpoint, speaks of another origin than the key, or no signature of the key is right.
    pub fn verify(note: &str, verifier_key: &str) -> Result<Self, NoteError> {
        let verifier = StandardVerifier::new(verifier_key.trim_end())
            .map_err(|_malformed| NoteError::BadKey)?;
        let name = verifier.name().to_owned();
        let parsed =
            Note::from_bytes(note.as_bytes()).map_err(|_malformed| NoteError::Malformed)?;
        let known = VerifierList::new(vec![Box::new(verifier)]);
        let _signatures = parsed
            .verify(&known)
            .map_err(|_refused| NoteError::BadSignature)?;
        // Only now is the text looked at: before, anybody may have written it.
        let body = std::str::from_utf8(parsed.text()).map_err(|_malformed| NoteError::Malformed)?;
        let checkpoint = Checkpoint::from_body(body)?;
        if checkpoint.origin.as_str() != name {
            return Err(NoteError::OtherOrigin);
        }
        Ok(Self {
            checkpoint,
            note: note.to_owned(),
        })
    }
}

/// The Ed25519 key that signs one ledger's checkpoints. Wiped when dropped; never printed.
///
/// Signing is deterministic (RFC 8032): the same body gives the same note.
#[derive(Clone)]
pub struct SigningKey {
    origin: Origin,
    // Its own `Drop` wipes it.
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// The key of a ledger from 32 random bytes, which are the secret to keep.
    #[must_use]
    pub fn from_seed(origin: &Origin, seed: &Zeroizing<[u8; 32]>) -> Self {
        Self {
            origin: origin.clone(),
            key: ed25519_dalek::SigningKey::from_bytes(seed),
        }
    }

    /// Whose checkpoints it signs.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The C2SP verifier key line: what others need to check a note.
    #[must_use]
    pub fn verifier_key(&self) -> String {
        signed_note::new_ed25519_verifier_key(self.origin.as_str(), &self.key.verifying_key())
    }

    /// Signs a checkpoint body; gives back the whole signed note.
    ///
    /// # Errors
    /// When the body is no checkpoint, or one of another ledger: this key signs nothing else.
    pub fn sign(&self, body: &str) -> Result<SignedCheckpoint, NoteError> {
        let checkpoint = Checkpoint::from_body(body)?;
        if checkpoint.origin != self.origin {
            return Err(NoteError::OtherOrigin);
        }
        let signature = self.key.sign(body.as_bytes()).to_vec();
        let line = Signature::new(self.origin.as_str().to_owned(), self.key_id(), signature);
        let line = line.map_err(|_name| NoteError::Malformed)?;
        let note = Note::new(body.as_bytes(), &[line]).map_err(|_text| NoteError::Malformed)?;
        let note = String::from_utf8(note.to_bytes()).map_err(|_text| NoteError::Malformed)?;
        Ok(SignedCheckpoint { checkpoint, note })
    }

    /// First four bytes of a digest over name, algorithm and public key; c2sp.org/signed-note, "Signatures".
    fn key_id(&self) -> u32 {
        let public = [&[ED25519], self.key.verifying_key().as_bytes().as_slice()].concat();
        signed_note::key_id(self.origin.as_str(), &public)
    }
}

/// Signature type of Ed25519 in signed notes.
const ED25519: u8 = 0x01;

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({}, ..)", self.origin.as_str())
    }
}

/// Why a note is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum NoteError {
    #[error("not a signed checkpoint")]
    Malformed,
    #[error("the verifier key line is malformed")]
    BadKey,
    #[error("no valid signature of the given key")]
    BadSignature,
    #[error("the checkpoint is of another ledger than the key")]
    OtherOrigin,
}

/// **Port.** The newest checkpoint of every ledger, kept outside the event database.
///
/// Durable when [`Self::append`] returns. Idempotent on (ledger, size, root). Unreadable is an error, never "no anchor".
#[async_trait]
pub trait CheckpointAnchor: Send + Sync + std::fmt::Debug {
    /// Keeps `note` when its size is greater than what is kept; the same size and root again is fine.
    ///
    /// # Errors
    /// [`AnchorError::Conflict`] when the same size has another root, or a greater one is kept.
    async fn append(
        &self,
        ledger: LedgerId,
        checkpoint: &SignedCheckpoint,
    ) -> Result<(), AnchorError>;

    /// The newest note of a ledger, as it was appended; `None` when never one was.
    async fn newest(&self, ledger: LedgerId) -> Result<Option<String>, AnchorError>;
}

/// The anchor cannot serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnchorError {
    /// It cannot be read or written now.
    #[error("the anchor cannot be reached: {place}")]
    Unavailable {
        /// Where it is.
        place: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It holds something that excludes what was to be appended.
    #[error("the anchor holds another history: size {kept}, offered {offered}")]
    Conflict {
        /// The size kept.
        kept: u64,
        /// The size offered.
        offered: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8, ledger: LedgerId) -> SigningKey {
        SigningKey::from_seed(
            &Origin::new("audit.invalid/x", ledger),
            &Zeroizing::new([seed; 32]),
        )
    }

    fn checkpoint(ledger: LedgerId, size: u64) -> Checkpoint {
        Checkpoint {
            origin: Origin::new("audit.invalid/x", ledger),
            size,
            root: Digest([9; 32]),
        }
    }

    #[test]
    fn a_note_is_believed_with_its_key_and_no_other() {
        let (signer, ledger) = (key(1, LedgerId::Events(0)), LedgerId::Events(0));
        let signed = signer.sign(&checkpoint(ledger, 5).to_body()).unwrap();
        assert_eq!(signed.checkpoint, checkpoint(ledger, 5));
        assert_eq!(
            SignedCheckpoint::verify(&signed.note, &signer.verifier_key()),
            Ok(signed.clone())
        );
        assert_eq!(
            SignedCheckpoint::verify(&signed.note, &(signer.verifier_key() + "\n")),
            Ok(signed.clone())
        );

        let verify = |key: SigningKey| {
            SignedCheckpoint::verify(&signed.note, &key.verifier_key()).unwrap_err()
        };
        assert_eq!(verify(key(2, LedgerId::Events(0))), NoteError::BadSignature);
        assert_eq!(verify(key(1, LedgerId::Events(1))), NoteError::BadSignature);
        assert_eq!(
            SignedCheckpoint::verify(&signed.note, "no key"),
            Err(NoteError::BadKey)
        );
        assert_eq!(
            signer.sign(&checkpoint(ledger, 5).to_body()).unwrap(),
            signed,
            "signing is deterministic"
        );
    }

    #[test]
    fn a_key_signs_only_checkpoints_of_its_own_ledger() {
        let signer = key(1, LedgerId::Events(0));
        assert_eq!(
            signer.sign(&checkpoint(LedgerId::Directory, 5).to_body()),
            Err(NoteError::OtherOrigin)
        );
        let body = checkpoint(LedgerId::Events(0), 5).to_body();
        for other in [
            "",
            "hello\n",
            &body.replace("5\n", "05\n"),
            &(body.clone() + "extension\n"),
            body.trim_end(),
        ] {
            assert_eq!(signer.sign(other), Err(NoteError::Malformed), "{other:?}");
        }
    }

    #[test]
    fn a_signature_under_the_right_name_does_not_lend_it_to_another_ledger() {
        // The same key may be asked to sign foreign text by other means; the name on the note still has to be the text's.
        let signer = key(1, LedgerId::Events(0));
        let body = checkpoint(LedgerId::Events(1), 5).to_body();
        let signature = signer.key.sign(body.as_bytes()).to_vec();
        let line = Signature::new(
            signer.origin().as_str().to_owned(),
            signer.key_id(),
            signature,
        )
        .unwrap();
        let note =
            String::from_utf8(Note::new(body.as_bytes(), &[line]).unwrap().to_bytes()).unwrap();
        assert_eq!(
            SignedCheckpoint::verify(&note, &signer.verifier_key()),
            Err(NoteError::OtherOrigin)
        );
    }

    #[test]
    fn unknown_signatures_are_ignored_and_a_wrong_known_one_is_not() {
        let (signer, ledger) = (key(1, LedgerId::Events(0)), LedgerId::Events(0));
        let signed = signer.sign(&checkpoint(ledger, 5).to_body()).unwrap();
        let line =
            |signed: &SignedCheckpoint| signed.note.rsplit_once("\n\n").unwrap().1.to_owned();
        let retired = line(
            &key(2, ledger)
                .sign(&checkpoint(ledger, 5).to_body())
                .unwrap(),
        );
        let witness = "— witness.example/w mJIrIlltbm90IGEgcmVhbCBvbmU=\n".to_owned();
        for extra in [&retired, &witness] {
            let (text, own) = signed.note.rsplit_once("\n\n").unwrap();
            for note in [
                format!("{text}\n\n{extra}{own}"),
                format!("{text}\n\n{own}{extra}"),
            ] {
                let read = SignedCheckpoint::verify(&note, &signer.verifier_key()).unwrap();
                assert_eq!(read.checkpoint, signed.checkpoint);
            }
        }
        let wrong = signer.sign(&checkpoint(ledger, 6).to_body()).unwrap();
        let mixed = signed.note.replace(&line(&signed), &line(&wrong));
        assert_eq!(
            SignedCheckpoint::verify(&mixed, &signer.verifier_key()),
            Err(NoteError::BadSignature)
        );
    }

    #[test]
    fn every_flipped_bit_of_a_note_is_noticed() {
        let signer = key(1, LedgerId::Events(0));
        let signed = signer
            .sign(&checkpoint(LedgerId::Events(0), 5).to_body())
            .unwrap();
        for bit in 0..signed.note.len() * 8 {
            let mut bytes = signed.note.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(note) = String::from_utf8(bytes) else {
                continue;
            };
            assert!(
                SignedCheckpoint::verify(&note, &signer.verifier_key()).is_err(),
                "bit {bit}: {note}"
            );
        }
    }

    #[test]
    fn the_note_of_the_specification_is_read() {
        // c2sp.org/tlog-checkpoint has no key beside its example; this is its form, with our names.
        let body =
            "audit.invalid/x/ledger/7\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let checkpoint = Checkpoint::from_body(body).unwrap();
        assert_eq!(
            (checkpoint.size, checkpoint.origin.ledger()),
            (20_852_163, Some(LedgerId::Events(7)))
        );
        assert_eq!(checkpoint.to_body(), body);
    }

    #[test]
    fn keys_do_not_print() {
        assert_eq!(
            format!("{:?}", key(1, LedgerId::Directory)),
            "SigningKey(audit.invalid/x/directory, ..)"
        );
    }
}
