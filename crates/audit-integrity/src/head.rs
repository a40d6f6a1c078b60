//! The head of a ledger: size, compact range, epoch, state, and the MAC that only a lane can make.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::digest::{HEAD_LABEL, equal_in_constant_time, hmac_sha256, node_hash, sha256};
use crate::keys::LaneKey;
use crate::ledger::{Digest, Origin};

/// What may still happen to a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LedgerState {
    /// Takes entries.
    Open,
    /// Complete; takes no more.
    Closed,
    /// Its history is disputed: readable, never leased, never signed.
    Diverged,
}

impl LedgerState {
    /// The state as it stands in the MAC, in stores and in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Diverged => "diverged",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Open, Self::Closed, Self::Diverged]
            .into_iter()
            .find(|state| state.as_str() == name)
    }
}

/// The head of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Number of leaves.
    pub size: u64,
    /// Epoch of the writer that wrote it.
    pub epoch: u64,
    /// State.
    pub state: LedgerState,
    /// Roots of the maximal full subtrees, largest first.
    pub range: CompactRange,
    /// See `docs/event-format.md` section 5.
    pub mac: [u8; 32],
}

/// The compact range of a tree: enough to append and to compute the root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CompactRange {
    size: u64,
    roots: Vec<Digest>,
}

impl CompactRange {
    /// From stored roots.
    ///
    /// # Errors
    /// When the number of roots does not fit the size.
    pub fn from_parts(size: u64, roots: Vec<Digest>) -> Result<Self, RangeMismatch> {
        if roots.len() == size.count_ones() as usize {
            Ok(Self { size, roots })
        } else {
            Err(RangeMismatch)
        }
    }

    /// From roots that are known to fit.
    pub(crate) fn of(size: u64, roots: Vec<Digest>) -> Self {
        debug_assert_eq!(roots.len(), size.count_ones() as usize);
        Self { size, roots }
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: Digest) {
        // Every trailing one-bit of the size is a full subtree that the new leaf completes to one twice as large.
        let mut joined = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                joined = node_hash(&left, &joined);
            }
        }
        self.roots.push(joined);
        self.size += 1;
    }

    /// Root of the tree; SHA-256 of nothing when empty.
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut smallest_first = self.roots.iter().rev();
        let Some(smallest) = smallest_first.next() else {
            return sha256(&[]);
        };
        smallest_first.fold(*smallest, |right, left| node_hash(left, &right))
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots, largest subtree first.
    #[must_use]
    pub fn roots(&self) -> &[Digest] {
        &self.roots
    }
}

/// The number of roots is not the number of one-bits in the size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the roots do not fit the size")]
pub struct RangeMismatch;

impl Head {
    /// Writes the head of a range, with its MAC.
    #[must_use]
    pub fn seal(
        key: &LaneKey,
        origin: &Origin,
        epoch: u64,
        state: LedgerState,
        range: CompactRange,
    ) -> Self {
        let mut head = Self {
            size: range.size(),
            epoch,
            state,
            range,
            mac: [0; 32],
        };
        head.mac = head.expected_mac(key, origin);
        head
    }

    /// Whether size and range agree and the MAC is right. Constant time.
    #[must_use]
    pub fn is_authentic(&self, key: &LaneKey, origin: &Origin) -> bool {
        self.size == self.range.size()
            && equal_in_constant_time(&self.mac, &self.expected_mac(key, origin))
    }

    fn expected_mac(&self, key: &LaneKey, origin: &Origin) -> [u8; 32] {
        let (origin, state) = (origin.as_str(), self.state.as_str());
        let root = STANDARD.encode(self.range.root().0);
        let fields = format!("{origin}\n{state}\n{}\n{}\n{root}\n", self.epoch, self.size);
        hmac_sha256(key.as_bytes(), &[HEAD_LABEL, fields.as_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::leaf_hash;
    use crate::ledger::LedgerId;

    fn range_of(leaves: u64) -> CompactRange {
        let mut range = CompactRange::default();
        (0..leaves).for_each(|n| range.push(leaf_hash(&n.to_be_bytes())));
        range
    }

    /// RFC 6962 section 2.1, word for word.
    fn naive_root(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => sha256(&[]),
            [leaf] => *leaf,
            _ => {
                let k = 1 << (leaves.len() - 1).ilog2();
                node_hash(&naive_root(&leaves[..k]), &naive_root(&leaves[k..]))
            }
        }
    }

    #[test]
    fn the_root_is_that_of_rfc_6962_at_every_size() {
        let leaves: Vec<_> = (0..300u64).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        let mut range = CompactRange::default();
        for (n, leaf) in leaves.iter().enumerate() {
            assert_eq!(range.root(), naive_root(&leaves[..n]), "{n}");
            assert_eq!(
                CompactRange::from_parts(n as u64, range.roots().to_vec()),
                Ok(range.clone())
            );
            range.push(*leaf);
        }
    }

    #[test]
    fn a_range_of_another_shape_is_refused() {
        let hash = leaf_hash(b"x");
        for (size, roots) in [(0, 1), (1, 0), (3, 1), (4, 2), (u64::MAX, 63)] {
            assert_eq!(
                CompactRange::from_parts(size, vec![hash; roots]),
                Err(RangeMismatch),
                "{size}"
            );
        }
    }

    #[test]
    fn a_head_is_authentic_only_as_it_was_sealed() {
        let (key, other_key) = (LaneKey::new([7; 32]), LaneKey::new([8; 32]));
        let origin = Origin::new("audit.invalid/x", LedgerId::Events(0));
        let other = Origin::new("audit.invalid/x", LedgerId::Events(1));
        let head = Head::seal(&key, &origin, 3, LedgerState::Open, range_of(5));
        assert!(head.is_authentic(&key, &origin));
        assert!(!head.is_authentic(&other_key, &origin));
        assert!(!head.is_authentic(&key, &other));

        let altered = |change: &dyn Fn(&mut Head)| {
            let mut altered = head.clone();
            change(&mut altered);
            altered.is_authentic(&key, &origin)
        };
        assert!(!altered(&|head| head.epoch = 4));
        assert!(!altered(&|head| head.size = 6));
        assert!(!altered(&|head| head.state = LedgerState::Closed));
        assert!(!altered(&|head| head.range = range_of(6)));
        assert!(!altered(&|head| head.range.roots.swap(0, 1)));
        // One root alone is the root of four leaves, or of eight: the range must be that of the size.
        let four = Head::seal(&key, &origin, 3, LedgerState::Open, range_of(4));
        let roots = four.range.roots().to_vec();
        let stretched = Head {
            range: CompactRange::from_parts(8, roots).unwrap(),
            ..four
        };
        assert!(!stretched.is_authentic(&key, &origin));
        for bit in 0..256 {
            assert!(
                !altered(&|head| head.mac[bit / 8] ^= 1 << (bit % 8)),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn the_mac_is_over_the_documented_text() {
        let key = LaneKey::new([7; 32]);
        let origin = Origin::new("audit.invalid/x", LedgerId::Directory);
        let head = Head::seal(
            &key,
            &origin,
            18,
            LedgerState::Diverged,
            CompactRange::default(),
        );
        let text = "audit-head/1\naudit.invalid/x/directory\ndiverged\n18\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
        assert_eq!(head.mac, hmac_sha256(&[7; 32], &[text.as_bytes()]));
    }
}
