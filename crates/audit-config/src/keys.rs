//! Every key there is. To add one: an entry here, a field in [`Settings`](crate::Settings), and the line in `resolve` that
//! fills it; a test says when one of the three is missing.

mod alerts;
mod compat;
mod detection;
mod ingest;
mod process;
mod queue;
mod sources;
mod store;

use crate::key::Key;

pub(crate) use detection::DAYS;
pub(crate) use queue::{HOLD_MILLIS_MAX, REDIS};
pub(crate) use store::POSTGRES;

/// In the order of the documents.
const SECTIONS: [&[Key]; 8] = [
    process::KEYS,
    store::KEYS,
    queue::KEYS,
    ingest::KEYS,
    compat::KEYS,
    sources::KEYS,
    detection::KEYS,
    alerts::KEYS,
];

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Key> {
    SECTIONS.into_iter().flatten()
}

/// The key at a path.
pub(crate) fn find(path: &str) -> Option<&'static Key> {
    all().find(|key| key.path == path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::key::{Kind, Standard};

    #[test]
    fn no_key_stands_twice_or_is_a_section_of_another() {
        let paths: BTreeSet<_> = all().map(|key| key.path).collect();
        assert_eq!(paths.len(), all().count());
        for path in &paths {
            let inside = format!("{path}.");
            assert!(
                !paths.iter().any(|other| other.starts_with(&inside)),
                "{path}"
            );
        }
    }

    #[test]
    fn a_default_is_what_its_key_allows() {
        for key in all() {
            let fits = match (key.kind, key.default) {
                (_, Standard::None | Standard::Depends(_)) => true,
                (Kind::Flag, Standard::Flag(_)) | (Kind::Text, Standard::Text(_)) => true,
                (Kind::Number { min, max }, Standard::Whole(number)) => {
                    let number = f64::from(u32::try_from(number).expect("a small number"));
                    (min..=max).contains(&number)
                }
                (Kind::Words(words), Standard::List(list)) => {
                    list.iter().all(|word| words.contains(word))
                }
                (Kind::Ranges, default @ Standard::List(_)) => default.value(&key.kind).is_some(),
                (Kind::Whole { min, max, .. }, Standard::Whole(number)) => {
                    (min..=max).contains(&number)
                }
                (Kind::OneOf(words), Standard::Text(word)) => words.contains(&word),
                (Kind::Address, default @ Standard::Text(_)) => default.value(&key.kind).is_some(),
                _ => false,
            };
            assert!(fits, "{key:?}");
        }
    }
}
