//! Which part of a text belongs to which part of a date picture.
//!
//! The parts follow one another, each as long as it can be while the rest still
//! fits, as a regular expression would have it. A place where the rest did not
//! fit is not tried twice, and the work is bounded.

use super::{PictureError, words};
use std::collections::HashSet;

/// What a part of a text looks like.
#[derive(Debug)]
pub(super) enum Shape {
    /// This text, in capitals or not.
    Literal(Vec<char>),
    /// Characters of a kind: fewest and most.
    Run(Kind, usize, usize),
    /// Digits, fewest and most, and the suffix of an ordinal number.
    Ordinal(usize, usize),
    /// `GMT` if asked for, a sign, digits, and perhaps a separator and digits.
    Zone { named: bool, separator: Option<char> },
    /// A number in words.
    Words,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Digits,
    Letters,
    Roman,
}

impl Kind {
    fn has(self, character: char) -> bool {
        match self {
            Self::Digits => character.is_ascii_digit(),
            Self::Letters => character.is_ascii_alphabetic(),
            Self::Roman => matches!(character.to_ascii_lowercase(), 'm' | 'd' | 'c' | 'l' | 'x' | 'v' | 'i'),
        }
    }
}

/// The bound on places looked at.
const MAX_STEPS: usize = 1_000_000;

/// The end of every part, if together they are the whole text. What is looked at is added to `work`.
///
/// # Errors
/// D1001 if that cannot be told in reasonable time: the text is too long, or
/// the picture says too little about where its parts end.
pub(super) fn split(shapes: &[Shape], text: &[char], work: &mut u64) -> Result<Option<Vec<usize>>, PictureError> {
    let mut search = Search { shapes, text, steps: 0, hopeless: HashSet::new() };
    let ends = search.run_through();
    *work += search.steps as u64;
    ends
}

struct Search<'s> {
    shapes: &'s [Shape],
    text: &'s [char],
    steps: usize,
    /// Parts and places from where the rest does not fit.
    hopeless: HashSet<(usize, usize)>,
}

/// The places where a part can end, the best first.
struct Ends {
    start: usize,
    /// The one that is being tried.
    end: usize,
    left: Left,
}

enum Left {
    /// From the second down to the first.
    Range(usize, usize),
    List(std::vec::IntoIter<usize>),
    None,
}

impl Ends {
    fn next(&mut self) -> Option<usize> {
        let end = match &mut self.left {
            Left::Range(low, high) => {
                let end = *high;
                self.left = if *low < end { Left::Range(*low, end - 1) } else { Left::None };
                end
            }
            Left::List(ends) => ends.next()?,
            Left::None => return None,
        };
        self.end = end;
        Some(end)
    }
}

impl Search<'_> {
    fn run_through(&mut self) -> Result<Option<Vec<usize>>, PictureError> {
        let Some(first) = self.shapes.first() else { return Ok(self.text.is_empty().then(Vec::new)) };
        let mut tried = vec![self.ends(first, 0)?];
        while let Some(current) = tried.last_mut() {
            let Some(end) = current.next() else {
                let start = current.start;
                tried.pop();
                self.hopeless.insert((tried.len(), start));
                continue;
            };
            self.step(1)?;
            match self.shapes.get(tried.len()) {
                None if end == self.text.len() => return Ok(Some(tried.iter().map(|ends| ends.end).collect())),
                None => {}
                Some(_) if self.hopeless.contains(&(tried.len(), end)) => {}
                Some(next) => {
                    let ends = self.ends(next, end)?;
                    tried.push(ends);
                }
            }
        }
        Ok(None)
    }

    fn step(&mut self, steps: usize) -> Result<(), PictureError> {
        self.steps += steps;
        if self.steps > MAX_STEPS {
            return Err(PictureError::out_of_range(format_args!(
                "a date of {} characters and {} parts",
                self.text.len(),
                self.shapes.len()
            )));
        }
        Ok(())
    }

    fn ends(&mut self, shape: &Shape, start: usize) -> Result<Ends, PictureError> {
        let left = match shape {
            Shape::Literal(literal) => {
                self.step(literal.len())?;
                let end = start + literal.len();
                let same = self
                    .text
                    .get(start..end)
                    .is_some_and(|text| text.iter().zip(literal).all(|(&a, &b)| a == b || fold(a) == fold(b)));
                if same { Left::Range(end, end) } else { Left::None }
            }
            Shape::Run(kind, fewest, most) => self.range(*kind, start, *fewest, *most)?,
            Shape::Ordinal(fewest, most) => {
                // Fewer digits than there are would leave digits, and no suffix.
                let end = start + self.run(Kind::Digits, start)?;
                let suffix: String = self.text[end..].iter().take(2).map(char::to_ascii_lowercase).collect();
                let fits = (*fewest..=*most).contains(&(end - start));
                if fits && matches!(suffix.as_str(), "th" | "st" | "nd" | "rd") {
                    Left::Range(end + 2, end + 2)
                } else {
                    Left::None
                }
            }
            Shape::Zone { named, separator } => self.zone(start, *named, *separator)?,
            Shape::Words => {
                let ends = words::ends(self.text, start);
                self.step(70 * (1 + ends.len()))?;
                Left::List(ends.into_iter())
            }
        };
        Ok(Ends { start, end: start, left })
    }

    fn zone(&mut self, start: usize, named: bool, separator: Option<char>) -> Result<Left, PictureError> {
        let mut at = start;
        if named {
            let name = self.text.get(at..at + 3).unwrap_or_default();
            if !name.iter().collect::<String>().eq_ignore_ascii_case("GMT") {
                return Ok(Left::None);
            }
            at += 3;
        }
        if !matches!(self.text.get(at), Some('+' | '-')) {
            return Ok(Left::None);
        }
        at += 1;
        let Some(separator) = separator else { return self.range(Kind::Digits, at, 1, usize::MAX) };
        let hours = self.run(Kind::Digits, at)?;
        at += hours;
        if hours == 0 || self.text.get(at).is_none_or(|&character| fold(character) != fold(separator)) {
            return Ok(Left::None);
        }
        self.range(Kind::Digits, at + 1, 1, usize::MAX)
    }

    fn range(&mut self, kind: Kind, start: usize, fewest: usize, most: usize) -> Result<Left, PictureError> {
        let run = self.run(kind, start)?.min(most);
        Ok(if run < fewest { Left::None } else { Left::Range(start + fewest, start + run) })
    }

    fn run(&mut self, kind: Kind, start: usize) -> Result<usize, PictureError> {
        let run = self.text[start..].iter().take_while(|&&character| kind.has(character)).count();
        self.step(run)?;
        Ok(run)
    }
}

/// Capitals for small letters, as JavaScript compares without regard to case:
/// one character for one, and nothing becomes ASCII that was not.
fn fold(character: char) -> char {
    let mut upper = character.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(single), None) if character.is_ascii() || !single.is_ascii() => single,
        _ => character,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(shapes: &[Shape], text: &str, expected: Option<&[&str]>) {
        let characters: Vec<char> = text.chars().collect();
        let ends = split(shapes, &characters, &mut 0).unwrap();
        let parts = ends.map(|ends| {
            let mut start = 0;
            ends.into_iter()
                .map(|end| characters[std::mem::replace(&mut start, end)..end].iter().collect::<String>())
                .collect::<Vec<_>>()
        });
        assert_eq!(
            parts.as_deref(),
            expected.map(|parts| parts.iter().map(|&part| part.to_owned()).collect::<Vec<_>>()).as_deref(),
            "{text}"
        );
    }

    fn literal(text: &str) -> Shape {
        Shape::Literal(text.chars().collect())
    }

    const DIGITS: Shape = Shape::Run(Kind::Digits, 1, usize::MAX);

    #[test]
    fn the_earlier_part_takes_what_it_can() {
        check(&[DIGITS, DIGITS, DIGITS], "12345", Some(&["123", "4", "5"]));
        check(&[DIGITS, Shape::Run(Kind::Digits, 2, 3)], "12345", Some(&["123", "45"]));
        check(&[DIGITS, DIGITS], "1", None);
        check(&[Shape::Run(Kind::Letters, 1, usize::MAX), literal("of")], "Partof", Some(&["Part", "of"]));
        check(
            &[Shape::Words, literal(" "), Shape::Run(Kind::Letters, 1, usize::MAX)],
            "two of",
            Some(&["two", " ", "of"]),
        );
        check(&[], "", Some(&[]));
        check(&[], "x", None);
    }

    #[test]
    fn case_does_not_matter() {
        check(&[literal("Éa"), Shape::Run(Kind::Roman, 1, 9)], "éAMcx", Some(&["éA", "Mcx"]));
        check(&[literal("s")], "ſ", None);
        check(&[literal("ß")], "SS", None);
    }

    #[test]
    fn ordinals_and_zones() {
        check(&[Shape::Ordinal(1, 2), literal("!")], "22nD!", Some(&["22nD", "!"]));
        check(&[Shape::Ordinal(1, 2)], "222nd", None);
        check(&[Shape::Ordinal(1, 2)], "22", None);
        let zone = |named, separator| Shape::Zone { named, separator };
        check(&[zone(false, Some(':'))], "+1:30", Some(&["+1:30"]));
        check(&[zone(false, Some(':'))], "+130", None);
        check(&[zone(true, None), DIGITS], "gmt-0130", Some(&["gmt-013", "0"]));
        check(&[zone(true, None)], "GM", None);
    }

    #[test]
    fn hostile_pictures_end() {
        let text: Vec<char> = "1".repeat(2_000).chars().chain(['x']).collect();
        let digits: Vec<Shape> = (0..50).map(|_| DIGITS).collect();
        let mut work = 0;
        assert_eq!(split(&digits, &text, &mut work).unwrap_err().code, "D1001");
        assert!(work > 1_000_000, "{work}");
        assert_eq!(split(&digits, &text[..200], &mut 0).unwrap().unwrap().len(), 50);
        let words: Vec<Shape> = (0..50).map(|_| Shape::Words).collect();
        let text: Vec<char> = "one ".repeat(2_000).chars().chain(['x']).collect();
        assert_eq!(split(&words, &text, &mut 0).unwrap_err().code, "D1001");
    }
}
