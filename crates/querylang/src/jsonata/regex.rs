//! Regular expressions: JavaScript's syntax, matched in linear time.
//!
//! What needs backtracking (look-around, back-references) is refused when the
//! expression is compiled: no text may make a match take exponential time.

use super::error::Error;
use std::fmt;
use std::ops::Range;

/// A compiled regular expression.
pub struct Pattern {
    source: String,
    flags: String,
    regex: regex::Regex,
}

/// A match: places are byte offsets into the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The whole match.
    pub range: Range<usize>,
    /// The groups, from the first; a group that took no part is `None`.
    pub groups: Vec<Option<Range<usize>>>,
}

impl Pattern {
    /// Compiles the text between the slashes, and the flags behind them.
    ///
    /// # Errors
    /// D3141 if it is not a regular expression, or needs backtracking.
    pub fn compile(source: &str, flags: &str) -> Result<Self, Error> {
        let regex = regex::RegexBuilder::new(source)
            .case_insensitive(flags.contains('i'))
            .multi_line(flags.contains('m'))
            .size_limit(1 << 20)
            .build()
            .map_err(|error| Error::new("D3141").with_message(error.to_string()))?;
        Ok(Self { source: source.to_owned(), flags: flags.to_owned(), regex })
    }

    /// The text between the slashes.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The flags: `i`, `m` or both.
    #[must_use]
    pub fn flags(&self) -> &str {
        &self.flags
    }

    /// Whether it matches somewhere in the text: quicker than [`Pattern::find_at`].
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The first match at or behind a byte offset, which must lie between characters.
    #[must_use]
    pub fn find_at(&self, text: &str, from: usize) -> Option<Match> {
        if from > text.len() || !text.is_char_boundary(from) {
            return None;
        }
        let captures = self.regex.captures_at(text, from)?;
        let range = captures.get(0)?.range();
        let groups = captures.iter().skip(1).map(|group| group.map(|group| group.range())).collect();
        Some(Match { range, groups })
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "/{}/{}", self.source, self.flags)
    }
}
