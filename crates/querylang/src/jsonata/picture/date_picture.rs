//! Date pictures, taken apart: `[Y0001]-[M01]-[D01]`.

use super::integer::{Case, IntegerPicture};
use super::lenient::{is_space, parse_int};
use super::{Edition, PictureError};

/// What a marker stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Component {
    Year,
    Month,
    Day,
    DayOfYear,
    DayOfWeek,
    Week,
    WeekOfMonth,
    /// The year that the week belongs to.
    WeekYear,
    /// The month that the week belongs to.
    WeekMonth,
    Hour,
    HalfDayHour,
    /// Morning or afternoon.
    HalfDay,
    Minute,
    Second,
    Fraction,
    Zone,
    ZoneName,
    Calendar,
    Era,
}

impl Component {
    pub(super) const ALL: [Self; 19] = [
        Self::Year,
        Self::Month,
        Self::Day,
        Self::DayOfYear,
        Self::DayOfWeek,
        Self::Week,
        Self::WeekOfMonth,
        Self::WeekYear,
        Self::WeekMonth,
        Self::Hour,
        Self::HalfDayHour,
        Self::HalfDay,
        Self::Minute,
        Self::Second,
        Self::Fraction,
        Self::Zone,
        Self::ZoneName,
        Self::Calendar,
        Self::Era,
    ];

    pub(super) fn letter(self) -> char {
        match self {
            Self::Year => 'Y',
            Self::Month => 'M',
            Self::Day => 'D',
            Self::DayOfYear => 'd',
            Self::DayOfWeek => 'F',
            Self::Week => 'W',
            Self::WeekOfMonth => 'w',
            Self::WeekYear => 'X',
            Self::WeekMonth => 'x',
            Self::Hour => 'H',
            Self::HalfDayHour => 'h',
            Self::HalfDay => 'P',
            Self::Minute => 'm',
            Self::Second => 's',
            Self::Fraction => 'f',
            Self::Zone => 'Z',
            Self::ZoneName => 'z',
            Self::Calendar => 'C',
            Self::Era => 'E',
        }
    }

    fn from_letter(letter: char) -> Option<Self> {
        Self::ALL.into_iter().find(|component| component.letter() == letter)
    }

    /// How it looks if the marker doesn't say.
    fn default_presentation(self) -> &'static str {
        match self {
            Self::DayOfWeek | Self::HalfDay | Self::Calendar | Self::Era => "n",
            Self::Minute | Self::Second => "01",
            Self::Zone | Self::ZoneName => "01:01",
            _ => "1",
        }
    }

    pub(super) fn is_zone(self) -> bool {
        matches!(self, Self::Zone | Self::ZoneName)
    }

    fn is_number(self) -> bool {
        !self.is_zone() && !matches!(self, Self::HalfDay | Self::Calendar | Self::Era)
    }
}

/// A date picture.
#[derive(Debug)]
pub(super) struct DatePicture {
    pub(super) parts: Vec<Part>,
}

#[derive(Debug)]
pub(super) enum Part {
    Literal(String),
    Marker(Marker),
}

#[derive(Debug)]
pub(super) struct Marker {
    pub(super) component: Component,
    /// To be shown as a name.
    pub(super) names: Option<Case>,
    /// To be shown as a number; always there for zones.
    pub(super) integer: Option<IntegerPicture>,
    /// The zone may be shown as `Z`.
    pub(super) zulu: bool,
    /// The longest a name may be.
    pub(super) longest: Option<usize>,
    /// How many digits of a year are shown, if not all.
    pub(super) year_digits: Option<usize>,
}

impl DatePicture {
    /// # Errors
    /// D3131, D3132, D3135.
    pub(super) fn parse(picture: &str, edition: Edition) -> Result<Self, PictureError> {
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = picture;
        while let Some(open) = rest.find('[') {
            push_literal(&mut parts, &rest[..open]);
            let after = &rest[open + 1..];
            if let Some(after) = after.strip_prefix('[') {
                push_literal(&mut parts, "[");
                rest = after;
                continue;
            }
            let (marker, after) = after.split_once(']').ok_or_else(|| PictureError::plain("D3135"))?;
            let marker = Marker::parse(marker, edition)?;
            // Digits that follow on digits have no end of their own: those
            // before them must be as many as the picture shows.
            if let (Edition::Current, true, Some(Part::Marker(previous))) =
                (edition, marker.shows_number(), parts.last_mut())
                && let Some(decimal) = previous.integer.as_mut().and_then(IntegerPicture::decimal_mut)
                && decimal.mandatory > 0
            {
                decimal.width = (decimal.mandatory, decimal.mandatory);
            }
            parts.push(Part::Marker(marker));
            rest = after;
        }
        push_literal(&mut parts, rest);
        Ok(Self { parts })
    }
}

fn push_literal(parts: &mut Vec<Part>, literal: &str) {
    if !literal.is_empty() {
        parts.push(Part::Literal(literal.replace("]]", "]")));
    }
}

impl Marker {
    fn parse(marker: &str, edition: Edition) -> Result<Self, PictureError> {
        let marker: String = marker.chars().filter(|&character| !is_space(character)).collect();
        let letter = marker.chars().next();
        // The reference goes on with an unknown letter that is followed by
        // something, and prints "undefined".
        let Some(component) = letter.and_then(Component::from_letter) else {
            return Err(PictureError::new("D3132", letter.map(String::from).unwrap_or_default()));
        };
        let modifiers = &marker[component.letter().len_utf8()..];
        let (presentation, width) = modifiers.rsplit_once(',').unwrap_or((modifiers, "*"));
        let (shortest, longest) = width.split_once('-').unwrap_or((width, "*"));
        let (shortest, longest) = (parse_width(shortest), parse_width(longest));

        let (presentation, modifier) = split_modifier(presentation);
        let presentation = if presentation.is_empty() { component.default_presentation() } else { presentation };
        let names = match presentation.as_bytes() {
            [b'n', ..] => Some(Case::Lower),
            [b'N', b'n', ..] => Some(Case::Title),
            [b'N', ..] => Some(Case::Upper),
            _ => None,
        };
        let mut parsed = Self { component, names, integer: None, zulu: modifier == "t", longest, year_digits: None };
        if component.is_zone() {
            parsed.integer = Some(IntegerPicture::parse(presentation)?);
        } else if component.is_number() && names.is_none() {
            parsed.set_integer(presentation, modifier, shortest, edition)?;
        }
        Ok(parsed)
    }

    fn shows_number(&self) -> bool {
        self.integer.is_some() && !self.component.is_zone()
    }

    fn set_integer(
        &mut self,
        presentation: &str,
        modifier: &str,
        shortest: Option<usize>,
        edition: Edition,
    ) -> Result<(), PictureError> {
        let mut integer = if modifier.is_empty() {
            IntegerPicture::parse(presentation)?
        } else {
            IntegerPicture::parse(&format!("{presentation};{modifier}"))?
        };
        if let Some(shortest) = shortest
            && integer.decimal().is_some_and(|decimal| decimal.mandatory < shortest)
        {
            integer.pad_to(shortest)?;
        }
        // In 2.0.6 what goes for years goes for months and days as well, and is
        // a bound on the digits that are read.
        let bounded = match edition {
            Edition::Current => self.component == Component::Year,
            Edition::V2_0_6 => matches!(self.component, Component::Year | Component::Month | Component::Day),
        };
        if bounded {
            let digits = match self.longest {
                Some(longest) => {
                    integer.pad_to(longest)?;
                    Some(longest)
                }
                None => integer.decimal().map(|decimal| decimal.mandatory + decimal.optional).filter(|&sum| sum >= 2),
            };
            if self.component == Component::Year {
                self.year_digits = digits;
            }
            if edition == Edition::V2_0_6
                && let (Some(digits @ 1..), Some(decimal)) = (digits, integer.decimal_mut())
            {
                decimal.width = (digits.saturating_sub(decimal.optional), digits);
            }
        }
        self.integer = Some(integer);
        Ok(())
    }
}

/// Separates the second presentation modifier, if there is one, from the first.
fn split_modifier(presentation: &str) -> (&str, &str) {
    match presentation.char_indices().next_back() {
        Some((index @ 1.., 'a' | 't' | 'c' | 'o')) => presentation.split_at(index),
        _ => (presentation, ""),
    }
}

/// None for `*`, and for what is no width.
fn parse_width(width: &str) -> Option<usize> {
    let width = parse_int(width);
    (width >= 0.0).then_some(width as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(picture: &str) -> (&'static str, String) {
        let error = DatePicture::parse(picture, Edition::Current).unwrap_err();
        (error.code, error.value)
    }

    #[test]
    fn pictures_that_make_no_sense_are_refused() {
        assert_eq!(code("[Y"), ("D3135", String::new()));
        assert_eq!(code("x["), ("D3135", String::new()));
        assert_eq!(code("[]"), ("D3132", String::new()));
        assert_eq!(code("[q]"), ("D3132", "q".to_owned()));
        assert_eq!(code("[é1]"), ("D3132", "é".to_owned()));
        assert_eq!(code("[,]"), ("D3132", ",".to_owned()));
        assert_eq!(code("[M0٠]"), ("D3131", String::new()));
        assert_eq!(code("[Y,1000000000]"), ("D1001", "1000000000".to_owned()));
        assert_eq!(code("[Y,2-1000000000]"), ("D1001", "1000000000".to_owned()));
    }

    #[test]
    fn brackets_are_doubled_to_stand_for_themselves() {
        let parts = DatePicture::parse("a[[b]]c]d[ D \n01 ]]]", Edition::Current).unwrap().parts;
        let shown: String = parts
            .iter()
            .map(|part| match part {
                Part::Literal(literal) => literal.clone(),
                Part::Marker(marker) => format!("<{}>", marker.component.letter()),
            })
            .collect();
        assert_eq!(shown, "a[b]c]d<D>]");
    }
}
