//! Dates as text: `$fromMillis`.

use super::calendar::{DAYS, MONTHS, Moment, clip};
use super::date_picture::{Component, DatePicture, Marker, Part};
use super::integer::{Case, Grouping, IntegerPicture};
use super::lenient::parse_int;
use super::{Edition, PictureError};
use std::fmt::Write as _;

/// Writes a moment, given in milliseconds since 1970, with an XPath
/// `format-dateTime` picture; without one as an ISO 8601 timestamp. The time
/// zone is an offset such as `+0100`; without one it is UTC.
///
/// As in the reference, the hours of an offset are rounded down and its minutes
/// keep their sign: `-0530` is six and a half hours.
///
/// # Errors
/// D3130 to D3135 for a picture that makes no sense, D1001 for a moment or a
/// time zone that a date cannot have.
///
/// ```
/// use stepwright_querylang::jsonata::picture::{Edition, format_millis};
/// let date = format_millis(1_521_801_216_617.0, Some("[D1o] [MNn] [Y]"), None, Edition::Current);
/// assert_eq!(date.unwrap(), "23rd March 2018");
/// ```
pub fn format_millis(
    millis: f64,
    picture: Option<&str>,
    timezone: Option<&str>,
    edition: Edition,
) -> Result<String, PictureError> {
    let offset = match timezone {
        Some(timezone) => Offset::parse(timezone)?,
        None => Offset { hours: 0, minutes: 0 },
    };
    let local = clip(millis + offset.millis() as f64).ok_or_else(|| PictureError::out_of_range(millis))?;
    let moment = Moment::new(local);
    let picture = match picture {
        Some(picture) => picture,
        None if offset.number().abs() < 10_000 => return Ok(timestamp(&moment, offset)),
        None => TIMESTAMP,
    };
    let mut text = String::with_capacity(picture.len());
    for part in DatePicture::parse(picture, edition)?.parts {
        match part {
            Part::Literal(literal) => text.push_str(&literal),
            Part::Marker(marker) => write_marker(&moment, offset, &marker, &mut text)?,
        }
    }
    Ok(text)
}

/// How a moment looks by default.
const TIMESTAMP: &str = "[Y0001]-[M01]-[D01]T[H01]:[m01]:[s01].[f001][Z01:01t]";

/// What [`TIMESTAMP`] shows, without the detour: most dates are written so.
fn timestamp(moment: &Moment, offset: Offset) -> String {
    let mut text = String::with_capacity(32);
    let year = moment.year() % 10_000;
    if year < 0 {
        text.push('-');
    }
    let year = year.abs();
    let (month, day) = (moment.month(), moment.day());
    let (hour, minute, second, milli) = (moment.hour(), moment.minute(), moment.second(), moment.milli());
    let zone = offset.number();
    let sign = if zone < 0 { '-' } else { '+' };
    // Writing to a text cannot fail.
    let _ = write!(text, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}");
    let _ = match zone.abs() {
        0 => text.write_char('Z'),
        zone => write!(text, "{sign}{:02}:{:02}", zone / 100, zone % 100),
    };
    text
}

/// How far local time is ahead of UTC.
#[derive(Debug, Clone, Copy)]
struct Offset {
    hours: i64,
    minutes: i64,
}

impl Offset {
    fn parse(timezone: &str) -> Result<Self, PictureError> {
        let number = parse_int(timezone);
        // The reference prints NaN for what is no number.
        if number.is_nan() || number.abs() > 1e9 {
            return Err(PictureError::out_of_range(timezone));
        }
        let number = number as i64;
        Ok(Self { hours: number.div_euclid(100), minutes: number % 100 })
    }

    fn millis(self) -> i64 {
        (60 * self.hours + self.minutes) * 60_000
    }

    /// As a number whose last two digits are the minutes.
    fn number(self) -> i64 {
        self.hours * 100 + self.minutes
    }
}

fn write_marker(moment: &Moment, offset: Offset, marker: &Marker, text: &mut String) -> Result<(), PictureError> {
    let component = marker.component;
    match (&marker.integer, marker.names) {
        (Some(integer), _) if component.is_zone() => return write_zone(offset, marker, integer, text),
        (Some(integer), _) => {
            let mut value = moment.component(component) as f64;
            if let Some(digits) = marker.year_digits {
                value %= 10_f64.powf(digits as f64);
            }
            integer.write(value, text)?;
        }
        (None, names) => match component {
            Component::HalfDay => text.push_str(match (moment.is_afternoon(), names) {
                (false, Some(Case::Upper)) => "AM",
                (false, _) => "am",
                (true, Some(Case::Upper)) => "PM",
                (true, _) => "pm",
            }),
            Component::Calendar | Component::Era => text.push_str("ISO"),
            _ => {
                let name = name_list(component)
                    .and_then(|names| names.get(usize::try_from(moment.component(component) - 1).ok()?))
                    .ok_or_else(|| PictureError::new("D3133", component.letter()))?;
                // Names are ASCII.
                let name = marker.longest.and_then(|longest| name.get(..longest)).unwrap_or(name);
                match names {
                    Some(Case::Upper) => text.push_str(&name.to_ascii_uppercase()),
                    Some(Case::Lower) => text.push_str(&name.to_ascii_lowercase()),
                    _ => text.push_str(name),
                }
            }
        },
    }
    Ok(())
}

/// The names of months or days, if those are what a component has.
pub(super) fn name_list(component: Component) -> Option<&'static [&'static str]> {
    match component {
        Component::Month | Component::WeekMonth => Some(&MONTHS),
        Component::DayOfWeek => Some(&DAYS),
        _ => None,
    }
}

fn write_zone(
    offset: Offset,
    marker: &Marker,
    integer: &IntegerPicture,
    text: &mut String,
) -> Result<(), PictureError> {
    let number = offset.number();
    // The picture is judged even if `Z` is all there is to show.
    let mut shown = String::new();
    match integer.decimal() {
        Some(decimal) => match (&decimal.grouping, decimal.mandatory) {
            (Grouping::Regular { .. }, _) | (_, 3 | 4) => integer.write(number as f64, &mut shown)?,
            (_, 1 | 2) => {
                integer.write(offset.hours as f64, &mut shown)?;
                if offset.minutes != 0 {
                    shown.push(':');
                    IntegerPicture::parse("00")?.write(offset.minutes as f64, &mut shown)?;
                }
            }
            (_, digits) => return Err(PictureError::new("D3134", digits.to_string())),
        },
        None => return Err(PictureError::plain("D3134")),
    }
    if number == 0 && marker.zulu {
        text.push('Z');
        return Ok(());
    }
    if marker.component == Component::ZoneName {
        text.push_str("GMT");
    }
    if number >= 0 {
        text.push('+');
    }
    text.push_str(&shown);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 23 March 2018, a Friday, 10:33:36.617.
    const MOMENT: f64 = 1_521_801_216_617.0;

    #[track_caller]
    fn check(millis: f64, picture: &str, timezone: Option<&str>, expected: &str) {
        let text = format_millis(millis, Some(picture), timezone, Edition::Current);
        assert_eq!(text.as_deref(), Ok(expected), "{millis} {picture} {timezone:?}");
    }

    #[track_caller]
    fn check_error(millis: f64, picture: &str, timezone: Option<&str>, code: &'static str, value: &str) {
        let error = format_millis(millis, Some(picture), timezone, Edition::Current).unwrap_err();
        assert_eq!((error.code, error.value.as_str()), (code, value), "{picture}");
    }

    #[test]
    fn years_months_and_days() {
        check(MOMENT, "[Y0001]-[M01]-[D01]", None, "2018-03-23");
        check(MOMENT, "[D#1]/[M#1]/[Y]", None, "23/3/2018");
        check(MOMENT, "[Y9,999,*]", None, "2,018");
        check(MOMENT, "[Y,2] [Y0001,2] [Y##01,2-2] [Y,2-2] [Y01]", None, "18 2018 18 18 18");
        check(MOMENT, "[M1,2] [D1,4] [D1,*-1]", None, "03 0023 23");
        check(MOMENT, "[YI] [Mi] [Da] [DA] [Yw] [YW,2-2]", None, "MMXVIII iii w W two thousand and eighteen EIGHTEEN");
        check(MOMENT, "[D1o] [Dwo] [DWwo] [M1c]", None, "23rd twenty-third Twenty-Third 3");
        check(-62_198_755_200_000.0, "[Y0001]-[M01]-[D01]", None, "-0001-01-01");
        check(8_640_000_000_000_000.0, "[Y] [Y0001]", None, "275760 5760");
    }

    #[test]
    fn names() {
        check(MOMENT, "[FNn], [FN], [Fn], [F], [F0]", None, "Friday, FRIDAY, friday, friday, 5");
        check(MOMENT, "[MNn] [MN] [Mn] [M]", None, "March MARCH march 3");
        check(MOMENT, "[FNn,3-3] [MN,*-2] [MNn,10-10] [MNn,0-0]", None, "Fri MA March ");
        check(MOMENT, "[PN] [Pn] [P] [P1] [C] [E]", None, "AM am am am ISO ISO");
        check_error(MOMENT, "[YN]", None, "D3133", "Y");
        check_error(MOMENT, "[fn]", None, "D3133", "f");
    }

    #[test]
    fn times() {
        check(MOMENT, "[H01]:[m]:[s].[f001]", None, "10:33:36.617");
        check(1_204_405_500_000.0, "[h]:[m] [P], [H]:[m1]", None, "9:05 pm, 21:5");
        check(0.0, "[h] [P] [f] [f001]", None, "12 am 0 000");
        check(43_200_000.0, "[h] [P]", None, "12 pm");
        check(-1.5, "[s].[f]", None, "59.999");
        check(0.9, "[f]", None, "0");
    }

    #[test]
    fn weeks_and_days_of_the_year() {
        for (date, week) in [
            ((2005, 0, 1), "2004-W53-6"),
            ((2005, 11, 31), "2005-W52-6"),
            ((2007, 0, 1), "2007-W01-1"),
            ((2007, 11, 31), "2008-W01-1"),
            ((2008, 11, 28), "2008-W52-7"),
            ((2010, 0, 3), "2009-W53-7"),
        ] {
            let (year, month, day) = date;
            let millis = super::super::calendar::utc([year, month, day, 0, 0, 0, 0].map(f64::from)).unwrap();
            check(millis as f64, "[X0001]-W[W01]-[F1]", None, week);
        }
        check(1_483_272_000_000.0, "[w] of [xNn]", None, "5 of December");
        check(1_533_038_400_000.0, "[w] of [xNn] [x]", None, "1 of August 8");
        check(1_514_808_000_000.0, "[dwo] [d001]", None, "first 001");
        check(1_483_185_600_000.0, "[d]", None, "366");
    }

    #[test]
    fn zones() {
        let zone = "[H01]:[m] [Z]|[Z0]|[Z0101]|[Z01:01t]|[z]|[z0]|[Z0:0]";
        check(0.0, zone, None, "00:00 +00:00|+0|+0000|Z|GMT+00:00|GMT+0|+0:0");
        check(0.0, zone, Some("+0530"), "05:30 +05:30|+5:30|+0530|+05:30|GMT+05:30|GMT+5:30|+5:3:0");
        check(0.0, zone, Some("-0500"), "19:00 -05:00|-5|-0500|-05:00|GMT-05:00|GMT-5|-5:0:0");
        check(0.0, "[Z00t] [z01:01t]", Some("0000"), "Z Z");
        check_error(0.0, "[Z010101t]", None, "D3134", "6");
        check_error(0.0, "[Zw]", None, "D3134", "");
        check_error(0.0, "[Zt]", None, "D3134", "");
        check_error(0.0, "[ZN]", None, "D3134", "");
    }

    #[test]
    fn offsets_are_read_as_the_reference_reads_them() {
        check(0.0, "[H01]:[m] [Z] [Z0]", Some("-0530"), "17:30 -06:30 -6:-30");
        check(0.0, "[H01]:[m] [Z]", Some("05:30"), "00:05 +00:05");
        for timezone in ["", "UTC", "Europe/Berlin", "99999999999999999999"] {
            check_error(0.0, "[H]", Some(timezone), "D1001", timezone);
        }
    }

    #[test]
    fn the_default_is_a_timestamp() {
        for millis in [0.0, 1.0, -1.0, MOMENT, 1e14, -1e14, 8.64e15, -8.64e15, -62_198_755_200_000.0] {
            for timezone in
                [None, Some("0000"), Some("+0100"), Some("-0530"), Some("-1234"), Some("45"), Some("+12345")]
            {
                let default = format_millis(millis, None, timezone, Edition::Current);
                assert_eq!(default, format_millis(millis, Some(TIMESTAMP), timezone, Edition::Current));
            }
        }
        assert_eq!(format_millis(MOMENT, None, None, Edition::Current).unwrap(), "2018-03-23T10:33:36.617Z");
    }

    #[test]
    fn moments_that_are_no_date_are_refused() {
        for millis in [f64::NAN, f64::INFINITY, 8_640_000_000_000_001.0, -9e15] {
            check_error(millis, "[Y]", None, "D1001", &millis.to_string());
        }
        check_error(8.64e15, "[Y]", Some("+0001"), "D1001", "8640000000000000");
    }

    #[test]
    fn literals_are_copied() {
        check(MOMENT, "", None, "");
        check(MOMENT, "Hello", None, "Hello");
        check(MOMENT, "[[Year]]: [[[Y0001]]]", None, "[Year]: [2018]");
        check_error(MOMENT, "[Mx]", None, "D3130", "x");
    }

    #[test]
    fn in_2_0_6_widths_hold_for_months_and_days() {
        let text = |edition| format_millis(MOMENT, Some("[M1,*-2]/[D1,*-4]/[H1,*-4]"), None, edition).unwrap();
        assert_eq!(text(Edition::Current), "3/23/10");
        assert_eq!(text(Edition::V2_0_6), "03/0023/10");
    }
}
