//! RFC 3339 timestamps as the States Language takes them: upper-case `T`, a zone, up to nanoseconds.
//! Nothing here knows what time it is.

use std::ops::Range;

use jiff::civil::{Date, DateTime, Time};

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// The instant in nanoseconds since the epoch, for comparisons. None if the text is not RFC 3339 with an upper-case
/// `T` and a zone, or names no real date or time.
///
/// ```
/// use stepwright_asl::parse_instant;
/// assert!(parse_instant("2024-01-01T00:00:00.000000001Z") > parse_instant("2024-01-01T01:00:00+01:00"));
/// ```
#[must_use]
pub fn parse_instant(text: &str) -> Option<i128> {
    let (date_time, rest) = text.as_bytes().split_at_checked("yyyy-mm-ddThh:mm:ss".len())?;
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|&(at, separator)| date_time[at] != separator) {
        return None;
    }
    let part = |range: Range<usize>| digits(&date_time[range]);
    let byte = |range: Range<usize>| i8::try_from(part(range)?).ok();
    let (nanosecond, zone) = fraction(rest)?;
    let date = Date::new(i16::try_from(part(0..4)?).ok()?, byte(5..7)?, byte(8..10)?).ok()?;
    let time = Time::new(byte(11..13)?, byte(14..16)?, byte(17..19)?, nanosecond).ok()?;
    let local = date.to_datetime(time).duration_since(EPOCH).as_nanos();
    Some(local - i128::from(offset_seconds(zone)?) * 1_000_000_000)
}

/// Milliseconds since the epoch, cut down; none as for [`parse_instant`].
///
/// ```
/// use stepwright_asl::parse_timestamp;
/// assert_eq!(parse_timestamp("1970-01-01T00:00:01.5Z"), Some(1_500));
/// assert_eq!(parse_timestamp("2016-12-05T25:29:29Z"), None);
/// ```
#[must_use]
pub fn parse_timestamp(text: &str) -> Option<i64> {
    i64::try_from(parse_instant(text)?.div_euclid(1_000_000)).ok()
}

/// An optional fraction in nanoseconds, and what follows it.
fn fraction(text: &[u8]) -> Option<(i32, &[u8])> {
    let Some(text) = text.strip_prefix(b".") else { return Some((0, text)) };
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&length) {
        return None;
    }
    let (fraction, rest) = text.split_at(length);
    let nanoseconds = (length..9).fold(digits(fraction)?, |value, _| value * 10);
    Some((i32::try_from(nanoseconds).ok()?, rest))
}

/// The zone's distance from UTC: `Z` or `±hh:mm`.
fn offset_seconds(zone: &[u8]) -> Option<i64> {
    let (sign, offset) = match zone {
        b"Z" => return Some(0),
        [b'+', offset @ ..] => (1, offset),
        [b'-', offset @ ..] => (-1, offset),
        _ => return None,
    };
    if offset.len() != 5 || offset[2] != b':' {
        return None;
    }
    let (hours, minutes) = (digits(&offset[..2])?, digits(&offset[3..])?);
    (hours < 24 && minutes < 60).then_some(sign * i64::from(hours * 3600 + minutes * 60))
}

/// At most nine digits as a number.
fn digits(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::{parse_instant, parse_timestamp};

    #[test]
    fn takes_rfc_3339_and_nothing_else() {
        for (text, expected) in [
            ("1970-01-01T00:00:01Z", Some(1_000)),
            ("1970-01-01T00:00:00.123456789Z", Some(123)),
            ("1970-01-01T01:00:00+01:00", Some(0)),
            ("1970-01-01T00:00:00-00:30", Some(1_800_000)),
            ("1969-12-31T23:59:59.999Z", Some(-1)),
            ("1969-12-31T23:59:59.9999Z", Some(-1)),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800_000)),
            ("9999-12-31T23:59:59Z", Some(253_402_300_799_000)),
            ("2023-02-29T00:00:00Z", None),
            ("2016-12-05 21:29:29Z", None),
            ("2016-12-05T21:29:29", None),
            ("2016-12-05", None),
            ("2016-13-05T21:29:29Z", None),
            ("2016-12-05T25:29:29Z", None),
            ("2016-12-05T24:00:00Z", None),
            ("2016-12-05T21:60:29Z", None),
            ("2016-12-05T21:29:60Z", None),
            ("05-12-2016T21:29:29Z", None),
            ("2016-12-05t21:29:29Z", None),
            ("2016-12-05T21:29:29z", None),
            ("2016-12-05T21:29:29.Z", None),
            ("2016-12-05T21:29:29.1234567890Z", None),
            ("2016-12-05T21:29:29+0100", None),
            ("2016-12-05T21:29:29+24:00", None),
            ("2016-12-05T21:29:29+01:60", None),
            ("2016-12-05T21:29:29Z ", None),
            ("2016-12-05T21:29:2éZ", None),
            ("+016-12-05T21:29:29Z", None),
            ("", None),
        ] {
            assert_eq!(parse_timestamp(text), expected, "{text:?}");
        }
    }

    #[test]
    fn instants_compare_to_the_nanosecond() {
        let earlier = parse_instant("2020-01-01T00:00:00.000000001Z");
        let later = parse_instant("2020-01-01T00:00:00.000000002Z");
        assert!(earlier < later && earlier.is_some());
    }
}
