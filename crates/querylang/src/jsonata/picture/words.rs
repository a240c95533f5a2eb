//! Numbers in English words: "two thousand and eighteen", "twenty-third".

use super::PictureError;
use super::lenient::is_space;
use std::sync::LazyLock;

const FEW: [&str; 20] = [
    "Zero",
    "One",
    "Two",
    "Three",
    "Four",
    "Five",
    "Six",
    "Seven",
    "Eight",
    "Nine",
    "Ten",
    "Eleven",
    "Twelve",
    "Thirteen",
    "Fourteen",
    "Fifteen",
    "Sixteen",
    "Seventeen",
    "Eighteen",
    "Nineteen",
];
const FEW_ORDINAL: [&str; 20] = [
    "Zeroth",
    "First",
    "Second",
    "Third",
    "Fourth",
    "Fifth",
    "Sixth",
    "Seventh",
    "Eighth",
    "Ninth",
    "Tenth",
    "Eleventh",
    "Twelfth",
    "Thirteenth",
    "Fourteenth",
    "Fifteenth",
    "Sixteenth",
    "Seventeenth",
    "Eighteenth",
    "Nineteenth",
];
/// Without their final y: "ty" or "tieth".
const TENS: [&str; 8] = ["Twent", "Thirt", "Fort", "Fift", "Sixt", "Sevent", "Eight", "Ninet"];
const MAGNITUDES: [(f64, &str); 4] = [(1e12, "Trillion"), (1e9, "Billion"), (1e6, "Million"), (1e3, "Thousand")];

/// The longest text for a number. Doubles far above a trillion have remainders
/// of remainders to be spelled; the longest that were seen take a few hundred.
const MAX_LENGTH: usize = 64 * 1024;

/// A whole number that is not negative, in words with capitals.
pub(super) fn to_words(value: f64, ordinal: bool) -> Result<String, PictureError> {
    let mut words = String::new();
    if write(value, false, ordinal, &mut words) { Ok(words) } else { Err(PictureError::out_of_range(value)) }
}

/// False if the text gets too long.
fn write(value: f64, continued: bool, ordinal: bool, words: &mut String) -> bool {
    if words.len() > MAX_LENGTH {
        return false;
    }
    if value < 100.0 {
        if continued {
            words.push_str(" and ");
        }
        write_below_hundred(value as usize, ordinal, words);
        return true;
    }
    if continued {
        words.push_str(", ");
    }
    let (unit, name) = MAGNITUDES.into_iter().find(|&(unit, _)| value >= unit).unwrap_or((100.0, "Hundred"));
    let count = (value / unit).floor();
    if !write(count, false, false, words) {
        return false;
    }
    words.push(' ');
    words.push_str(name);
    let rest = value - count * unit;
    if rest > 0.0 {
        return write(rest, true, ordinal, words);
    }
    if ordinal {
        words.push_str("th");
    }
    true
}

fn write_below_hundred(value: usize, ordinal: bool, words: &mut String) {
    if let Some(few) = if ordinal { FEW_ORDINAL } else { FEW }.get(value) {
        words.push_str(few);
        return;
    }
    words.push_str(TENS[(value / 10).clamp(2, 9) - 2]);
    match value % 10 {
        0 if ordinal => words.push_str("ieth"),
        0 => words.push('y'),
        ones => {
            words.push_str("y-");
            words.push_str(if ordinal { FEW_ORDINAL[ones] } else { FEW[ones] });
        }
    }
}

/// The number that words stand for; not a number if one of them is unknown.
/// They are not held to any grammar: each is added, or multiplies what came
/// before it.
pub(super) fn from_words(text: &str) -> f64 {
    let text = text.to_lowercase();
    let mut segments = vec![0.0];
    let mut word_start = 0;
    let mut at = 0;
    while at <= text.len() {
        let gap = gap_at(&text, at);
        if gap > 0 || at == text.len() {
            let Some(value) = word_value(&text[word_start..at]) else { return f64::NAN };
            let top = segments.pop().unwrap_or(0.0);
            if value >= 100.0 {
                segments.push(top * value);
            } else if top >= 1_000.0 {
                segments.push(top);
                segments.push(value);
            } else {
                segments.push(top + value);
            }
            word_start = at + gap;
        }
        at += gap.max(text[at..].chars().next().map_or(1, char::len_utf8));
    }
    segments.iter().sum()
}

/// How many bytes of what separates words start here: a comma and a space, an
/// "and" between spaces, one space, hyphen or backslash.
fn gap_at(text: &str, at: usize) -> usize {
    let rest = &text[at..];
    let mut characters = rest.chars();
    match characters.next() {
        Some(',') => characters.next().filter(|&next| is_space(next)).map_or(0, |space| 1 + space.len_utf8()),
        Some('-' | '\\') => 1,
        Some(space) if is_space(space) => {
            let after = characters.as_str().strip_prefix("and").and_then(|after| after.chars().next());
            match after.filter(|&next| is_space(next)) {
                Some(second) => space.len_utf8() + 3 + second.len_utf8(),
                None => space.len_utf8(),
            }
        }
        _ => 0,
    }
}

/// What a word stands for, in lower case.
fn word_value(word: &str) -> Option<f64> {
    VOCABULARY.iter().find(|(known, _)| known == word).map(|&(_, value)| value)
}

/// All words in lower case with their values, in the order the reference tries them.
static VOCABULARY: LazyLock<Vec<(String, f64)>> = LazyLock::new(|| {
    let few =
        FEW.iter().chain(&FEW_ORDINAL).zip((0..20).cycle()).map(|(word, value)| (word.to_lowercase(), value as f64));
    let tens = TENS
        .iter()
        .zip(2..)
        .flat_map(|(stem, value)| ["y", "ieth"].map(|ending| (stem.to_lowercase() + ending, f64::from(value) * 10.0)));
    let magnitudes = std::iter::once((100.0, "Hundred")).chain(MAGNITUDES.into_iter().rev());
    let magnitudes =
        magnitudes.flat_map(|(value, word)| ["", "th"].map(|ending| (word.to_lowercase() + ending, value)));
    few.chain(tens).chain(magnitudes).collect()
});

/// Where texts made of number words and what stands between them can end, if
/// they start here. The best ones come first: those whose first word comes
/// first in the vocabulary, and of these the ones that go on.
pub(super) fn ends(text: &[char], start: usize) -> Vec<usize> {
    let run = text[start..]
        .iter()
        .take_while(|character| character.is_ascii_alphabetic() || matches!(character, ' ' | ',' | '-'))
        .map(char::to_ascii_lowercase)
        .collect::<String>();
    let mut ends = Vec::new();
    let mut reached = vec![false; run.len() + 1];
    // Places to go on from, each with the number of the word to try next.
    let mut places = vec![(0, 0)];
    while let Some((place, word)) = places.last_mut() {
        let rest = &run[*place..];
        let length = match VOCABULARY.get(*word) {
            Some((known, _)) => rest.starts_with(known.as_str()).then_some(known.len()),
            None if *word == VOCABULARY.len() => rest.starts_with("and").then_some(3),
            None if *word == VOCABULARY.len() + 1 => rest.starts_with([' ', ',', '-']).then_some(1),
            None => {
                if *place > 0 {
                    ends.push(start + *place);
                }
                places.pop();
                continue;
            }
        };
        *word += 1;
        if let Some(next) = length.map(|length| *place + length)
            && !std::mem::replace(&mut reached[next], true)
        {
            places.push((next, 0));
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_words() {
        for (value, cardinal, ordinal) in [
            (0.0, "Zero", "Zeroth"),
            (13.0, "Thirteen", "Thirteenth"),
            (40.0, "Forty", "Fortieth"),
            (99.0, "Ninety-Nine", "Ninety-Ninth"),
            (100.0, "One Hundred", "One Hundredth"),
            (512.0, "Five Hundred and Twelve", "Five Hundred and Twelfth"),
            (1e3, "One Thousand", "One Thousandth"),
            (1_001.0, "One Thousand and One", "One Thousand and First"),
            (
                2_300_007.0,
                "Two Million, Three Hundred Thousand and Seven",
                "Two Million, Three Hundred Thousand and Seventh",
            ),
            (1e15, "One Thousand Trillion", "One Thousand Trillionth"),
            (1e46, "Ten Billion Trillion Trillion Trillion", "Ten Billion Trillion Trillion Trillionth"),
        ] {
            assert_eq!(to_words(value, false).unwrap(), cardinal);
            assert_eq!(to_words(value, true).unwrap(), ordinal);
            assert_eq!(from_words(cardinal), value, "{cardinal}");
            assert_eq!(from_words(ordinal), value, "{ordinal}");
        }
    }

    #[test]
    fn the_largest_doubles_have_words_of_bounded_length() {
        for exponent in 20..1024 {
            for mantissa in [1.0, 1.1, 1.234_567_890_123, 1.999_999_999_999_9] {
                let words = to_words(mantissa * 2f64.powi(exponent), false).unwrap();
                assert!(words.len() < 32_000, "{mantissa} 2^{exponent}: {}", words.len());
            }
        }
    }

    #[test]
    fn words_are_read_loosely() {
        assert_eq!(from_words("nineteen hundred and eighty-four"), 1984.0);
        assert_eq!(from_words("Two\\Hundred"), 200.0);
        assert_eq!(from_words("one, two"), 3.0);
        for text in ["", "and", "two  hundred", "two,hundred", "hundred-", "eleventy", "i", "twentth", "drei"] {
            assert!(from_words(text).is_nan(), "{text}");
        }
    }

    #[test]
    fn words_end_where_words_end() {
        let text: Vec<char> = "Sixteenth of".chars().collect();
        assert_eq!(ends(&text, 0), [3, 7, 10, 9]);
        assert_eq!(ends(&text, 3), [] as [usize; 0]);
        assert_eq!(ends(&text, 12), [] as [usize; 0]);
    }
}
