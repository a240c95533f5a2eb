//! ISO 8601 timestamps, as far as the reference and the JavaScript engine
//! below it take them.

use super::PictureError;
use super::calendar::{DAY_MILLIS, days};

/// Milliseconds since 1970 of `2018`, `2018-02`, `2018-02-01`, or one of these
/// with a time to the second, a fraction and `Z` or an offset. Without an offset
/// it is UTC. The 31st of a shorter month is a day of the next one.
///
/// # Errors
/// D3110 for everything else.
pub(super) fn parse(text: &str) -> Result<i64, PictureError> {
    read(text).ok_or_else(|| PictureError::new("D3110", text))
}

fn read(text: &str) -> Option<i64> {
    let mut reader = Reader { rest: text.as_bytes() };
    let year = reader.number(4)?;
    let (mut month, mut day) = (1, 1);
    if reader.skip(b'-') {
        month = reader.number(2).filter(|month| (1..=12).contains(month))?;
        if reader.skip(b'-') {
            day = reader.number(2).filter(|day| (1..=31).contains(day))?;
        }
    }
    let mut millis = (days(year, month - 1) + day - 1) * DAY_MILLIS;
    if reader.skip(b'T') {
        millis += reader.time()?;
        millis -= reader.offset()?;
    } else {
        reader.skip(b'Z');
    }
    reader.rest.is_empty().then_some(millis)
}

struct Reader<'t> {
    rest: &'t [u8],
}

impl Reader<'_> {
    fn skip(&mut self, expected: u8) -> bool {
        match self.rest {
            [first, rest @ ..] if *first == expected => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn digit(&mut self) -> Option<i64> {
        let (first, rest) = self.rest.split_first()?;
        let digit = char::from(*first).to_digit(10)?;
        self.rest = rest;
        Some(i64::from(digit))
    }

    fn number(&mut self, digits: usize) -> Option<i64> {
        (0..digits).try_fold(0, |number, _| Some(number * 10 + self.digit()?))
    }

    /// Hours, minutes, seconds and perhaps a fraction, in milliseconds. 24:00 is
    /// the end of the day.
    fn time(&mut self) -> Option<i64> {
        let hour = self.number(2)?;
        let minute = self.skip(b':').then(|| self.number(2))??;
        let second = self.skip(b':').then(|| self.number(2))??;
        let mut milli = 0;
        let mut beyond = false;
        if self.skip(b'.') {
            let mut worth = 100;
            let mut digit = self.digit()?;
            loop {
                milli += digit * worth;
                worth /= 10;
                beyond |= digit > 0;
                match self.digit() {
                    Some(next) => digit = next,
                    None => break,
                }
            }
        }
        let in_range =
            minute < 60 && second < 60 && (hour < 24 || (hour == 24 && minute == 0 && second == 0 && !beyond));
        in_range.then_some(hour * 3_600_000 + minute * 60_000 + second * 1_000 + milli)
    }

    /// `Z`, `+01:00`, `+0100` or nothing, in milliseconds.
    fn offset(&mut self) -> Option<i64> {
        let Some((&first, rest)) = self.rest.split_first() else { return Some(0) };
        self.rest = rest;
        let sign = match first {
            b'Z' => return Some(0),
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let hour = self.number(2)?;
        self.skip(b':');
        let minute = self.number(2)?;
        (hour < 24 && minute < 60).then_some(sign * (hour * 60 + minute) * 60_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_read() {
        for (text, millis) in [
            ("1970-01-01T00:00:00.001Z", 1),
            ("2018-02-01T09:42:13.123+0000", 1_517_478_133_123),
            ("2017-10-30", 1_509_321_600_000),
            ("2018", 1_514_764_800_000),
            ("2018-05", 1_525_132_800_000),
            ("2018Z", 1_514_764_800_000),
            ("2018-05-06Z", 1_525_564_800_000),
            ("2018T10:00:00", 1_514_800_800_000),
            ("2018-05T10:00:00.5+02:30", 1_525_159_800_500),
            ("2018-02-30", 1_519_948_800_000),
            ("2018-05-06T24:00:00.000Z", 1_525_651_200_000),
            ("2018-05-06T10:00:00.12399999999999999999999999999Z", 1_525_600_800_123),
            ("2018-12-31T23:59:59.999-0530", 1_546_320_599_999),
            ("0000-01-01", -62_167_219_200_000),
            ("0099-01-01", -59_042_995_200_000),
        ] {
            assert_eq!(parse(text), Ok(millis), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "foo",
            "201",
            "20180101",
            "2018-13",
            "2018-00",
            "2018-1",
            "2018-01-00",
            "2018-01-32",
            "2018-01-01-01",
            "2018.5",
            "2018+01:00",
            "01-02-2018",
            "2018-02-03 11:15:33",
            "2018-02-03T11:15",
            "2018-02-03T11:15:60",
            "2018-02-03T11:60:00",
            "2018-02-03T24:00:01",
            "2018-02-03T24:00:00.0001",
            "2018-02-03T25:00:00",
            "2018-02-03T11:15:33.",
            "2018-02-03T11:15:33z",
            "2018-02-03T11:15:33+24:00",
            "2018-02-03T11:15:33+01",
            "2018-02-03T11:15:33+01:60",
            "2018-02-03T11:15:33ZZ",
            "٢٠١٨",
            "20é",
        ] {
            assert_eq!(parse(text), Err(PictureError::new("D3110", text)));
        }
    }
}
