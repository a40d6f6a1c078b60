//! Entries without their row, and rows of another event: together they tell moved rows from deleted and edited ones.

use std::collections::BTreeMap;

use audit_event::EventId;

/// Places remembered; beyond this each is judged alone, so a swap across a wholly rewritten ledger may be told as edits.
const PLACES_MAX: usize = 100_000;

/// What was found at one leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) leaf: u64,
    /// The event that was sealed here.
    pub(super) sealed: EventId,
    /// The row found here, when it is another event's.
    pub(super) found: Option<Stranger>,
}

/// A row that says it is another event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stranger {
    pub(super) id: EventId,
    pub(super) columns: Vec<&'static str>,
}

/// What became of the event that was sealed at a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its row is stored under another leaf.
    MovedTo(u64),
    /// No row of it is left.
    Gone,
    /// Its row was altered, the id too.
    Edited(Vec<&'static str>),
}

/// Places in leaf order.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<Place>);

impl Places {
    /// Remembers a place; gives it back when there is no room.
    pub(super) fn add(&mut self, place: Place) -> Option<Place> {
        if self.0.len() >= PLACES_MAX {
            return Some(place);
        }
        self.0.push(place);
        None
    }

    /// Judges every place, in leaf order.
    pub(super) fn judge(self) -> impl Iterator<Item = (Place, Verdict)> {
        let homes: BTreeMap<EventId, u64> = self
            .0
            .iter()
            .map(|place| (place.sealed, place.leaf))
            .collect();
        let strangers = self
            .0
            .iter()
            .filter_map(|place| Some((place.found.as_ref()?.id, place.leaf)));
        let moved: BTreeMap<EventId, u64> =
            strangers.filter(|(id, _)| homes.contains_key(id)).collect();
        self.0.into_iter().map(move |place| {
            let verdict = match (moved.get(&place.sealed), &place.found) {
                (Some(to), _) => Verdict::MovedTo(*to),
                // A moved row covers this place; its own event's row is nowhere.
                (None, Some(stranger)) if homes.contains_key(&stranger.id) => Verdict::Gone,
                (None, Some(stranger)) => Verdict::Edited(stranger.columns.clone()),
                (None, None) => Verdict::Gone,
            };
            (place, verdict)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> EventId {
        EventId::from_bytes([n; 16])
    }

    fn check(places: &[(u64, u8, Option<u8>)], expected: &[Verdict]) {
        let mut all = Places::default();
        for (leaf, sealed, found) in places {
            let found = found.map(|n| Stranger {
                id: id(n),
                columns: vec!["id"],
            });
            assert_eq!(
                all.add(Place {
                    leaf: *leaf,
                    sealed: id(*sealed),
                    found
                }),
                None
            );
        }
        let verdicts: Vec<_> = all.judge().map(|(_, verdict)| verdict).collect();
        assert_eq!(verdicts, expected, "{places:?}");
    }

    #[test]
    fn moved_deleted_and_edited_are_told_apart() {
        check(&[(3, 1, None)], &[Verdict::Gone]);
        check(&[(3, 1, Some(9))], &[Verdict::Edited(vec!["id"])]);
        check(
            &[(3, 1, Some(2)), (4, 2, Some(1))],
            &[Verdict::MovedTo(4), Verdict::MovedTo(3)],
        );
        check(
            &[(3, 1, Some(2)), (4, 2, None)],
            &[Verdict::Gone, Verdict::MovedTo(3)],
        );
    }
}
