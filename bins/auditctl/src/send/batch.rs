//! Batches: what one request carries, with the key that makes repeating it harmless.

use audit_event::limits::{INPUT_BYTES_MAX, INPUT_DEPTH_MAX};
use audit_event::read::{LoneSurrogates, ReadLimits, read_value};
use ring::digest::{Context, SHA256};

use super::input::Input;
use super::split::{Piece, Splitter};
use super::summary::Rejection;
use crate::error::CliError;

/// Bytes a request carries beside the last event: one frame of the queue holds 1 MiB.
const BATCH_BYTES: usize = 900 * 1024;

/// Events of one request.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    /// Name of the input.
    pub(crate) input: String,
    /// Position in the input of every event of the body.
    pub(crate) items: Vec<u64>,
    /// A JSON array of the events' own bytes.
    pub(crate) body: bytes::Bytes,
    /// The `Idempotency-Key`.
    pub(crate) key: String,
    /// What is no JSON and therefore not in the body: it would spoil its neighbours.
    pub(crate) unreadable: Vec<Rejection>,
    /// Events of the input up to the end of this batch, readable or not.
    pub(crate) until: u64,
    /// Digest of the input's events up to there.
    pub(crate) digest_until: String,
    /// Bytes of the input up to there.
    pub(crate) read_until: u64,
}

/// Reads one input batch by batch.
pub(crate) struct Batches {
    splitter: Splitter,
    name: String,
    size: usize,
    position: u64,
    digest: Context,
    ended: bool,
}

impl Batches {
    /// From the beginning of an input, `size` events a batch.
    pub(crate) fn open(input: &Input, size: u32) -> Result<Self, CliError> {
        Ok(Self {
            splitter: Splitter::new(input.open()?),
            name: input.name(),
            size: usize::try_from(size).unwrap_or(usize::MAX),
            position: 0,
            digest: Context::new(&SHA256),
            ended: false,
        })
    }

    /// Bytes of the input consumed so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.splitter.bytes_read()
    }

    /// Passes over the first `count` events; the digest of what was passed, `None` when the input ends before.
    pub(crate) fn skip_events(&mut self, count: u64) -> Result<Option<String>, CliError> {
        while self.position < count {
            if self.next_piece()?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(self.digest_so_far()))
    }

    fn next_batch(&mut self) -> Result<Option<Batch>, CliError> {
        let mut building = Building::new(&self.name, self.position);
        while building.pieces < self.size && building.body.len() < BATCH_BYTES {
            let Some(piece) = self.next_piece()? else {
                break;
            };
            building.add(self.position - 1, piece);
        }
        let (digest, read) = (self.digest_so_far(), self.splitter.bytes_read());
        Ok((building.pieces > 0).then(|| building.finish(self.position, digest, read)))
    }

    fn next_piece(&mut self) -> Result<Option<Piece>, CliError> {
        let piece = self
            .splitter
            .next_piece()
            .map_err(|error| CliError::Usage(format!("cannot read {}: {error}", self.name)))?;
        if let Some(piece) = &piece {
            self.digest.update(&piece.bytes.len().to_be_bytes());
            self.digest.update(&piece.bytes);
            self.position += 1;
        }
        Ok(piece)
    }

    fn digest_so_far(&self) -> String {
        hex::encode(self.digest.clone().finish())
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, CliError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let batch = self.next_batch();
        self.ended = !matches!(batch, Ok(Some(_)));
        batch.transpose()
    }
}

/// A batch being filled.
struct Building {
    input: String,
    items: Vec<u64>,
    body: Vec<u8>,
    key: Context,
    unreadable: Vec<Rejection>,
    pieces: usize,
}

impl Building {
    fn new(input: &str, position: u64) -> Self {
        let mut key = Context::new(&SHA256);
        key.update(b"auditctl-send/1\n");
        key.update(&position.to_be_bytes());
        Self {
            input: input.to_owned(),
            items: Vec::new(),
            body: vec![b'['],
            key,
            unreadable: Vec::new(),
            pieces: 0,
        }
    }

    fn add(&mut self, position: u64, piece: Piece) {
        self.pieces += 1;
        let problem = piece
            .problem
            .map(|problem| (String::new(), problem))
            .or_else(|| syntax_problem(&piece.bytes));
        if let Some((path, message)) = problem {
            self.unreadable.push(Rejection {
                file: self.input.clone(),
                item: position,
                path,
                message,
            });
            return;
        }
        self.key.update(&piece.bytes.len().to_be_bytes());
        self.key.update(&piece.bytes);
        if !self.items.is_empty() {
            self.body.push(b',');
        }
        self.body.extend_from_slice(&piece.bytes);
        self.items.push(position);
    }

    fn finish(mut self, until: u64, digest_until: String, read_until: u64) -> Batch {
        self.body.push(b']');
        Batch {
            input: self.input,
            items: self.items,
            body: self.body.into(),
            key: hex::encode(self.key.finish()),
            unreadable: self.unreadable,
            until,
            digest_until,
            read_until,
        }
    }
}

/// What the server's own reader says about the JSON; what the event says is the server's to judge.
fn syntax_problem(bytes: &[u8]) -> Option<(String, String)> {
    let limits = ReadLimits {
        bytes_max: INPUT_BYTES_MAX,
        depth_max: INPUT_DEPTH_MAX,
        // Whether one may be replaced depends on the form.
        lone_surrogates: LoneSurrogates::Replace,
    };
    read_value(bytes, &limits)
        .err()
        .map(|problem| (problem.path.as_str().to_owned(), problem.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(text: &str, size: u32) -> Vec<Batch> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("in");
        std::fs::write(&path, text).expect("written");
        let input = Input::File {
            path,
            bytes: text.len() as u64,
        };
        Batches::open(&input, size)
            .expect("opened")
            .collect::<Result<_, _>>()
            .expect("readable")
    }

    #[test]
    fn the_key_depends_on_content_and_position_and_on_nothing_else() {
        let one = batches("[{\"a\":1},{\"a\":1},{\"a\":2}]", 1);
        let again = batches("{\"a\":1}\n{\"a\":1}\n{\"a\":2}\n", 1);
        let keys = |batches: &[Batch]| {
            batches
                .iter()
                .map(|batch| batch.key.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(keys(&one), keys(&again));
        assert_ne!(
            one[0].key, one[1].key,
            "the same event at another place is another event"
        );
    }

    #[test]
    fn an_unreadable_event_stays_out_of_the_body_and_keeps_its_place() {
        let found = batches("{\"a\":1}\n{\"a\":\n{\"a\":1,\"a\":2}\n{\"a\":4}", 10);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].items, [0, 3]);
        assert_eq!(&found[0].body[..], b"[{\"a\":1},{\"a\":4}]");
        let items: Vec<_> = found[0]
            .unreadable
            .iter()
            .map(|rejection| rejection.item)
            .collect();
        assert_eq!(items, [1, 2]);
        assert_eq!(found[0].until, 4);
    }

    #[test]
    fn skipping_gives_the_digest_that_the_batch_before_noted() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("in");
        std::fs::write(&path, "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n").expect("written");
        let input = Input::File { path, bytes: 0 };
        let first = Batches::open(&input, 2)
            .expect("opened")
            .next()
            .expect("one")
            .expect("readable");
        let mut rest = Batches::open(&input, 2).expect("opened");
        assert_eq!(
            rest.skip_events(2).expect("readable"),
            Some(first.digest_until)
        );
        let last = rest.next().expect("one more").expect("readable");
        assert_eq!((last.items.as_slice(), last.until), ([2].as_slice(), 3));
        assert_eq!(rest.skip_events(9).expect("readable"), None);
    }
}
