//! PAKE's encryption envelopes: `iv:tag:ciphertext`, each hexadecimal, AES-256-GCM without further data.
//!
//! There are two kinds, and nothing in an envelope says which it is. PAKE called a function of Node that derives key *and nonce* from
//! the given key and ignores the envelope's IV ([`Mode::Legacy`]): every value it ever encrypted under a key has the same key stream.
//! Whoever repaired that uses the key as it is and the 16-byte IV ([`Mode::Raw`]). The tag tells which one fits.
//!
//! Reading only. What was read should be encrypted again in another way, or not be kept at all.

use aes_gcm::aead::KeyInit;
use aes_gcm::aead::consts::{U12, U16};
use aes_gcm::aes::Aes256;
use aes_gcm::{AeadInOut, AesGcm, Key, Nonce, Tag};
use md5::{Digest, Md5};
use zeroize::{Zeroize, Zeroizing};

/// Which kind an envelope was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Key and nonce derived from the given key by OpenSSL's `EVP_BytesToKey` with MD5, no salt, one round.
    Legacy,
    /// The key as given and the IV of the envelope, all 16 bytes.
    Raw,
}

/// Why nothing was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The key is not 64 hexadecimal digits.
    #[error("the key is not 64 hexadecimal digits")]
    Key,
    /// The text is no envelope.
    #[error(
        "not an envelope: 32 hexadecimal digits, ':', 32 of the tag, ':', and those of the ciphertext"
    )]
    Shape,
    /// Another key, or altered.
    #[error("the tag fits in neither mode: another key, or the envelope was altered")]
    Tag,
}

/// A key of PAKE's `security.encryptionKey`.
pub struct EnvelopeKey {
    raw: AesGcm<Aes256, U16>,
    legacy: AesGcm<Aes256, U12>,
    legacy_nonce: Nonce<U12>,
}

impl std::fmt::Debug for EnvelopeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EnvelopeKey")
    }
}

/// What was in an envelope.
pub struct Opened {
    /// The text; of PAKE's a JSON value.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// How it was encrypted.
    pub mode: Mode,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl EnvelopeKey {
    /// From the 64 hexadecimal digits of PAKE's configuration.
    ///
    /// # Errors
    /// [`EnvelopeError::Key`].
    pub fn from_hex(text: &str) -> Result<Self, EnvelopeError> {
        let mut key = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text, &mut *key).map_err(|_source| EnvelopeError::Key)?;
        let derived = evp_bytes_to_key(&key);
        let (legacy, nonce) = derived.split_at(32);
        let legacy = <&Key<Aes256>>::try_from(legacy).map_err(|_source| EnvelopeError::Key)?;
        let nonce = <&Nonce<U12>>::try_from(nonce).map_err(|_source| EnvelopeError::Key)?;
        Ok(Self {
            raw: AesGcm::new(&(*key).into()),
            legacy: AesGcm::new(legacy),
            legacy_nonce: *nonce,
        })
    }

    /// Opens an envelope in whichever mode its tag fits.
    ///
    /// # Errors
    /// [`EnvelopeError::Shape`], [`EnvelopeError::Tag`].
    pub fn open(&self, envelope: &str) -> Result<Opened, EnvelopeError> {
        let parts: Vec<&str> = envelope.split(':').collect();
        let [iv, tag, ciphertext] = parts.as_slice() else {
            return Err(EnvelopeError::Shape);
        };
        let (iv, tag) = (bytes_16(iv)?, bytes_16(tag)?);
        let mut text = hex::decode(ciphertext).map_err(|_source| EnvelopeError::Shape)?;
        let tag: Tag = tag.into();
        // A wrong tag leaves the buffer as it was.
        let legacy = self.legacy.decrypt_inout_detached(
            &self.legacy_nonce,
            &[],
            text.as_mut_slice().into(),
            &tag,
        );
        if legacy.is_ok() {
            return Ok(opened(text, Mode::Legacy));
        }
        self.raw
            .decrypt_inout_detached(&iv.into(), &[], text.as_mut_slice().into(), &tag)
            .map_err(|_source| EnvelopeError::Tag)?;
        Ok(opened(text, Mode::Raw))
    }
}

fn opened(text: Vec<u8>, mode: Mode) -> Opened {
    Opened {
        plaintext: Zeroizing::new(text),
        mode,
    }
}

fn bytes_16(hex_text: &str) -> Result<[u8; 16], EnvelopeError> {
    let mut bytes = [0; 16];
    hex::decode_to_slice(hex_text, &mut bytes).map_err(|_source| EnvelopeError::Shape)?;
    Ok(bytes)
}

/// 44 bytes: D1 = MD5(password), Dn = MD5(Dn-1 || password), one after the other.
fn evp_bytes_to_key(password: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    let mut derived = Zeroizing::new(Vec::with_capacity(48));
    let mut last: Vec<u8> = Vec::new();
    while derived.len() < 44 {
        let digest = Md5::new_with_prefix(&last)
            .chain_update(password)
            .finalize();
        last.zeroize();
        last = digest.to_vec();
        derived.extend_from_slice(&last);
    }
    last.zeroize();
    derived.truncate(44);
    derived
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of the facts about the system.
    const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn key_and_nonce_are_derived_as_openssl_does() {
        let mut key = [0; 32];
        hex::decode_to_slice(KEY, &mut key).unwrap();
        assert_eq!(
            hex::encode(&*evp_bytes_to_key(&key)),
            "5775d833b6f80e83231f82899ce76c003ed3bd1e0d015353ab301b18a29d80aa046945d4063016d7668de30b"
        );
    }

    #[test]
    fn what_is_no_key_or_no_envelope_is_told_apart_from_an_altered_one() {
        for bad in ["", "ab", &KEY[..62], &KEY.replace('0', "g")] {
            assert_eq!(EnvelopeKey::from_hex(bad).unwrap_err(), EnvelopeError::Key);
        }
        let key = EnvelopeKey::from_hex(KEY).unwrap();
        let iv = "00".repeat(16);
        for bad in [
            "",
            "a:b:c",
            &iv,
            &format!("{iv}:{iv}"),
            &format!("{iv}:{iv}:x"),
            &format!("{iv}:{iv}::"),
        ] {
            assert_eq!(key.open(bad).unwrap_err(), EnvelopeError::Shape, "{bad}");
        }
        assert_eq!(
            key.open(&format!("{iv}:{iv}:00")).unwrap_err(),
            EnvelopeError::Tag
        );
    }
}
