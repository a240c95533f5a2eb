//! Numbers with decimals, percent signs and exponents: `$formatNumber`.

use super::integer::{grouped, regular_distance};
use super::{MAX_SEPARATORS, PictureError};

/// The symbols of a number picture, which are also those of the number.
///
/// They should be single characters; where the reference compares characters a
/// longer one is never met, as there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecimalFormat {
    decimal_separator: String,
    grouping_separator: String,
    exponent_separator: String,
    infinity: String,
    minus_sign: String,
    not_a_number: String,
    percent: String,
    per_mille: String,
    zero_digit: String,
    digit: String,
    pattern_separator: String,
}

impl Default for DecimalFormat {
    fn default() -> Self {
        Self {
            decimal_separator: ".".to_owned(),
            grouping_separator: ",".to_owned(),
            exponent_separator: "e".to_owned(),
            infinity: "Infinity".to_owned(),
            minus_sign: "-".to_owned(),
            not_a_number: "NaN".to_owned(),
            percent: "%".to_owned(),
            per_mille: "\u{2030}".to_owned(),
            zero_digit: "0".to_owned(),
            digit: "#".to_owned(),
            pattern_separator: ";".to_owned(),
        }
    }
}

impl DecimalFormat {
    /// Sets a symbol by the name it has in the options of `$formatNumber`:
    /// `decimal-separator`, `grouping-separator`, `exponent-separator`,
    /// `infinity`, `minus-sign`, `NaN`, `percent`, `per-mille`, `zero-digit`,
    /// `digit` or `pattern-separator`. Other names mean nothing.
    pub fn set(&mut self, name: &str, symbol: &str) {
        let place = match name {
            "decimal-separator" => &mut self.decimal_separator,
            "grouping-separator" => &mut self.grouping_separator,
            "exponent-separator" => &mut self.exponent_separator,
            "infinity" => &mut self.infinity,
            "minus-sign" => &mut self.minus_sign,
            "NaN" => &mut self.not_a_number,
            "percent" => &mut self.percent,
            "per-mille" => &mut self.per_mille,
            "zero-digit" => &mut self.zero_digit,
            "digit" => &mut self.digit,
            "pattern-separator" => &mut self.pattern_separator,
            _ => return,
        };
        symbol.clone_into(place);
    }

    /// The digits start here; a letter is as good as another.
    fn zero(&self) -> Option<char> {
        self.zero_digit.chars().next()
    }

    fn is_digit(&self, character: char) -> bool {
        self.zero()
            .is_some_and(|zero| u32::from(character).checked_sub(u32::from(zero)).is_some_and(|value| value < 10))
    }

    fn is_optional_digit(&self, character: char) -> bool {
        is(character, &self.digit)
    }

    /// If it is part of the number, not of what stands around it. The exponent
    /// separator is only if the number goes on after it.
    fn is_active(&self, character: char) -> bool {
        self.is_digit(character)
            || is(character, &self.decimal_separator)
            || is(character, &self.grouping_separator)
            || self.is_optional_digit(character)
            || is(character, &self.pattern_separator)
    }

    fn digits_in(&self, text: &str) -> usize {
        text.chars().filter(|&character| self.is_digit(character)).count()
    }

    /// Digits that must and that may be there.
    fn all_digits_in(&self, text: &str) -> usize {
        text.chars().filter(|&character| self.is_digit(character) || self.is_optional_digit(character)).count()
    }

    /// Digits as they are shown.
    fn localised(&self, digits: &str) -> Vec<char> {
        let zero = u32::from(self.zero().unwrap_or('0'));
        digits
            .bytes()
            .map(|digit| {
                char::from_u32(zero + u32::from(digit.wrapping_sub(b'0'))).unwrap_or(char::REPLACEMENT_CHARACTER)
            })
            .collect()
    }
}

fn is(character: char, symbol: &str) -> bool {
    let mut characters = symbol.chars();
    characters.next() == Some(character) && characters.next().is_none()
}

/// Writes a number with an XPath `format-number` picture.
///
/// # Errors
/// D3080 to D3093 for a picture that makes no sense; D1001 for one with more
/// than 100 decimals or very many separators.
///
/// ```
/// use stepwright_querylang::jsonata::picture::{DecimalFormat, format_number};
/// let format = DecimalFormat::default();
/// assert_eq!(format_number(12345.6, "#,##0.00", &format).unwrap(), "12,345.60");
/// assert_eq!(format_number(0.14, "01%", &format).unwrap(), "14%");
/// ```
pub fn format_number(value: f64, picture: &str, options: &DecimalFormat) -> Result<String, PictureError> {
    let mut pictures = sub_pictures(picture, &options.pattern_separator)?.into_iter();
    let positive = Pattern::parse(pictures.next().unwrap_or_default(), options)?;
    let negative = match pictures.next() {
        Some(negative) => Some(Pattern::parse(negative, options)?),
        None => None,
    };
    if value.is_nan() {
        return Ok(options.not_a_number.clone());
    }
    let mut text = String::new();
    let pattern = match negative {
        _ if value >= 0.0 => positive,
        Some(negative) => negative,
        None => {
            text.push_str(&options.minus_sign);
            positive
        }
    };
    text.push_str(pattern.prefix);
    pattern.write(value, options, &mut text)?;
    text.push_str(pattern.suffix);
    Ok(text)
}

fn sub_pictures<'p>(picture: &'p str, separator: &str) -> Result<Vec<&'p str>, PictureError> {
    // No separator separates every character, as in JavaScript.
    let (parts, more): (Vec<&str>, bool) = if separator.is_empty() {
        (vec![picture], picture.chars().nth(2).is_some())
    } else {
        let mut parts = picture.splitn(3, separator);
        (parts.by_ref().take(2).collect(), parts.next().is_some())
    };
    if more { Err(PictureError::plain("D3080")) } else { Ok(parts) }
}

/// One sub-picture, taken apart.
#[derive(Debug)]
struct Pattern<'p> {
    prefix: &'p str,
    suffix: &'p str,
    /// What the number is multiplied by.
    factor: f64,
    /// Digits of the integer part: at least.
    integer: usize,
    /// Digits before the decimal separator of a number with an exponent.
    scale: usize,
    /// Decimals: at least and at most.
    decimals: (usize, usize),
    /// Digits of the exponent, if there is one.
    exponent: Option<usize>,
    /// Separators in the integer part, with the digits to their right, from the left.
    groups: Vec<usize>,
    /// Digits before the separator among the decimals.
    decimal_group: Option<usize>,
}

/// The pieces of a sub-picture, before they are known to make sense.
struct Pieces<'p> {
    all: &'p str,
    prefix: &'p str,
    active: &'p str,
    suffix: &'p str,
    mantissa: &'p str,
    integer: &'p str,
    decimals: &'p str,
    exponent: Option<&'p str>,
}

impl<'p> Pieces<'p> {
    fn split(all: &'p str, options: &DecimalFormat) -> Self {
        let active = |character: char| options.is_active(character) && !is(character, &options.exponent_separator);
        let (start, end) = match (all.find(active), all.rfind(active)) {
            (Some(start), Some(last)) => (start, last + all[last..].chars().next().map_or(0, char::len_utf8)),
            _ => (0, all.len()),
        };
        let (prefix, active, suffix) = (&all[..start], &all[start..end], &all[end..]);
        let (mut mantissa, mut exponent) = (active, None);
        if let Some(separator) = all[start..].find(&options.exponent_separator).filter(|&at| start + at <= end) {
            // The reference counts from the start of the picture here, and so
            // refuses exponents after a prefix.
            let characters = all[..start + separator].chars().count();
            let split = |count| active.char_indices().nth(count).map_or(active.len(), |(index, _)| index);
            mantissa = &active[..split(characters)];
            exponent = Some(&active[split(characters + 1)..]);
        }
        let (integer, decimals) = mantissa.split_once(&options.decimal_separator).unwrap_or((mantissa, suffix));
        Self { all, prefix, active, suffix, mantissa, integer, decimals, exponent }
    }

    /// The last rule that is broken, as the reference reports it.
    fn broken_rule(&self, options: &DecimalFormat) -> Option<&'static str> {
        let twice = |symbol: &str| self.all.find(symbol) != self.all.rfind(symbol);
        let percent = self.all.contains(&options.percent);
        let per_mille = self.all.contains(&options.per_mille);
        let digit = |character: char| options.is_digit(character);
        let passive = |character: char| !options.is_active(character) && !is(character, &options.exponent_separator);
        let grouping = options.grouping_separator.as_str();
        let groups = |character: Option<char>| character.is_some_and(|character| is(character, grouping));
        let decimal = self.all.split_once(&options.decimal_separator);

        let rules = [
            (self.exponent.is_some_and(|exponent| exponent.is_empty() || !exponent.chars().all(digit)), "D3093"),
            (self.exponent.is_some_and(|exponent| !exponent.is_empty()) && (percent || per_mille), "D3092"),
            (self.decimals.rsplit_once(&options.digit).is_some_and(|(_, after)| after.contains(digit)), "D3091"),
            (self.integer.split_once(&options.digit).is_some_and(|(before, _)| before.contains(digit)), "D3090"),
            (self.all.contains(&grouping.repeat(2)), "D3089"),
            (decimal.is_none() && groups(self.integer.chars().next_back()), "D3088"),
            (
                decimal
                    .is_some_and(|(before, after)| groups(before.chars().next_back()) || groups(after.chars().next())),
                "D3087",
            ),
            (self.active.contains(passive), "D3086"),
            (options.all_digits_in(self.mantissa) == 0, "D3085"),
            (percent && per_mille, "D3084"),
            (twice(&options.per_mille), "D3083"),
            (twice(&options.percent), "D3082"),
            (twice(&options.decimal_separator), "D3081"),
        ];
        rules.into_iter().find_map(|(broken, code)| broken.then_some(code))
    }
}

impl<'p> Pattern<'p> {
    fn parse(picture: &'p str, options: &DecimalFormat) -> Result<Self, PictureError> {
        let pieces = Pieces::split(picture, options);
        if let Some(code) = pieces.broken_rule(options) {
            return Err(PictureError::plain(code));
        }
        let scale = options.digits_in(pieces.integer);
        let mut integer = scale;
        let mut decimals = (options.digits_in(pieces.decimals), options.all_digits_in(pieces.decimals));
        if integer == 0 && decimals.1 == 0 {
            if pieces.exponent.is_some() {
                decimals = (1, 1);
            } else {
                integer = 1;
            }
        }
        if pieces.exponent.is_some() && integer == 0 && pieces.integer.contains(&options.digit) {
            integer = 1;
        }
        if integer == 0 && decimals.0 == 0 {
            decimals.0 = 1;
        }
        // `toFixed` has this bound.
        if decimals.1.max(decimals.0) > 100 {
            return Err(PictureError::out_of_range(decimals.1));
        }
        let mut groups = Vec::new();
        let mut digits_left = options.all_digits_in(pieces.integer);
        for character in pieces.integer.chars() {
            if is(character, &options.grouping_separator) {
                groups.push(digits_left);
            } else if options.is_digit(character) || options.is_optional_digit(character) {
                digits_left -= 1;
            }
        }
        if groups.len() > MAX_SEPARATORS {
            return Err(PictureError::out_of_range(groups.len()));
        }
        // The reference goes on with the separators of the integer part, so only
        // the first of the decimals has an effect that makes sense.
        let decimal_group = pieces.decimals.split_once(&options.grouping_separator);
        let factor = if picture.contains(&options.percent) {
            100.0
        } else if picture.contains(&options.per_mille) {
            1_000.0
        } else {
            1.0
        };
        Ok(Self {
            prefix: pieces.prefix,
            suffix: pieces.suffix,
            factor,
            integer,
            scale,
            decimals,
            exponent: pieces.exponent.map(|exponent| options.digits_in(exponent)).filter(|&digits| digits > 0),
            groups,
            decimal_group: decimal_group.map(|(before, _)| options.all_digits_in(before)),
        })
    }

    /// Writes the number without its sign.
    fn write(&self, value: f64, options: &DecimalFormat, text: &mut String) -> Result<(), PictureError> {
        let adjusted = (value * self.factor).abs();
        if adjusted.is_infinite() {
            text.push_str(&options.infinity);
            return Ok(());
        }
        let (mantissa, exponent) = match self.exponent {
            Some(digits) => {
                let (mantissa, exponent) = scaled(adjusted, self.scale);
                (mantissa, Some((exponent, digits)))
            }
            None => (adjusted, None),
        };
        let rounded = to_fixed(round(mantissa, self.decimals.1), self.decimals.1);
        let (integer, decimals) = rounded.split_once('.').unwrap_or((&rounded, ""));
        let decimals = format!("{:0<width$}", decimals.trim_end_matches('0'), width = self.decimals.0);

        let mut digits = options.localised(&padded(integer.trim_start_matches('0'), self.integer));
        let one_separator = single(&options.grouping_separator);
        if let (Some(every), Some(separator)) = (regular_distance(&self.groups), one_separator) {
            digits = grouped(&digits, every, separator);
        } else if let Some(separator) = one_separator {
            // Only between digits; the reference goes on to the left of them.
            let count = digits.len();
            for &right in self.groups.iter().filter(|&&right| right < count) {
                digits.insert(digits.len() - right, separator);
            }
        }
        text.extend(&digits);

        if !decimals.is_empty() {
            text.push_str(&options.decimal_separator);
            let mut digits = options.localised(&decimals);
            // Likewise, only between digits.
            if let (Some(left), Some(separator)) = (self.decimal_group, one_separator)
                && left < digits.len()
            {
                digits.insert(left, separator);
            }
            text.extend(&digits);
        }
        if let Some((exponent, width)) = exponent {
            text.push_str(&options.exponent_separator);
            if exponent < 0 {
                text.push_str(&options.minus_sign);
            }
            text.extend(options.localised(&padded(&exponent.unsigned_abs().to_string(), width)));
        }
        Ok(())
    }
}

/// Zeros in front, as many as a picture asks for: more than a formatter takes.
fn padded(digits: &str, width: usize) -> String {
    let mut text = "0".repeat(width.saturating_sub(digits.len()));
    text.push_str(digits);
    text
}

fn single(symbol: &str) -> Option<char> {
    let mut characters = symbol.chars();
    characters.next().filter(|_| characters.next().is_none())
}

/// A mantissa with so many digits before the separator, and its exponent. A
/// power of ten keeps one digit more, as in the reference.
fn scaled(value: f64, digits: usize) -> (f64, i32) {
    let most = 10_f64.powf(digits as f64);
    let least = 10_f64.powf(digits as f64 - 1.0);
    let (mut mantissa, mut exponent) = (value, 0);
    if value == 0.0 || !most.is_finite() {
        return (mantissa, exponent);
    }
    while mantissa < least {
        mantissa *= 10.0;
        exponent -= 1;
    }
    while mantissa > most {
        mantissa /= 10.0;
        exponent += 1;
    }
    (mantissa, exponent)
}

/// Rounds to so many decimals, halves to even ones. Decimal halves: 2.675 is
/// one, whatever the double for it is.
fn round(value: f64, decimals: usize) -> f64 {
    let shifted = shift(value, decimals as i64);
    if !shifted.is_finite() {
        // So large that it has no decimals.
        return value;
    }
    let below = shifted.floor();
    let rounded = match shifted - below {
        more if more > 0.5 => below + 1.0,
        half if half == 0.5 && below % 2.0 != 0.0 => below + 1.0,
        _ => below,
    };
    shift(rounded, -(decimals as i64))
}

/// Moves the decimal point in the decimal text of a number, which does not
/// round as multiplication does.
fn shift(value: f64, places: i64) -> f64 {
    if places == 0 {
        return value;
    }
    // The shortest text, and of two such the even one: the standard formatter
    // takes the greater one.
    let Some(number) = serde_json::Number::from_f64(value) else { return value };
    let text = number.to_string();
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent = exponent.parse::<i64>().unwrap_or(0) + places;
    format!("{mantissa}e{exponent}").parse().unwrap_or(value)
}

/// All digits of a number down to so many decimals. What lies in the middle
/// between two goes up, as in JavaScript: a double this large has no room for
/// the decimals it was rounded to.
fn to_fixed(value: f64, decimals: usize) -> String {
    if value * 10_f64.powf(decimals as f64) > TWO_POW_50 {
        // No double has more than 1,074 decimals.
        let exact = format!("{value:.1074}");
        if let Some((kept, rest)) = exact.find('.').and_then(|point| exact.split_at_checked(point + 1 + decimals))
            && rest.trim_end_matches('0') == "5"
        {
            return next(kept.trim_end_matches('.'));
        }
    }
    format!("{value:.decimals$}")
}

/// The decimal number whose last digit is one more.
fn next(number: &str) -> String {
    let mut digits = number.as_bytes().to_vec();
    for digit in digits.iter_mut().rev().filter(|digit| **digit != b'.') {
        if *digit == b'9' {
            *digit = b'0';
        } else {
            *digit += 1;
            return digits.into_iter().map(char::from).collect();
        }
    }
    std::iter::once('1').chain(digits.into_iter().map(char::from)).collect()
}

const TWO_POW_50: f64 = 1_125_899_906_842_624.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn options(symbols: &[(&str, &str)]) -> DecimalFormat {
        let mut options = DecimalFormat::default();
        for (name, symbol) in symbols {
            options.set(name, symbol);
        }
        options
    }

    #[track_caller]
    fn check(value: f64, picture: &str, expected: &str) {
        assert_eq!(format_number(value, picture, &DecimalFormat::default()).as_deref(), Ok(expected), "{picture}");
    }

    #[track_caller]
    fn check_with(value: f64, picture: &str, symbols: &[(&str, &str)], expected: &str) {
        assert_eq!(format_number(value, picture, &options(symbols)).as_deref(), Ok(expected), "{picture}");
    }

    #[track_caller]
    fn check_error(picture: &str, code: &'static str) {
        let error = format_number(20.0, picture, &DecimalFormat::default()).unwrap_err();
        assert_eq!(error.code, code, "{picture}");
    }

    #[test]
    fn digits_that_must_and_that_may_be_there() {
        check(123.9, "9999", "0124");
        check(-6.0, "000", "-006");
        check(2.0, "000.000", "002.000");
        check(185.2812, "PREFIX##00.000###SUFFIX", "PREFIX185.2812SUFFIX");
        check(0.0, "#", "0");
        check(0.0, "#.#", ".0");
        check(0.5, "#.##", ".5");
        check(0.5, "0.##", "0.5");
        check(5.0, "0.##", "5");
        check(5.0, "0.", "5");
        check(-0.001, "0.00", "-0.00");
        check(1.0, "x0.0y", "x1.0y");
    }

    #[test]
    fn groups() {
        check(12345.6, "#,###.00", "12,345.60");
        check(12_345_678.9, "9,999.99", "12,345,678.90");
        check(123_412_345_678.9, "9,9,99.99", "123412345,6,78.90");
        check(1e20, "#,######", "100,000000,000000,000000");
        check(1e21, "#,##0", "1,000,000,000,000,000,000,000");
        check(1_234.567_89, "9,999.999,999", "1,234.567,890");
        check(1234.5, "#,##,##0", "1,234");
        check(12.0, "##,##,##0", "12");
        check(100.0, "#,##0", "100");
        check(1.5, "#.###,###", "1.5");
        check(1.123_456, "#,###,##0.000,000", "1.123,456");
    }

    #[test]
    fn percent_and_per_mille() {
        check(0.14, "01%", "14%");
        check(0.4857, "###.###‰", "485.7‰");
        check_with(0.14, "###pm", &[("per-mille", "pm")], "140pm");
        check(-0.14, "%0", "-%14");
    }

    #[test]
    fn exponents() {
        check(1234.5678, "00.000e0", "12.346e2");
        check(1234.5678, "00.000e000", "12.346e002");
        check(0.234, "0.0e0", "2.3e-1");
        check(0.234, "#.00e0", "0.23e0");
        check(0.123, "#.e9", "0.1e0");
        check(0.234, ".00e0", ".23e0");
        check(0.0, "0.00e0", "0.00e0");
        check(-42.0, "0e0", "-4e1");
        check(1000.0, "0e0", "10e2");
        check(0.000_25, "0.0e000", "2.5e-004");
        check(1234.0, "#e0", "0.1e4");
        check(1e300, &format!("{}e0", "0".repeat(400)), &format!("{}{:.0}e0", "0".repeat(99), 1e300));
    }

    #[test]
    fn negative_numbers_may_have_their_own_picture() {
        check(-87_504.481_2, "000,000.000###;###,###.000###", "87,504.4812");
        check(-5.0, "0;(0)", "(5)");
        check(5.0, "0;(0)", "5");
        check_with(-5.0, "0", &[("minus-sign", "minus ")], "minus 5");
    }

    #[test]
    fn other_symbols() {
        check_with(1234.5678, "①①.①①①e①", &[("zero-digit", "⑟")], "①②.③④⑥e②");
        check_with(2.0, "AAA.AAA", &[("zero-digit", "A")], "AAC.AAA");
        check_with(0.1, "AeAAA", &[("zero-digit", "A")], "Be-AAB");
        check_with(1234.5, "#.##0,00", &[("grouping-separator", "."), ("decimal-separator", ",")], "1.234,50");
        check_with(1234.5, "_,__0.0", &[("digit", "_")], "1,234.5");
        check_with(-1.0, "0|(0)", &[("pattern-separator", "|")], "(1)");
        check_with(1500.0, "0.0x0", &[("exponent-separator", "x")], "1.5x3");
        check_with(12.5, "𝟎𝟎𝟎.𝟎", &[("zero-digit", "𝟎")], "𝟎𝟏𝟐.𝟓");
        check_with(1.0, "0", &[("currency", "EUR")], "1");
    }

    #[test]
    fn halves_go_to_even_decimals() {
        for (value, text) in
            [(0.125, "0.12"), (0.375, "0.38"), (2.675, "2.68"), (1.005, "1.00"), (1.015, "1.02"), (-0.125, "-0.12")]
        {
            check(value, "0.00", text);
        }
        check(0.5, "0", "0");
        check(823_981_926_697_107.2, "0.00", "823981926697107.25");
        check(1_692_812_714_913_194.2, "0.0", "1692812714913194.3");
        check(387_044_165_182_126.1, "0.00", "387044165182126.13");
        check(1_125_899_906_842_629.8, "0.0", "1125899906842629.8");
        assert_eq!(next("99.9"), "100.0");
        assert_eq!(next("129"), "130");
        check(1.5, "0", "2");
        check(2.5, "0", "2");
        check(0.499_999_999_999_999_94, "0", "0");
        check(f64::MAX, "0.00", &format!("{:.2}", f64::MAX));
    }

    #[test]
    fn numbers_that_are_none() {
        check(f64::NAN, "(0)", "NaN");
        check(f64::INFINITY, "(0)", "(Infinity)");
        check(f64::NEG_INFINITY, "(0)", "-(Infinity)");
        check(f64::MAX, "0%", "Infinity%");
        check_with(f64::MAX, "0%", &[("infinity", "∞")], "∞%");
    }

    #[test]
    fn pictures_that_make_no_sense_are_refused() {
        for (picture, code) in [
            ("#;#;#", "D3080"),
            ("#.0.0", "D3081"),
            ("#0%%", "D3082"),
            ("#0‰‰", "D3083"),
            ("#0%‰", "D3084"),
            (".e0", "D3085"),
            ("0+.e0", "D3086"),
            ("0,.e0", "D3087"),
            ("0.,0", "D3087"),
            ("0,", "D3088"),
            ("0,,0", "D3089"),
            ("0#.e0", "D3090"),
            ("#0.#0e0", "D3091"),
            ("#0.0e0%", "D3092"),
            ("#0.0e0,0", "D3093"),
            ("#0.0e", "D3093"),
            ("AB0.0e0", "D3093"),
            ("", "D3085"),
            ("%%", "D3086"),
            ("---", "D3086"),
            ("0;x", "D3086"),
            (&format!("0.{}", "0".repeat(101)), "D1001"),
            (&"0,".repeat(300).replace("0,", "0,0"), "D1001"),
        ] {
            check_error(picture, code);
        }
        check(1.0, &"0".repeat(100_000), &format!("{}1", "0".repeat(99_999)));
    }

    #[test]
    fn symbols_that_are_empty_do_no_harm() {
        for name in [
            "decimal-separator",
            "grouping-separator",
            "exponent-separator",
            "infinity",
            "minus-sign",
            "NaN",
            "percent",
            "per-mille",
            "zero-digit",
            "digit",
            "pattern-separator",
        ] {
            for symbol in ["", "5", "ab", "\u{d7ff}", "\u{10ffff}"] {
                for picture in ["", "0", "#,##0.00", "0e0", "ab0ab", "5", "\u{d7ff}.#"] {
                    let _ = format_number(-1234.5, picture, &options(&[(name, symbol)]));
                }
            }
        }
    }
}
