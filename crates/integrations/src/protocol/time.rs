//! Times as protocols write them. Nothing here knows what time it is.

use jiff::{Timestamp, fmt::rfc2822::DateTimeParser, tz::TimeZone};

use crate::model::TimestampFormat;

/// A time as text in a format.
pub(super) fn written(time: Timestamp, format: TimestampFormat) -> String {
    match format {
        TimestampFormat::Iso8601 => {
            let micros = time.subsec_microsecond();
            let whole = time.strftime("%Y-%m-%dT%H:%M:%S");
            if micros == 0 { format!("{whole}Z") } else { format!("{whole}.{micros:06}Z") }
        }
        TimestampFormat::Rfc822 => time.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(),
        TimestampFormat::Unix => seconds(time).to_string(),
    }
}

/// A time as JSON's number of seconds: whole where it is.
pub(super) fn seconds(time: Timestamp) -> serde_json::Number {
    if time.subsec_microsecond() == 0 {
        return time.as_second().into();
    }
    #[expect(clippy::cast_precision_loss, reason = "microseconds of this age of the world fit")]
    let seconds = time.as_microsecond() as f64 / 1e6;
    serde_json::Number::from_f64(seconds).unwrap_or_else(|| time.as_second().into())
}

/// From seconds since 1970.
pub(super) fn from_seconds(seconds: f64) -> Option<Timestamp> {
    let millis = (seconds * 1_000.0).round();
    if !millis.is_finite() || millis.abs() > 1e15 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole, and less than 10 to the 15th")]
    Timestamp::from_millisecond(millis as i64).ok()
}

/// From text: any of the formats that services write.
pub(super) fn parsed(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    text.parse()
        .ok()
        .or_else(|| DateTimeParser::new().parse_timestamp(text).ok())
        .or_else(|| from_seconds(text.parse().ok()?))
}

/// As a state sees it: ISO 8601 in UTC, with the fraction that it has (AWS: recorded for whole seconds and
/// milliseconds).
pub(super) fn shown(time: Timestamp) -> String {
    let millis = time.subsec_millisecond();
    let whole = time.strftime("%Y-%m-%dT%H:%M:%S");
    if millis == 0 { format!("{whole}Z") } else { format!("{whole}.{millis:03}Z") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let check = |text: &str, iso: &str, rfc: &str, unix: &str, shown_as: &str| {
            let time: Timestamp = text.parse().expect("a time");
            assert_eq!(written(time, TimestampFormat::Iso8601), iso);
            assert_eq!(written(time, TimestampFormat::Rfc822), rfc);
            assert_eq!(written(time, TimestampFormat::Unix), unix);
            assert_eq!(shown(time), shown_as);
        };
        let rfc = "Sun, 25 Jan 2015 08:00:00 GMT";
        check("2015-01-25T08:00:00Z", "2015-01-25T08:00:00Z", rfc, "1422172800", "2015-01-25T08:00:00Z");
        check(
            "2015-01-25T09:00:00.5+01:00",
            "2015-01-25T08:00:00.500000Z",
            rfc,
            "1422172800.5",
            "2015-01-25T08:00:00.500Z",
        );
    }

    #[test]
    fn whatever_services_write_is_read() {
        for text in [
            "2015-01-25T08:00:00Z",
            "Sun, 25 Jan 2015 08:00:00 GMT",
            "1422172800",
            "1422172800.0",
            "2015-01-25T08:00:00.000+00:00",
        ] {
            assert_eq!(parsed(text).map(Timestamp::as_second), Some(1_422_172_800), "{text}");
        }
        for text in ["", "soon", "NaN", "1e300"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
