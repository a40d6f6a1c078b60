//! Exact decimal numbers in canonical layout.

use std::fmt;

use crate::limits::{NUMBER_DIGITS_MAX, NUMBER_EXPONENT_FREE};

/// A number as its canonical text (`docs/event-format.md` section 1): equal text, equal number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Number(Box<str>);

/// Why a token is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum NumberError {
    #[error("not a JSON number")]
    Syntax,
    #[error("more than 100 significant digits")]
    TooPrecise,
    #[error("beyond the range of a double")]
    OutOfRange,
}

impl Number {
    /// From a JSON number token.
    ///
    /// # Errors
    /// When the token is not one, or cannot be kept exactly.
    pub fn parse(token: &str) -> Result<Self, NumberError> {
        if is_canonical_integer(token.as_bytes()) {
            return Ok(Self(token.into()));
        }
        let text = Decimal::parse(token.as_bytes())?.layout();
        let nearest: f64 = text.parse().map_err(|_not_a_float| NumberError::Syntax)?;
        if nearest.is_infinite() || (nearest == 0.0 && text != "0") {
            return Err(NumberError::OutOfRange);
        }
        Ok(Self(text.into()))
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many bytes it counts for in the size of an event: an exponent beyond ±40 counts written out.
    #[must_use]
    pub fn counted_len(&self) -> usize {
        let Some((mantissa, exponent)) = self.0.split_once('e') else {
            return self.0.len();
        };
        let exponent: i64 = exponent.parse().unwrap_or_default();
        if exponent.abs() <= NUMBER_EXPONENT_FREE {
            return self.0.len();
        }
        let sign = usize::from(mantissa.starts_with('-'));
        let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
        let shift = usize::try_from(exponent.unsigned_abs()).unwrap_or(usize::MAX);
        match exponent {
            // "0." and the zeros before the first digit.
            ..0 => sign + 1 + shift + digits,
            _ if shift < digits.saturating_sub(1) => sign + digits + 1,
            _ => sign + shift + 1,
        }
    }

    /// The nearest double.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        self.0.parse().unwrap_or(f64::NAN)
    }

    /// The value when it is an integer in 0..2^64.
    #[must_use]
    pub fn to_u64(&self) -> Option<u64> {
        self.0.parse().ok()
    }

    /// Whether it is below zero.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.0.starts_with('-')
    }
}

/// How ECMAScript prints the nearest double of a number token; `None` when there is none.
pub(crate) fn ecmascript_text(token: &str) -> Option<String> {
    let nearest: f64 = token.parse().ok()?;
    // `{:e}` prints the shortest digits that read back as this double, which are ECMAScript's but in a tie.
    let shortest = even_of_tie(nearest).unwrap_or_else(|| format!("{nearest:e}"));
    Number::parse(&shortest)
        .ok()
        .map(|number| number.to_string())
}

/// Where a double lies exactly between two shortest texts, ECMAScript takes the one with the even last digit
/// (ECMA-262, `Number::toString`, note 2); Rust takes the larger. The even one, when that is the smaller.
fn even_of_tie(double: f64) -> Option<String> {
    // No double has more than 767 significant digits, so this is its exact value.
    let exact = format!("{double:.767e}");
    let (digits, exponent) = exact.split_once('e')?;
    let smaller = digits
        .trim_end_matches('0')
        .strip_suffix('5')?
        .trim_end_matches('.');
    let is_even = matches!(
        smaller.as_bytes().last(),
        Some(b'0' | b'2' | b'4' | b'6' | b'8')
    );
    let text = format!("{smaller}e{exponent}");
    let same_len = text.len() == format!("{double:e}").len();
    (is_even && same_len && text.parse() == Ok(double)).then_some(text)
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self(value.to_string().into())
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self(value.to_string().into())
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Longest run of digits that is printed without an exponent; ECMAScript `Number::toString`.
const PLAIN_DIGITS_MAX: usize = 21;

/// Integers of at most 21 digits are their own canonical text; nearly every number of real events is one.
fn is_canonical_integer(token: &[u8]) -> bool {
    let digits = token.strip_prefix(b"-").unwrap_or(token);
    match digits {
        [b'0'] => digits.len() == token.len(),
        [b'1'..=b'9', rest @ ..] => {
            rest.len() < PLAIN_DIGITS_MAX && rest.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    }
}

/// `0.d1d2...dk * 10^point`, without leading and trailing zeros; zero has no digits.
struct Decimal {
    negative: bool,
    digits: String,
    point: i64,
}

impl Decimal {
    fn parse(token: &[u8]) -> Result<Self, NumberError> {
        let parts = Parts::split(token).ok_or(NumberError::Syntax)?;
        let mut digits = String::with_capacity(
            NUMBER_DIGITS_MAX.min(parts.integer.len() + parts.fraction.len()),
        );
        let (mut leading, mut pending) = (0_usize, 0_usize);
        for &digit in parts.integer.iter().chain(parts.fraction) {
            match digit {
                b'0' if digits.is_empty() => leading += 1,
                b'0' => pending += 1,
                _ => {
                    if digits.len() + pending + 1 > NUMBER_DIGITS_MAX {
                        return Err(NumberError::TooPrecise);
                    }
                    digits.extend(std::iter::repeat_n('0', pending));
                    digits.push(char::from(digit));
                    pending = 0;
                }
            }
        }
        let point = as_i64(parts.integer.len())
            .saturating_sub(as_i64(leading))
            .saturating_add(parts.exponent);
        // Far outside any double, and so far that writing the zeros would cost memory.
        if !digits.is_empty() && !(-400..=400).contains(&point) {
            return Err(NumberError::OutOfRange);
        }
        Ok(Self {
            negative: parts.negative && !digits.is_empty(),
            digits,
            point,
        })
    }

    /// ECMAScript's layout of these digits; the table in `docs/event-format.md` section 1.
    fn layout(&self) -> String {
        let (digits, count, point) = (self.digits.as_str(), as_i64(self.digits.len()), self.point);
        if digits.is_empty() {
            return "0".to_owned();
        }
        let sign = if self.negative { "-" } else { "" };
        let zeros = |many: i64| "0".repeat(usize::try_from(many).unwrap_or_default());
        let plain_max = as_i64(PLAIN_DIGITS_MAX);
        if count <= point && point <= plain_max {
            return format!("{sign}{digits}{}", zeros(point - count));
        }
        if 0 < point && point <= plain_max {
            let (whole, rest) = digits.split_at(usize::try_from(point).unwrap_or_default());
            return format!("{sign}{whole}.{rest}");
        }
        if -6 < point && point <= 0 {
            return format!("{sign}0.{}{digits}", zeros(-point));
        }
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        format!("{sign}{first}{dot}{rest}e{:+}", point - 1)
    }
}

/// A number token cut by the grammar of RFC 8259 section 6.
struct Parts<'t> {
    negative: bool,
    integer: &'t [u8],
    fraction: &'t [u8],
    exponent: i64,
}

impl<'t> Parts<'t> {
    fn split(token: &'t [u8]) -> Option<Self> {
        let (negative, rest) = match token {
            [b'-', rest @ ..] => (true, rest),
            _ => (false, token),
        };
        let (integer, rest) = leading_digits(rest);
        if integer.is_empty() || (integer.len() > 1 && integer.starts_with(b"0")) {
            return None;
        }
        let (fraction, rest) = match rest {
            [b'.', rest @ ..] => leading_digits(rest),
            _ => (&[][..], rest),
        };
        if fraction.is_empty() && token.contains(&b'.') {
            return None;
        }
        let exponent = match rest {
            [] => 0,
            [b'e' | b'E', rest @ ..] => parse_exponent(rest)?,
            _ => return None,
        };
        Some(Self {
            negative,
            integer,
            fraction,
            exponent,
        })
    }
}

/// Saturates: whatever does not fit in an `i64` is out of range, or the exponent of a zero.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = digits.iter().fold(0_i64, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'))
    });
    Some(if negative { -size } else { size })
}

fn leading_digits(text: &[u8]) -> (&[u8], &[u8]) {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    text.split_at(count)
}

fn as_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(table: &[(&str, &str)]) {
        for (token, expected) in table {
            let printed = Number::parse(token)
                .map(|number| number.to_string())
                .map_err(|e| e.to_string());
            assert_eq!(printed.as_deref(), Ok(*expected), "{token}");
            // Canonical text is a fixed point.
            assert_eq!(
                Number::parse(expected).map(|n| n.to_string()).as_deref(),
                Ok(*expected),
                "{expected}"
            );
        }
    }

    #[test]
    fn tokens_are_laid_out_as_ecmascript_lays_out_their_digits() {
        check(&[
            ("0", "0"),
            ("-0", "0"),
            ("0.0", "0"),
            ("-0.00e5", "0"),
            ("0e999999999999999999999", "0"),
            ("1", "1"),
            ("-7", "-7"),
            ("1.0", "1"),
            ("1.10", "1.1"),
            ("1e2", "100"),
            ("100e-2", "1"),
            ("12345678901234567.89", "12345678901234567.89"),
            ("9007199254740993", "9007199254740993"),
            ("18446744073709551616", "18446744073709551616"),
            ("100000000000000000000", "100000000000000000000"),
            ("999999999999999999999", "999999999999999999999"),
            ("1000000000000000000000", "1e+21"),
            ("1234567890123456789012", "1.234567890123456789012e+21"),
            ("1E21", "1e+21"),
            ("1e20", "100000000000000000000"),
            ("-1.5E+300", "-1.5e+300"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("0.00000123", "0.00000123"),
            ("0.000000123", "1.23e-7"),
            ("-0.1", "-0.1"),
            ("123.456", "123.456"),
            ("5e-324", "5e-324"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            (
                "0.0000000000000000000000000000000000000000000000001e60",
                "100000000000",
            ),
        ]);
    }

    #[test]
    fn what_cannot_be_kept_exactly_is_refused() {
        let refused = |token: &str| Number::parse(token).unwrap_err();
        for token in [
            "1e400",
            "-1e309",
            "1e-400",
            "1e99999999999999999999999",
            "1e-99999999999999999999999",
        ] {
            assert_eq!(refused(token), NumberError::OutOfRange, "{token}");
        }
        assert_eq!(refused(&"9".repeat(101)), NumberError::TooPrecise);
        assert!(Number::parse(&"9".repeat(100)).is_ok());
        assert!(Number::parse(&format!("0.{}{}", "0".repeat(200), "9".repeat(100))).is_ok());
        for token in [
            "", "-", "+1", "01", "1.", ".5", "1e", "1e+", "0x1", "1 ", " 1", "NaN", "Infinity",
            "1_0", "--1",
        ] {
            assert_eq!(refused(token), NumberError::Syntax, "{token:?}");
        }
    }

    #[test]
    fn an_exponent_beyond_forty_counts_written_out() {
        let counted = |token: &str| Number::parse(token).unwrap().counted_len();
        assert_eq!(counted("123"), 3);
        assert_eq!(counted("1e40"), "1e+40".len());
        assert_eq!(counted("1e41"), 42);
        assert_eq!(counted("-1.25e41"), 43);
        assert_eq!(counted("1e-40"), "1e-40".len());
        assert_eq!(counted("1e-41"), "0.".len() + 41);
        assert_eq!(counted("-1.25e-41"), "-0.".len() + 43);
        let long = format!("{}e-1", "9".repeat(60));
        assert_eq!(counted(&long), 61);
    }

    #[test]
    fn a_tie_is_printed_with_its_even_digit() {
        let table = [
            ("1029144081271910.25", "1029144081271910.2"),
            ("1029144081271910.75", "1029144081271910.8"),
            ("-1029144081271910.25", "-1029144081271910.2"),
            ("2251799813685249.5", "2251799813685249.5"),
            ("5e-324", "5e-324"),
            ("2.5", "2.5"),
            ("-0", "0"),
        ];
        for (token, expected) in table {
            assert_eq!(ecmascript_text(token).as_deref(), Some(expected));
            assert_eq!(
                ryu_js::Buffer::new().format(token.parse::<f64>().unwrap()),
                expected
            );
        }
    }

    #[test]
    fn integers_come_back() {
        assert_eq!(Number::from(u64::MAX).to_u64(), Some(u64::MAX));
        assert_eq!(Number::from(-5_i64).to_u64(), None);
        assert_eq!(Number::parse("1.5").unwrap().to_u64(), None);
        assert_eq!(Number::parse("1e3").unwrap().to_u64(), Some(1000));
        assert_eq!(Number::parse("5e-324").unwrap().to_f64(), 5e-324);
    }
}
