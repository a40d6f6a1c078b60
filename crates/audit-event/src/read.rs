//! The strict, bounded JSON reader: every error has a path, no number goes through a float.

use std::borrow::Cow;

use jiter::{Jiter, JiterError, JiterErrorType, JsonErrorType, Peek};

use crate::number::{Number, NumberError};
use crate::problem::{Code, Path, Problem};
use crate::value::{Object, Value};

pub use crate::split::split_batch;

/// What the reader may do with half a surrogate pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoneSurrogates {
    /// An error, with its path.
    Refuse,
    /// U+FFFD; [`ReadValue::replaced_surrogates`] says so. Only for foreign events that carry a legacy hash.
    Replace,
}

/// Bounds of one read.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimits {
    /// Longest input in bytes.
    pub bytes_max: usize,
    /// Deepest nesting; the outermost value is depth 1. At most 128 is honoured, whatever stands here: the reader
    /// recurses.
    pub depth_max: usize,
    /// What to do with half a surrogate pair.
    pub lone_surrogates: LoneSurrogates,
}

/// A value that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadValue {
    /// The value.
    pub value: Value,
    /// Whether a lone surrogate was replaced.
    pub replaced_surrogates: bool,
}

/// Deepest recursion of the reader; a frame takes some hundred bytes of a stack of at least 2 MiB.
const RECURSION_MAX: usize = 128;

/// Reads one JSON value and nothing after it.
///
/// # Errors
/// The first problem, with its path: after one, the rest of the text has no meaning.
pub fn read_value(bytes: &[u8], limits: &ReadLimits) -> Result<ReadValue, Problem> {
    check_length(bytes, limits)?;
    let replaced = match limits.lone_surrogates {
        LoneSurrogates::Refuse => Cow::Borrowed(bytes),
        LoneSurrogates::Replace => replace_lone_surrogates(bytes),
    };
    let mut reader = Reader {
        jiter: Jiter::new(&replaced),
        depth_max: limits.depth_max.min(RECURSION_MAX),
        may_hold_nul: replaced.contains(&b'\\'),
    };
    let value = reader.document().map_err(Failure::into_problem)?;
    Ok(ReadValue {
        value,
        replaced_surrogates: matches!(replaced, Cow::Owned(_)),
    })
}

/// Reads one JSON object and nothing after it, and hands over its members as they come, also one that stands twice.
/// [`LoneSurrogates::Refuse`] is understood.
///
/// # Errors
/// As [`read_value`]; some members may have been handed over then.
pub(crate) fn read_members(
    bytes: &[u8],
    limits: &ReadLimits,
    mut take: impl FnMut(&str, Value),
) -> Result<(), Problem> {
    check_length(bytes, limits)?;
    let mut reader = Reader {
        jiter: Jiter::new(bytes),
        depth_max: limits.depth_max.min(RECURSION_MAX),
        may_hold_nul: bytes.contains(&b'\\'),
    };
    reader.members(&mut take).map_err(Failure::into_problem)
}

fn check_length(bytes: &[u8], limits: &ReadLimits) -> Result<(), Problem> {
    if bytes.len() > limits.bytes_max {
        let message = format!("longer than {} bytes", limits.bytes_max);
        return Err(Problem {
            path: Path::root(),
            code: Code::TooLarge,
            message,
        });
    }
    Ok(())
}

struct Reader<'j> {
    jiter: Jiter<'j>,
    depth_max: usize,
    /// U+0000 can only stand in an escape, so text without a backslash need not be searched for it.
    may_hold_nul: bool,
}

/// A problem on its way out of the recursion; each level adds where it stood, so that nothing is paid for paths
/// while all is well.
struct Failure(Box<FailureParts>);

struct FailureParts {
    code: Code,
    message: Cow<'static, str>,
    /// Innermost first.
    trail: Vec<Step>,
}

enum Step {
    Member(String),
    Index(usize),
}

impl Failure {
    fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(FailureParts {
            code,
            message: message.into(),
            trail: Vec::new(),
        }))
    }

    fn inside(mut self, step: Step) -> Self {
        self.0.trail.push(step);
        self
    }

    fn into_problem(self) -> Problem {
        let path = self
            .0
            .trail
            .iter()
            .rev()
            .fold(Path::root(), |path, step| match step {
                Step::Member(name) => path.member(name),
                Step::Index(index) => path.index(*index),
            });
        Problem {
            path,
            code: self.0.code,
            message: self.0.message.into_owned(),
        }
    }
}

impl Reader<'_> {
    fn document(&mut self) -> Result<Value, Failure> {
        let peek = self.jiter.peek().map_err(failure_of)?;
        let value = self.value(peek, 1)?;
        self.jiter.finish().map_err(failure_of)?;
        Ok(value)
    }

    /// The members of the outermost object. Their names are read into one buffer: an event has a dozen of them.
    fn members(&mut self, take: &mut impl FnMut(&str, Value)) -> Result<(), Failure> {
        let peek = self.jiter.peek().map_err(failure_of)?;
        if peek != Peek::Object {
            let other = self.value(peek, 1)?;
            let message = format!("must be an object, not {}", other.type_name());
            return Err(Failure::new(Code::WrongType, message));
        }
        self.enter(1)?;
        let mut name = String::new();
        let mut key = self.jiter.known_object().map_err(failure_of)?;
        while let Some(text) = key {
            name.clear();
            name.push_str(text);
            if self.may_hold_nul && name.as_bytes().contains(&0) {
                return Err(nul());
            }
            let peek = self.jiter.peek().map_err(failure_of);
            match peek.and_then(|peek| self.value(peek, 2)) {
                Ok(value) => take(&name, value),
                Err(failure) => return Err(failure.inside(Step::Member(name))),
            }
            key = self.jiter.next_key().map_err(failure_of)?;
        }
        self.jiter.finish().map_err(failure_of)
    }

    fn value(&mut self, peek: Peek, depth: usize) -> Result<Value, Failure> {
        let may_hold_nul = self.may_hold_nul;
        match peek {
            Peek::String => Ok(Value::String(text(
                self.jiter.known_str().map_err(failure_of)?,
                may_hold_nul,
            )?)),
            Peek::Object => self.object(depth).map(Value::Object),
            Peek::Array => self.array(depth),
            Peek::Null => self
                .jiter
                .known_null()
                .map(|()| Value::Null)
                .map_err(failure_of),
            Peek::True | Peek::False => self
                .jiter
                .known_bool(peek)
                .map(Value::Bool)
                .map_err(failure_of),
            _ => self.number(peek),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Object, Failure> {
        self.enter(depth)?;
        let may_hold_nul = self.may_hold_nul;
        // An event has a dozen members; growing to them would copy them thrice.
        let mut members = Vec::with_capacity(if depth == 1 { 16 } else { 0 });
        let mut key = self
            .jiter
            .known_object()
            .map_err(failure_of)?
            .map(|name| text(name, may_hold_nul))
            .transpose()?;
        while let Some(name) = key {
            let peek = self.jiter.peek().map_err(failure_of);
            let value = match peek.and_then(|peek| self.value(peek, depth + 1)) {
                Ok(value) => value,
                Err(failure) => return Err(failure.inside(Step::Member(name))),
            };
            members.push((name, value));
            key = self
                .jiter
                .next_key()
                .map_err(failure_of)?
                .map(|name| text(name, may_hold_nul))
                .transpose()?;
        }
        Object::from_members(members).map_err(|name| {
            Failure::new(Code::DuplicateKey, "this member stands twice").inside(Step::Member(name))
        })
    }

    fn array(&mut self, depth: usize) -> Result<Value, Failure> {
        self.enter(depth)?;
        let mut items = Vec::new();
        let mut next = self.jiter.known_array().map_err(failure_of)?;
        while let Some(peek) = next {
            match self.value(peek, depth + 1) {
                Ok(item) => items.push(item),
                Err(failure) => return Err(failure.inside(Step::Index(items.len()))),
            }
            next = self.jiter.array_step().map_err(failure_of)?;
        }
        Ok(Value::Array(items))
    }

    fn number(&mut self, peek: Peek) -> Result<Value, Failure> {
        let token =
            self.jiter
                .known_number_bytes(peek)
                .map_err(|error| match error.error_type {
                    // jiter gives up on integers of more than 4,300 digits, before it has seen their end.
                    JiterErrorType::JsonError(JsonErrorType::NumberOutOfRange) => too_precise(),
                    _ => failure_of(error),
                })?;
        let token = std::str::from_utf8(token)
            .map_err(|_not_ascii| Failure::new(Code::Encoding, "not UTF-8"))?;
        Number::parse(token)
            .map(Value::Number)
            .map_err(|error| match error {
                NumberError::Syntax => Failure::new(Code::Syntax, "not a JSON number"),
                NumberError::TooPrecise => too_precise(),
                NumberError::OutOfRange => {
                    Failure::new(Code::NumberOutOfRange, "beyond the range of a double")
                }
            })
    }

    fn enter(&self, depth: usize) -> Result<(), Failure> {
        if depth > self.depth_max {
            return Err(Failure::new(
                Code::TooDeep,
                format!("nested deeper than {} levels", self.depth_max),
            ));
        }
        Ok(())
    }
}

fn too_precise() -> Failure {
    Failure::new(Code::NumberOutOfRange, "more than 100 significant digits")
}

fn text(text: &str, may_hold_nul: bool) -> Result<String, Failure> {
    if may_hold_nul && text.as_bytes().contains(&0) {
        return Err(nul());
    }
    Ok(text.to_owned())
}

fn nul() -> Failure {
    Failure::new(Code::NulCharacter, "contains U+0000")
}

#[expect(clippy::needless_pass_by_value, reason = "stands in map_err")]
fn failure_of(error: JiterError) -> Failure {
    use JsonErrorType as E;
    let JiterErrorType::JsonError(kind) = &error.error_type else {
        return Failure::new(Code::Syntax, format!("not JSON at byte {}", error.index));
    };
    let at = error.index;
    match kind {
        E::LoneLeadingSurrogateInHexEscape | E::UnexpectedEndOfHexEscape => {
            Failure::new(Code::LoneSurrogate, "half of a surrogate pair")
        }
        E::InvalidUnicodeCodePoint => {
            Failure::new(Code::Encoding, format!("not UTF-8 at byte {at}"))
        }
        E::RecursionLimitExceeded => Failure::new(Code::TooDeep, "nested too deep"),
        E::EofWhileParsingList
        | E::EofWhileParsingObject
        | E::EofWhileParsingString
        | E::EofWhileParsingValue => Failure::new(Code::Syntax, format!("cut off at byte {at}")),
        E::TrailingCharacters => Failure::new(
            Code::Syntax,
            format!("more text after the value, at byte {at}"),
        ),
        // jiter's texts name the rule, never the value.
        _ => Failure::new(Code::Syntax, format!("{kind} at byte {at}")),
    }
}

/// Writes `\ufffd` over every escape that is half a surrogate pair. A backslash stands only in strings, so the
/// structure need not be followed; what is no JSON stays none.
fn replace_lone_surrogates(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut replaced = Cow::Borrowed(bytes);
    let mut at = 0;
    while let Some(step) = bytes
        .get(at..)
        .and_then(|rest| rest.iter().position(|byte| *byte == b'\\'))
    {
        at += step;
        at += match (unit_at(bytes, at), unit_at(bytes, at + ESCAPE_LEN)) {
            (None, _) => 2,
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 2 * ESCAPE_LEN,
            (Some(0xD800..=0xDFFF), _) => {
                if let Some(escape) = replaced.to_mut().get_mut(at..at + ESCAPE_LEN) {
                    escape.copy_from_slice(b"\\ufffd");
                }
                ESCAPE_LEN
            }
            (Some(_), _) => ESCAPE_LEN,
        };
    }
    replaced
}

/// Length of `\uXXXX`.
pub(crate) const ESCAPE_LEN: usize = 6;

/// The UTF-16 code unit that an escape at `at` stands for.
pub(crate) fn unit_at(bytes: &[u8], at: usize) -> Option<u32> {
    let &[b'\\', b'u', a, b, c, d] = bytes.get(at..)?.first_chunk::<ESCAPE_LEN>()? else {
        return None;
    };
    [a, b, c, d].into_iter().try_fold(0, |unit, digit| {
        Some(unit * 16 + char::from(digit).to_digit(16)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::to_canonical;

    const LIMITS: ReadLimits = ReadLimits {
        bytes_max: 1_000,
        depth_max: 5,
        lone_surrogates: LoneSurrogates::Refuse,
    };

    fn read(text: &str) -> Result<String, (Code, String)> {
        read_value(text.as_bytes(), &LIMITS)
            .map(|read| String::from_utf8(to_canonical(&read.value)).unwrap())
            .map_err(|problem| (problem.code, problem.path.as_str().to_owned()))
    }

    #[test]
    fn good_text_is_read_without_loss() {
        let table = [
            ("null", "null"),
            (" [ ] ", "[]"),
            (
                "{\"b\":1,\"a\":[true,false,null,\"\\u00e9\\ud83d\\ude00\"]}",
                "{\"a\":[true,false,null,\"é😀\"],\"b\":1}",
            ),
            (
                "[12345678901234567.89,1.0,-0,1e2]",
                "[12345678901234567.89,1,0,100]",
            ),
            ("[[[[[]]]]]", "[[[[[]]]]]"),
            ("{\"\":{}}", "{\"\":{}}"),
        ];
        for (text, canonical) in table {
            assert_eq!(read(text).as_deref(), Ok(canonical), "{text}");
        }
    }

    #[test]
    fn bad_text_is_refused_with_its_path() {
        let table = [
            ("", Code::Syntax, ""),
            ("{", Code::Syntax, ""),
            ("{\"a\":", Code::Syntax, "/a"),
            ("{\"a\":[1,tru", Code::Syntax, "/a/1"),
            ("{} {}", Code::Syntax, ""),
            ("{\"a\":1,}", Code::Syntax, ""),
            ("[1,]", Code::Syntax, ""),
            ("{'a':1}", Code::Syntax, ""),
            ("[NaN]", Code::Syntax, "/0"),
            ("[Infinity]", Code::Syntax, "/0"),
            ("[-Infinity]", Code::Syntax, "/0"),
            ("[01]", Code::Syntax, "/0"),
            ("[1.]", Code::Syntax, "/0"),
            ("[\"\u{1}\"]", Code::Syntax, "/0"),
            ("[\"\\x\"]", Code::Syntax, "/0"),
            ("\u{feff}{}", Code::Syntax, ""),
            ("{\"a\":1,\"a\":2}", Code::DuplicateKey, "/a"),
            (
                "{\"x\":{\"b\":1,\"a\":2,\"\\u0062\":3}}",
                Code::DuplicateKey,
                "/x/b",
            ),
            ("[[[[[[]]]]]]", Code::TooDeep, "/0/0/0/0/0"),
            (
                "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}",
                Code::TooDeep,
                "/a/a/a/a/a",
            ),
            (
                "{\"a/b\":{\"c~d\":\"x\\u0000\"}}",
                Code::NulCharacter,
                "/a~1b/c~0d",
            ),
            ("{\"a\":{\"\\u0000\":1}}", Code::NulCharacter, "/a"),
            ("[\"\\ud800\"]", Code::LoneSurrogate, "/0"),
            ("[\"\\ud800x\"]", Code::LoneSurrogate, "/0"),
            ("[\"\\ud800\\n\"]", Code::LoneSurrogate, "/0"),
            ("[\"\\ud800\\u0041\"]", Code::LoneSurrogate, "/0"),
            ("[\"\\ude00\\ud83d\"]", Code::LoneSurrogate, "/0"),
            ("{\"\\udfff\":1}", Code::LoneSurrogate, ""),
            ("[1,1e400]", Code::NumberOutOfRange, "/1"),
            ("[5e-400]", Code::NumberOutOfRange, "/0"),
        ];
        for (text, code, path) in table {
            assert_eq!(read(text), Err((code, path.to_owned())), "{text:?}");
        }
        assert_eq!(
            read(&"9".repeat(101)),
            Err((Code::NumberOutOfRange, String::new()))
        );
        assert_eq!(
            read(&"9".repeat(1_001)),
            Err((Code::TooLarge, String::new()))
        );
    }

    #[test]
    fn depth_a_million_neither_hangs_nor_overflows() {
        let limits = ReadLimits {
            bytes_max: 10_000_000,
            depth_max: usize::MAX,
            lone_surrogates: LoneSurrogates::Refuse,
        };
        for open in ["[", "{\"a\":"] {
            let problem = read_value(open.repeat(1_000_000).as_bytes(), &limits).unwrap_err();
            assert_eq!(problem.code, Code::TooDeep);
        }
        let digits = read_value("9".repeat(5_000).as_bytes(), &limits).unwrap_err();
        assert_eq!(digits.code, Code::NumberOutOfRange);
    }

    #[test]
    fn bytes_that_are_no_utf8_are_refused() {
        for bytes in [&b"[\"\xff\"]"[..], b"{\"\xc3\":1}", b"[\"\xed\xa0\x80\"]"] {
            assert_eq!(read_value(bytes, &LIMITS).unwrap_err().code, Code::Encoding);
        }
    }

    #[test]
    fn lone_surrogates_become_the_replacement_character_when_allowed() {
        let limits = ReadLimits {
            lone_surrogates: LoneSurrogates::Replace,
            ..LIMITS
        };
        let check = |text: &str, canonical: &str, replaced: bool| {
            let read = read_value(text.as_bytes(), &limits).unwrap();
            assert_eq!(
                String::from_utf8(to_canonical(&read.value)).unwrap(),
                canonical,
                "{text}"
            );
            assert_eq!(read.replaced_surrogates, replaced, "{text}");
        };
        check(r#""\ud83d\ude00""#, "\"😀\"", false);
        check(r#""\\ud83d""#, r#""\\ud83d""#, false);
        check(r#""\ud83d""#, "\"\u{fffd}\"", true);
        check(r#""\uD83D\ud83d\ude00x""#, "\"\u{fffd}😀x\"", true);
        check(r#""\ude00\ud83d""#, "\"\u{fffd}\u{fffd}\"", true);
        check(
            r#"{"\udfff":"\n\ud800\n"}"#,
            "{\"\u{fffd}\":\"\\n\u{fffd}\\n\"}",
            true,
        );
        check(r#""\\\ud800""#, "\"\\\\\u{fffd}\"", true);
    }
}
