//! Errors in a text file, shown as a compiler shows them: the place, the line, a caret, the way out.
//!
//! For configuration files and definitions. This module must never read a file itself: it shows what it is given.

use std::{fmt::Write as _, ops::Range};

pub use stepwright_asl::nearest;

/// A place in a text: line and column, both from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// The place of a byte offset. An offset inside a character or behind the end counts as the nearest place before.
#[must_use]
pub fn place_of(text: &str, offset: usize) -> Place {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Place { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
}

/// Longest part of a line that is shown; a minified definition is one line of a megabyte.
const MAX_SHOWN: usize = 100;

/// The excerpt under an error: arrow, line, caret and, if there is one, the help. Tabs and other control characters are
/// shown as blanks: a file shall not write on the terminal as it likes.
///
/// ```text
///   --> stepwright.toml:3:1
///    |
///  3 | listn = "127.0.0.1:8083"
///    | ^^^^^
///    = help: did you mean `listen`?
/// ```
#[must_use]
pub fn excerpt(file: &str, text: &str, span: &Range<usize>, help: Option<&str>) -> String {
    let Place { line, column } = place_of(text, span.start);
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    let whole: Vec<char> = text.lines().nth(line - 1).unwrap_or("").chars().collect();
    // A window of the line that holds the place.
    let first = if column > MAX_SHOWN { column - 1 - MAX_SHOWN / 2 } else { 0 };
    let last = whole.len().min(first + MAX_SHOWN);
    let shown: String = whole[first.min(last)..last].iter().map(|c| if c.is_control() { ' ' } else { *c }).collect();
    let (cut, tail) = (if first > 0 { "…" } else { "" }, if last < whole.len() { "…" } else { "" });
    let indent = " ".repeat(column - 1 - first + cut.chars().count());
    let width = text.get(span.clone()).map_or(1, |spanned| spanned.lines().next().unwrap_or("").chars().count());
    let carets = "^".repeat(width.clamp(1, last.saturating_sub(column - 1).max(1)));
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "{margin}--> {file}:{line}:{column}\n{margin} |\n{number} | {cut}{shown}{tail}\n{margin} | {indent}{carets}"
    );
    if let Some(help) = help {
        let _ = write!(out, "\n{margin} = help: {help}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters() {
        #[track_caller]
        fn check(text: &str, offset: usize, line: usize, column: usize) {
            assert_eq!(place_of(text, offset), Place { line, column });
        }
        check("", 0, 1, 1);
        check("a\nbc", 3, 2, 2);
        check("ä\nöü", 3, 2, 1);
        check("ä\nöü", 5, 2, 2);
        check("ä", 1, 1, 1);
        check("a\n", 99, 2, 1);
    }

    #[test]
    fn shows_the_line_with_a_caret_and_the_help() {
        let text = "a = 1\nlistn = 2\n";
        assert_eq!(
            excerpt("f.toml", text, &(6..11), Some("did you mean `listen`?")),
            " --> f.toml:2:1\n  |\n2 | listn = 2\n  | ^^^^^\n  = help: did you mean `listen`?"
        );
    }

    #[test]
    fn a_long_line_is_shown_around_the_place() {
        let text = format!("{}X{}", "a".repeat(5_000), "b".repeat(5_000));
        let shown = excerpt("f", &text, &(5_000..5_001), None);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines.iter().all(|line| line.chars().count() < 120), "{shown}");
        let caret = lines[3].chars().position(|c| c == '^').expect("a caret");
        assert_eq!(lines[2].chars().nth(caret), Some('X'));
    }

    #[test]
    fn a_span_behind_the_end_still_shows_something() {
        assert!(excerpt("f", "{", &(1..1), None).contains("f:1:2"));
        assert!(excerpt("f", "", &(7..9), None).contains("f:1:1"));
    }
}
