//! Bodies of lines, one event each: read group by group while they arrive, so that memory does not grow with the body.

use std::time::Duration;

use audit_event::limits::INPUT_BYTES_MAX;
use audit_pipeline::Item;
use bytes::Bytes;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::body::{BodyReader, broken, slow, too_large};
use crate::problem::{HttpProblem, HttpResult};

/// Lines that are accepted together.
const LINES_A_GROUP: usize = 1_000;
/// Bytes of such a group, so that memory stays bounded whatever the lines' lengths.
const GROUP_BYTES_MAX: usize = 1 << 20;
/// Memory that one body of lines takes: a group, its longest line, and the buffers.
pub(crate) const MEMORY: usize = 2 * GROUP_BYTES_MAX;
/// Of a line so much is kept: one byte more than an event may have, so that accept refuses it and nothing else.
const LINE_KEPT_MAX: usize = INPUT_BYTES_MAX + 1;

/// Reads lines, with bounds.
pub(crate) struct Lines {
    reader: BufReader<BodyReader>,
    /// Bytes that may still come out of the decompression.
    bytes_left: usize,
    bytes_max: usize,
    patience: Duration,
}

/// What follows a group.
pub(crate) enum Next {
    /// Perhaps another.
    More,
    /// Nothing: the body ended.
    End,
    /// Nothing that can be read.
    Stop(HttpProblem),
}

impl Lines {
    /// `patience` is how long one line may take to arrive.
    pub(crate) fn new(reader: BodyReader, bytes_max: usize, patience: Duration) -> Self {
        Self {
            reader: BufReader::with_capacity(64 << 10, reader),
            bytes_left: bytes_max,
            bytes_max,
            patience,
        }
    }

    /// The next lines that are not blank, together with what follows them.
    pub(crate) async fn group(&mut self) -> (Vec<Item>, Next) {
        let (mut items, mut bytes) = (Vec::new(), 0);
        while items.len() < LINES_A_GROUP && bytes < GROUP_BYTES_MAX {
            let line = match tokio::time::timeout(self.patience, self.line()).await {
                Ok(Ok(Some(line))) => line,
                Ok(Ok(None)) => return (items, Next::End),
                Ok(Err(problem)) => return (items, Next::Stop(problem)),
                Err(_elapsed) => return (items, Next::Stop(slow())),
            };
            bytes += line.len() + 1;
            if !line.iter().all(u8::is_ascii_whitespace) {
                items.push(Item::Bytes(line));
            }
        }
        (items, Next::More)
    }

    /// One line without its end; `None` at the end of the body. What a line has too much is read and dropped.
    async fn line(&mut self) -> HttpResult<Option<Bytes>> {
        let (mut line, mut any) = (Vec::new(), false);
        loop {
            let buffered = self.reader.fill_buf().await;
            let buffered = buffered.map_err(|error| broken(&error))?;
            if buffered.is_empty() {
                return Ok(any.then(|| line.into()));
            }
            any = true;
            let end = buffered.iter().position(|byte| *byte == b'\n');
            let text = buffered
                .get(..end.unwrap_or(buffered.len()))
                .unwrap_or_default();
            let room = LINE_KEPT_MAX - line.len();
            line.extend_from_slice(text.get(..room).unwrap_or(text));
            let consumed = text.len() + usize::from(end.is_some());
            self.reader.consume(consumed);
            let left = self.bytes_left.checked_sub(consumed);
            self.bytes_left = left.ok_or_else(|| too_large(self.bytes_max))?;
            if end.is_some() {
                return Ok(Some(line.into()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &'static [u8], bytes_max: usize) -> Lines {
        Lines::new(Box::pin(text), bytes_max, Duration::from_secs(10))
    }

    fn texts(items: &[Item]) -> Vec<String> {
        let text = |item: &Item| match item {
            Item::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Item::Statement(_) => String::new(),
        };
        items.iter().map(text).collect()
    }

    #[tokio::test]
    async fn blank_lines_are_skipped_and_the_last_needs_no_end() {
        let (items, next) = lines(b"{}\n\r\n \n[1]\nlast", 100).group().await;
        assert_eq!(texts(&items), ["{}", "[1]", "last"]);
        assert!(matches!(next, Next::End));
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_costs_only_itself() {
        let mut text = vec![b'x'; 2 * LINE_KEPT_MAX];
        text.extend_from_slice(b"\n{}\n");
        let (items, next) = lines(text.leak(), 4 * LINE_KEPT_MAX).group().await;
        let lengths: Vec<_> = texts(&items).iter().map(String::len).collect();
        assert_eq!(lengths, [LINE_KEPT_MAX, 2]);
        assert!(matches!(next, Next::End));
    }

    #[tokio::test]
    async fn what_was_read_before_the_bound_is_given_back() {
        let (items, next) = lines(b"{}\n{}\nxxxxxxxx\n", 10).group().await;
        assert_eq!(texts(&items), ["{}", "{}"]);
        assert!(matches!(next, Next::Stop(_)));
    }

    #[tokio::test]
    async fn many_lines_come_in_groups() {
        let mut lines = lines(b"1\n".repeat(LINES_A_GROUP + 1).leak(), usize::MAX);
        let (items, next) = lines.group().await;
        assert_eq!(
            (items.len(), matches!(next, Next::More)),
            (LINES_A_GROUP, true)
        );
        let (items, next) = lines.group().await;
        assert_eq!((items.len(), matches!(next, Next::End)), (1, true));
    }
}
