//! Cuts a request body into its items without reading them.
//!
//! Only the structure outside the items is checked; inside one, brackets are counted and strings skipped. An item
//! that is no JSON, nests a thousand deep or holds half a surrogate pair is cut like any other, so that it is
//! refused alone and its neighbours are kept.

use crate::problem::{Code, Path, Problem};

/// Cuts a request body into its items without reading them: an array's items, the items of `{"events":[...]}` or
/// `{"Records":[...]}`, or the body itself when it is any other object. Each item is a slice of the body, to be read
/// with [`crate::read::read_value`].
///
/// An object is an envelope when a member `events` or `Records` is an array and none is called `action`, `timestamp`
/// or `eventName`: those make it an event that happens to have such a member.
///
/// # Errors
/// The problem that makes the cut impossible (the body is no JSON, or too many items).
pub fn split_batch(body: &[u8], items_max: usize) -> Result<Vec<&[u8]>, Problem> {
    let mut scanner = Scanner::new(body);
    scanner.skip_space();
    let items = match scanner.peek() {
        Some(b'[') => scanner.items(items_max)?,
        Some(b'{') => scanner.object(items_max)?,
        _ => return Err(scanner.syntax("expected an object or an array")),
    };
    scanner.skip_space();
    match scanner.peek() {
        None => Ok(items),
        Some(_) => Err(scanner.syntax("more text after the value")),
    }
}

/// Walks over JSON text without reading it.
pub(crate) struct Scanner<'b> {
    body: &'b [u8],
    at: usize,
}

impl<'b> Scanner<'b> {
    pub(crate) fn new(body: &'b [u8]) -> Self {
        Self { body, at: 0 }
    }

    pub(crate) fn step(&mut self) {
        self.at += 1;
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    pub(crate) fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), Problem> {
        self.skip_space();
        if self.peek() != Some(byte) {
            return Err(self.syntax(&format!("expected {:?}", char::from(byte))));
        }
        self.at += 1;
        Ok(())
    }

    fn syntax(&self, message: &str) -> Problem {
        let message = match self.peek() {
            None => format!("{message}; cut off at byte {}", self.at),
            Some(_) => format!("{message} at byte {}", self.at),
        };
        Problem {
            path: Path::root(),
            code: Code::Syntax,
            message,
        }
    }

    /// The items of the array that starts here.
    fn items(&mut self, items_max: usize) -> Result<Vec<&'b [u8]>, Problem> {
        self.expect(b'[')?;
        let mut items = Vec::new();
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(items);
        }
        loop {
            if items.len() == items_max {
                let message = format!("more than {items_max} events in one request");
                return Err(Problem {
                    path: Path::root(),
                    code: Code::TooLarge,
                    message,
                });
            }
            items.push(self.value()?);
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.syntax("expected ',' or ']'")),
            }
        }
        self.at += 1;
        Ok(items)
    }

    /// The items of the envelope that starts here, or the whole object.
    fn object(&mut self, items_max: usize) -> Result<Vec<&'b [u8]>, Problem> {
        let start = self.at;
        let mut envelope = None;
        let mut is_event = false;
        self.expect(b'{')?;
        self.skip_space();
        while self.peek() != Some(b'}') {
            self.skip_space();
            let name = self.string()?;
            self.expect(b':')?;
            self.skip_space();
            let value_at = self.at;
            self.value()?;
            match name {
                b"\"events\"" | b"\"Records\"" if self.body.get(value_at) == Some(&b'[') => {
                    envelope = Some(value_at)
                }
                b"\"action\"" | b"\"timestamp\"" | b"\"eventName\"" => is_event = true,
                _ => {}
            }
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.syntax("expected ',' or '}'")),
            }
        }
        self.at += 1;
        let whole = self.body.get(start..self.at).unwrap_or_default();
        match envelope {
            Some(at) if !is_event => Scanner {
                body: self.body,
                at,
            }
            .items(items_max),
            _ => Ok(vec![whole]),
        }
    }

    /// Skips one value.
    pub(crate) fn value(&mut self) -> Result<&'b [u8], Problem> {
        self.skip_space();
        let start = self.at;
        match self.peek() {
            Some(b'{' | b'[') => self.nested()?,
            Some(b'"') => self.string().map(drop)?,
            Some(b',' | b']' | b'}' | b':') | None => return Err(self.syntax("expected a value")),
            Some(_) => {
                let rest = self.body.get(start..).unwrap_or_default();
                let ends =
                    |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
                self.at += rest.iter().position(ends).unwrap_or(rest.len());
            }
        }
        Ok(self.body.get(start..self.at).unwrap_or_default())
    }

    /// Skips an object or array, counting brackets of both kinds alike: a mismatch is the item's own fault.
    fn nested(&mut self) -> Result<(), Problem> {
        let mut open = 0_usize;
        loop {
            let rest = self.body.get(self.at..).unwrap_or_default();
            let matters = |byte: &u8| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']');
            self.at += rest.iter().position(matters).unwrap_or(rest.len());
            match self.peek() {
                None => return Err(self.syntax("unclosed object or array")),
                Some(b'"') => {
                    self.string()?;
                    continue;
                }
                Some(b'{' | b'[') => open += 1,
                Some(_) => open = open.saturating_sub(1),
            }
            self.at += 1;
            if open == 0 {
                return Ok(());
            }
        }
    }

    /// Skips a string; returns it with its quotes.
    pub(crate) fn string(&mut self) -> Result<&'b [u8], Problem> {
        let start = self.at;
        self.expect(b'"')?;
        loop {
            let rest = self.body.get(self.at..).unwrap_or_default();
            let Some(step) = memchr::memchr2(b'"', b'\\', rest) else {
                self.at = self.body.len();
                return Err(self.syntax("unclosed string"));
            };
            let quote = rest.get(step) == Some(&b'"');
            self.at += step + if quote { 1 } else { 2 };
            if quote {
                return Ok(self.body.get(start..self.at).unwrap_or_default());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(body: &str) -> Result<Vec<&str>, Code> {
        let items = split_batch(body.as_bytes(), 3).map_err(|problem| problem.code)?;
        Ok(items
            .into_iter()
            .map(|item| std::str::from_utf8(item).unwrap())
            .collect())
    }

    #[test]
    fn items_are_exact_slices_of_the_body() {
        let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
        let table: &[(&str, &[&str])] = &[
            ("[]", &[]),
            (
                " [ {\"a\":1} , {\"b\":\"]}\\\"\"} ] ",
                &["{\"a\":1}", "{\"b\":\"]}\\\"\"}"],
            ),
            ("[1,\"x\",null]", &["1", "\"x\"", "null"]),
            ("[{\"a\" broken},{}]", &["{\"a\" broken}", "{}"]),
            ("[\"\\ud800\\u0000\",{}]", &["\"\\ud800\\u0000\"", "{}"]),
            ("{\"action\":\"a\"}\n", &["{\"action\":\"a\"}"]),
            ("{}", &["{}"]),
            ("{\"events\":[{\"a\":1},{}]}", &["{\"a\":1}", "{}"]),
            ("{\"Records\":[{\"a\":1}]}", &["{\"a\":1}"]),
            (
                "{\"options\":{\"x\":[]}, \"events\" : [ {} ] , \"z\":1}",
                &["{}"],
            ),
            ("{\"events\":[]}", &[]),
            ("{\"events\":7}", &["{\"events\":7}"]),
            (
                "{\"events\":[],\"action\":\"a\"}",
                &["{\"events\":[],\"action\":\"a\"}"],
            ),
            (
                "{\"action\":{},\"Records\":[]}",
                &["{\"action\":{},\"Records\":[]}"],
            ),
        ];
        for (body, items) in table {
            assert_eq!(cut(body).as_deref(), Ok(*items), "{body}");
        }
        assert_eq!(cut(&format!("[{deep},1]")), Ok(vec![deep.as_str(), "1"]));
    }

    #[test]
    fn a_body_that_cannot_be_cut_is_refused() {
        let bodies = [
            "",
            " ",
            "7",
            "\"x\"",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[\"x",
            "[\"x\\",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\" 1}",
            "{a:1}",
            "[]]",
            "[{]",
            "{} {}",
            "{\"events\":[1,]}",
            "{\"events\":[1}",
        ];
        for body in bodies {
            assert_eq!(cut(body), Err(Code::Syntax), "{body:?}");
        }
        assert_eq!(cut("[1,2,3,4]"), Err(Code::TooLarge));
        assert_eq!(cut("{\"events\":[1,2,3,4]}"), Err(Code::TooLarge));
        assert!(cut("[1,2,3]").is_ok());
    }
}
