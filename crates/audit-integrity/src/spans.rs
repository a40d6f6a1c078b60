//! Slices of canonical JSON: members of an object without building a tree.
//!
//! Verification reads every stored event; a tree per event would be its whole cost. What is read here has a digest that was
//! signed, so the only promise needed of unknown bytes is that they are never believed: anything unexpected is `None`.

use std::borrow::Cow;
use std::ops::Range;

/// A member of an object: raw name (without quotes) and raw value.
#[derive(Debug, Clone)]
pub(crate) struct Member<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
    /// Where name, colon and value stand in the object.
    pub(crate) at: Range<usize>,
}

/// The members of a canonical object in order; `None` ends a broken one, see [`Members::is_complete`].
#[derive(Debug)]
pub(crate) struct Members<'a> {
    bytes: &'a [u8],
    at: usize,
    complete: bool,
}

impl<'a> Members<'a> {
    /// Of the bytes of one object, with nothing around it.
    pub(crate) fn of(object: &'a [u8]) -> Self {
        Self {
            bytes: object,
            at: 0,
            complete: object == b"{}",
        }
    }

    /// Whether everything up to the last byte was one object; only after the last member.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    fn member(&mut self) -> Option<Member<'a>> {
        let separator = if self.at == 0 { b'{' } else { b',' };
        if self.complete || self.bytes.get(self.at) != Some(&separator) {
            return None;
        }
        let start = self.at + 1;
        let name_end = string_end(self.bytes, start)?;
        if self.bytes.get(name_end) != Some(&b':') {
            return None;
        }
        let value_end = value_end(self.bytes, name_end + 1)?;
        self.at = value_end;
        self.complete = self.bytes.get(value_end..) == Some(b"}");
        Some(Member {
            name: self.bytes.get(start + 1..name_end - 1)?,
            value: self.bytes.get(name_end + 1..value_end)?,
            at: start..value_end,
        })
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.member()
    }
}

/// The bytes of a raw JSON string that has no escapes.
pub(crate) fn plain(raw: &[u8]) -> Option<&[u8]> {
    let inner = raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    memchr::memchr(b'\\', inner).is_none().then_some(inner)
}

/// The text of a raw JSON string; `None` when it is not one in canonical escapes.
pub(crate) fn text(raw: &[u8]) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let inner = std::str::from_utf8(inner).ok()?;
    if inner.contains('\\') {
        unescape(inner).map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

fn unescape(inner: &str) -> Option<String> {
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(match chars.next()? {
            'b' => '\u{8}',
            't' => '\t',
            'n' => '\n',
            'f' => '\u{c}',
            'r' => '\r',
            escaped @ ('"' | '\\') => escaped,
            'u' => char::from_u32(u32::from_str_radix(chars.as_str().get(..4)?, 16).ok()?)
                .inspect(|_| {
                    chars.nth(3);
                })?,
            _ => return None,
        });
    }
    Some(out)
}

/// The position after the string that begins at `at`.
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        match bytes.get(at) {
            Some(b'"') => return Some(at + 1),
            _ => at += 2,
        }
    }
}

/// The position after the value that begins at `at`.
fn value_end(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => string_end(bytes, at),
        b'{' | b'[' => container_end(bytes, at),
        _ => {
            let len = bytes
                .get(at..)?
                .iter()
                .position(|b| matches!(b, b',' | b'}' | b']'))?;
            (len > 0).then_some(at + len)
        }
    }
}

fn container_end(bytes: &[u8], at: usize) -> Option<usize> {
    let (mut at, mut depth) = (at, 0_u32);
    loop {
        at += bytes
            .get(at..)?
            .iter()
            .position(|b| matches!(b, b'"' | b'{' | b'[' | b'}' | b']'))?;
        match bytes.get(at)? {
            b'"' => at = string_end(bytes, at)?,
            b'{' | b'[' => (depth, at) = (depth + 1, at + 1),
            _ => {
                (depth, at) = (depth.checked_sub(1)?, at + 1);
                if depth == 0 {
                    return Some(at);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(object: &str, expected: Option<&[(&str, &str)]>) {
        let mut members = Members::of(object.as_bytes());
        let found: Vec<_> = members
            .by_ref()
            .map(|m| {
                (
                    String::from_utf8(m.name.to_vec()).unwrap(),
                    String::from_utf8(m.value.to_vec()).unwrap(),
                )
            })
            .collect();
        assert_eq!(members.is_complete(), expected.is_some(), "{object}");
        if let Some(expected) = expected {
            let expected: Vec<_> = expected
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect();
            assert_eq!(found, expected, "{object}");
        }
    }

    #[test]
    fn members_are_cut_where_they_end() {
        check("{}", Some(&[]));
        check(r#"{"a":1}"#, Some(&[("a", "1")]));
        check(
            r#"{"a":"x\"},{","b":[{"c":"]"},[]],"d":null}"#,
            Some(&[
                ("a", r#""x\"},{""#),
                ("b", r#"[{"c":"]"},[]]"#),
                ("d", "null"),
            ]),
        );
    }

    #[test]
    fn what_is_no_object_is_never_complete() {
        for broken in [
            "",
            "{",
            "[]",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1"#,
            r#"{"a":1}}"#,
            r#"{"a":1} "#,
            r#"{"a":"\"#,
            r#"{"a":[}"#,
            r#"{"a":1,}"#,
        ] {
            check(broken, None);
        }
    }

    #[test]
    fn canonical_escapes_are_undone() {
        assert_eq!(
            text(br#""a\u0001\n\"\\b""#).as_deref(),
            Some("a\u{1}\n\"\\b")
        );
        assert_eq!(text("\"é😀\"".as_bytes()).as_deref(), Some("é😀"));
        for broken in [&br#""\x""#[..], br#""\u00""#, br#"abc"#, b"\"\xff\""] {
            assert_eq!(text(broken), None);
        }
    }
}
