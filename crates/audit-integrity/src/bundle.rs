//! Entry bundles (c2sp.org/tlog-tiles, "Log entries"), and how a chunk keeps one: compressed, behind its length.

use crate::entry::ENTRY_BYTES_MAX;

/// Most entries of one bundle; a commit is far smaller, so more is no bundle of ours.
pub const ENTRIES_MAX: usize = 65_536;

/// A decoded entry bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    encoded: Vec<u8>,
    /// Where each entry ends in `encoded`; it begins two bytes after the one before ended.
    ends: Vec<usize>,
}

impl Bundle {
    /// Joins entries: each behind its 16-bit big-endian length.
    ///
    /// # Errors
    /// When an entry is longer than [`ENTRY_BYTES_MAX`], or there are more than [`ENTRIES_MAX`].
    pub fn of<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, BundleError> {
        let mut bundle = Self {
            encoded: Vec::new(),
            ends: Vec::new(),
        };
        for entry in entries {
            let length = u16::try_from(entry.len()).map_err(|_longer| BundleError::EntryTooLong)?;
            if entry.len() > ENTRY_BYTES_MAX {
                return Err(BundleError::EntryTooLong);
            }
            if bundle.ends.len() == ENTRIES_MAX {
                return Err(BundleError::TooMany);
            }
            bundle.encoded.extend_from_slice(&length.to_be_bytes());
            bundle.encoded.extend_from_slice(entry);
            bundle.ends.push(bundle.encoded.len());
        }
        Ok(bundle)
    }

    /// Reads a bundle that must hold exactly `count` entries.
    ///
    /// # Errors
    /// When it holds another number, is cut off, or has an entry longer than [`ENTRY_BYTES_MAX`].
    pub fn decode(encoded: Vec<u8>, count: u32) -> Result<Self, BundleError> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count > ENTRIES_MAX {
            return Err(BundleError::TooMany);
        }
        let mut ends = Vec::with_capacity(count);
        let mut rest = encoded.as_slice();
        while let Some((length, after)) = rest.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            if length > ENTRY_BYTES_MAX {
                return Err(BundleError::EntryTooLong);
            }
            rest = after.get(length..).ok_or(BundleError::CutOff)?;
            ends.push(encoded.len() - rest.len());
            if ends.len() > count {
                return Err(BundleError::OtherCount);
            }
        }
        match (rest.is_empty(), ends.len() == count) {
            (false, _) => Err(BundleError::CutOff),
            (true, false) => Err(BundleError::OtherCount),
            (true, true) => Ok(Self { encoded, ends }),
        }
    }

    /// Compresses it for a chunk: one LZ4 block behind the 32-bit little-endian length of what it holds.
    #[must_use]
    pub fn compress(&self) -> Vec<u8> {
        lz4_flex::block::compress_prepend_size(&self.encoded)
    }

    /// Reads the entries of a chunk, which must be exactly `count`. The declared length is checked before anything is
    /// allocated for it.
    ///
    /// # Errors
    /// When the bytes are no such block, or as [`Self::decode`].
    pub fn decompress(stored: &[u8], count: u32) -> Result<Self, BundleError> {
        let (declared, block) = stored.split_first_chunk::<4>().ok_or(BundleError::CutOff)?;
        let declared = usize::try_from(u32::from_le_bytes(*declared))
            .map_err(|_beyond| BundleError::TooLarge)?;
        let entries = usize::try_from(count)
            .unwrap_or(usize::MAX)
            .min(ENTRIES_MAX);
        // LZ4 cannot expand a byte to more than 255.
        if declared > entries * (2 + ENTRY_BYTES_MAX) || declared > block.len().saturating_mul(255)
        {
            return Err(BundleError::TooLarge);
        }
        let encoded = lz4_flex::block::decompress(block, declared).map_err(|source| {
            BundleError::Compression {
                source: Box::new(source),
            }
        })?;
        if encoded.len() != declared {
            return Err(BundleError::CutOff);
        }
        Self::decode(encoded, count)
    }

    /// The bundle's bytes, as they are served.
    #[must_use]
    pub fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// How many entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// An entry by its place in the bundle.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<&[u8]> {
        let before = match place.checked_sub(1) {
            Some(previous) => *self.ends.get(previous)?,
            None => 0,
        };
        self.encoded.get(before + 2..*self.ends.get(place)?)
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|place| self.get(place))
    }
}

/// Bytes that are no entry bundle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// An entry is longer than an entry can be.
    #[error("an entry is longer than 1,024 bytes")]
    EntryTooLong,
    /// More entries than a bundle may have.
    #[error("too many entries")]
    TooMany,
    /// It declares more bytes than its entries can have.
    #[error("the declared length is too large")]
    TooLarge,
    /// It ends in the middle.
    #[error("the bundle is cut off")]
    CutOff,
    /// It holds another number of entries than it should.
    #[error("the bundle holds another number of entries")]
    OtherCount,
    /// The block cannot be decompressed.
    #[error("the block cannot be decompressed")]
    Compression {
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Vec<u8>> {
        (0..300usize)
            .map(|n| vec![b'e'; n * 7 % 1_025])
            .chain([vec![0; 1_024], vec![]])
            .collect()
    }

    fn bundle() -> Bundle {
        Bundle::of(entries().iter().map(Vec::as_slice)).unwrap()
    }

    #[test]
    fn bundles_round_trip() {
        let bundle = bundle();
        assert_eq!(
            bundle.iter().map(<[u8]>::to_vec).collect::<Vec<_>>(),
            entries()
        );
        assert_eq!(
            Bundle::decode(bundle.encoded().to_vec(), 302).unwrap(),
            bundle
        );
        assert_eq!(Bundle::decompress(&bundle.compress(), 302).unwrap(), bundle);
        assert_eq!(bundle.get(302), None);
        let empty = Bundle::of([]).unwrap();
        assert!(Bundle::decompress(&empty.compress(), 0).unwrap().is_empty());
    }

    #[test]
    fn the_encoding_is_that_of_the_specification() {
        let bundle = Bundle::of([b"ab".as_slice(), b"", b"c"]).unwrap();
        assert_eq!(bundle.encoded(), b"\x00\x02ab\x00\x00\x00\x01c");
        // 32-bit little-endian length, then an LZ4 block of one literal run.
        assert_eq!(
            bundle.compress(),
            b"\x09\x00\x00\x00\x90\x00\x02ab\x00\x00\x00\x01c"
        );
    }

    #[test]
    fn every_cut_and_every_other_count_is_refused() {
        let encoded = bundle().encoded().to_vec();
        for cut in 0..encoded.len() {
            assert!(
                Bundle::decode(encoded[..cut].to_vec(), 302).is_err(),
                "{cut}"
            );
        }
        for count in [0, 1, 301, 303, u32::MAX] {
            assert!(Bundle::decode(encoded.clone(), count).is_err(), "{count}");
        }
        assert!(matches!(
            Bundle::decode(vec![4, 1, 0], 1),
            Err(BundleError::EntryTooLong)
        ));
        assert!(matches!(
            Bundle::of([[0; 1_025].as_slice()]),
            Err(BundleError::EntryTooLong)
        ));
        assert!(matches!(
            Bundle::of((0..=ENTRIES_MAX).map(|_| b"".as_slice())),
            Err(BundleError::TooMany)
        ));
    }

    #[test]
    fn a_lying_length_is_refused_before_allocating() {
        let mut stored = bundle().compress();
        stored[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(
            Bundle::decompress(&stored, 302),
            Err(BundleError::TooLarge)
        ));
        assert!(matches!(
            Bundle::decompress(&stored, u32::MAX),
            Err(BundleError::TooLarge)
        ));
        // Possible for LZ4, impossible for one entry.
        let zeros = Bundle::of([[0; 1_024].as_slice(); 40]).unwrap().compress();
        assert!(matches!(
            Bundle::decompress(&zeros, 1),
            Err(BundleError::TooLarge)
        ));
        let right = bundle().encoded().len() as u32;
        for lie in [0, 1, right - 1, right + 1] {
            stored[..4].copy_from_slice(&lie.to_le_bytes());
            assert!(Bundle::decompress(&stored, 302).is_err(), "{lie}");
        }
        assert!(matches!(
            Bundle::decompress(&[1, 0], 1),
            Err(BundleError::CutOff)
        ));
    }
}
