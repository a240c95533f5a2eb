//! Regular expressions: JavaScript's syntax and meaning, on an engine whose
//! time is linear in the text.
//!
//! A pattern is parsed here, as JavaScript without the flag `u` reads it, and
//! written anew for the crate `regex`. Look-around and back-references, which no
//! linear engine has, are refused when the pattern is compiled. Compiling and
//! searching are bounded: see the constants.
//!
//! What differs from JavaScript: a character beyond the basic plane is one
//! character here and two surrogates there; with `m`, a line does not end
//! between `\r` and `\n`, nor at U+2028 and U+2029; and a group that can match
//! nothing may report an empty capture from a round JavaScript would not start.
//!
//! This module knows nothing of JSONata's values. It never compiles a pattern
//! during an evaluation and never recurses by the length of a pattern or text.

mod meter;
mod parse;
mod render;
mod set;

pub(crate) use meter::{Asked, Measured};

use meter::Meter;
use parse::Parser;
use render::{Rendered, Slot, weight};
use std::ops::Range;

/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 16 << 10;

/// The largest automaton, in about states: enough for `.{1,1000}`.
const MAX_WEIGHT: u64 = 12_000;

/// The most states times groups, which is what a search with captures remembers.
const MAX_WEIGHT_AND_GROUPS: u64 = 200_000;

/// The most memory of one compiled pattern, and of its cache, in bytes.
const MAX_MEMORY: usize = 2 << 20;

/// The most states times bytes of one search: about half a second where it is
/// slowest (measured: 5 ns each).
const MAX_SEARCH: u64 = 1 << 27;

/// States times bytes of a match that count as one step when its groups are found.
const GROUPS_PER_STEP: u64 = 32;

/// The same of a search that is not measured, where it is slowest.
const SEARCH_PER_STEP: u64 = 16;

/// What is wrong with a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RegexErrorKind {
    /// JavaScript refuses it too.
    Syntax,
    /// JavaScript has it, but it needs more than linear time.
    Unsupported,
    /// It is larger than this engine allows.
    Limit,
}

/// A pattern that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}, at character {position} of the regular expression")]
pub(crate) struct RegexError {
    /// Which kind of thing is wrong.
    pub(crate) kind: RegexErrorKind,
    /// The construct and the rule.
    pub(crate) message: String,
    /// Where in the pattern, in characters from 0.
    pub(crate) position: usize,
}

impl RegexError {
    fn syntax(message: &str, position: usize) -> Self {
        Self { kind: RegexErrorKind::Syntax, message: message.to_owned(), position }
    }

    fn unsupported(construct: &str, position: usize) -> Self {
        let message = format!("{construct} is not supported, because it would need more than linear time");
        Self { kind: RegexErrorKind::Unsupported, message, position }
    }

    fn limit(message: String, position: usize) -> Self {
        Self { kind: RegexErrorKind::Limit, message, position }
    }
}

/// A compiled regular expression.
#[derive(Debug)]
pub(crate) struct Regex {
    pattern: Box<str>,
    ignore_case: bool,
    multi_line: bool,
    compiled: regex::Regex,
    meter: Option<Meter>,
    slots: Box<[Slot]>,
    groups: Box<[usize]>,
    weight: u64,
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        (&self.pattern, self.ignore_case, self.multi_line) == (&other.pattern, other.ignore_case, other.multi_line)
    }
}

impl Regex {
    /// Compiles the text between the slashes. Of the flags only `i` and `m` mean
    /// anything.
    pub(crate) fn new(pattern: &str, flags: &str) -> Result<Self, RegexError> {
        let (ignore_case, multi_line) = (flags.contains('i'), flags.contains('m'));
        if pattern.len() > MAX_PATTERN {
            return Err(RegexError::limit(format!("the pattern is longer than {MAX_PATTERN} bytes"), 0));
        }
        let node = Parser::new(pattern, ignore_case, multi_line).parse()?;
        let rendered = Rendered::of(&node);
        let weight = weight(&node);
        let slots = rendered.slots.len() as u64;
        if weight > MAX_WEIGHT || weight.saturating_mul(slots) > MAX_WEIGHT_AND_GROUPS {
            return Err(RegexError::limit("its repetitions and groups are too many".to_owned(), 0));
        }
        let compiled = regex::RegexBuilder::new(&rendered.text)
            .size_limit(MAX_MEMORY)
            .dfa_size_limit(MAX_MEMORY)
            .nest_limit(1_000)
            .build()
            .map_err(|_| RegexError::limit(format!("the pattern needs more than {MAX_MEMORY} bytes"), 0))?;
        let meter = Meter::new(&rendered.text, MAX_MEMORY);
        Ok(Self {
            pattern: pattern.into(),
            ignore_case,
            multi_line,
            compiled,
            meter,
            slots: rendered.slots.into(),
            groups: rendered.groups.into(),
            weight,
        })
    }

    /// The text between the slashes.
    pub(crate) fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The flags, in the order `i`, `m`.
    pub(crate) fn flags(&self) -> &'static str {
        match (self.ignore_case, self.multi_line) {
            (false, false) => "",
            (true, false) => "i",
            (false, true) => "m",
            (true, true) => "im",
        }
    }

    /// About how many states it has; the sum over an expression should be bounded.
    pub(crate) fn weight(&self) -> u64 {
        self.weight
    }

    /// Whether a text of so many bytes can be searched in bounded time.
    pub(crate) fn affords(&self, bytes: usize) -> bool {
        self.weight.saturating_mul(bytes as u64) <= MAX_SEARCH
    }

    /// What an evaluation needs to measure searches, before the first.
    pub(crate) fn measured(&self) -> Option<Measured> {
        self.meter.as_ref().map(Meter::start)
    }

    /// Tells `spend` of the steps and the memory of a search from byte `from` on.
    ///
    /// # Errors
    /// The first of `spend`.
    pub(crate) fn measure<E>(
        &self,
        measured: Option<&mut Measured>,
        (text, from): (&str, usize),
        asked: Asked,
        spend: &mut dyn FnMut(u64, usize) -> Result<(), E>,
    ) -> Result<(), E> {
        spend(8, 0)?;
        if from >= text.len() {
            return Ok(());
        }
        match (&self.meter, measured) {
            (Some(meter), Some(measured)) => meter.look(measured, (text, from), asked, spend),
            _ => spend(self.weight.saturating_mul((text.len() - from) as u64) / SEARCH_PER_STEP, 0),
        }
    }

    /// How many steps it takes to find the groups of a match of so many bytes.
    pub(crate) fn steps_of_groups(&self, bytes: usize) -> u64 {
        if self.slots.len() < 2 {
            return 0;
        }
        self.slots.len() as u64 + self.weight.saturating_mul(bytes as u64) / GROUPS_PER_STEP
    }

    /// Whether it matches somewhere in the text.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.compiled.is_match(text)
    }

    /// The matches in `text`, one after the other.
    pub(crate) fn matches<'t>(&self, text: &'t str) -> Matches<'_, 't> {
        self.matches_from(text, 0)
    }

    /// The matches that start at byte `start` or later; what stands before is
    /// seen by `^` and `\b`.
    pub(crate) fn matches_from<'t>(&self, text: &'t str, start: usize) -> Matches<'_, 't> {
        let locations = (self.slots.len() > 1).then(|| self.compiled.capture_locations());
        Matches { regex: self, text, next: Some(start), first: true, locations }
    }
}

/// A second or later match is empty, so that there would be no end (`D1004`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EmptyMatch;

/// The matches of a [`Regex`] in a text.
#[derive(Debug)]
pub(crate) struct Matches<'r, 't> {
    regex: &'r Regex,
    text: &'t str,
    /// Where to look next; `None` at the end.
    next: Option<usize>,
    first: bool,
    locations: Option<regex::CaptureLocations>,
}

impl Matches<'_, '_> {
    /// The byte range of the next match. The first match may be empty, as the
    /// reference has it, a later one is an error.
    pub(crate) fn advance(&mut self) -> Result<Option<Range<usize>>, EmptyMatch> {
        let Some(start) = self.next.take() else { return Ok(None) };
        let first = std::mem::replace(&mut self.first, false);
        if start > self.text.len() || (!first && start == self.text.len()) {
            return Ok(None);
        }
        let found = match &mut self.locations {
            Some(locations) => self.regex.compiled.captures_read_at(locations, self.text, start),
            None => self.regex.compiled.find_at(self.text, start),
        };
        let Some(found) = found else { return Ok(None) };
        if !first && found.is_empty() {
            return Err(EmptyMatch);
        }
        self.next = Some(found.end());
        Ok(Some(found.range()))
    }

    /// Where the next search begins: the text, and the byte.
    pub(crate) fn ahead(&self) -> (&str, usize) {
        (self.text, self.next.unwrap_or(usize::MAX))
    }

    /// What each group of the match last found captured.
    pub(crate) fn groups(&self) -> impl ExactSizeIterator<Item = Option<Range<usize>>> {
        self.regex.groups.iter().map(|slot| self.slot(*slot))
    }

    fn slot(&self, slot: usize) -> Option<Range<usize>> {
        let (start, end) = self.locations.as_ref()?.get(slot)?;
        if let Some(round) = self.regex.slots[slot].round {
            let round = self.slot(round)?;
            if start < round.start || end > round.end {
                return None;
            }
        }
        Some(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every match with its groups, `-` for a group without a capture.
    fn all(pattern: &str, flags: &str, text: &str) -> String {
        let regex = Regex::new(pattern, flags).expect(pattern);
        let mut matches = regex.matches(text);
        let mut out = Vec::new();
        loop {
            match matches.advance() {
                Ok(None) => break,
                Err(EmptyMatch) => {
                    out.push("!".to_owned());
                    break;
                }
                Ok(Some(range)) => {
                    let mut one = format!("<{}>", &text[range]);
                    for group in matches.groups() {
                        one += &group.map_or("-".to_owned(), |range| format!("({})", &text[range]));
                    }
                    out.push(one);
                }
            }
        }
        out.join(" ")
    }

    #[track_caller]
    fn check(pattern: &str, flags: &str, text: &str, expected: &str) {
        assert_eq!(all(pattern, flags, text), expected, "/{pattern}/{flags} on {text:?}");
    }

    #[track_caller]
    fn refused(pattern: &str, kind: RegexErrorKind, message: &str) {
        let error = Regex::new(pattern, "").expect_err(pattern);
        assert_eq!(error.kind, kind, "/{pattern}/: {error}");
        assert!(error.to_string().starts_with(message), "/{pattern}/: {error}");
    }

    #[test]
    fn classes_are_those_of_javascript() {
        check(r"\d+", "", "a12\u{0664}3", "<12> <3>");
        check(r"\w+", "", "né_1", "<n> <_1>");
        check(r"\s", "", "a\u{feff}b\u{85}c\u{a0}", "<\u{feff}> <\u{a0}>");
        check(r"[^\S]", "", "a b", "< >");
        check(r"a.c", "", "a\u{2028}c a\nc a💩c", "<a💩c>");
        check(r"[]", "", "abc", "");
        check(r"[^]+", "", "a\nb", "<a\nb>");
        check(r"[a-]+", "", "-a-", "<-a->");
        check(r"[\w-.]+", "", "a-b.c d", "<a-b.c> <d>");
        check(r"[\b]", "", "a\u{8}b", "<\u{8}>");
        check(r"[[]+", "", "a[[b", "<[[>");
        check(r"[&&[~~]+", "", "a&[~", "<&[~>");
    }

    #[test]
    fn escapes_are_those_of_javascript() {
        check(r"\x41\u0042\cJ\0", "", "AB\n\0", "<AB\n\0>");
        check(r"\x4", "", "x4", "<x4>");
        check(r"\u{2}", "", "uu", "<uu>");
        check(r"\p{L}", "", "p{L}", "<p{L}>");
        check(r"\k<a>", "", "k<a>", "<k<a>>");
        check(r"\1\8", "", "\u{1}8", "<\u{1}8>");
        check(r"\ud83d\udca9+", "", "💩💩", "<💩💩>");
        check(r"[\ud800-\udbff][\udc00-\udfff]", "", "a💩b😀", "<💩> <😀>");
        check(r"\ud83d[\udc00-\udcff]", "", "💩🙂", "<💩>");
        check(r"[\u0080-\uffff]+", "", "aé💩b", "<é💩>");
        check(r"[^\ud800-\udfff]+", "", "a💩b", "<a> <b>");
        check(r"\ud800", "", "a💩", "");
        check(r"\/\-\$", "", "/-$", "</-$>");
        check(r"\c", "", r"\c", r"<\c>");
    }

    #[test]
    fn anchors_and_boundaries() {
        check("^a", "", "a\na", "<a>");
        check("^a", "m", "a\na\r\na", "<a> <a> <a>");
        check("a$", "", "a\na\n", "");
        check("a$", "m", "a\r\na", "<a> <a>");
        check(r"\bé", "", "né", "<é>");
        check(r"\B.", "", "né!x", "<!>");
    }

    #[test]
    fn case_is_that_of_javascript() {
        check("hat", "i", "HAT Hat", "<HAT> <Hat>");
        check("[k-s]+", "i", "KS\u{212a}\u{17f}", "<KS>");
        check("σ", "i", "Σςσ", "<Σ> <ς> <σ>");
        check("[^a]", "i", "Aab", "<b>");
        check("ß", "i", "ßẞ", "<ß>");
        check("é", "i", "É", "<É>");
    }

    #[test]
    fn repetitions() {
        check("a{2}", "", "aaaaa", "<aa> <aa>");
        check("a{2,}?", "", "aaaaa", "<aa> <aa>");
        check("a{,2}", "", "a{,2}", "<a{,2}>");
        check("x{2", "", "x{2", "<x{2>");
        check("a}]", "", "a}]", "<a}]>");
        check("(?:a|ab)(c|bcd)(d*)", "", "abcd", "<abcd>(bcd)()");
        check("a*", "", "baa", "<> !");
        check("a*", "", "", "<>");
        check("b*", "", "bba", "<bb> !");
    }

    #[test]
    fn a_repetition_forgets_what_its_groups_captured() {
        check("(?:(a)|b)*", "", "ab", "<ab>-");
        check("(?:(a)|b)*", "", "ba", "<ba>(a)");
        check("((a)|b)+(c)?", "", "abc", "<abc>(b)-(c)");
        check("(?:(a)|(b)|(c))+", "", "abc", "<abc>--(c)");
        check("((?:(x)|y){2})+", "", "xyyx", "<xyyx>(yx)(x)");
        check("((?:(x)|y){2})+", "", "yxxy", "<yxxy>(xy)-");
    }

    #[test]
    fn named_groups_are_numbered() {
        check("(?<year>\\d{4})-(?<m$>\\d\\d)", "", "2024-11", "<2024-11>(2024)(11)");
        refused("(?<a>x)(?<a>y)", RegexErrorKind::Syntax, "two groups have the name `a`");
    }

    #[test]
    fn what_is_not_linear_is_named_and_placed() {
        let unsupported = RegexErrorKind::Unsupported;
        refused("a(?=b)", unsupported, "look-ahead `(?=` is not supported");
        refused("a(?!b)", unsupported, "negative look-ahead `(?!`");
        refused("(?<=a)b", unsupported, "look-behind `(?<=`");
        refused("(?<!a)b", unsupported, "negative look-behind `(?<!`");
        refused(r"(a)\1", unsupported, "back-reference");
        refused(r"(?<x>a)\k<x>", unsupported, "back-reference");
        assert_eq!(Regex::new("ab(?=c)", "").expect_err("look-ahead").position, 2);
    }

    #[test]
    fn syntax_errors() {
        for pattern in ["(", "a)", "[a", "*a", "a**", "^*", "a|+", "{2}", "[z-a]", "a{3,2}", "\\", "(?a)", "[\\"] {
            let error = Regex::new(pattern, "").expect_err(pattern);
            assert_eq!(error.kind, RegexErrorKind::Syntax, "{pattern}: {error}");
        }
    }

    #[test]
    fn size_is_bounded() {
        let limit = RegexErrorKind::Limit;
        refused("((a{1000}){1000}){1000}", limit, "its repetitions and groups are too many");
        refused("(?:){4294967295}", limit, "its repetitions and groups are too many");
        refused(&"(".repeat(10_000), limit, "groups nest deeper than");
        refused(&"a".repeat(20_000), limit, "the pattern is longer than");
        refused(&"(a)".repeat(1_000), limit, "its repetitions and groups are too many");
        assert!(Regex::new(".{1,1000}", "i").is_ok());
        assert!(Regex::new(&format!("{}a{}", "(?:".repeat(100), ")*".repeat(100)), "").is_ok());
    }

    #[test]
    fn no_search_takes_exponential_time() {
        let text = "a".repeat(100_000) + "!";
        check(r"^(a+)+$", "", &text, "");
        check(r"^(a|aa)+$", "", &text, "");
        assert!(Regex::new("(a+)+$", "").expect("valid").affords(text.len()));
        assert!(!Regex::new("[01]*1[01]{4000}", "").expect("valid").affords(100_000));
    }

    #[test]
    fn matches_may_start_further_on() {
        let regex = Regex::new("^b|c", "").expect("valid");
        let mut matches = regex.matches_from("abc", 1);
        assert_eq!(matches.advance(), Ok(Some(2..3)));
        assert_eq!(matches.advance(), Ok(None));
    }
}
