//! JSON text to nodes.

use jiter::{Jiter, JiterError, Peek};
use zeroize::Zeroizing;

use crate::node::{Broken, DEPTH_MAX, Member, Node, Raw};

/// Reads a whole document.
pub(crate) fn parse(text: &str) -> Result<Node, Broken> {
    let mut reader = Reader {
        text,
        jiter: Jiter::new(text.as_bytes()),
    };
    let node = reader.next(1)?;
    reader.jiter.finish().map_err(broken)?;
    Ok(node)
}

struct Reader<'t> {
    text: &'t str,
    jiter: Jiter<'t>,
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "a function for map_err, which hands over the error"
)]
fn broken(error: JiterError) -> Broken {
    Broken::new(error.index, format!("not JSON: {}", error.error_type))
}

impl Reader<'_> {
    fn next(&mut self, depth: usize) -> Result<Node, Broken> {
        let peek = self.jiter.peek().map_err(broken)?;
        self.value(peek, depth)
    }

    fn value(&mut self, peek: Peek, depth: usize) -> Result<Node, Broken> {
        let at = self.jiter.current_index();
        let raw = match peek {
            Peek::Object => self.table(at, depth)?,
            Peek::Array => self.list(at, depth)?,
            Peek::String => {
                let text = self.jiter.known_str().map_err(broken)?;
                Raw::Text(Zeroizing::new(text.to_owned()))
            }
            Peek::Null => self
                .jiter
                .known_null()
                .map(|()| Raw::Null)
                .map_err(broken)?,
            Peek::True | Peek::False => {
                self.jiter.known_bool(peek).map(Raw::Flag).map_err(broken)?
            }
            _ => {
                let digits = self.jiter.known_number_bytes(peek).map_err(broken)?;
                Raw::Number(String::from_utf8_lossy(digits).into_owned())
            }
        };
        Ok(Node { at, raw })
    }

    fn table(&mut self, at: usize, depth: usize) -> Result<Raw, Broken> {
        if depth > DEPTH_MAX {
            return Err(Broken::too_deep(at));
        }
        let mut members: Vec<Member> = Vec::new();
        let mut before = at;
        let mut next = self
            .jiter
            .known_object()
            .map_err(broken)?
            .map(str::to_owned);
        while let Some(name) = next {
            let at = self.quote_after(before);
            let node = self.next(depth + 1)?;
            members.push(Member { name, at, node });
            before = self.jiter.current_index();
            next = self.jiter.next_key().map_err(broken)?.map(str::to_owned);
        }
        Ok(Raw::Table(members))
    }

    /// Where a name begins: between what stands before it and its quotation mark there are only blanks, a brace or a comma.
    fn quote_after(&self, before: usize) -> usize {
        let rest = self.text.as_bytes().get(before..).unwrap_or_default();
        before + rest.iter().position(|byte| *byte == b'"').unwrap_or(0)
    }

    fn list(&mut self, at: usize, depth: usize) -> Result<Raw, Broken> {
        if depth > DEPTH_MAX {
            return Err(Broken::too_deep(at));
        }
        let mut items = Vec::new();
        let mut next = self.jiter.known_array().map_err(broken)?;
        while let Some(peek) = next {
            items.push(self.value(peek, depth + 1)?);
            next = self.jiter.array_step().map_err(broken)?;
        }
        Ok(Raw::List(items))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_and_name_knows_its_place() {
        let text = "{\n \"a\\u0062\" : [ 1, {\"c\":null} ],\n \"d\": -2.5e3 }";
        let Ok(Node {
            raw: Raw::Table(members),
            ..
        }) = parse(text)
        else {
            panic!("no object");
        };
        let [ab, d] = &members[..] else {
            panic!("{} members", members.len());
        };
        assert_eq!((ab.name.as_str(), &text[ab.at..ab.at + 3]), ("ab", "\"a\\"));
        let Raw::List(items) = &ab.node.raw else {
            panic!("no list");
        };
        assert_eq!(&text[items[0].at..=items[0].at], "1");
        assert_eq!(&text[items[1].at..items[1].at + 2], "{\"");
        assert_eq!((d.name.as_str(), &text[d.at..d.at + 3]), ("d", "\"d\""));
        assert!(matches!(&d.node.raw, Raw::Number(digits) if digits == "-2.5e3"));
        assert_eq!(&text[d.node.at..d.node.at + 4], "-2.5");
    }

    #[test]
    fn what_is_no_json_says_where_and_nothing_of_it() {
        for (text, at, reason) in [
            ("{\"a\": hunter2}", 6, "not JSON: expected value"),
            ("{\"a\": 1", 7, "not JSON: EOF while parsing an object"),
            ("{} x", 3, "not JSON: trailing characters"),
            ("", 0, "not JSON: EOF while parsing a value"),
        ] {
            assert_eq!(parse(text).err(), Some(Broken::new(at, reason)), "{text}");
        }
        let deep = "[".repeat(10_000);
        assert_eq!(parse(&deep).err(), Some(Broken::too_deep(DEPTH_MAX)));
    }
}
