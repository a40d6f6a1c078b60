//! Cuts an input into events without reading it whole: bytes in, the bytes of one event after another out.
//!
//! The bytes of an event are never changed: numbers stay exact, and what a producer signed stays what it signed.

use std::io::{self, BufRead};

use audit_event::limits::INPUT_BYTES_MAX;

/// One event as it stands in the input, or why it is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Its bytes; cut short when `problem` says that it is too long.
    pub(crate) bytes: Vec<u8>,
    /// What makes it unreadable.
    pub(crate) problem: Option<String>,
}

/// Where in the input the next event is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Between top-level values.
    Top,
    /// In a top-level array, or in the array of a container object; `wrapped` says which.
    Array { wrapped: bool },
    /// After the array of a container object, before its closing brace.
    AfterArray,
    /// One event a line.
    Lines,
    /// Nothing more can be found.
    End,
}

/// Members that hold events when an object is a container.
const CONTAINERS: [&[u8]; 2] = [b"events", b"Records"];
/// Members that only an event has: an object with one of them in front is no container.
const MARKS: [&[u8]; 5] = [
    b"action",
    b"timestamp",
    b"eventName",
    b"eventTime",
    b"eventID",
];

/// Cuts one input.
pub(crate) struct Splitter {
    reader: Box<dyn BufRead + Send>,
    place: Place,
    read: u64,
    at_start: bool,
}

impl Splitter {
    /// Begins at the reader's position.
    pub(crate) fn new(reader: Box<dyn BufRead + Send>) -> Self {
        Self {
            reader,
            place: Place::Top,
            read: 0,
            at_start: true,
        }
    }

    /// Bytes consumed so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.read
    }

    /// The next event; `None` at the end.
    pub(crate) fn next_piece(&mut self) -> io::Result<Option<Piece>> {
        loop {
            let found = match self.place {
                Place::Top => self.top()?,
                Place::Array { wrapped } => self.element(wrapped)?,
                Place::AfterArray => self.close_container()?,
                Place::Lines => self.line()?,
                Place::End => return Ok(None),
            };
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    fn top(&mut self) -> io::Result<Option<Piece>> {
        if std::mem::take(&mut self.at_start) {
            self.skip_byte_order_mark()?;
        }
        match self.peek_token()? {
            None => self.place = Place::End,
            Some(b'[') => {
                self.bump()?;
                self.place = Place::Array { wrapped: false };
            }
            Some(b'{') => return self.object(),
            Some(_) => {
                self.place = Place::Lines;
            }
        }
        Ok(None)
    }

    /// A top-level object: an event, or a container whose array comes next.
    fn object(&mut self) -> io::Result<Option<Piece>> {
        let mut scan = Scan::default();
        while let Some(byte) = self.peek()? {
            if byte == b'[' && scan.at_container() {
                self.bump()?;
                self.place = Place::Array { wrapped: true };
                return Ok(None);
            }
            self.bump()?;
            if scan.push(byte) {
                if !scan.bytes.contains(&b'\n') && self.line_ends()? {
                    self.place = Place::Lines;
                }
                return Ok(Some(scan.piece()));
            }
        }
        self.place = Place::End;
        Ok(Some(scan.cut_off()))
    }

    fn element(&mut self, wrapped: bool) -> io::Result<Option<Piece>> {
        match self.peek_token()? {
            Some(b']') => {
                self.bump()?;
                self.place = if wrapped {
                    Place::AfterArray
                } else {
                    Place::Top
                };
                Ok(None)
            }
            Some(b',') => self.bump().map(|()| None),
            Some(b'}' | b':') => Ok(Some(self.lost("the array of events is malformed here"))),
            Some(_) => self.value().map(Some),
            None => Ok(Some(self.lost("the input ends inside its array of events"))),
        }
    }

    /// Everything up to the closing brace of a container: its other members are no events.
    fn close_container(&mut self) -> io::Result<Option<Piece>> {
        let mut scan = Scan {
            bytes: vec![b'{'],
            depth: 1,
            ..Scan::default()
        };
        while let Some(byte) = self.peek()? {
            self.bump()?;
            if scan.push(byte) {
                self.place = Place::Top;
                return Ok(None);
            }
        }
        Ok(Some(self.lost(
            "the input ends before the object around its events does",
        )))
    }

    fn value(&mut self) -> io::Result<Piece> {
        let mut scan = Scan::default();
        while let Some(byte) = self.peek()? {
            let ends_scalar =
                scan.depth == 0 && !scan.in_string && matches!(byte, b',' | b']' | b'}');
            if ends_scalar {
                return Ok(scan.piece());
            }
            self.bump()?;
            if scan.push(byte) {
                return Ok(scan.piece());
            }
        }
        self.place = Place::End;
        Ok(scan.cut_off())
    }

    fn line(&mut self) -> io::Result<Option<Piece>> {
        let mut bytes = Vec::new();
        let mut any = false;
        while let Some(byte) = self.peek()? {
            any = true;
            self.bump()?;
            if byte == b'\n' {
                break;
            }
            if bytes.len() <= INPUT_BYTES_MAX {
                bytes.push(byte);
            }
        }
        if !any {
            self.place = Place::End;
        }
        let text = bytes.trim_ascii();
        Ok((!text.is_empty()).then(|| piece(text.to_vec())))
    }

    /// The rest cannot be cut into events.
    fn lost(&mut self, problem: &str) -> Piece {
        self.place = Place::End;
        Piece {
            bytes: Vec::new(),
            problem: Some(format!("{problem}; nothing behind it is read")),
        }
    }

    fn line_ends(&mut self) -> io::Result<bool> {
        while let Some(byte) = self.peek()? {
            match byte {
                b' ' | b'\t' | b'\r' => self.bump()?,
                b'\n' => return Ok(true),
                _ => return Ok(false),
            }
        }
        Ok(false)
    }

    /// Byte by byte, because a pipe may deliver it so; no JSON begins with one of these bytes.
    fn skip_byte_order_mark(&mut self) -> io::Result<()> {
        for byte in *b"\xef\xbb\xbf" {
            if self.peek()? == Some(byte) {
                self.bump()?;
            }
        }
        Ok(())
    }

    fn peek_token(&mut self) -> io::Result<Option<u8>> {
        while let Some(byte) = self.peek()? {
            if !byte.is_ascii_whitespace() {
                return Ok(Some(byte));
            }
            self.bump()?;
        }
        Ok(None)
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.reader.fill_buf()?.first().copied())
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "every step of the reader is fallible; callers stay uniform"
    )]
    fn bump(&mut self) -> io::Result<()> {
        self.reader.consume(1);
        self.read += 1;
        Ok(())
    }
}

/// A value being read: just enough JSON to know where it ends.
#[derive(Debug, Default)]
struct Scan {
    bytes: Vec<u8>,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Whether the next string at depth 1 is a member's name.
    wants_name: bool,
    /// Where the name being read begins.
    name_from: Option<usize>,
    /// The last name read is one of [`CONTAINERS`].
    is_container: bool,
    /// One of [`MARKS`] was seen.
    is_event: bool,
}

impl Scan {
    /// Takes a byte; `true` when the value is complete.
    fn push(&mut self, byte: u8) -> bool {
        // One more than fits, so that the length itself tells.
        if self.bytes.len() <= INPUT_BYTES_MAX {
            self.bytes.push(byte);
        }
        if self.in_string {
            return self.push_in_string(byte);
        }
        match byte {
            b'"' => {
                self.in_string = true;
                self.name_from = (self.depth == 1 && self.wants_name).then_some(self.bytes.len());
            }
            b'{' | b'[' => {
                self.depth += 1;
                self.wants_name = self.depth == 1 && byte == b'{';
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            b',' if self.depth == 1 => {
                self.wants_name = true;
                self.is_container = false;
            }
            _ => {}
        }
        false
    }

    fn push_in_string(&mut self, byte: u8) -> bool {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => {
                self.in_string = false;
                self.end_name();
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }

    fn end_name(&mut self) {
        if let Some(from) = self.name_from.take() {
            let name = self
                .bytes
                .get(from..self.bytes.len() - 1)
                .unwrap_or_default();
            self.is_container = CONTAINERS.contains(&name);
            self.is_event |= MARKS.contains(&name);
            self.wants_name = false;
        }
    }

    /// Whether an array that begins now holds the events of a container.
    fn at_container(&self) -> bool {
        self.depth == 1 && !self.in_string && self.is_container && !self.is_event
    }

    fn piece(self) -> Piece {
        piece(self.bytes.trim_ascii_end().to_vec())
    }

    fn cut_off(self) -> Piece {
        Piece {
            bytes: self.bytes,
            problem: Some("the input ends inside this event".to_owned()),
        }
    }
}

fn piece(bytes: Vec<u8>) -> Piece {
    let problem = (bytes.len() > INPUT_BYTES_MAX)
        .then(|| format!("longer than {INPUT_BYTES_MAX} bytes, which no event is"));
    Piece { bytes, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads byte by byte, so that every boundary falls between two fills of the buffer once.
    fn check(input: &[u8], expected: &[&str]) {
        for capacity in [1, 7, 64 * 1024] {
            let reader = io::BufReader::with_capacity(capacity, io::Cursor::new(input.to_vec()));
            let mut splitter = Splitter::new(Box::new(reader));
            let mut found = Vec::new();
            while let Some(piece) = splitter.next_piece().expect("memory is readable") {
                found.push(match piece.problem {
                    Some(problem) => format!("! {problem}"),
                    None => String::from_utf8(piece.bytes).expect("text"),
                });
            }
            assert_eq!(
                found,
                expected,
                "capacity {capacity}: {}",
                String::from_utf8_lossy(input)
            );
            assert_eq!(splitter.bytes_read(), input.len() as u64);
        }
    }

    #[test]
    fn arrays_containers_lines_and_single_objects_give_their_events_unchanged() {
        check(b"", &[]);
        check(b"[]", &[]);
        check(
            b"[ {\"a\":1.10} ,{\"b\":\"]},\\\"\"}]",
            &["{\"a\":1.10}", "{\"b\":\"]},\\\"\"}"],
        );
        check(
            b"{\"events\":[{\"a\":1},{\"a\":[2]}]}",
            &["{\"a\":1}", "{\"a\":[2]}"],
        );
        check(
            b"{\"batch\":{\"events\":[1]},\"events\" : [{\"a\":1}],\"n\":[3]}",
            &["{\"a\":1}"],
        );
        check(
            b"{\"Records\":[{\"a\":1}]}{\"Records\":[{\"a\":2}]}",
            &["{\"a\":1}", "{\"a\":2}"],
        );
        check(
            b"{\"a\":1}\n{\"a\":2}\r\n\n{\"a\":3}",
            &["{\"a\":1}", "{\"a\":2}", "{\"a\":3}"],
        );
        check(
            b"{\n \"a\": 1\n}\n{\n\"a\":2}",
            &["{\n \"a\": 1\n}", "{\n\"a\":2}"],
        );
        check(b"\xef\xbb\xbf{\"a\":1}", &["{\"a\":1}"]);
        check(b"[1,\"x\",null]", &["1", "\"x\"", "null"]);
    }

    #[test]
    fn an_event_that_has_a_member_called_events_is_one_event() {
        check(
            b"{\"action\":\"x\",\"events\":[{\"a\":1}]}",
            &["{\"action\":\"x\",\"events\":[{\"a\":1}]}"],
        );
        check(
            b"{\"a\":\"events\",\"b\":[1]}",
            &["{\"a\":\"events\",\"b\":[1]}"],
        );
    }

    #[test]
    fn a_malformed_line_costs_only_itself() {
        check(
            b"{\"a\":1}\n{\"a\":\n{\"a\":3}\n",
            &["{\"a\":1}", "{\"a\":", "{\"a\":3}"],
        );
        check(b"oops\n{\"a\":3}\n", &["oops", "{\"a\":3}"]);
    }

    #[test]
    fn what_is_cut_off_is_said_to_be() {
        check(b"{\"a\":", &["! the input ends inside this event"]);
        check(
            b"[{\"a\":1},{\"a\"",
            &["{\"a\":1}", "! the input ends inside this event"],
        );
        check(
            b"[{\"a\":1}",
            &[
                "{\"a\":1}",
                "! the input ends inside its array of events; nothing behind it is read",
            ],
        );
        check(
            b"{\"events\":[{\"a\":1}]",
            &[
                "{\"a\":1}",
                "! the input ends before the object around its events does; nothing behind it is read",
            ],
        );
    }

    #[test]
    fn an_event_that_is_too_long_is_skipped_in_bounded_memory() {
        let long = format!(
            "[{{\"a\":\"{}\"}},{{\"b\":1}}]",
            "x".repeat(2 * INPUT_BYTES_MAX)
        );
        let mut splitter = Splitter::new(Box::new(io::Cursor::new(long.into_bytes())));
        let first = splitter
            .next_piece()
            .expect("readable")
            .expect("the long one");
        assert!(
            first
                .problem
                .is_some_and(|problem| problem.contains("longer than"))
        );
        assert_eq!(first.bytes.len(), INPUT_BYTES_MAX + 1);
        let second = splitter
            .next_piece()
            .expect("readable")
            .expect("the short one");
        assert_eq!(second.bytes, b"{\"b\":1}");
    }
}
