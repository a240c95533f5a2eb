//! RFC 3339 timestamps as the States Language takes them: upper-case `T`, a zone, up to nanoseconds.

/// An instant with nanoseconds, for comparisons. None if the text is not RFC 3339 with an upper-case `T` and a zone
/// (spec 02 §2.3, §2.4), or names no real date or time.
#[must_use]
pub fn parse_instant(text: &str) -> Option<jiff::Timestamp> {
    has_rfc_3339_form(text.as_bytes()).then(|| text.parse().ok()).flatten()
}

/// Milliseconds since the epoch, cut down; none as for [`parse_instant`].
#[must_use]
pub fn parse_timestamp(text: &str) -> Option<i64> {
    parse_instant(text).map(|instant| instant.as_nanosecond().div_euclid(1_000_000) as i64)
}

/// `yyyy-mm-ddThh:mm:ss[.fraction](Z|±hh:mm)`: the form alone, not the ranges.
fn has_rfc_3339_form(text: &[u8]) -> bool {
    let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    let Some((date_time, rest)) = text.split_at_checked(19) else { return false };
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    let has_separators = separators.iter().all(|(at, separator)| date_time[*at] == *separator);
    let has_digits = [0..4, 5..7, 8..10, 11..13, 14..16, 17..19].into_iter().all(|part| digits(&date_time[part]));
    if !has_separators || !has_digits {
        return false;
    }
    let zone = match rest.split_first() {
        Some((b'.', fraction)) => {
            let length = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if length == 0 || length > 9 {
                return false;
            }
            &fraction[length..]
        }
        _ => rest,
    };
    match zone {
        b"Z" => true,
        [b'+' | b'-', offset @ ..] if offset.len() == 5 => {
            digits(&offset[..2]) && offset[2] == b':' && digits(&offset[3..])
        }
        _ => false,
    }
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
            ("1969-12-31T23:59:59.999Z", Some(-1)),
            ("2016-12-05 21:29:29Z", None),
            ("2016-12-05T21:29:29", None),
            ("2016-13-05T21:29:29Z", None),
            ("2016-12-05T25:29:29Z", None),
            ("05-12-2016T21:29:29Z", None),
            ("2016-12-05t21:29:29Z", None),
            ("2016-12-05T21:29:29.Z", None),
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
