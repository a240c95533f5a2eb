//! What a terminal may be sent: colours only where somebody sees them and NO_COLOR is not set, one kind of table, and no
//! control characters out of workflows.

use std::io::IsTerminal;

/// How a text is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Bad,
    Warn,
    Faint,
    Strong,
}

/// Whether a stream gets colours.
pub(super) fn colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A text in a colour.
pub(super) fn toned(text: &str, tone: Tone, colours: bool) -> String {
    let code = match tone {
        Tone::Plain => return text.to_owned(),
        Tone::Good => 32,
        Tone::Bad => 31,
        Tone::Warn => 33,
        Tone::Faint => 2,
        Tone::Strong => 1,
    };
    if colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// The colour of an execution's status.
pub(super) fn tone_of(status: &str) -> Tone {
    match status {
        "SUCCEEDED" => Tone::Good,
        "FAILED" | "TIMED_OUT" | "ABORTED" => Tone::Bad,
        "RUNNING" => Tone::Strong,
        _ => Tone::Plain,
    }
}

/// On one line, without control characters: what a workflow carries shall not write on the terminal as it likes.
pub(super) fn tame(text: &str, most: usize) -> String {
    let mut out: String = text.chars().take(most).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(most).is_some() {
        out.pop();
        out.push('…');
    }
    out
}

/// Rows under headings, each column as wide as its longest cell.
pub(super) fn table(headings: &[&str], rows: &[Vec<(String, Tone)>], colours: bool) -> String {
    let width = |text: &str| text.chars().count();
    let mut widths: Vec<usize> = headings.iter().map(|heading| width(heading)).collect();
    for row in rows {
        for (cell, (text, _)) in row.iter().enumerate() {
            widths[cell] = widths[cell].max(width(text));
        }
    }
    let line = |cells: Vec<(&str, Tone)>| {
        let mut line = String::new();
        let last = cells.len().saturating_sub(1);
        for (number, (text, tone)) in cells.into_iter().enumerate() {
            line.push_str(&toned(text, tone, colours));
            if number < last {
                line.push_str(&" ".repeat(widths[number] - width(text) + 2));
            }
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    };
    let mut out = line(headings.iter().map(|heading| (*heading, Tone::Faint)).collect());
    for row in rows {
        out.push_str(&line(row.iter().map(|(text, tone)| (text.as_str(), *tone)).collect()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let rows = [
            vec![("a".to_owned(), Tone::Plain), ("1".to_owned(), Tone::Good)],
            vec![("größer".to_owned(), Tone::Plain), (String::new(), Tone::Plain)],
        ];
        assert_eq!(table(&["NAME", "N"], &rows, false), "NAME    N\na       1\ngrößer\n");
        assert!(table(&["NAME", "N"], &rows, true).contains("a       \u{1b}[32m1\u{1b}[0m"));
    }

    #[test]
    fn what_workflows_carry_does_not_reach_the_terminal_as_it_is() {
        assert_eq!(tame("a\u{1b}[2J\nb", 80), "a [2J b");
        assert_eq!(tame("abcdef", 4), "abc…");
    }
}
