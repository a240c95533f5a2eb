//! Texts for pictures: escaped for XML, wrapped, cut, and how wide they are.

/// A text for XML, in an element or an attribute. Characters that XML cannot hold become U+FFFD.
pub(crate) fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\r' | '\t' => out.push(' '),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            // What turns the reading direction around could make a picture say something else.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

/// At most so many characters, with `…` for the rest.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Lines of at most so many characters, broken behind blanks and hyphens where there are any. Nothing is lost but blanks
/// at the breaks.
pub(crate) fn wrap(text: &str, most: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line: Vec<char> = Vec::new();
    for character in text.chars() {
        line.push(character);
        if line.len() > most {
            let least = most / 3;
            let at = line[..most].iter().rposition(|c| matches!(c, ' ' | '-' | '_' | '.' | ':' | '/'));
            let at = at.filter(|at| *at >= least).map_or(most, |at| at + 1);
            let rest = line.split_off(at);
            lines.push(line.iter().collect::<String>().trim_end().to_owned());
            line = rest;
        }
    }
    lines.push(line.into_iter().collect());
    lines
}

/// About how wide a text is, in units of the height of its font: no font is measured, so it is rather too wide.
pub(crate) fn width(text: &str) -> f64 {
    text.chars()
        .map(|character| match character {
            'i' | 'l' | 'j' | '.' | ',' | ':' | '\'' | '|' | '!' => 0.38,
            'm' | 'w' | 'M' | 'W' | '%' | '@' | '…' => 0.95,
            'A'..='Z' => 0.74,
            '\0'..='\u{24f}' => 0.6,
            '\u{250}'..='\u{10ff}' => 0.75,
            _ => 1.1,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_xml_that_can_be_read() {
        assert_eq!(xml("a<b>&\"c'\u{1}\n"), "a&lt;b&gt;&amp;&quot;c&#39;\u{fffd} ");
        assert_eq!(xml("\u{202e}x"), "\u{fffd}x");
    }

    #[test]
    fn lines_break_where_words_end_and_lose_nothing() {
        assert_eq!(wrap("Check the order and pay", 10), ["Check the", "order and", "pay"]);
        assert_eq!(wrap("abcdefghijkl", 5), ["abcde", "fghij", "kl"]);
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
    }
}
