//! C2SP tlog-tiles: full tiles as a ledger grows, partial ones on demand.

use std::fmt;
use std::str::FromStr;

use crate::head::{CompactRange, RangeMismatch};
use crate::ledger::Digest;
use crate::tree::root_of_leaves;

/// Address of a tile: level 0 holds leaf hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// 0..=5 in practice.
    pub level: u8,
    /// Position on the level.
    pub index: u64,
}

impl TileId {
    /// The id after which the tiles from this one on come, in the order of level and index; `None` when that is all of them.
    #[must_use]
    pub fn before(self) -> Option<Self> {
        match (self.level.checked_sub(1), self.index.checked_sub(1)) {
            (_, Some(index)) => Some(Self { index, ..self }),
            // The greatest that a store can hold, even a tampered one.
            (Some(level), None) => Some(Self {
                level,
                index: i64::MAX.unsigned_abs(),
            }),
            (None, None) => None,
        }
    }
}

/// A full tile: 256 hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FullTile {
    /// Its address.
    pub id: TileId,
    /// 256 hashes of 32 bytes.
    pub hashes: Vec<u8>,
}

impl FullTile {
    /// Root of the subtree that this tile spans: its hash in the tile one level up.
    #[must_use]
    pub fn root(&self) -> Digest {
        root_of_leaves(digests_of(&self.hashes))
    }
}

/// A tile as a tree of some size has it: full, or the partial one at the right edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileRef {
    /// Its address.
    pub id: TileId,
    /// How many hashes it holds, 1..=256.
    pub width: u16,
}

impl TileRef {
    /// The tile at an address in a tree of `size` leaves; `None` when it would be empty.
    #[must_use]
    pub fn in_tree(id: TileId, size: u64) -> Option<Self> {
        let on_level = size.checked_shr(8 * u32::from(id.level)).unwrap_or(0);
        let width = on_level
            .saturating_sub(id.index.checked_mul(TILE_WIDTH)?)
            .min(TILE_WIDTH);
        u16::try_from(width)
            .ok()
            .filter(|width| *width > 0)
            .map(|width| Self { id, width })
    }

    /// Whether it is a full tile, the only kind that is stored.
    #[must_use]
    pub fn is_full(&self) -> bool {
        u64::from(self.width) == TILE_WIDTH
    }

    /// The full tiles one level down whose roots are this tile's hashes, in order; empty on level 0, whose hashes are
    /// the leaves `256 * index ..`.
    pub fn below(self) -> impl Iterator<Item = TileId> {
        let first = self.id.index.saturating_mul(TILE_WIDTH);
        let level = self.id.level.checked_sub(1);
        (first..first.saturating_add(u64::from(self.width)))
            .filter_map(move |index| level.map(|level| TileId { level, index }))
    }
}

/// A resource below a tlog-tiles prefix: `tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TilePath {
    /// Hashes.
    Tile(TileRef),
    /// The entries behind a tile of level 0.
    Entries {
        /// Index of that tile.
        index: u64,
        /// How many entries, 1..=256.
        width: u16,
    },
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, width) = match self {
            Self::Tile(tile) => {
                write!(f, "tile/{}/", tile.id.level)?;
                (tile.id.index, tile.width)
            }
            Self::Entries { index, width } => {
                f.write_str("tile/entries/")?;
                (*index, *width)
            }
        };
        write_index(f, index)?;
        if u64::from(width) == TILE_WIDTH {
            Ok(())
        } else {
            write!(f, ".p/{width}")
        }
    }
}

/// Three digits an element, all but the last behind an `x`.
fn write_index(f: &mut fmt::Formatter<'_>, index: u64) -> fmt::Result {
    let above = index / 1_000;
    if above > 0 {
        write_elements(f, above)?;
    }
    write!(f, "{:03}", index % 1_000)
}

fn write_elements(f: &mut fmt::Formatter<'_>, index: u64) -> fmt::Result {
    if index >= 1_000 {
        write_elements(f, index / 1_000)?;
    }
    write!(f, "x{:03}/", index % 1_000)
}

impl FromStr for TilePath {
    type Err = NotATilePath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = parse_path(text).ok_or(NotATilePath)?;
        // Signs, missing or extra zeros and elements do not survive being written again.
        if parsed.to_string() == text {
            Ok(parsed)
        } else {
            Err(NotATilePath)
        }
    }
}

fn parse_path(text: &str) -> Option<TilePath> {
    let (level, rest) = text.strip_prefix("tile/")?.split_once('/')?;
    let (elements, width) = match rest.split_once(".p/") {
        Some((elements, width)) => (
            elements,
            width
                .parse()
                .ok()
                .filter(|width| (1..=255).contains(width))?,
        ),
        None => (rest, 256),
    };
    let index = elements.split('/').try_fold(0u64, |index, element| {
        let digits: u64 = element.strip_prefix('x').unwrap_or(element).parse().ok()?;
        index.checked_mul(1_000)?.checked_add(digits)
    })?;
    if level == "entries" {
        return Some(TilePath::Entries { index, width });
    }
    let level = level.parse().ok().filter(|level| *level <= 63)?;
    Some(TilePath::Tile(TileRef {
        id: TileId { level, index },
        width,
    }))
}

/// The text is not the path of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a path of the form tile/<L>/<N>[.p/<W>] or tile/entries/<N>[.p/<W>]")]
pub struct NotATilePath;

/// The hashes in a tile's bytes; a remainder of fewer than 32 bytes is left out.
pub fn digests_of(bytes: &[u8]) -> impl Iterator<Item = Digest> {
    bytes.as_chunks::<32>().0.iter().map(|hash| Digest(*hash))
}

/// A tile's bytes.
#[must_use]
pub fn bytes_of(digests: &[Digest]) -> Vec<u8> {
    digests.iter().flat_map(|digest| digest.0).collect()
}

/// Hashes a tile has.
pub const TILE_WIDTH: u64 = 256;

/// Collects leaves and gives out every tile that fills. Holds at most 255 hashes a level.
///
/// Rebuilt after a restart from the partial tiles of the committed tree.
#[derive(Debug, Clone, Default)]
pub struct TileBuilder {
    levels: Vec<Vec<Digest>>,
    size: u64,
}

impl TileBuilder {
    /// From the unfilled part of every level at this size: level L holds `(size / 256^L) % 256` hashes.
    ///
    /// # Errors
    /// When the parts do not have that shape.
    pub fn from_partials(size: u64, mut levels: Vec<Vec<Digest>>) -> Result<Self, RangeMismatch> {
        while levels.last().is_some_and(Vec::is_empty) {
            levels.pop();
        }
        // A size of 64 bits has 8 levels; a ninth can only be wrong.
        let fits = |level: usize| {
            let expected = size
                .checked_shr(8 * u32::try_from(level).unwrap_or(u32::MAX))
                .unwrap_or(0)
                % TILE_WIDTH;
            levels.get(level).map_or(0, Vec::len) as u64 == expected
        };
        let right = levels.len() <= 8 && (0..8).all(fits);
        if right {
            Ok(Self { levels, size })
        } else {
            Err(RangeMismatch)
        }
    }

    /// Appends a leaf; tiles that became full are pushed to `full`.
    pub fn push(&mut self, leaf: Digest, full: &mut Vec<FullTile>) {
        self.size += 1;
        let mut hash = leaf;
        let mut above = self.size;
        for level in 0u8.. {
            let row = self.row(level);
            row.push(hash);
            if (row.len() as u64) < TILE_WIDTH {
                return;
            }
            above /= TILE_WIDTH;
            let tile = FullTile {
                id: TileId {
                    level,
                    index: above - 1,
                },
                hashes: bytes_of(row),
            };
            row.clear();
            hash = tile.root();
            full.push(tile);
        }
    }

    /// The unfilled part of a level, made when a leaf first reaches it.
    fn row(&mut self, level: u8) -> &mut Vec<Digest> {
        let level = usize::from(level);
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, Vec::new);
        }
        // The row was made above.
        #[expect(clippy::indexing_slicing, reason = "resized to level + 1 just above")]
        &mut self.levels[level]
    }

    /// Leaves so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The unfilled part of every level, lowest first; what [`Self::from_partials`] takes.
    #[must_use]
    pub fn partials(&self) -> &[Vec<Digest>] {
        &self.levels
    }

    /// The compact range of the same leaves; a rebuilt builder is right when this has the head's root.
    #[must_use]
    pub fn range(&self) -> CompactRange {
        // A level's unfilled part has as many hashes as the size has there in base 256, so the roots that its one-bits
        // ask for are those of the part itself.
        let of_level = |hashes: &Vec<Digest>| {
            let mut range = CompactRange::default();
            hashes.iter().for_each(|hash| range.push(*hash));
            range.roots().to_vec()
        };
        CompactRange::of(
            self.size,
            self.levels.iter().rev().flat_map(of_level).collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::leaf_hash;

    #[test]
    fn paths_of_the_specification() {
        let tile = |level, index, width| {
            TilePath::Tile(TileRef {
                id: TileId { level, index },
                width,
            })
        };
        // c2sp.org/tlog-tiles, "Merkle Tree": the index 1234067 and the tree of 70,000.
        for (path, text) in [
            (tile(0, 1_234_067, 256), "tile/0/x001/x234/067"),
            (tile(0, 273, 112), "tile/0/273.p/112"),
            (tile(1, 0, 256), "tile/1/000"),
            (tile(1, 1, 17), "tile/1/001.p/17"),
            (tile(2, 0, 1), "tile/2/000.p/1"),
            (tile(63, 1_000, 255), "tile/63/x001/000.p/255"),
            (
                tile(0, u64::MAX, 256),
                "tile/0/x018/x446/x744/x073/x709/x551/615",
            ),
            (
                TilePath::Entries {
                    index: 1_234_067,
                    width: 256,
                },
                "tile/entries/x001/x234/067",
            ),
            (
                TilePath::Entries { index: 0, width: 9 },
                "tile/entries/000.p/9",
            ),
        ] {
            assert_eq!(path.to_string(), text);
            assert_eq!(text.parse(), Ok(path));
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "",
            "tile",
            "tile/0",
            "tile/0/",
            "tile/0/0",
            "tile/0/00",
            "tile/0/0000",
            "tile/0/+01",
            "tile/00/000",
            "tile/64/000",
            "tile/-1/000",
            "tile/0/x000/001",
            "tile/0/001/002",
            "tile/0/x001/x002",
            "tile/0/x001",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/",
            "tile/0/000.p/1/",
            "tile/0/000/",
            "tile/0/000.p/1.p/1",
            "/tile/0/000",
            "tile/0/x018/x446/x744/x073/x709/x551/616",
            "tile/entries/",
        ] {
            assert_eq!(text.parse::<TilePath>(), Err(NotATilePath), "{text}");
        }
    }

    #[test]
    fn widths_in_the_tree_of_70_000() {
        let width =
            |level, index| TileRef::in_tree(TileId { level, index }, 70_000).map(|tile| tile.width);
        assert_eq!(
            [width(0, 272), width(0, 273), width(0, 274)],
            [Some(256), Some(112), None]
        );
        assert_eq!(
            [width(1, 0), width(1, 1), width(1, 2)],
            [Some(256), Some(17), None]
        );
        assert_eq!(
            [width(2, 0), width(3, 0), width(9, 0)],
            [Some(1), None, None]
        );
        let below: Vec<_> = TileRef {
            id: TileId { level: 1, index: 1 },
            width: 17,
        }
        .below()
        .collect();
        assert_eq!(
            (
                below.first().unwrap().index,
                below.last().unwrap().index,
                below.len()
            ),
            (256, 272, 17)
        );
    }

    #[test]
    fn tiles_fill_level_by_level_and_a_rebuilt_builder_goes_on() {
        let leaf = |n: u64| leaf_hash(&n.to_be_bytes());
        let (mut builder, mut range, mut full) =
            (TileBuilder::default(), CompactRange::default(), Vec::new());
        for n in 0..65_536 + 300 {
            if n % 9_973 == 0 {
                builder = TileBuilder::from_partials(builder.size(), builder.partials().to_vec())
                    .unwrap();
                assert_eq!(builder.range(), range);
            }
            builder.push(leaf(n), &mut full);
            range.push(leaf(n));
        }
        assert_eq!(builder.range(), range);
        let ids: Vec<_> = full
            .iter()
            .filter(|tile| tile.id.level > 0)
            .map(|tile| tile.id)
            .collect();
        assert_eq!(ids, [TileId { level: 1, index: 0 }]);
        assert_eq!(full.len(), 258);
        let top = full.iter().find(|tile| tile.id.level == 1).unwrap();
        assert_eq!(top.root(), root_of_leaves((0..65_536).map(leaf)));
        assert_eq!(
            digests_of(&top.hashes).nth(3),
            Some(root_of_leaves((768..1_024).map(leaf)))
        );
    }

    #[test]
    fn partials_of_another_shape_are_refused() {
        let hash = leaf_hash(b"x");
        for (size, levels) in [
            (0, vec![vec![hash]]),
            (1, vec![]),
            (256, vec![vec![hash]]),
            (257, vec![vec![hash]]),
            (1, vec![vec![hash], vec![hash]]),
            (0, [vec![Vec::new(); 9], vec![vec![hash]]].concat()),
        ] {
            assert!(TileBuilder::from_partials(size, levels).is_err(), "{size}");
        }
        assert!(TileBuilder::from_partials(257, vec![vec![hash], vec![hash], vec![]]).is_ok());
    }
}
