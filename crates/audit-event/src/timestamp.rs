//! Points in time, parsed and printed by us only.

use std::fmt;

/// Microseconds since 1970-01-01T00:00:00Z; years 0001 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// How a producer wrote a timestamp, so that its text can be rebuilt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TimestampForm {
    /// Six fraction digits and `Z`: the canonical text.
    #[default]
    Canonical,
    /// No fraction and `Z`.
    Seconds,
    /// Three fraction digits and `Z`.
    Millis,
    /// Any other text, kept whole (at most 64 bytes).
    Text(String),
}

/// What a time without a zone means; only a foreign form may say UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingZone {
    /// An error.
    Refuse,
    /// UTC.
    Utc,
}

/// Why a text is not a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum TimestampError {
    #[error("not an RFC 3339 time")]
    Form,
    #[error("no time zone; write Z or an offset")]
    NoZone,
    #[error("no such date or time of day")]
    OutOfRange,
}

/// 0001-01-01T00:00:00Z.
const MICROS_MIN: i64 = -62_135_596_800 * MICROS_PER_SECOND;
/// 9999-12-31T23:59:59.999999Z.
const MICROS_MAX: i64 = 253_402_300_800 * MICROS_PER_SECOND - 1;
const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
/// Length of the canonical text.
const CANONICAL_LEN: usize = 27;

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// From microseconds since the epoch; `None` outside the years 0001 to 9999.
    #[must_use]
    pub fn from_micros(micros: i64) -> Option<Self> {
        (MICROS_MIN..=MICROS_MAX)
            .contains(&micros)
            .then_some(Self(micros))
    }

    /// From a clock's microseconds; outside the years 0001 to 9999 the nearest time within them.
    #[must_use]
    pub fn clamped(micros: i64) -> Self {
        Self(micros.clamp(MICROS_MIN, MICROS_MAX))
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Parses RFC 3339 as `docs/event-format.md` section 1 narrows it, and says how it was written.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(
        text: &str,
        missing_zone: MissingZone,
    ) -> Result<(Self, TimestampForm), TimestampError> {
        let bytes = text.as_bytes();
        if bytes.len() > crate::limits::TIMESTAMP_TEXT_MAX {
            return Err(TimestampError::Form);
        }
        let (date_time, rest) = bytes
            .split_first_chunk::<19>()
            .ok_or(TimestampError::Form)?;
        let seconds = seconds_of(date_time)?;
        let (fraction, zone) = split_fraction(rest)?;
        let offset = match zone {
            [] if missing_zone == MissingZone::Utc => 0,
            [] => return Err(TimestampError::NoZone),
            [b'Z' | b'z'] => 0,
            _ => offset_of(zone)?,
        };
        let micros = (seconds - offset) * MICROS_PER_SECOND + micros_of(fraction);
        let time = Self::from_micros(micros).ok_or(TimestampError::OutOfRange)?;
        let plain = zone == b"Z" && date_time.get(10) == Some(&b'T');
        let form = match (plain, fraction.len(), rest.len() - zone.len()) {
            (true, 6, _) => TimestampForm::Canonical,
            (true, 0, 0) => TimestampForm::Seconds,
            (true, 3, _) => TimestampForm::Millis,
            _ => TimestampForm::Text(text.to_owned()),
        };
        Ok((time, form))
    }

    /// The text in the producer's own writing, rebuilt from its form.
    #[must_use]
    pub fn to_text(self, form: &TimestampForm) -> String {
        let canonical = self.canonical_text();
        let canonical = std::str::from_utf8(&canonical).unwrap_or_default();
        let cut = |len: usize| format!("{}Z", canonical.get(..len).unwrap_or_default());
        match form {
            TimestampForm::Canonical => canonical.to_owned(),
            TimestampForm::Seconds => cut(19),
            TimestampForm::Millis => cut(23),
            TimestampForm::Text(text) => text.clone(),
        }
    }

    /// The canonical text as bytes, without an allocation: it is written for every event, twice.
    #[must_use]
    pub fn canonical_text(self) -> [u8; CANONICAL_LEN] {
        let seconds = self.0.div_euclid(MICROS_PER_SECOND);
        let fraction = self.0.rem_euclid(MICROS_PER_SECOND);
        let (days, of_day) = (
            seconds.div_euclid(SECONDS_PER_DAY),
            seconds.rem_euclid(SECONDS_PER_DAY),
        );
        let (year, month, day) = civil_from_days(days);
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        put(&mut text, 0, year / 100);
        put(&mut text, 2, year % 100);
        put(&mut text, 5, month);
        put(&mut text, 8, day);
        put(&mut text, 11, of_day / 3_600);
        put(&mut text, 14, of_day / 60 % 60);
        put(&mut text, 17, of_day % 60);
        put(&mut text, 20, fraction / 10_000);
        put(&mut text, 22, fraction / 100 % 100);
        put(&mut text, 24, fraction % 100);
        text
    }
}

/// The canonical text, 27 characters.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.canonical_text()).unwrap_or_default())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Writes `value`, below 100, as two digits at `at`.
fn put(text: &mut [u8; CANONICAL_LEN], at: usize, value: i64) {
    let value = u8::try_from(value).unwrap_or_default();
    if let Some([tens, ones]) = text.get_mut(at..at + 2) {
        (*tens, *ones) = (b'0' + value / 10, b'0' + value % 10);
    }
}

/// Seconds since the epoch of `YYYY-MM-DDThh:mm:ss`, read as UTC.
fn seconds_of(text: &[u8; 19]) -> Result<i64, TimestampError> {
    let &[
        y1,
        y2,
        y3,
        y4,
        b'-',
        m1,
        m2,
        b'-',
        d1,
        d2,
        b'T' | b't',
        h1,
        h2,
        b':',
        n1,
        n2,
        b':',
        s1,
        s2,
    ] = text
    else {
        return Err(TimestampError::Form);
    };
    let year = digits(&[y1, y2, y3, y4])?;
    let (month, day) = (digits(&[m1, m2])?, digits(&[d1, d2])?);
    let (hour, minute, second) = (digits(&[h1, h2])?, digits(&[n1, n2])?, digits(&[s1, s2])?);
    let date_exists =
        year >= 1 && (1..=12).contains(&month) && day >= 1 && day <= days_in_month(year, month);
    if !date_exists || hour > 23 || minute > 59 || second > 59 {
        return Err(TimestampError::OutOfRange);
    }
    Ok(days_from_civil(year, month, day) * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second)
}

/// The digits after the dot, and what follows them.
fn split_fraction(rest: &[u8]) -> Result<(&[u8], &[u8]), TimestampError> {
    let [b'.', rest @ ..] = rest else {
        return Ok((&[], rest));
    };
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 {
        return Err(TimestampError::Form);
    }
    Ok(rest.split_at(count))
}

/// Six digits count; what follows them is cut, which is toward the past because a fraction only adds.
fn micros_of(fraction: &[u8]) -> i64 {
    let padded = fraction
        .iter()
        .copied()
        .chain(std::iter::repeat(b'0'))
        .take(6);
    padded.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'))
}

/// Seconds east of UTC of `+hh:mm` or `-hh:mm`.
fn offset_of(zone: &[u8]) -> Result<i64, TimestampError> {
    let &[sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] = zone else {
        return Err(TimestampError::Form);
    };
    let (hours, minutes) = (digits(&[h1, h2])?, digits(&[m1, m2])?);
    if hours > 23 || minutes > 59 {
        return Err(TimestampError::OutOfRange);
    }
    let seconds = hours * 3_600 + minutes * 60;
    Ok(if sign == b'-' { -seconds } else { seconds })
}

fn digits(text: &[u8]) -> Result<i64, TimestampError> {
    text.iter().try_fold(0, |sum, byte| {
        if byte.is_ascii_digit() {
            Ok(sum * 10 + i64::from(byte - b'0'))
        } else {
            Err(TimestampError::Form)
        }
    })
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar; Howard Hinnant, "chrono-compatible low-level date
/// algorithms", `days_from_civil`. The year starts in March, so that the leap day is its last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The inverse: year, month, day.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(String, TimestampForm), TimestampError> {
        Timestamp::parse(text, MissingZone::Refuse).map(|(time, form)| (time.to_string(), form))
    }

    #[test]
    fn every_accepted_text_has_one_canonical_text_and_can_be_rebuilt() {
        let text = |text: &str| TimestampForm::Text(text.to_owned());
        let check = |input: &str, canonical: &str, form: TimestampForm| {
            assert_eq!(
                parse(input),
                Ok((canonical.to_owned(), form.clone())),
                "{input}"
            );
            let (time, form) = Timestamp::parse(input, MissingZone::Refuse).unwrap();
            assert_eq!(time.to_text(&form), input);
        };
        check(
            "2024-01-01T12:00:04.123456Z",
            "2024-01-01T12:00:04.123456Z",
            TimestampForm::Canonical,
        );
        check(
            "2024-01-01T12:00:04.123Z",
            "2024-01-01T12:00:04.123000Z",
            TimestampForm::Millis,
        );
        check(
            "2024-02-29T12:00:04Z",
            "2024-02-29T12:00:04.000000Z",
            TimestampForm::Seconds,
        );
        let others = [
            ("2024-01-01T12:00:04.1Z", "2024-01-01T12:00:04.100000Z"),
            (
                "2024-01-01T12:00:04.1234567Z",
                "2024-01-01T12:00:04.123456Z",
            ),
            (
                "2024-01-01T12:00:04.999999999Z",
                "2024-01-01T12:00:04.999999Z",
            ),
            (
                "1969-12-31T23:59:59.9999999Z",
                "1969-12-31T23:59:59.999999Z",
            ),
            ("2024-01-01T01:30:00+02:00", "2023-12-31T23:30:00.000000Z"),
            (
                "2024-01-01T01:30:00.000-00:30",
                "2024-01-01T02:00:00.000000Z",
            ),
            ("2024-01-01T01:30:00-00:00", "2024-01-01T01:30:00.000000Z"),
            ("2024-01-01t01:30:00z", "2024-01-01T01:30:00.000000Z"),
            ("2024-01-01t01:30:00Z", "2024-01-01T01:30:00.000000Z"),
            ("2000-02-29T00:00:00+00:00", "2000-02-29T00:00:00.000000Z"),
        ];
        for (input, canonical) in others {
            check(input, canonical, text(input));
        }
        check(
            "0001-01-01T00:00:00Z",
            "0001-01-01T00:00:00.000000Z",
            TimestampForm::Seconds,
        );
        check(
            "9999-12-31T23:59:59.999999Z",
            "9999-12-31T23:59:59.999999Z",
            TimestampForm::Canonical,
        );
    }

    #[test]
    fn what_is_no_time_is_refused_with_its_reason() {
        use TimestampError::{Form, NoZone, OutOfRange};
        let table = [
            ("", Form),
            ("now", Form),
            ("2024-01-01", Form),
            ("2024-01-01T12:00Z", Form),
            ("2024-01-01 12:00:00Z", Form),
            ("2024-1-01T12:00:00.0Z", Form),
            ("20240101T120000.0000Z", Form),
            ("2024-01-01T12:00:00.Z", Form),
            ("2024-01-01T12:00:00,5Z", Form),
            ("2024-01-01T12:00:00+0200", Form),
            ("2024-01-01T12:00:00Zz", Form),
            ("2024-01-01T12:00:00Z ", Form),
            ("+2024-01-01T12:00:00Z", Form),
            ("infinity", Form),
            ("2024-01-01T12:00:0\u{664}Z", Form),
            ("2024-01-01T12:00:00", NoZone),
            ("2024-01-01T12:00:00.5", NoZone),
            ("2024-01-01T12:00:60Z", OutOfRange),
            ("2024-01-01T24:00:00Z", OutOfRange),
            ("2024-01-01T12:60:00Z", OutOfRange),
            ("2024-02-30T12:00:00Z", OutOfRange),
            ("2023-02-29T12:00:00Z", OutOfRange),
            ("1900-02-29T12:00:00Z", OutOfRange),
            ("2024-00-01T12:00:00Z", OutOfRange),
            ("2024-13-01T12:00:00Z", OutOfRange),
            ("2024-01-00T12:00:00Z", OutOfRange),
            ("0000-01-01T12:00:00Z", OutOfRange),
            ("0001-01-01T00:00:00+01:00", OutOfRange),
            ("9999-12-31T23:59:59-01:00", OutOfRange),
            ("2024-01-01T12:00:00+24:00", OutOfRange),
        ];
        for (input, reason) in table {
            assert_eq!(parse(input), Err(reason), "{input:?}");
        }
        let long = format!("2024-01-01T12:00:00.{}Z", "1".repeat(60));
        assert_eq!(parse(&long), Err(Form));
    }

    #[test]
    fn a_foreign_form_may_read_no_zone_as_utc() {
        let (time, form) = Timestamp::parse("2024-01-01T12:00:00.25", MissingZone::Utc).unwrap();
        assert_eq!(time.to_string(), "2024-01-01T12:00:00.250000Z");
        assert_eq!(
            form,
            TimestampForm::Text("2024-01-01T12:00:00.25".to_owned())
        );
    }

    #[test]
    fn every_day_of_four_centuries_converts_there_and_back() {
        let mut expected = (1, 1, 1);
        for days in -719_162..-719_162 + 2 * 146_097 {
            let (year, month, day) = civil_from_days(days);
            assert_eq!((year, month, day), expected);
            assert_eq!(days_from_civil(year, month, day), days);
            expected = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                (_, last) if last == days_in_month(year, month) => (year, month + 1, 1),
                _ => (year, month, day + 1),
            };
        }
        assert_eq!(civil_from_days(0), (1970, 1, 1));
    }

    #[test]
    fn the_years_one_to_9999_are_all_there_is() {
        assert_eq!(
            Timestamp::from_micros(MICROS_MIN).unwrap().to_string(),
            "0001-01-01T00:00:00.000000Z"
        );
        assert_eq!(
            Timestamp::from_micros(MICROS_MAX).unwrap().to_string(),
            "9999-12-31T23:59:59.999999Z"
        );
        for micros in [MICROS_MIN - 1, MICROS_MAX + 1, i64::MIN, i64::MAX] {
            assert_eq!(Timestamp::from_micros(micros), None);
        }
    }
}
