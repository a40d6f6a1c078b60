//! The claims about a ledger's tree that lie ahead, and what becomes of each when its size is reached.

use std::collections::BTreeMap;

use super::Source;
use crate::head::CompactRange;
use crate::ledger::Digest;
use crate::tree::Tree;

/// Who says what the tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    /// A signed note of this source.
    Note(Source),
    /// A snapshot in the directory, itself under a signed note.
    Snapshot,
    /// The head; only lanes can make its MAC, but nobody signed it.
    Head,
}

impl Voice {
    /// Whether agreeing with it makes events valid.
    pub(super) fn is_signed(self) -> bool {
        !matches!(self, Self::Head)
    }

    pub(super) fn source(self) -> Option<Source> {
        match self {
            Self::Note(source) => Some(source),
            Self::Snapshot => Some(Source::Database),
            Self::Head => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Note(Source::Database) => "a stored checkpoint",
            Self::Note(Source::Anchor) => "the anchor's checkpoint",
            Self::Note(Source::Request) => "the given checkpoint",
            Self::Snapshot => "a snapshot in the directory",
            Self::Head => "the head",
        }
    }
}

/// The tree as it grows, and the claims ahead of it.
#[derive(Debug, Default)]
pub(super) struct Trees {
    range: CompactRange,
    claims: BTreeMap<u64, Vec<(Digest, Voice)>>,
    /// Size of the nearest claim ahead: one comparison a leaf.
    nearest: Option<u64>,
}

/// What the claims of one size came to.
#[derive(Debug, Default)]
pub(super) struct Reached {
    pub(super) agreed: Vec<(Tree, Voice)>,
    pub(super) disagreed: Vec<(Tree, Voice)>,
}

impl Trees {
    /// Adds a claim. One about a size that was passed already comes back: it can no longer be compared.
    pub(super) fn claim(&mut self, tree: Tree, voice: Voice) -> Result<Reached, Tree> {
        if tree.size < self.range.size() {
            return Err(tree);
        }
        let claims = self.claims.entry(tree.size).or_default();
        if !claims.contains(&(tree.root, voice)) {
            claims.push((tree.root, voice));
        }
        self.nearest = self.claims.keys().next().copied();
        Ok(self.reached().unwrap_or_default())
    }

    /// Appends a leaf; the claims about the new size, when there are any.
    pub(super) fn push(&mut self, leaf: Digest) -> Option<Reached> {
        self.range.push(leaf);
        self.reached()
    }

    pub(super) fn size(&self) -> u64 {
        self.range.size()
    }

    /// Claims that were not reached.
    pub(super) fn ahead(&self) -> impl Iterator<Item = (Tree, Voice)> {
        self.claims.iter().flat_map(|(size, claims)| {
            claims.iter().map(|(root, voice)| {
                (
                    Tree {
                        size: *size,
                        root: *root,
                    },
                    *voice,
                )
            })
        })
    }

    fn reached(&mut self) -> Option<Reached> {
        let size = self.range.size();
        if self.nearest != Some(size) {
            return None;
        }
        let claims = self.claims.remove(&size)?;
        self.nearest = self.claims.keys().next().copied();
        let root = self.range.root();
        let mut reached = Reached::default();
        for (claimed, voice) in claims {
            let list = if claimed == root {
                &mut reached.agreed
            } else {
                &mut reached.disagreed
            };
            list.push((
                Tree {
                    size,
                    root: claimed,
                },
                voice,
            ));
        }
        Some(reached)
    }
}
