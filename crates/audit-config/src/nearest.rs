//! The known key a person most likely meant.

/// What is said of a key that nobody knows.
pub(crate) fn unknown(key: &str, known: &[&str]) -> String {
    match nearest(key, known) {
        Some(known) => format!("unknown key; did you mean {known}?"),
        None => "unknown key".to_owned(),
    }
}

/// The candidate with the fewest single-character edits, when it is near enough to be meant.
pub(crate) fn nearest<'c>(key: &str, candidates: &[&'c str]) -> Option<&'c str> {
    let best = candidates
        .iter()
        .map(|candidate| (distance(key, candidate), *candidate))
        .min()?;
    let limit = best.1.chars().count().max(3) * 2 / 3;
    (best.0 <= limit).then_some(best.1)
}

/// Levenshtein's distance, one row at a time.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (to, above) in b.iter().zip(row.iter().skip(1)) {
            let change = diagonal + usize::from(from != *to);
            left = change.min(above + 1).min(left + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted_and_far_words_are_not_meant() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(nearest("dataDri", &["listen", "dataDir"]), Some("dataDir"));
        assert_eq!(nearest("qqqqqqqqqqqq", &["listen"]), None);
    }
}
