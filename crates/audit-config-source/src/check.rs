//! What a document must be before anybody reads it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};

use crate::digest::Sha256;
use crate::error::{CheckError, SettingError};

/// What a document's bytes must be: nothing, a digest, signed, or both. The same for what a source gives and for a kept copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    /// The only document that is taken.
    pub sha256: Option<Sha256>,
    /// Whoever must have signed it.
    pub signed_by: Option<PublicKey>,
}

impl Check {
    /// What `CONFIG_SHA256` and `CONFIG_PUBLIC_KEY` ask for.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn from_variables(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingError> {
        Ok(Self {
            sha256: parsed(variable, "CONFIG_SHA256")?,
            signed_by: parsed(variable, "CONFIG_PUBLIC_KEY")?,
        })
    }

    /// Judges bytes. `signature` is asked for only when a key is set; `place` is where it should be.
    pub(crate) fn judge(
        &self,
        bytes: &[u8],
        actual: Sha256,
        signature: Option<&Signature>,
        place: &str,
    ) -> Result<(), CheckError> {
        if let Some(expected) = self.sha256
            && expected != actual
        {
            return Err(CheckError::Digest { expected, actual });
        }
        let Some(key) = &self.signed_by else {
            return Ok(());
        };
        let signature = signature.ok_or_else(|| CheckError::Unsigned {
            place: place.to_owned(),
        })?;
        UnparsedPublicKey::new(&ED25519, key.0)
            .verify(bytes, &signature.0)
            .map_err(|ring::error::Unspecified| CheckError::Signature {
                key: key.to_string(),
                actual,
            })
    }
}

/// Reads a variable that is set and not empty.
pub(crate) fn parsed<T: FromStr<Err = SettingError>>(
    variable: &dyn Fn(&str) -> Option<String>,
    name: &'static str,
) -> Result<Option<T>, SettingError> {
    let text = variable(name).filter(|text| !text.trim().is_empty());
    let read = text.map(|text| text.trim().parse()).transpose();
    read.map_err(|error: SettingError| error.of(name))
}

/// An Ed25519 public key (RFC 8032).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

/// What stands before the 32 bytes in the `SubjectPublicKeyInfo` of every Ed25519 key (RFC 8410).
const SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

impl FromStr for PublicKey {
    type Err = SettingError;

    /// The 32 bytes in hexadecimal or base64, or a PEM file's text as `openssl pkey -pubout` writes it.
    fn from_str(text: &str) -> Result<Self, SettingError> {
        let mut bytes = [0; 32];
        if hex::decode_to_slice(text.trim(), &mut bytes).is_ok() {
            return Ok(Self(bytes));
        }
        let lines = text.lines().filter(|line| !line.starts_with("-----"));
        let decoded = BASE64_STANDARD.decode(lines.map(str::trim).collect::<String>());
        let decoded = decoded.unwrap_or_default();
        let raw = decoded.strip_prefix(&SPKI).unwrap_or(&decoded);
        raw.try_into().map(Self).map_err(|error| {
            let reason = "is no Ed25519 public key: 32 bytes in hexadecimal or base64, or PEM";
            SettingError::new(format!("{reason} ({error})"))
        })
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// An Ed25519 signature over the exact bytes of a document.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl Signature {
    /// From what a `.sig` holds: the 64 bytes as they are, or these in base64 with or without a line end.
    pub(crate) fn read(content: &[u8], place: &str) -> Result<Self, CheckError> {
        let text = std::str::from_utf8(content).unwrap_or_default();
        let decoded = BASE64_STANDARD.decode(text.trim()).ok();
        let bytes = <[u8; 64]>::try_from(content).ok();
        let bytes = bytes.or_else(|| decoded?.try_into().ok());
        bytes.map(Self).ok_or_else(|| CheckError::Malformed {
            place: place.to_owned(),
            bytes: Some(content.len()),
        })
    }

    pub(crate) fn to_base64(self) -> String {
        BASE64_STANDARD.encode(self.0)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", self.to_base64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, 7.1, test 1: the public key.
    const KEY: [u8; 32] = [
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07,
        0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07,
        0x51, 0x1a,
    ];

    #[test]
    fn a_key_is_hexadecimal_base64_or_pem() {
        let base64 = BASE64_STANDARD.encode(KEY);
        let spki = BASE64_STANDARD.encode([&SPKI[..], &KEY].concat());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{spki}\n-----END PUBLIC KEY-----\n");
        for text in [hex::encode(KEY), base64, spki, pem] {
            assert_eq!(text.parse(), Ok(PublicKey(KEY)), "{text}");
        }
        for text in ["", "nonsense", "AAAA", &hex::encode(&KEY[1..])] {
            let error = text.parse::<PublicKey>().map_err(|error| error.to_string());
            assert!(error.is_err_and(|error| error.contains("no Ed25519 public key")));
        }
    }

    #[test]
    fn variables_that_cannot_be_read_are_named() {
        let check = |name: &'static str, value: &'static str| {
            let variable = |asked: &str| (asked == name).then(|| value.to_owned());
            Check::from_variables(&variable).map_err(|error| error.to_string())
        };
        assert_eq!(check("OTHER", "x"), Ok(Check::default()));
        assert_eq!(check("CONFIG_SHA256", " "), Ok(Check::default()));
        assert!(check("CONFIG_SHA256", "ab").is_err_and(|e| e.starts_with("CONFIG_SHA256 is no")));
        assert!(
            check("CONFIG_PUBLIC_KEY", "ab").is_err_and(|e| e.starts_with("CONFIG_PUBLIC_KEY"))
        );
        let digest = Sha256::of(b"x");
        let of_text: Sha256 = format!("sha256:{digest}").parse().expect("a digest");
        assert_eq!(of_text, digest);
    }
}
