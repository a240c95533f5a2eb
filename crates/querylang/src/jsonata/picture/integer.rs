//! Integers: digits with grouping in any script, letters, Roman numerals, words.

use super::lenient::parse_int;
use super::words::{from_words, to_words};
use super::{MAX_DIGITS, MAX_SEPARATORS, PictureError};
use crate::jsonata::number::to_text;

/// Writes a number, rounded down, with an XPath `format-integer` picture.
///
/// # Errors
/// D3130 for a picture that is none of decimal digits, `A`, `a`, `I`, `i`, `W`,
/// `w` and `Ww`; D3131 for one with digits of two scripts; D1001 for a number
/// too large to be written that way.
///
/// ```
/// use stepwright_querylang::jsonata::picture::format_integer;
/// assert_eq!(format_integer(1_234_567.8, "#,##0").unwrap(), "1,234,567");
/// assert_eq!(format_integer(23.0, "w;o").unwrap(), "twenty-third");
/// ```
pub fn format_integer(value: f64, picture: &str) -> Result<String, PictureError> {
    IntegerPicture::parse(picture)?.format(value.floor())
}

/// Reads an integer that was written with a picture. None if it is not one.
///
/// # Errors
/// D3130 and D3131 as for [`format_integer`].
pub fn parse_integer(text: &str, picture: &str) -> Result<Option<f64>, PictureError> {
    let number = IntegerPicture::parse(picture)?.read(text)?;
    // The reference answers NaN, which is no JSON value.
    Ok(Some(number).filter(|number| number.is_finite()))
}

/// A picture for integers, taken apart.
#[derive(Debug, Clone)]
pub(super) struct IntegerPicture {
    pub(super) style: Style,
    ordinal: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Style {
    Letters {
        first: char,
    },
    Roman {
        upper: bool,
    },
    Words(Case),
    Decimal(Decimal),
    /// A numbering sequence, of which there are none: kept, since it is an
    /// error only once a number meets it.
    Sequence(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Upper,
    Lower,
    Title,
}

/// A pattern of decimal digits.
#[derive(Debug, Clone)]
pub(super) struct Decimal {
    /// The zero of the script.
    zero: u32,
    pub(super) mandatory: usize,
    pub(super) optional: usize,
    pub(super) grouping: Grouping,
    /// How many digits are read: fewest and most.
    pub(super) width: (usize, usize),
}

#[derive(Debug, Clone)]
pub(super) enum Grouping {
    /// The same separator at equal distances, so all the way to the left.
    Regular { every: usize, separator: char },
    /// Separators with the number of digits to their right, from the right.
    At(Vec<(usize, char)>),
}

/// The zeros of the scripts with decimal digits that the reference knows.
const ZEROS: [u32; 37] = [
    0x30, 0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0DE6,
    0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40,
    0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10,
];

const ROMAN: [(f64, &str); 13] = [
    (1000.0, "m"),
    (900.0, "cm"),
    (500.0, "d"),
    (400.0, "cd"),
    (100.0, "c"),
    (90.0, "xc"),
    (50.0, "l"),
    (40.0, "xl"),
    (10.0, "x"),
    (9.0, "ix"),
    (5.0, "v"),
    (4.0, "iv"),
    (1.0, "i"),
];

/// Where Roman numerals end: they take a letter for every thousand, and the
/// reference's stack overflows about here.
const ROMAN_END: f64 = 10_000_000.0;

impl IntegerPicture {
    pub(super) fn parse(picture: &str) -> Result<Self, PictureError> {
        let (primary, modifier) = picture.rsplit_once(';').unwrap_or((picture, ""));
        let style = match primary {
            "A" | "a" => Style::Letters { first: if primary == "A" { 'A' } else { 'a' } },
            "I" | "i" => Style::Roman { upper: primary == "I" },
            "W" => Style::Words(Case::Upper),
            "w" => Style::Words(Case::Lower),
            "Ww" => Style::Words(Case::Title),
            pattern => match Decimal::parse(pattern)? {
                Some(decimal) => Style::Decimal(decimal),
                None => Style::Sequence(pattern.to_owned()),
            },
        };
        Ok(Self { style, ordinal: modifier.starts_with('o') })
    }

    pub(super) fn decimal(&self) -> Option<&Decimal> {
        match &self.style {
            Style::Decimal(decimal) => Some(decimal),
            _ => None,
        }
    }

    pub(super) fn decimal_mut(&mut self) -> Option<&mut Decimal> {
        match &mut self.style {
            Style::Decimal(decimal) => Some(decimal),
            _ => None,
        }
    }

    pub(super) fn is_ordinal(&self) -> bool {
        self.ordinal
    }

    /// Asks for at least so many digits.
    pub(super) fn pad_to(&mut self, digits: usize) -> Result<(), PictureError> {
        match self.decimal_mut() {
            Some(_) if digits > MAX_DIGITS => return Err(PictureError::out_of_range(digits)),
            Some(decimal) => decimal.mandatory = digits,
            None => {}
        }
        Ok(())
    }

    pub(super) fn format(&self, value: f64) -> Result<String, PictureError> {
        let mut text = String::new();
        self.write(value, &mut text)?;
        Ok(text)
    }

    /// Writes a whole number.
    pub(super) fn write(&self, value: f64, text: &mut String) -> Result<(), PictureError> {
        let magnitude = value.abs();
        if !magnitude.is_finite() {
            return Err(PictureError::out_of_range(to_text(value)));
        }
        if value < 0.0 {
            text.push('-');
        }
        match &self.style {
            Style::Letters { first } => write_letters(magnitude, *first, text),
            Style::Roman { upper } => {
                if magnitude >= ROMAN_END {
                    return Err(PictureError::out_of_range(to_text(value)));
                }
                write_roman(magnitude, *upper, text);
            }
            Style::Words(case) => {
                let words = to_words(magnitude, self.ordinal)?;
                match case {
                    Case::Upper => text.push_str(&words.to_ascii_uppercase()),
                    Case::Lower => text.push_str(&words.to_ascii_lowercase()),
                    Case::Title => text.push_str(&words),
                }
            }
            Style::Decimal(decimal) => decimal.write(magnitude, self.ordinal, text),
            Style::Sequence(first) => return Err(PictureError::new("D3130", first.as_str())),
        }
        Ok(())
    }

    /// The number a text stands for; not a number if it is none. Like the
    /// reference, this does not hold the text to the picture.
    pub(super) fn read(&self, text: &str) -> Result<f64, PictureError> {
        Ok(match &self.style {
            Style::Letters { first } => read_letters(text, *first),
            Style::Roman { upper } => {
                if *upper {
                    read_roman(text)
                } else {
                    read_roman(&text.to_uppercase())
                }
            }
            Style::Words(_) => from_words(text),
            Style::Decimal(decimal) => decimal.read(text, self.ordinal),
            Style::Sequence(first) => return Err(PictureError::new("D3130", first.as_str())),
        })
    }
}

impl Decimal {
    /// None if there is no digit in it.
    fn parse(pattern: &str) -> Result<Option<Self>, PictureError> {
        let mut zero = None;
        let (mut mandatory, mut optional) = (0, 0);
        let mut separators = Vec::new();
        for character in pattern.chars().rev() {
            if character == '#' {
                optional += 1;
            } else if let Some(group) = zero_of(character) {
                if *zero.get_or_insert(group) != group {
                    return Err(PictureError::plain("D3131"));
                }
                mandatory += 1;
            } else {
                separators.push((mandatory + optional, character));
            }
        }
        let Some(zero) = zero else { return Ok(None) };
        if separators.len() > MAX_SEPARATORS {
            return Err(PictureError::out_of_range(separators.len()));
        }
        let same = separators.windows(2).all(|pair| pair[0].1 == pair[1].1);
        let positions: Vec<usize> = separators.iter().map(|&(position, _)| position).collect();
        let grouping = match (regular_distance(&positions), separators.first()) {
            (Some(every), Some(&(_, separator))) if same => Grouping::Regular { every, separator },
            _ => Grouping::At(separators),
        };
        Ok(Some(Self { zero, mandatory, optional, grouping, width: (1, usize::MAX) }))
    }

    fn write(&self, value: f64, ordinal: bool, text: &mut String) {
        // The reference goes over to "1e+21" here, and puts separators into that.
        let digits = if value < 1e21 { to_text(value) } else { format!("{value}") };
        let padding = self.mandatory.saturating_sub(digits.len());
        let plain = self.zero == 0x30 && matches!(&self.grouping, Grouping::At(none) if none.is_empty());
        if plain && !ordinal {
            text.extend(std::iter::repeat_n('0', padding));
            text.push_str(&digits);
            return;
        }
        let shift = |digit: char| {
            char::from_u32((u32::from(digit) + self.zero).wrapping_sub(0x30)).unwrap_or(char::REPLACEMENT_CHARACTER)
        };
        let mut shown: Vec<char> = std::iter::repeat_n('0', padding).chain(digits.chars()).map(shift).collect();
        match &self.grouping {
            Grouping::Regular { every, separator } => shown = grouped(&shown, *every, *separator),
            Grouping::At(separators) => {
                // Only between digits: the reference goes on to the left of them, and
                // loses some (it shows 1234 as ",4" with `##,##,##0`).
                let digits = shown.len();
                for &(position, separator) in separators.iter().rev().filter(|&&(position, _)| position < digits) {
                    shown.insert(shown.len() - position, separator);
                }
            }
        }
        text.extend(&shown);
        if ordinal {
            text.push_str(suffix(&shown));
        }
    }

    fn read(&self, text: &str, ordinal: bool) -> f64 {
        let mut text = text;
        if ordinal {
            // "st", "nd", "rd" or "th", whichever it is.
            for _ in 0..2 {
                text = text.strip_suffix(|_: char| true).unwrap_or(text);
            }
        }
        let mut digits = String::with_capacity(text.len());
        for character in text.chars() {
            let separates = match &self.grouping {
                // The reference takes out commas, whatever the separator is.
                Grouping::Regular { .. } => character == ',',
                Grouping::At(separators) => separators.iter().any(|&(_, separator)| separator == character),
            };
            if separates {
                continue;
            }
            if self.zero == 0x30 {
                digits.push(character);
                continue;
            }
            let code = u32::from(character).checked_sub(self.zero).map(|digit| digit + 0x30);
            match code.and_then(char::from_u32) {
                Some(digit) => digits.push(digit),
                None => return f64::NAN,
            }
        }
        parse_int(&digits)
    }
}

/// The zero of the script that a digit belongs to.
fn zero_of(character: char) -> Option<u32> {
    let code = u32::from(character);
    ZEROS.into_iter().find(|&zero| (zero..zero + 10).contains(&code))
}

/// The distance between separators, if they stand at all its multiples.
pub(super) fn regular_distance(positions: &[usize]) -> Option<usize> {
    let mut distance = *positions.first()?;
    for &position in &positions[1..] {
        let (mut a, mut b) = (distance, position);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        distance = a;
    }
    let regular = distance > 0 && (1..=positions.len()).all(|index| positions.contains(&(index * distance)));
    regular.then_some(distance)
}

/// Digits with a separator between groups of equal length, from the right.
pub(super) fn grouped(digits: &[char], every: usize, separator: char) -> Vec<char> {
    let mut shown = Vec::with_capacity(digits.len() + digits.len() / every + 1);
    for (index, &digit) in digits.iter().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(every) {
            shown.push(separator);
        }
        shown.push(digit);
    }
    shown
}

/// The English suffix of an ordinal number.
fn suffix(shown: &[char]) -> &'static str {
    let [.., tens, ones] = shown else {
        return match shown {
            ['1'] => "st",
            ['2'] => "nd",
            ['3'] => "rd",
            _ => "th",
        };
    };
    match (tens, ones) {
        ('1', _) => "th",
        (_, '1') => "st",
        (_, '2') => "nd",
        (_, '3') => "rd",
        _ => "th",
    }
}

/// a to z, aa to zz, and so on, like the columns of a spreadsheet. Nothing for 0.
fn write_letters(mut value: f64, first: char, text: &mut String) {
    let mut letters = Vec::new();
    while value > 0.0 {
        let index = ((value - 1.0) % 26.0) as u8;
        letters.push(char::from(first as u8 + index.min(25)));
        value = ((value - 1.0) / 26.0).floor();
    }
    text.extend(letters.iter().rev());
}

fn read_letters(text: &str, first: char) -> f64 {
    let units: Vec<u16> = text.encode_utf16().collect();
    let first = f64::from(first as u32);
    let places = units.iter().rev().zip((0..).map(|place| 26_f64.powf(f64::from(place))));
    places.map(|(unit, place)| (f64::from(*unit) - first + 1.0) * place).sum()
}

fn write_roman(mut value: f64, upper: bool, text: &mut String) {
    for (worth, numeral) in ROMAN {
        while value >= worth {
            value -= worth;
            if upper {
                text.push_str(&numeral.to_ascii_uppercase());
            } else {
                text.push_str(numeral);
            }
        }
    }
}

fn read_roman(text: &str) -> f64 {
    let mut number = 0.0;
    let mut largest = 1.0;
    for numeral in text.chars().rev() {
        let worth = match numeral {
            'M' => 1000.0,
            'D' => 500.0,
            'C' => 100.0,
            'L' => 50.0,
            'X' => 10.0,
            'V' => 5.0,
            'I' => 1.0,
            _ => return f64::NAN,
        };
        if worth < largest {
            number -= worth;
        } else {
            largest = worth;
            number += worth;
        }
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: f64, picture: &str, expected: &str) {
        assert_eq!(format_integer(value, picture).as_deref(), Ok(expected), "{value} {picture}");
    }

    #[track_caller]
    fn check_read(text: &str, picture: &str, expected: impl Into<Option<f64>>) {
        assert_eq!(parse_integer(text, picture), Ok(expected.into()), "{text} {picture}");
    }

    #[test]
    fn digits_are_padded_and_rounded_down() {
        check(12.6, "###0", "12");
        check(-12.6, "0", "-13");
        check(-3.0, "0000", "-0003");
        check(0.0, "#0", "0");
        check(7.0, "999", "007");
        check(1e21, "#,##0", "1,000,000,000,000,000,000,000");
        check(123_456_789_012_345_680_000.0, "0", "123456789012345680000");
    }

    #[test]
    fn digits_are_grouped() {
        check(1200.0, "#,##0", "1,200");
        check(120.0, "#,##0", "120");
        check(1_234_567_890.0, "#,##0", "1,234,567,890");
        check(1_234_567_890.0, "#:###,##0", "1234:567,890");
        check(1_234_567_890.0, "##,##,##0", "12345,67,890");
        check(5.0, "0,000", "0,005");
        check(1234.0, "0😀000", "1😀234");
        check(1234.0, "0,", "1234,");
        check(1234.0, "#,:#0", "12,:34");
    }

    #[test]
    fn separators_stand_between_digits_only() {
        check(12.0, "##,##,##0", "12");
        check(1234.0, "##,##,##0", "1,234");
        check(123.0, "#:###,##0", "123");
        check(123.0, "#:##-##,#0", "1,23");
        check(12.0, "#:##0,", "12,");
    }

    #[test]
    fn digits_of_other_scripts() {
        check(12340.0, "###١", "١٢٣٤٠");
        check(1234.0, "#,##०", "१,२३४");
        assert_eq!(format_integer(1.0, "0０").unwrap_err().code, "D3131");
        check_read("१,२३४", "#,##०", 1234.0);
        check_read("12", "#,##०", None);
    }

    #[test]
    fn ordinals() {
        for (value, text) in [
            (1.0, "1st"),
            (2.0, "2nd"),
            (3.0, "3rd"),
            (4.0, "4th"),
            (11.0, "11th"),
            (12.0, "12th"),
            (113.0, "113th"),
            (122.0, "122nd"),
            (0.0, "0th"),
            (-1.0, "-1st"),
        ] {
            check(value, "0;o", text);
            check_read(text, "0;o", value);
        }
        check(1.0, "0;c", "1");
        check(1.0, "0;of", "1st");
        check(2.0, "I;o", "II");
    }

    #[test]
    fn letters() {
        for (value, text) in
            [(1.0, "a"), (26.0, "z"), (27.0, "aa"), (702.0, "zz"), (703.0, "aaa"), (0.0, ""), (-2.0, "-b")]
        {
            check(value, "a", text);
        }
        check(123_456.0, "A", "FZPH");
        check_read("FZPH", "A", 123_456.0);
        check_read("", "a", 0.0);
        check_read("A", "a", -31.0);
        assert_eq!(format_integer(f64::MAX, "a").unwrap().len(), 218);
        check_read(&"a".repeat(100_000), "a", None);
    }

    #[test]
    fn roman_numerals() {
        for (value, text) in
            [(1984.0, "MCMLXXXIV"), (0.0, ""), (3999.0, "MMMCMXCIX"), (-4.0, "-IV"), (5400.0, "MMMMMCD")]
        {
            check(value, "I", text);
            check(value, "i", &text.to_lowercase());
        }
        check_read("MCMLXXXIV", "I", 1984.0);
        check_read("xcix", "i", 99.0);
        check_read("xcix", "I", None);
        check_read("IM", "I", 999.0);
        check_read("Rome", "I", None);
        assert_eq!(format_integer(1e7, "I"), Err(PictureError::new("D1001", "10000000")));
        assert_eq!(format_integer(9_999_999.0, "I").unwrap().len(), 9_999 + 6);
    }

    #[test]
    fn words() {
        check(555.0, "W", "FIVE HUNDRED AND FIFTY-FIVE");
        check(555.0, "Ww", "Five Hundred and Fifty-Five");
        check(20.0, "w;o", "twentieth");
        check(-1.0, "w", "-one");
        check_read("Seven Hundred and Thirty-Third", "Ww;o", 733.0);
        check_read("seven hundred of them", "w", None);
    }

    #[test]
    fn digits_are_read_as_far_as_they_go() {
        check_read("1,234,567", "#,##0", 1_234_567.0);
        check_read("1.234", "#.##0", 1.0);
        check_read("1234:567,890", "#:###,##0", 1_234_567_890.0);
        check_read("12 apples", "0", 12.0);
        check_read("0x10", "0", 16.0);
        check_read("abc", "0", None);
        check_read("", "0", None);
        check_read("x", "0;o", None);
        check_read(&"9".repeat(400), "0", None);
    }

    #[test]
    fn sequences_are_refused() {
        assert_eq!(format_integer(1.0, "α"), Err(PictureError::new("D3130", "α")));
        assert_eq!(format_integer(1.0, ""), Err(PictureError::new("D3130", "")));
        assert_eq!(parse_integer("50", "#"), Err(PictureError::new("D3130", "#")));
    }

    #[test]
    fn numbers_that_are_none_and_endless_pictures_are_refused() {
        for picture in ["0", "a", "I", "w"] {
            for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                assert_eq!(format_integer(value, picture).unwrap_err().code, "D1001");
            }
        }
        assert_eq!(format_integer(1.0, &"0,".repeat(300)).unwrap_err().code, "D1001");
        assert_eq!(format_integer(1.0, &"0".repeat(200_000)).unwrap().len(), 200_000);
    }
}
