//! Numbers, texts and lists as bytes: big-endian, with lengths before lists and texts. What snapshots and batches are written in.

use std::sync::Arc;

use audit_event::{EventId, OrganizationId, Timestamp};
use audit_integrity::ledger::{LeafIndex, LedgerId};

use crate::observation::{Evidence, Group, Measured, Position};

/// What is written so far.
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.u64(u64::try_from(text.len()).unwrap_or(u64::MAX));
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn list<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        write: impl Fn(&mut Self, T),
    ) {
        self.u64(u64::try_from(items.len()).unwrap_or(u64::MAX));
        for item in items {
            write(self, item);
        }
    }

    pub(crate) fn option<T>(&mut self, value: Option<T>, write: impl Fn(&mut Self, T)) {
        self.0.push(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    pub(crate) fn ledger(&mut self, id: LedgerId) {
        let number = match id {
            LedgerId::Events(number) => i64::from(number),
            LedgerId::Directory => -1,
        };
        self.i64(number);
    }

    pub(crate) fn evidence(&mut self, evidence: &Evidence) {
        self.i64(evidence.at.micros());
        self.0.extend_from_slice(evidence.event.as_bytes());
        self.ledger(evidence.position.ledger);
        self.u64(evidence.position.leaf.0);
    }

    pub(crate) fn measured(&mut self, measured: Measured) {
        match measured {
            Measured::Presence => self.0.push(0),
            Measured::Token(token) => {
                self.0.push(1);
                self.0.extend_from_slice(&token);
            }
            Measured::Millionths(number) => {
                self.0.push(2);
                self.0.extend_from_slice(&number.to_be_bytes());
            }
        }
    }

    pub(crate) fn group(&mut self, group: &Group) {
        self.text(group.organization.as_str());
        self.list(group.values.iter(), |out, (name, value)| {
            out.text(name);
            out.option(value.as_deref(), Self::text);
        });
    }
}

/// What is left to read. Bytes of anybody's give `None`, and no more memory than they have.
pub(crate) struct Reader<'b>(pub(crate) &'b [u8]);

impl Reader<'_> {
    pub(crate) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_be_bytes)
    }

    pub(crate) fn flag(&mut self) -> Option<bool> {
        match self.take::<1>()? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.u64()?).ok()?;
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(head.to_vec()).ok()
    }

    /// A list takes no memory before its items are there.
    pub(crate) fn list<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = self.u64()?;
        (0..length).map(|_| read(self)).collect()
    }

    #[expect(
        clippy::option_option,
        reason = "whether it can be read, and whether it is there"
    )]
    pub(crate) fn option<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag()? {
            read(self).map(Some)
        } else {
            Some(None)
        }
    }

    pub(crate) fn ledger(&mut self) -> Option<LedgerId> {
        match self.i64()? {
            -1 => Some(LedgerId::Directory),
            number => u16::try_from(number).ok().map(LedgerId::Events),
        }
    }

    pub(crate) fn timestamp(&mut self) -> Option<Timestamp> {
        Timestamp::from_micros(self.i64()?)
    }

    pub(crate) fn evidence(&mut self) -> Option<Evidence> {
        Some(Evidence {
            at: self.timestamp()?,
            event: EventId::from_bytes(self.take()?),
            position: Position {
                ledger: self.ledger()?,
                leaf: LeafIndex(self.u64()?),
            },
        })
    }

    pub(crate) fn measured(&mut self) -> Option<Measured> {
        match self.take::<1>()? {
            [0] => Some(Measured::Presence),
            [1] => Some(Measured::Token(self.take()?)),
            [2] => Some(Measured::Millionths(i128::from_be_bytes(self.take()?))),
            _ => None,
        }
    }

    pub(crate) fn group(&mut self) -> Option<Arc<Group>> {
        let organization = OrganizationId::new(&self.text()?);
        let values = self.list(|from| Some((from.text()?, from.option(Self::text)?)))?;
        Some(Arc::new(Group {
            organization,
            values,
        }))
    }
}
