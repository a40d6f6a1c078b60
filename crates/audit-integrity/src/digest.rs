//! SHA-256 and HMAC-SHA256 behind labels, and the two hashes of the tree (RFC 6962 section 2.1).
//!
//! Every digest of this crate starts with a label or a tree prefix, so that bytes hashed for one purpose can never
//! pass for another.

use ring::{digest, hmac};

use crate::ledger::Digest;

/// Label of the claim; `docs/event-format.md` section 3.
pub const CLAIM_LABEL: &[u8] = b"audit-claim/1\n";
/// Label of the salted body; section 4.
pub const BODY_LABEL: &[u8] = b"audit-body/1\n";
/// Label of the entry; section 4.
pub const ENTRY_LABEL: &[u8] = b"audit-entry/1\n";
/// Label of the head's MAC; section 5.
pub const HEAD_LABEL: &[u8] = b"audit-head/1\n";

/// SHA-256 of the parts, joined.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> Digest {
    let mut input = Sha256::new();
    parts.iter().for_each(|part| input.update(part));
    input.finish()
}

/// SHA-256 of parts that come one after the other.
pub(crate) struct Sha256(digest::Context);

impl Sha256 {
    pub(crate) fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    pub(crate) fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    pub(crate) fn finish(self) -> Digest {
        Digest(to_array(self.0.finish().as_ref()))
    }
}

/// The leaf of an entry: `SHA-256(0x00 + entry)`.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Digest {
    sha256(&[&[0x00], entry])
}

/// An inner node: `SHA-256(0x01 + left + right)`.
#[must_use]
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    // One buffer instead of three updates: this runs more often than anything else here.
    let mut input = [0x01; 65];
    input[1..33].copy_from_slice(&left.0);
    input[33..].copy_from_slice(&right.0);
    Digest(to_array(digest::digest(&digest::SHA256, &input).as_ref()))
}

/// HMAC-SHA256 of the parts, joined.
#[must_use]
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    to_array(context.sign().as_ref())
}

/// Whether two digests are equal; takes the same time wherever they differ.
#[must_use]
pub fn equal_in_constant_time(a: &[u8; 32], b: &[u8; 32]) -> bool {
    // The accumulator passes through `black_box`, so that the loop cannot be turned into an early exit.
    let difference = a
        .iter()
        .zip(b)
        .fold(0u8, |seen, (x, y)| std::hint::black_box(seen | (x ^ y)));
    difference == 0
}

/// `ring` gives 32 bytes for SHA-256, but does not say so in the type.
fn to_array(bytes: &[u8]) -> [u8; 32] {
    let mut array = [0; 32];
    array.copy_from_slice(bytes);
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digests() {
        // FIPS 180-2 appendix B.1, and the empty tree of RFC 6962.
        assert_eq!(
            sha256(&[b"a", b"", b"bc"]).to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            sha256(&[]).to_string(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        // RFC 4231 test case 2.
        assert_eq!(
            hex::encode(hmac_sha256(
                b"Jefe",
                &[b"what do ya want ", b"for nothing?"]
            )),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn tree_hashes_agree_with_tlog_tiles() {
        let (a, b) = (leaf_hash(b"a"), leaf_hash(b"b"));
        assert_eq!(a.0, tlog_tiles::record_hash(b"a").0);
        assert_eq!(
            node_hash(&a, &b).0,
            tlog_tiles::node_hash(tlog_tiles::Hash(a.0), tlog_tiles::Hash(b.0)).0
        );
    }

    #[test]
    fn equality_sees_every_bit() {
        let one = [0x5a; 32];
        assert!(equal_in_constant_time(&one, &one));
        for bit in 0..256 {
            let mut other = one;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!equal_in_constant_time(&one, &other), "bit {bit}");
        }
    }
}
