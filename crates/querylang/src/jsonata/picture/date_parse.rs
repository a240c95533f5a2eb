//! Dates out of text: `$toMillis`.

use super::calendar::{Moment, clip, utc};
use super::date_format::name_list;
use super::date_match::{Kind, Shape, split};
use super::date_picture::{Component, DatePicture, Marker, Part};
use super::integer::{Grouping, IntegerPicture, Style};
use super::lenient::parse_int;
use super::{Edition, PictureError, timestamp};

/// Reads a date as milliseconds since 1970, written with an XPath
/// `format-dateTime` picture; without one as an ISO 8601 timestamp. What a
/// picture leaves out is the present, `now_millis`, down to the first component
/// it has, and the beginning after the last. None if the text does not fit the
/// picture or is no date.
///
/// As in the reference, the minutes of a negative offset count forwards:
/// `-05:30` is four and a half hours.
///
/// # Errors
/// D3110 for a text that is no timestamp, D3130 to D3135 for a picture that
/// makes no sense, D3136 for one that leaves a gap, D1001 for a text too long
/// for the picture.
///
/// ```
/// use stepwright_querylang::jsonata::picture::{Edition, parse_millis};
/// let date = parse_millis("27th April 2008", Some("[D1o] [MNn] [Y0001]"), 0, Edition::Current);
/// assert_eq!(date.unwrap(), Some(1_209_254_400_000));
/// ```
pub fn parse_millis(
    text: &str,
    picture: Option<&str>,
    now_millis: i64,
    edition: Edition,
) -> Result<Option<i64>, PictureError> {
    parse_millis_counted(text, picture, now_millis, edition, &mut 0)
}

/// The same; what it takes to find the parts in the text is added to `work`, also if that fails. A unit is about what a
/// step of an evaluation is.
pub(crate) fn parse_millis_counted(
    text: &str,
    picture: Option<&str>,
    now_millis: i64,
    edition: Edition,
    work: &mut u64,
) -> Result<Option<i64>, PictureError> {
    let Some(picture) = picture else { return timestamp::parse(text).map(Some) };
    let picture = DatePicture::parse(picture, edition)?;
    let mut shapes = Vec::with_capacity(picture.parts.len());
    for part in &picture.parts {
        shapes.push(match part {
            Part::Literal(literal) => Shape::Literal(literal.chars().collect()),
            Part::Marker(marker) => shape(marker, edition)?,
        });
    }
    let text: Vec<char> = text.chars().collect();
    let Some(ends) = split(&shapes, &text, work)? else { return Ok(None) };

    let mut date = Fields::default();
    let mut start = 0;
    let mut any = false;
    for (part, end) in picture.parts.iter().zip(ends) {
        if let Part::Marker(marker) = part {
            let text: String = text[start..end].iter().collect();
            date.set(marker.component, read(marker, &text, edition)?);
            any = true;
        }
        start = end;
    }
    if !any {
        return Ok(None);
    }
    // Within what a date can be, so that its components are.
    let now = Moment::new(clip(now_millis as f64).unwrap_or(0));
    date.resolve(&now)
}

/// What the text of a marker looks like.
fn shape(marker: &Marker, edition: Edition) -> Result<Shape, PictureError> {
    let component = marker.component;
    let Some(integer) = &marker.integer else {
        if component == Component::HalfDay || name_list(component).is_some() {
            return Ok(Shape::Run(Kind::Letters, 1, usize::MAX));
        }
        if component == Component::Fraction && edition == Edition::Current {
            return Ok(Shape::Run(Kind::Digits, 1, usize::MAX));
        }
        return Err(PictureError::new("D3133", component.letter()));
    };
    if component.is_zone() {
        return Ok(Shape::Zone { named: component == Component::ZoneName, separator: zone_separator(integer) });
    }
    if component == Component::Fraction && edition == Edition::Current {
        return Ok(Shape::Run(Kind::Digits, 1, usize::MAX));
    }
    Ok(match &integer.style {
        Style::Letters { .. } => Shape::Run(Kind::Letters, 1, usize::MAX),
        Style::Roman { .. } => Shape::Run(Kind::Roman, 1, usize::MAX),
        Style::Words(_) => Shape::Words,
        Style::Decimal(decimal) => match (decimal.width, integer.is_ordinal()) {
            ((fewest, most), true) => Shape::Ordinal(fewest, most),
            ((fewest, most), false) => Shape::Run(Kind::Digits, fewest, most),
        },
        Style::Sequence(first) => return Err(PictureError::new("D3130", first.as_str())),
    })
}

/// What stands between the hours and the minutes of a zone.
fn zone_separator(integer: &IntegerPicture) -> Option<char> {
    match &integer.decimal()?.grouping {
        Grouping::Regular { separator, .. } => Some(*separator),
        Grouping::At(_) => None,
    }
}

/// What the text of a marker stands for; None for a name that is none.
fn read(marker: &Marker, text: &str, edition: Edition) -> Result<Option<f64>, PictureError> {
    let component = marker.component;
    if component == Component::Fraction && edition == Edition::Current {
        // Digits only; the text is ASCII.
        let digits = text.get(..3).unwrap_or(text);
        return Ok(format!("0.{digits}").parse::<f64>().ok().map(|fraction| fraction * 1_000.0));
    }
    match &marker.integer {
        Some(integer) if component.is_zone() => Ok(Some(read_zone(text, component, zone_separator(integer)))),
        Some(integer) => integer.read(text).map(Some),
        None if component == Component::HalfDay => Ok(match text {
            "am" | "AM" => Some(0.0),
            "pm" | "PM" => Some(1.0),
            _ => None,
        }),
        None => {
            let longest = marker.longest.filter(|&longest| longest > 0).unwrap_or(usize::MAX);
            // Of names that are cut to the same letters the last one counts.
            let names = name_list(component).unwrap_or_default();
            let place = names.iter().rposition(|name| name.get(..longest).unwrap_or(name) == text);
            Ok(place.map(|place| place as f64 + 1.0))
        }
    }
}

/// The offset in minutes.
fn read_zone(text: &str, component: Component, separator: Option<char>) -> f64 {
    // The name is ASCII, and was found there.
    let text = if component == Component::ZoneName { text.get(3..).unwrap_or("") } else { text };
    let (hours, minutes) = match separator.and_then(|separator| text.split_once(separator)) {
        Some((hours, minutes)) => (hours, minutes),
        None if text.len() <= 3 => (text, "0"),
        None => text.split_at_checked(3).unwrap_or((text, "0")),
    };
    parse_int(hours) * 60.0 + parse_int(minutes)
}

/// What is known of a date.
#[derive(Debug, Default)]
struct Fields {
    values: [Option<f64>; Component::ALL.len()],
}

/// Which components make a date, from the most significant on.
const BY_MONTH: &[Component] = &[Component::Year, Component::Month, Component::Day];
/// The reference has the day of the month here, not that of the year.
const BY_DAY_OF_YEAR: &[Component] = &[Component::Year, Component::Day];
const BY_WEEK_OF_MONTH: &[Component] =
    &[Component::WeekYear, Component::WeekMonth, Component::WeekOfMonth, Component::DayOfWeek];
const BY_WEEK: &[Component] = &[Component::WeekYear, Component::Week, Component::DayOfWeek];
const BY_HOUR: &[Component] = &[Component::Hour, Component::Minute, Component::Second, Component::Fraction];
const BY_HALF_DAY: &[Component] =
    &[Component::HalfDay, Component::HalfDayHour, Component::Minute, Component::Second, Component::Fraction];

/// The components that tell which of the above it is, with those that only it has.
const DATE_COMPONENTS: &[Component] = &[
    Component::Year,
    Component::WeekYear,
    Component::Month,
    Component::WeekMonth,
    Component::Week,
    Component::WeekOfMonth,
    Component::DayOfYear,
    Component::Day,
];
const TIME_COMPONENTS: &[Component] = &[
    Component::HalfDay,
    Component::Hour,
    Component::HalfDayHour,
    Component::Minute,
    Component::Second,
    Component::Fraction,
];

impl Fields {
    fn get(&self, component: Component) -> Option<f64> {
        self.values[component as usize]
    }

    fn set(&mut self, component: Component, value: Option<f64>) {
        self.values[component as usize] = value;
    }

    fn value(&self, component: Component) -> f64 {
        self.get(component).unwrap_or(0.0)
    }

    /// If of `all` some are known (and not zero, which the reference takes for
    /// unknown), and all of these are in `wanted`.
    fn is(&self, all: &[Component], wanted: &[Component]) -> bool {
        let mut known = all
            .iter()
            .filter(|&&component| self.get(component).is_some_and(|value| value != 0.0 && !value.is_nan()))
            .peekable();
        known.peek().is_some() && known.all(|component| wanted.contains(component))
    }

    fn resolve(mut self, now: &Moment) -> Result<Option<i64>, PictureError> {
        let day_of_year = [Component::Year, Component::DayOfYear];
        let is_date = |wanted: &[Component]| self.is(DATE_COMPONENTS, wanted);
        let by_month = is_date(BY_MONTH);
        let by_day_of_year = !by_month && is_date(&day_of_year);
        let by_week = is_date(BY_WEEK_OF_MONTH) || is_date(BY_WEEK);
        let by_half_day = !self.is(TIME_COMPONENTS, BY_HOUR) && self.is(TIME_COMPONENTS, BY_HALF_DAY);
        let date = if by_day_of_year {
            BY_DAY_OF_YEAR
        } else if is_date(BY_WEEK_OF_MONTH) {
            BY_WEEK_OF_MONTH
        } else if by_week {
            BY_WEEK
        } else {
            BY_MONTH
        };
        let time = if by_half_day { BY_HALF_DAY } else { BY_HOUR };

        let mut started = false;
        let mut ended = false;
        for &component in date.iter().chain(time) {
            if self.get(component).is_some() {
                if ended {
                    return Err(PictureError::plain("D3136"));
                }
                started = true;
            } else if started {
                ended = true;
                let first = matches!(component, Component::Month | Component::Day | Component::DayOfYear);
                self.set(component, Some(if first { 1.0 } else { 0.0 }));
            } else {
                self.set(component, Some(now.component(component) as f64));
            }
        }
        if by_week {
            // The reference does not read these dates either.
            return Err(PictureError::plain("D3136"));
        }

        let year = self.value(Component::Year);
        let mut month = self.value(Component::Month);
        month = if month > 0.0 { month - 1.0 } else { 0.0 };
        let mut day = self.value(Component::Day);
        if by_day_of_year {
            let day_of_year = self.value(Component::DayOfYear);
            let Some(derived) = utc([year, 0.0, day_of_year.trunc(), 0.0, 0.0, 0.0, 0.0]) else { return Ok(None) };
            let derived = Moment::new(derived);
            (month, day) = ((derived.month() - 1) as f64, derived.day() as f64);
        }
        let mut hour = self.value(Component::Hour);
        if by_half_day {
            hour = self.value(Component::HalfDayHour);
            hour = if hour == 12.0 { 0.0 } else { hour };
            if self.value(Component::HalfDay) == 1.0 {
                hour += 12.0;
            }
        }
        let [minute, second, milli] =
            [Component::Minute, Component::Second, Component::Fraction].map(|part| self.value(part));
        let Some(millis) = utc([year, month, day, hour, minute, second, milli]) else { return Ok(None) };
        // Of two zones the first kind counts, unless it is UTC.
        let zone =
            [Component::Zone, Component::ZoneName].map(|zone| self.value(zone)).into_iter().find(|&zone| zone != 0.0);
        let millis = millis as f64 - zone.unwrap_or(0.0) * 60_000.0;
        Ok((millis.abs() < 1e17).then_some(millis as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::super::format_millis;
    use super::*;

    /// 5 June 2024, 13:14:15.016, a Wednesday.
    const NOW: i64 = 1_717_593_255_016;

    fn parsed(text: &str, picture: &str, edition: Edition) -> Result<Option<String>, PictureError> {
        let millis = parse_millis(text, Some(picture), NOW, edition)?;
        Ok(millis.map(|millis| format_millis(millis as f64, None, None, edition).unwrap()))
    }

    #[track_caller]
    fn check<'e>(text: &str, picture: &str, expected: impl Into<Option<&'e str>>) {
        let expected: Option<&str> = expected.into();
        let expected = expected.map(|date| format!("{date}{}Z", &"0000-01-01T00:00:00.000"[date.len()..]));
        assert_eq!(parsed(text, picture, Edition::Current), Ok(expected), "{text} {picture}");
    }

    #[track_caller]
    fn check_error(text: &str, picture: &str, code: &'static str, value: &str) {
        let error = parse_millis(text, Some(picture), NOW, Edition::Current).unwrap_err();
        assert_eq!((error.code, error.value.as_str()), (code, value), "{text} {picture}");
    }

    #[test]
    fn numbers_are_read() {
        check("2018-03-27", "[Y1]-[M01]-[D01]", "2018-03-27");
        check("2018-03-27T14:03:00.123Z", "[Y0001]-[M01]-[D01]T[H01]:[m01]:[s01].[f001]Z", "2018-03-27T14:03:00.123");
        check("27th 3 1976", "[D1o] [M#1] [Y0001]", "1976-03-27");
        check("27 iii MMXVIII", "[D1] [Mi] [YI]", "2018-03-27");
        check("w C mmxviii", "[Da] [MA] [Yi]", "2018-03-23");
        check("twenty-first August two thousand and seventeen", "[Dw] [MNn] [Yw]", "2017-08-21");
        check("Twentieth of August, two thousand and seventeen", "[DW] of [MNn], [Yw]", "2017-08-20");
        check("irrelevant", "[Y]-[M]-[D]", None);
        check("2018-03-27 ", "[Y]-[M]-[D]", None);
    }

    #[test]
    fn numbers_side_by_side_have_the_width_of_the_picture() {
        check("20180205", "[Y0001][M01][D01]", "2018-02-05");
        check("20240101123849", "[Y0000][M00][D00][H00][m00][s00]", "2024-01-01T12:38:49");
        check("201802", "[Y,*-4][M01]", "2018-02");
        check("20180205x", "[Y0001][M01][D01]", None);
        check("2018025", "[Y0001][M01][D1]", "2018-02-05");
    }

    #[test]
    fn names_are_read() {
        check("27th April 2008", "[D1o] [MNn] [Y0001]", "2008-04-27");
        check("2 Feb 2012", "[D1] [MNn,3-3] [Y0001]", "2012-02-02");
        check("Mon, Twelfth November 2018", "[FNn,*-3], [DWwo] [MNn] [Y]", "2018-11-12");
        check("Nonsday 14 2018 11", "[FNn] [D] [Y] [M]", "2018-11-14");
        // A month that is none, or not in these capitals, leaves a gap.
        check_error("27th april 2008", "[D1o] [MNn] [Y0001]", "D3136", "");
        check("april 2008", "[MNn] [Y0001]", "2008");
        check("2 J 2012", "[D] [MN,1-1] [Y]", "2012-07-02");
    }

    #[test]
    fn half_days() {
        check("4/4/2018 12:06 am", "[D1]/[M1]/[Y0001] [h]:[m] [P]", "2018-04-04T00:06");
        check("4/4/2018 12:06 PM", "[D1]/[M1]/[Y0001] [h]:[m] [P]", "2018-04-04T12:06");
        check("4/4/2018 11:30 pm", "[D1]/[M1]/[Y0001] [h]:[m] [P]", "2018-04-04T23:30");
        check_error("4/4/2018 11:30", "[D1]/[M1]/[Y0001] [h]:[m]", "D3136", "");
        check("11:30", "[h]:[m]", "2024-06-05T11:30");
    }

    #[test]
    fn days_of_the_year() {
        check("2018-094", "[Y0001]-[d001]", "2018-04-04");
        check("2018--180", "[Y]--[d]", "2018-06-29");
        check("three hundred and sixty-fifth day of 2018", "[dwo] day of [Y]", "2018-12-31");
        check("366", "[d]", "2024-12-31T13:14:15.016");
        check_error("2018-094 10", "[Y]-[d] [H]", "D3136", "");
    }

    #[test]
    fn what_is_missing_is_now_or_the_beginning() {
        check("13:45", "[H]:[m]", "2024-06-05T13:45");
        check("7", "[M]", "2024-07");
        check("7", "[D]", "2024-06-07");
        check("59", "[s]", "2024-06-05T13:14:59");
        check("Hello", "Hello", None);
        check("", "", None);
        check("Friday", "[FNn]", "2024-06-05T13:14:15.016");
        check_error("2018-22", "[Y]-[D]", "D3136", "");
        check_error("5-22 23:59", "[M]-[D] [m]:[s]", "D3136", "");
        check_error("2018-3-2-5", "[X]-[x]-[w]-[F1]", "D3136", "");
        check_error("2018-32-5", "[X]-[W]-[F1]", "D3136", "");
    }

    #[test]
    fn zones_are_read() {
        let date = "[Y0001]-[M01]-[D01] [H01]:[m01] ";
        for (text, zone, expected) in [
            ("+02:00", "[Z]", "2020-09-09T06:00"),
            ("GMT-05:00", "[z]", "2020-09-09T13:00"),
            ("GMT-5", "[z01]", "2020-09-09T13:00"),
            ("+0530", "[Z0001]", "2020-09-09T02:30"),
            ("+530", "[Z0001]", "2020-09-07T03:00"),
            ("+05.30", "[Z01.01]", "2020-09-09T02:30"),
            ("-05:30", "[Z]", "2020-09-09T12:30"),
            ("+00:00", "[Z]", "2020-09-09T08:00"),
        ] {
            check(&format!("2020-09-09 08:00 {text}"), &format!("{date}{zone}"), expected);
        }
        check("2020-09-09 08:00 +02", &format!("{date}[Z]"), None);
        check("2020-09-09 08:00 Z", &format!("{date}[Z]"), None);
    }

    #[test]
    fn fractions() {
        for (text, expected) in [("5", ".500"), ("05", ".050"), ("123", ".123"), ("9999", ".999"), ("0", ".000")] {
            let time = format!("2018-01-01T00:00:00{expected}");
            check(&format!("2018-1-1 0:0:0.{text}"), "[Y]-[M]-[D] [H]:[m]:[s].[f001]", time.as_str());
        }
    }

    #[test]
    fn pictures_that_cannot_be_read_are_refused() {
        check_error("x", "[Y]-[M]-[q]", "D3132", "q");
        check_error("x", "[YN]-[M]-[D]", "D3133", "Y");
        check_error("x", "[C]", "D3133", "C");
        check_error("x", "[Dx]", "D3130", "x");
        check_error("x", "[D", "D3135", "");
    }

    #[test]
    fn dates_that_are_none_have_no_millis() {
        check("999999", "[Y]", None);
        check(&"9".repeat(400), "[Y]", None);
        check("mcx", "[YI]", None);
        check("१२", "[Y०१]", None);
        check("12", "[Y०१]", None);
        check("18", "[Y]", "1918");
        assert_eq!(parse_millis("7", Some("[D]"), i64::MIN, Edition::Current), Ok(Some(6 * 86_400_000)));
    }

    #[test]
    fn without_a_picture_it_is_a_timestamp() {
        assert_eq!(parse_millis("2018", None, NOW, Edition::Current), Ok(Some(1_514_764_800_000)));
        assert_eq!(parse_millis("foo", None, NOW, Edition::Current).unwrap_err().code, "D3110");
    }

    #[test]
    fn in_2_0_6_widths_and_fractions_differ() {
        let old = |text, picture| parsed(text, picture, Edition::V2_0_6).unwrap();
        assert_eq!(old("20180205", "[Y0001][M01][D01]").as_deref(), Some("2018-02-05T00:00:00.000Z"));
        assert_eq!(old("2018-2", "[Y0001]-[M01]"), None);
        check("2018-2", "[Y0001]-[M01]", "2018-02");
        assert_eq!(old("1-1-1 0:0:0.5", "[Y]-[M]-[D] [H]:[m]:[s].[f]").as_deref(), Some("1901-01-01T00:00:00.005Z"));
    }
}
