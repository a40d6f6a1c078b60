//! The words of a canonical event: its values, without the names of its members.

/// All strings and numbers of a canonical event, one a line, for the tokenizer.
///
/// A scan rather than a parse: canonical form has no white space, so a string is a member's name exactly when a colon
/// follows. What cannot be read is left out; the index may miss a word of an altered row, verification will not.
pub(crate) fn of(canonical: &[u8]) -> String {
    let mut words = String::with_capacity(canonical.len() / 2);
    let mut rest = canonical;
    while let Some((first, tail)) = rest.split_first() {
        rest = match first {
            b'"' => string(tail, &mut words),
            b'-' | b'0'..=b'9' => number(rest, &mut words),
            _ => tail,
        };
    }
    words
}

/// Takes a string whose opening quote is gone; gives back what follows it.
fn string<'a>(text: &'a [u8], words: &mut String) -> &'a [u8] {
    let end = closing_quote(text);
    let (inside, rest) = text.split_at(end);
    let rest = rest.get(1..).unwrap_or_default();
    if rest.first() != Some(&b':') {
        unescape(inside, words);
        words.push('\n');
    }
    rest
}

/// Index of the quote that ends the string, or the end of the text.
fn closing_quote(text: &[u8]) -> usize {
    let mut escaped = false;
    for (index, byte) in text.iter().enumerate() {
        match byte {
            b'"' if !escaped => return index,
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// Every escape of canonical form stands for a character no word contains, but for the quote and the reverse solidus,
/// which no word contains either: a space does for all.
fn unescape(inside: &[u8], words: &mut String) {
    let text = String::from_utf8_lossy(inside);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            words.push(character);
            continue;
        }
        words.push(' ');
        if characters.next() == Some('u') {
            // The four digits are not part of any word.
            characters.nth(3);
        }
    }
}

/// Takes a number; gives back what follows it.
fn number<'a>(text: &'a [u8], words: &mut String) -> &'a [u8] {
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e');
    let end = text
        .iter()
        .position(|byte| !is_part(byte))
        .unwrap_or(text.len());
    let (inside, rest) = text.split_at(end);
    words.push_str(&String::from_utf8_lossy(inside));
    words.push('\n');
    rest
}

#[cfg(test)]
mod tests {
    use super::of;

    fn check(canonical: &str, words: &str) {
        assert_eq!(of(canonical.as_bytes()), words);
    }

    #[test]
    fn values_are_words_and_names_are_not() {
        check(
            r#"{"action":"patient.read","details":{"n":-1.5e+30,"t":["a","b"]}}"#,
            "patient.read\n-1.5e+30\na\nb\n",
        );
    }

    #[test]
    fn an_escape_separates_words() {
        check(
            r#"{"a":"one\ntwo\u001fthree\"four\\five"}"#,
            "one two three four five\n",
        );
    }

    #[test]
    fn a_quote_before_a_colon_inside_a_value_is_no_name() {
        check(r#"{"a":"x\":y","b":"z"}"#, "x :y\nz\n");
    }

    #[test]
    fn text_that_breaks_off_does_not_panic() {
        check(r#"{"a":"open"#, "open\n");
        check("{\"a\":\"\\", " \n");
    }
}
