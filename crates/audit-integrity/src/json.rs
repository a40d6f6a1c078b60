//! The few pieces of JSON that a header needs: escaped strings out, and back in.

use std::borrow::Cow;

/// Appends `text` as a JSON string, escaped as `docs/event-format.md` section 1 says.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    if text.bytes().any(needs_escape) {
        text.bytes().for_each(|byte| write_byte(out, byte));
    } else {
        out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn write_byte(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        0x08 => out.extend_from_slice(b"\\b"),
        b'\t' => out.extend_from_slice(b"\\t"),
        b'\n' => out.extend_from_slice(b"\\n"),
        0x0c => out.extend_from_slice(b"\\f"),
        b'\r' => out.extend_from_slice(b"\\r"),
        control if control < 0x20 => out.extend_from_slice(format!("\\u{control:04x}").as_bytes()),
        plain => out.push(plain),
    }
}

/// Reads a header's text front to back.
///
/// It knows only the escapes that [`write_string`] writes. Its caller writes what it read again and compares, so
/// leniency here cannot let a second spelling pass.
pub(crate) struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// Takes exactly this text.
    pub(crate) fn literal(&mut self, expected: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(expected)?;
        Some(())
    }

    /// Takes everything up to `end`, which is taken too.
    pub(crate) fn until(&mut self, end: char) -> Option<&'a str> {
        let (taken, rest) = self.rest.split_once(end)?;
        self.rest = rest;
        Some(taken)
    }

    /// Takes the inside of a string and its closing quote; the opening one is already taken.
    pub(crate) fn string(&mut self) -> Option<Cow<'a, str>> {
        let end = closing_quote(self.rest)?;
        let raw = self.rest.get(..end)?;
        self.rest = self.rest.get(end + 1..)?;
        if raw.contains('\\') {
            unescape(raw).map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(raw))
        }
    }

    /// Whether everything has been taken.
    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

fn unescape(raw: &str) -> Option<String> {
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        text.push(match chars.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let digits = chars.as_str().get(..4)?;
                chars = chars.as_str().get(4..)?.chars();
                char::from_u32(u32::from_str_radix(digits, 16).ok()?)?
            }
            quoted @ ('"' | '\\') => quoted,
            _ => return None,
        });
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_round_trip_and_match_serde_json() {
        let all_low: String = (1..0x30u8).map(char::from).collect();
        for text in [
            "",
            "plain",
            "a\"b\\c\\",
            "\\",
            "\\\"",
            "é\u{2028}\u{1F600}/\u{7f}",
            &all_low,
        ] {
            let mut out = Vec::new();
            write_string(&mut out, text);
            let written = String::from_utf8(out).unwrap();
            assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
            let mut cursor = Cursor::new(&written);
            cursor.literal("\"").unwrap();
            assert_eq!(cursor.string().unwrap(), text);
            assert!(cursor.is_at_end());
        }
    }

    #[test]
    fn broken_strings_are_refused() {
        for raw in [
            "no end",
            "ends in \\",
            "\\x\"",
            "\\u00\"",
            "\\ud800\"",
            "\\u00é\"",
        ] {
            assert_eq!(Cursor::new(raw).string(), None, "{raw}");
        }
    }
}
