//! The calendar: moments since 1970, their years, weeks and days. UTC only.

use super::date_picture::Component;

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

pub(super) const DAY_MILLIS: i64 = 86_400_000;
const WEEK_MILLIS: i64 = 7 * DAY_MILLIS;

/// The farthest a JavaScript date may be from 1970, in milliseconds.
const FARTHEST: i64 = 8_640_000_000_000_000;

/// Milliseconds since 1970 that a JavaScript date can hold, whole ones.
pub(super) fn clip(millis: f64) -> Option<i64> {
    (millis.abs() <= FARTHEST as f64).then_some(millis as i64)
}

/// A moment, taken apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    millis: i64,
    year: i64,
    /// From 0.
    month: i64,
    day: i64,
}

impl Moment {
    /// `millis` must be within what [`clip`] allows.
    pub(super) fn new(millis: i64) -> Self {
        let (year, month, day) = civil(millis.div_euclid(DAY_MILLIS));
        Self { millis, year, month, day }
    }

    pub(super) fn year(&self) -> i64 {
        self.year
    }

    /// From 1.
    pub(super) fn month(&self) -> i64 {
        self.month + 1
    }

    pub(super) fn day(&self) -> i64 {
        self.day
    }

    pub(super) fn hour(&self) -> i64 {
        self.millis.rem_euclid(DAY_MILLIS) / 3_600_000
    }

    pub(super) fn minute(&self) -> i64 {
        self.millis.rem_euclid(3_600_000) / 60_000
    }

    pub(super) fn second(&self) -> i64 {
        self.millis.rem_euclid(60_000) / 1_000
    }

    pub(super) fn milli(&self) -> i64 {
        self.millis.rem_euclid(1_000)
    }

    pub(super) fn is_afternoon(&self) -> bool {
        self.hour() >= 12
    }

    /// The number a component shows. For morning and afternoon, the zone, the
    /// calendar and the era, which are no numbers, 0.
    pub(super) fn component(&self, component: Component) -> i64 {
        match component {
            Component::Year => self.year,
            Component::Month => self.month(),
            Component::Day => self.day,
            Component::DayOfYear => {
                (utc_or_zero(self.year, self.month, self.day) - utc_or_zero(self.year, 0, 1)) / DAY_MILLIS + 1
            }
            Component::DayOfWeek => weekday(self.millis),
            Component::Week => self.week_of(Period { year: self.year, month: 0, months: 12 }, 52),
            Component::WeekOfMonth => self.week_of(Period { year: self.year, month: self.month, months: 1 }, 4),
            Component::WeekYear => self.home_of(Period { year: self.year, month: 0, months: 12 }).year,
            Component::WeekMonth => self.home_of(Period { year: self.year, month: self.month, months: 1 }).month + 1,
            Component::Hour => self.hour(),
            Component::HalfDayHour => match self.hour() % 12 {
                0 => 12,
                hour => hour,
            },
            Component::Minute => self.minute(),
            Component::Second => self.second(),
            Component::Fraction => self.milli(),
            Component::HalfDay | Component::Zone | Component::ZoneName | Component::Calendar | Component::Era => 0,
        }
    }

    /// The number of the week in a year or month that has `full` weeks at least.
    fn week_of(&self, period: Period, full: i64) -> i64 {
        let today = utc_or_zero(self.year, self.month, self.day);
        let since = today - period.first_week();
        if since > (full - 1) * WEEK_MILLIS && today >= period.next().first_week() {
            return 1;
        }
        let since = if since < 0 { today - period.previous().first_week() } else { since };
        since.div_euclid(WEEK_MILLIS) + 1
    }

    /// The year or month that this moment's week belongs to.
    fn home_of(&self, period: Period) -> Period {
        if self.millis < period.first_week() {
            return period.previous();
        }
        let next = period.next();
        if self.millis >= next.first_week() { next } else { period }
    }
}

/// A year or a month, whose weeks are counted.
#[derive(Clone, Copy)]
struct Period {
    year: i64,
    /// From 0.
    month: i64,
    /// How many months it has: 12 or 1.
    months: i64,
}

impl Period {
    fn moved(self, months: i64) -> Self {
        let months_in_all = self.year * 12 + self.month + months;
        Self { year: months_in_all.div_euclid(12), month: months_in_all.rem_euclid(12), ..self }
    }

    fn next(self) -> Self {
        self.moved(self.months)
    }

    fn previous(self) -> Self {
        self.moved(-self.months)
    }

    /// The Monday of its first week: of the week that has its first Thursday.
    fn first_week(self) -> i64 {
        let first = utc_or_zero(self.year, self.month, 1);
        match weekday(first) {
            late @ 5.. => first + (8 - late) * DAY_MILLIS,
            early => first - (early - 1) * DAY_MILLIS,
        }
    }
}

/// 1 is Monday, 7 is Sunday.
fn weekday(millis: i64) -> i64 {
    (millis.div_euclid(DAY_MILLIS) + 3).rem_euclid(7) + 1
}

/// Midnight of a day, `month` from 0. Years 0 to 99 mean 1900 to 1999: it is
/// JavaScript's `Date.UTC` that the reference reckons with.
fn utc_or_zero(year: i64, month: i64, day: i64) -> i64 {
    let year = if (0..100).contains(&year) { year + 1900 } else { year };
    (days(year, month) + day - 1) * DAY_MILLIS
}

/// JavaScript's `Date.UTC`: `month` from 0, every part may overflow into the
/// next, fractions are cut off, years 0 to 99 mean 1900 to 1999. None if it is
/// no date.
pub(super) fn utc([year, month, day, hour, minute, second, milli]: [f64; 7]) -> Option<i64> {
    // Farther than this from zero, no other part can bring the sum back.
    let whole = |part: f64| (part.abs() < 1e17).then(|| part.trunc());
    let (year, month) = (whole(year)?, whole(month)?);
    let year = if (0.0..100.0).contains(&year) { year + 1900.0 } else { year };
    let year = year + (month / 12.0).floor();
    if year.abs() > 1e6 {
        return None;
    }
    let midnight = (days(year as i64, (month as i64).rem_euclid(12)) as f64 + whole(day)? - 1.0) * DAY_MILLIS as f64;
    let time = whole(hour)? * 3_600_000.0 + whole(minute)? * 60_000.0 + whole(second)? * 1_000.0 + whole(milli)?;
    clip(midnight + time)
}

/// Days from 1970 to the first of a month, counted from 0 and below 12.
pub(super) fn days(year: i64, month: i64) -> i64 {
    // The year starts in March here, so that the leap day is its last; eras of
    // 400 years all have 146,097 days. After Howard Hinnant.
    let (year, month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month from 0 and day of a day since 1970.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era;
    if month < 10 { (year, month + 2, day) } else { (year + 1, month - 10, day) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_each_others_inverse() {
        let (mut year, mut month, mut day) = (-1_999, 0, 1);
        for number in days(-1_999, 0)..days(2_401, 0) {
            assert_eq!(civil(number), (year, month, day));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize];
            day += 1;
            if day > length {
                (month, day) = (month + 1, 1);
            }
            if month == 12 {
                (year, month) = (year + 1, 0);
            }
            assert_eq!(days(year, month) + day - 1, number + 1);
        }
    }

    #[test]
    fn parts_overflow_into_the_next() {
        let date = |parts: [i32; 7]| utc(parts.map(f64::from));
        assert_eq!(date([1970, 0, 1, 0, 0, 0, 0]), Some(0));
        assert_eq!(date([70, 0, 1, 0, 0, 0, 0]), Some(0));
        assert_eq!(date([1969, 12, 1, 0, 0, 0, 1]), Some(1));
        assert_eq!(date([1970, 1, -30, 0, 0, 61, 0]), Some(61_000));
        assert_eq!(date([1971, -12, 1, -1, 60, 0, 0]), Some(0));
        assert_eq!(date([275_760, 8, 13, 0, 0, 0, 0]), Some(FARTHEST));
        assert_eq!(date([275_760, 8, 13, 0, 0, 0, 1]), None);
        assert_eq!(utc([f64::NAN, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]), None);
        assert_eq!(utc([f64::MAX, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]), None);
        assert_eq!(utc([1970.0, 0.0, f64::MAX, 0.0, 0.0, 0.0, f64::MIN]), None);
        assert_eq!(utc([1970.9, 0.9, 1.9, 0.9, 0.9, 0.9, 0.9]), Some(0));
    }

    #[test]
    fn moments_may_be_before_1970() {
        let moment = Moment::new(-1);
        assert_eq!((moment.year(), moment.month(), moment.day()), (1969, 12, 31));
        assert_eq!((moment.hour(), moment.minute(), moment.second(), moment.milli()), (23, 59, 59, 999));
        assert_eq!(moment.component(Component::DayOfWeek), 3);
        assert_eq!(moment.component(Component::DayOfYear), 365);
        for farthest in [FARTHEST, -FARTHEST] {
            let moment = Moment::new(farthest);
            for component in Component::ALL {
                moment.component(component);
            }
        }
    }
}
