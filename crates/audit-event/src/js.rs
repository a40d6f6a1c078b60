//! What `JSON.stringify(JSON.parse(text))` prints: producers in JavaScript signed that, so their preimages are
//! rebuilt from it.
//!
//! It differs from our canonical form: members stand in the order they were created in (names that are array indices
//! first), numbers are doubles, and half a surrogate pair is an escape.

use crate::canonical::escape_of;
use crate::number::ecmascript_text;
use crate::read::{ESCAPE_LEN, unit_at};
use crate::split::Scanner;

/// A value as JavaScript holds it, its scalars already printed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Js {
    /// A number, string, boolean or null as `JSON.stringify` prints it.
    Scalar(String),
    Array(Vec<Js>),
    /// Names with their quotes and escapes.
    Object(Vec<(String, Js)>),
}

impl Js {
    /// Reads text that the strict reader has accepted, but for lone surrogates; its depth is bounded there.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        read(&mut Scanner::new(text))
    }

    /// A member, by a name that needs no escapes.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else {
            return None;
        };
        let is_named = |quoted: &str| {
            quoted
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'))
                == Some(name)
        };
        members
            .iter()
            .find(|(quoted, _)| is_named(quoted))
            .map(|(_, value)| value)
    }

    /// Whether JavaScript takes it for false.
    pub(crate) fn is_falsy(&self) -> bool {
        matches!(self, Self::Scalar(text) if matches!(text.as_str(), "null" | "false" | "0" | "\"\""))
    }

    /// `JSON.stringify(value, filter)`: a filter names the members that are printed, at every depth, in its order.
    pub(crate) fn print(&self, filter: Option<&[&str]>, out: &mut String) {
        match self {
            Self::Scalar(text) => out.push_str(text),
            Self::Array(items) => {
                list(out, '[', ']', items, |item, out| item.print(filter, out));
            }
            Self::Object(members) => {
                let chosen: Vec<(String, &Self)> = match filter {
                    None => members
                        .iter()
                        .map(|(name, value)| (name.clone(), value))
                        .collect(),
                    Some(names) => {
                        let member = |name: &&str| Some((format!("\"{name}\""), self.get(name)?));
                        names.iter().filter_map(member).collect()
                    }
                };
                list(out, '{', '}', &chosen, |(name, value), out| {
                    out.push_str(name);
                    out.push(':');
                    value.print(filter, out);
                });
            }
        }
    }
}

fn list<T>(
    out: &mut String,
    open: char,
    close: char,
    items: &[T],
    mut print: impl FnMut(&T, &mut String),
) {
    out.push(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        print(item, out);
    }
    out.push(close);
}

fn read(text: &mut Scanner<'_>) -> Option<Js> {
    text.skip_space();
    match text.peek()? {
        b'{' => read_object(text),
        b'[' => read_array(text),
        b'"' => Some(Js::Scalar(reprint(text.string().ok()?)?)),
        b't' | b'f' | b'n' => Some(Js::Scalar(
            std::str::from_utf8(text.value().ok()?).ok()?.to_owned(),
        )),
        _ => Some(Js::Scalar(ecmascript_text(
            std::str::from_utf8(text.value().ok()?).ok()?,
        )?)),
    }
}

fn read_array(text: &mut Scanner<'_>) -> Option<Js> {
    let mut items = Vec::new();
    text.step();
    text.skip_space();
    while text.peek()? != b']' {
        items.push(read(text)?);
        skip_comma(text);
    }
    text.step();
    Some(Js::Array(items))
}

fn read_object(text: &mut Scanner<'_>) -> Option<Js> {
    let mut members = Vec::new();
    text.step();
    text.skip_space();
    while text.peek()? != b'}' {
        let name = reprint(text.string().ok()?)?;
        text.expect(b':').ok()?;
        members.push((name, read(text)?));
        skip_comma(text);
    }
    text.step();
    // Stable: all other names keep their order, 2^32 - 1 (which is no index) among them.
    members.sort_by_key(|(name, _)| array_index(name).unwrap_or(u32::MAX));
    Some(Js::Object(members))
}

fn skip_comma(text: &mut Scanner<'_>) {
    text.skip_space();
    if text.peek() == Some(b',') {
        text.step();
        text.skip_space();
    }
}

/// Names that are array indices, below 2^32 - 1, stand before all others, ascending.
fn array_index(quoted: &str) -> Option<u32> {
    let name = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let index: u32 = name.parse().ok()?;
    (index.to_string() == name).then_some(index)
}

/// A string token as `JSON.stringify` prints the string it stands for.
fn reprint(token: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(token.len());
    let inner = token.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    out.push(b'"');
    let mut at = 0;
    while let Some(&byte) = inner.get(at) {
        if byte != b'\\' {
            out.push(byte);
            at += 1;
        } else if let Some(unit) = unit_at(inner, at) {
            at += print_unit(unit, unit_at(inner, at + ESCAPE_LEN), &mut out);
        } else {
            match inner.get(at + 1)? {
                b'/' => out.push(b'/'),
                short => out.extend_from_slice(&[b'\\', *short]),
            }
            at += 2;
        }
    }
    out.push(b'"');
    String::from_utf8(out).ok()
}

/// Prints the code unit of a `\u` escape, with its other half when it is a pair; returns how many bytes it stood in.
fn print_unit(unit: u32, next: Option<u32>, out: &mut Vec<u8>) -> usize {
    let pair = match (unit, next) {
        (0xD800..=0xDBFF, Some(low @ 0xDC00..=0xDFFF)) => {
            char::from_u32(0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00))
        }
        _ => None,
    };
    match (pair, char::from_u32(unit)) {
        (Some(character), _) => push_char(character, out),
        (None, Some(character)) => push_char(character, out),
        (None, None) => out.extend_from_slice(format!("\\u{unit:04x}").as_bytes()),
    }
    if pair.is_some() {
        2 * ESCAPE_LEN
    } else {
        ESCAPE_LEN
    }
}

fn push_char(character: char, out: &mut Vec<u8>) {
    match u8::try_from(character).ok().and_then(escape_of) {
        Some(escape) => out.extend_from_slice(escape.as_bytes()),
        None => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, filter: Option<&[&str]>, expected: &str) {
        let mut printed = String::new();
        Js::parse(text.as_bytes())
            .unwrap()
            .print(filter, &mut printed);
        assert_eq!(printed, expected, "{text}");
    }

    #[test]
    fn text_is_printed_as_javascript_prints_it_again() {
        let table = [
            (
                r#" { "b" : 1 , "a" : [ true , null , { } , [ ] ] } "#,
                r#"{"b":1,"a":[true,null,{},[]]}"#,
            ),
            (
                r#"{"z":1,"10":2,"9":3,"01":4,"4294967295":5}"#,
                r#"{"9":3,"10":2,"z":1,"01":4,"4294967295":5}"#,
            ),
            (
                "[1.0,-0,1e21,0.1,1e-7,9007199254740993,1E2]",
                "[1,0,1e+21,0.1,1e-7,9007199254740992,100]",
            ),
            (
                r#""\u0041\/\u00e9\u0001\u001F\t\"\\\ud83d\ude00""#,
                "\"A/é\\u0001\\u001f\\t\\\"\\\\😀\"",
            ),
            (r#""\uD800x\udc00\ud83d""#, r#""\ud800x\udc00\ud83d""#),
            ("\"\u{2028}\u{7f}\\u2028\"", "\"\u{2028}\u{7f}\u{2028}\""),
        ];
        for (text, expected) in table {
            check(text, None, expected);
        }
    }

    #[test]
    fn a_filter_names_the_members_at_every_depth() {
        check(
            r#"{"x":1,"b":{"a":2,"x":3,"b":[{"c":1,"a":1}]}}"#,
            Some(&["a", "b"]),
            r#"{"b":{"a":2,"b":[{"a":1}]}}"#,
        );
    }
}
