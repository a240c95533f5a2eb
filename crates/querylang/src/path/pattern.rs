//! Regular expressions of filters: Java's syntax, run by an engine whose time is
//! linear in the text.
//!
//! A pattern is rewritten, token by token, into the syntax of that engine. What
//! cannot be run in linear time (look-around, back references, atomic groups,
//! possessive quantifiers) and what the engine does not know is refused with its
//! name when a definition is stored, never approximated.

use regex::{Regex, RegexBuilder};

/// The most memory one compiled regular expression may take.
const MAX_REGEX: usize = 4 << 20;

/// How deep character classes may nest.
const MAX_CLASSES: usize = 16;

const DIGIT: &str = "0-9";
const WORD: &str = "0-9A-Za-z_";
const SPACE: &str = r" \t\n\x0B\f\r";
const HORIZONTAL: &str = r" \t\xA0\x{1680}\x{180E}\x{2000}-\x{200A}\x{202F}\x{205F}\x{3000}";
const VERTICAL: &str = r"\n\x0B\f\r\x{85}\x{2028}\x{2029}";
/// What `.` does not match.
const LINE_END: &str = r"\n\r\x{85}\x{2028}\x{2029}";

/// Compiles `/source/flags`. The whole text must match, as in the service.
pub(super) fn compile(source: &str, flags: &str) -> Result<Regex, String> {
    let mut mode = Mode::default();
    let (mut ignore_case, mut multi_line, mut comments) = (false, false, false);
    for flag in flags.chars() {
        match flag {
            'i' => ignore_case = true,
            'm' => multi_line = true,
            'x' => comments = true,
            's' => mode.dot_all = true,
            'd' => mode.unix_lines = true,
            'U' => mode.unicode = true,
            // Case is folded by Unicode's rules anyway.
            'u' => {}
            _ => return Err(format!("There is no pattern flag '{flag}'")),
        }
    }
    let mut translation = Translation { rest: source, out: String::with_capacity(source.len() + 16), mode };
    translation.sequence()?;
    // A comment must not swallow the end of the group.
    let end = if comments { "\n" } else { "" };
    RegexBuilder::new(&format!(r"\A(?:{}{end})\z", translation.out))
        .size_limit(MAX_REGEX)
        .dfa_size_limit(MAX_REGEX)
        .case_insensitive(ignore_case)
        .multi_line(multi_line)
        .ignore_whitespace(comments)
        .build()
        .map_err(|error| format!("The pattern is not valid: {error}"))
}

/// What flags change in the translation itself.
#[derive(Debug, Clone, Copy, Default)]
struct Mode {
    dot_all: bool,
    unix_lines: bool,
    unicode: bool,
}

struct Translation<'s> {
    rest: &'s str,
    out: String,
    mode: Mode,
}

impl Translation<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let character = characters.next()?;
        self.rest = characters.as_str();
        Some(character)
    }

    fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn code(&mut self, code: u32) -> Result<(), String> {
        if char::from_u32(code).is_none() {
            return Err("The pattern names half of a surrogate pair".to_owned());
        }
        self.out.push_str(&format!(r"\x{{{code:X}}}"));
        Ok(())
    }

    /// Everything up to the end; groups are counted here and not by recursion.
    fn sequence(&mut self) -> Result<(), String> {
        let mut around = Vec::new();
        while let Some(character) = self.next() {
            match character {
                '\\' => self.escape(false)?,
                '[' => self.class(1)?,
                '(' => {
                    around.push(self.mode);
                    if self.group()? {
                        around.pop();
                    }
                }
                ')' => {
                    self.mode = around.pop().ok_or("The pattern closes a group that was not opened")?;
                    self.out.push(')');
                }
                '*' | '+' | '?' => {
                    self.out.push(character);
                    self.after_quantifier()?;
                }
                '{' => {
                    let length = self.rest.find('}').ok_or("The pattern has a '{' without its '}'")?;
                    let counts = &self.rest[..length];
                    let good = |count: &str| !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
                    let (low, high) = counts.split_once(',').unwrap_or((counts, counts));
                    if !good(low) || !(good(high) || high.is_empty()) {
                        return Err(format!("The pattern has no numbers in '{{{counts}}}'"));
                    }
                    self.out.push_str(&format!("{{{counts}}}"));
                    self.rest = &self.rest[length + 1..];
                    self.after_quantifier()?;
                }
                '}' | ']' => {
                    self.out.push('\\');
                    self.out.push(character);
                }
                '.' => self.out.push_str(&match self.mode {
                    Mode { dot_all: true, .. } => "(?s:.)".to_owned(),
                    Mode { unix_lines: true, .. } => r"[^\n]".to_owned(),
                    _ => format!("[^{LINE_END}]"),
                }),
                _ => self.out.push(character),
            }
        }
        Ok(())
    }

    fn after_quantifier(&mut self) -> Result<(), String> {
        if self.take("?") {
            self.out.push('?');
        } else if self.peek() == Some('+') {
            return Err("Possessive quantifiers are not supported: they cannot be run in linear time".to_owned());
        }
        match self.peek() {
            Some('*' | '+' | '?' | '{') => Err("The pattern has a quantifier behind a quantifier".to_owned()),
            _ => Ok(()),
        }
    }

    /// Behind `(`. Whether it was closed at once, as in `(?i)`.
    fn group(&mut self) -> Result<bool, String> {
        if !self.take("?") {
            self.out.push('(');
            return Ok(false);
        }
        for (token, what) in [
            ("=", "Look-ahead is"),
            ("!", "Look-ahead is"),
            ("<=", "Look-behind is"),
            ("<!", "Look-behind is"),
            (">", "Atomic groups are"),
        ] {
            if self.rest.starts_with(token) {
                return Err(format!("{what} not supported: it cannot be run in linear time"));
            }
        }
        if self.take("<") {
            self.out.push_str("(?<");
            return Ok(false);
        }
        let (mut on, mut off, mut turned_off) = (String::new(), String::new(), false);
        loop {
            match self.next() {
                Some('-') if !turned_off => turned_off = true,
                Some('s') => self.mode.dot_all = !turned_off,
                Some('d') => self.mode.unix_lines = !turned_off,
                Some('U') => self.mode.unicode = !turned_off,
                Some('u') => {}
                Some(flag @ ('i' | 'm' | 'x')) => if turned_off { &mut off } else { &mut on }.push(flag),
                Some(end @ (':' | ')')) => {
                    let off = if off.is_empty() { off } else { format!("-{off}") };
                    match (end, on.is_empty() && off.is_empty()) {
                        (':', _) => self.out.push_str(&format!("(?{on}{off}:")),
                        (_, true) => {}
                        (_, false) => self.out.push_str(&format!("(?{on}{off})")),
                    }
                    return Ok(end == ')');
                }
                _ => return Err("The pattern has a group of an unknown kind behind '(?'".to_owned()),
            }
        }
    }

    /// Behind `[`.
    fn class(&mut self, depth: usize) -> Result<(), String> {
        if depth > MAX_CLASSES {
            return Err(format!("The pattern nests classes deeper than {MAX_CLASSES} levels"));
        }
        self.out.push('[');
        if self.take("^") {
            self.out.push('^');
        }
        if self.take("]") {
            self.out.push_str(r"\]");
        }
        // Whether a range may start at what came last.
        let mut single = false;
        while let Some(character) = self.next() {
            let before = single;
            single = true;
            match character {
                ']' => {
                    self.out.push(']');
                    return Ok(());
                }
                '[' => {
                    self.class(depth + 1)?;
                    single = false;
                }
                '\\' => {
                    let set = matches!(
                        self.peek(),
                        Some('d' | 'D' | 'w' | 'W' | 's' | 'S' | 'h' | 'H' | 'v' | 'V' | 'p' | 'P' | 'Q')
                    );
                    self.escape(true)?;
                    single = !set;
                }
                '&' if self.peek() == Some('&') => {
                    self.rest = self.rest.trim_start_matches('&');
                    self.out.push_str("&&");
                    single = false;
                }
                '-' if before && !matches!(self.peek(), None | Some(']' | '[')) => {
                    self.out.push('-');
                    single = false;
                }
                // Those have a meaning in the engine that they lack in Java.
                '-' | '~' | '^' | '&' | ':' => {
                    self.out.push('\\');
                    self.out.push(character);
                }
                _ => self.out.push(character),
            }
        }
        Err("The pattern has a '[' without its ']'".to_owned())
    }

    /// Behind a backslash.
    fn escape(&mut self, in_class: bool) -> Result<(), String> {
        let Some(character) = self.next() else {
            return Err("The pattern ends with a backslash".to_owned());
        };
        let unicode = self.mode.unicode;
        match character {
            'd' | 'D' | 'w' | 'W' | 's' | 'S' if unicode => {
                self.out.push('\\');
                self.out.push(character);
            }
            'd' => self.set(false, DIGIT),
            'D' => self.set(true, DIGIT),
            'w' => self.set(false, WORD),
            'W' => self.set(true, WORD),
            's' => self.set(false, SPACE),
            'S' => self.set(true, SPACE),
            'h' => self.set(false, HORIZONTAL),
            'H' => self.set(true, HORIZONTAL),
            'v' => self.set(false, VERTICAL),
            'V' => self.set(true, VERTICAL),
            'R' if !in_class => self.out.push_str(&format!(r"(?:\r\n|[{VERTICAL}])")),
            'b' | 'B' | 'A' | 'z' if !in_class => {
                self.out.push('\\');
                self.out.push(character);
            }
            'Z' if !in_class => self.out.push_str(r"\z"),
            't' | 'n' | 'r' | 'f' => {
                self.out.push('\\');
                self.out.push(character);
            }
            'a' => self.code(0x07)?,
            'e' => self.code(0x1B)?,
            '0' => {
                let length = self.rest.bytes().take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
                // Three digits only up to 377.
                let length = if length == 3 && !self.rest.starts_with(['0', '1', '2', '3']) { 2 } else { length };
                self.number(length, 8)?;
            }
            'x' if self.take("{") => {
                let length = self.rest.find('}').ok_or(r"The pattern has a '\x{' without its '}'")?;
                self.number(length, 16)?;
                self.next();
            }
            'x' => self.number(2, 16)?,
            'u' => self.code_unit()?,
            'c' => match self.next() {
                Some(control) if control.is_ascii() => self.code(u32::from(control) ^ 64)?,
                _ => return Err(r"The pattern has a '\c' without its character".to_owned()),
            },
            'p' | 'P' => self.property(character == 'P')?,
            'Q' => {
                let (text, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
                for quoted in text.chars() {
                    self.code(u32::from(quoted))?;
                }
                self.rest = rest;
            }
            '1'..='9' | 'k' if !in_class => {
                return Err("Back references are not supported: they cannot be run in linear time".to_owned());
            }
            _ if character.is_ascii_alphanumeric() => {
                return Err(format!(r"The pattern has an escape that is not known or not supported: '\{character}'"));
            }
            _ => self.code(u32::from(character))?,
        }
        Ok(())
    }

    fn set(&mut self, negated: bool, members: &str) {
        let not = if negated { "^" } else { "" };
        self.out.push_str(&format!("[{not}{members}]"));
    }

    /// The next `length` bytes, as digits of a code point.
    fn number(&mut self, length: usize, base: u32) -> Result<(), String> {
        let digits = self.rest.get(..length).filter(|digits| digits.chars().all(|digit| digit.is_digit(base)));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, base).ok());
        let code = code.ok_or("The pattern has a number of a character with the wrong digits")?;
        self.rest = &self.rest[length..];
        self.code(code)
    }

    /// Behind `\u`: one code unit, or two of a surrogate pair.
    fn code_unit(&mut self) -> Result<(), String> {
        let mut unit = || {
            let digits = self.rest.get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
            self.rest = &self.rest[4..];
            u32::from_str_radix(digits, 16).ok()
        };
        let high = unit().ok_or(r"The pattern has a '\u' without four digits")?;
        if (0xD800..0xDC00).contains(&high)
            && let Some(rest) = self.rest.strip_prefix(r"\u")
            && let Some(low) = rest.get(..4).and_then(|digits| u32::from_str_radix(digits, 16).ok())
            && (0xDC00..0xE000).contains(&low)
        {
            self.rest = &rest[4..];
            return self.code(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00));
        }
        self.code(high)
    }

    /// Behind `\p`: `L`, `{Lu}`, `{Alpha}`, `{IsLatin}`, `{sc=Greek}`.
    fn property(&mut self, negated: bool) -> Result<(), String> {
        let name = if self.take("{") {
            let (name, rest) = self.rest.split_once('}').ok_or(r"The pattern has a '\p{' without its '}'")?;
            self.rest = rest;
            name
        } else {
            let length = self.peek().map_or(0, char::len_utf8);
            let (name, rest) = self.rest.split_at(length);
            self.rest = rest;
            name
        };
        let ascii = match name {
            "Lower" | "javaLowerCase" => "a-z",
            "Upper" | "javaUpperCase" => "A-Z",
            "ASCII" => r"\x00-\x7F",
            "Alpha" => "A-Za-z",
            "Digit" => DIGIT,
            "Alnum" => "0-9A-Za-z",
            "Punct" => r"!-/:-@\[-`{-\x7E",
            "Graph" => "!-\\x7E",
            "Print" => " -\\x7E",
            "Blank" => r" \t",
            "Cntrl" => r"\x00-\x1F\x7F",
            "XDigit" => "0-9A-Fa-f",
            "Space" => SPACE,
            _ => "",
        };
        if !ascii.is_empty() && !name.starts_with("java") {
            self.set(negated, ascii);
            return Ok(());
        }
        let known = match name {
            "javaLowerCase" => "Lowercase",
            "javaUpperCase" => "Uppercase",
            "javaAlphabetic" => "Alphabetic",
            "javaWhitespace" => "White_Space",
            _ => name.strip_prefix("Is").unwrap_or(name),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ' ' | '-' | '=');
        if name.starts_with("In") || known.is_empty() || !known.chars().all(plain) {
            return Err(format!("The pattern has a property that is not supported: '{name}'"));
        }
        let letter = if negated { 'P' } else { 'p' };
        self.out.push_str(&format!(r"\{letter}{{{known}}}"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::compile;

    fn check(pattern: &str, flags: &str, matching: &[&str], other: &[&str]) {
        let regex = compile(pattern, flags).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        for text in matching {
            assert!(regex.is_match(text), "/{pattern}/{flags} and {text:?}");
        }
        for text in other {
            assert!(!regex.is_match(text), "/{pattern}/{flags} and {text:?}");
        }
    }

    #[test]
    fn the_whole_text_must_match() {
        check("b", "", &["b"], &["ab", "bc", "b\n", ""]);
        check("a|b", "", &["a", "b"], &["ab"]);
        check("^a$", "", &["a"], &["a\n", "ba"]);
        check("", "", &[""], &["a"]);
    }

    #[test]
    fn classes_are_those_of_java() {
        check(r"\d+", "", &["42"], &["٤٢"]);
        check(r"\d+", "U", &["42", "٤٢"], &["x"]);
        check(r"\w\W\s\S", "", &["a- b"], &["é- b", "a-\u{a0}b"]);
        check(r"\h\v\R", "", &["\t\n\r\n", "\u{a0}\u{2028}\n"], &["aaa"]);
        check(r"[\w-]+", "", &["a-b_1"], &["a.b"]);
        check(r"[\D]+", "", &["abc"], &["a1"]);
        check("[a-z&&[^bc]]+", "", &["ad"], &["ab"]);
        check("[a-c[x-z]]+", "", &["ax"], &["m"]);
        check("[]a]+", "", &["a]"], &["b"]);
        check("[^]a]", "", &["b"], &["]", "a"]);
        check("[a~~b^:-]+", "", &["a~b^:-"], &["c"]);
        check("[[:a]]+", "", &[":a"], &["p"]);
        check("[+--]+", "", &["+,-"], &["."]);
        check("[a-]+", "", &["a-"], &["b"]);
        check(r"[\--/]+", "", &["-./"], &["0"]);
        check(r"\p{Alpha}\p{L}\p{Lu}\pL\p{IsLatin}", "", &["aéÉßz"], &["éaAaa"]);
        check(r"\P{Digit}[\p{Punct}\p{XDigit}]+", "", &["x!F9~"], &["5!", "x g"]);
        check(".", "", &["a", "é"], &["\n", "\r", "\u{2028}"]);
        check(".", "s", &["\n", "\r"], &[""]);
        check(".", "d", &["\r"], &["\n"]);
        check("(?s:.)(.)", "", &["\na"], &["\n\n"]);
        check("(?s).", "", &["\n"], &[]);
    }

    #[test]
    fn escapes() {
        check(r"\x41\u0042\x{43}\0104\cA\e\a", "", &["ABCD\u{1}\u{1b}\u{7}"], &[]);
        check(r"\uD83D\uDE00", "", &["😀"], &[]);
        check(r"\Qa.b*\E+", "", &["a.b*", "a.b**"], &["axb*"]);
        check(r"\Q[", "", &["["], &[]);
        check(r"a\.b\/c\<\>\-\ ", "", &["a.b/c<>- "], &["axb/c<>- "]);
        check(r"a\tb\n", "", &["a\tb\n"], &[]);
        check("a]b}", "", &["a]b}"], &[]);
    }

    #[test]
    fn flags_and_groups() {
        check("abc", "i", &["ABC", "abc"], &["abd"]);
        check("(?i)abc", "", &["ABC"], &[]);
        check("a(?i:b)c", "", &["aBc"], &["ABc", "aBC"]);
        check("(?i)a(?-i)b", "", &["Ab"], &["AB"]);
        check("(?iu)a(?d)b(?u:c)", "", &["ABC"], &[]);
        check("(?<year>[0-9]{4})-(?:[0-9]{2})?", "", &["2024-", "2024-11"], &["2024"]);
        check("a{2}b{1,}c{0,1}?", "", &["aabb", "aabc"], &["ab"]);
        check("a b # all", "x", &["ab"], &["a b"]);
        check("a*?b+?c??", "", &["aabb"], &["c"]);
        check("^a$\n^b$", "m", &["a\nb"], &[]);
    }

    #[test]
    fn what_linear_time_does_not_allow_is_refused_by_name() {
        for (pattern, word) in [
            ("a(?=b)", "Look-ahead"),
            ("a(?!b)", "Look-ahead"),
            ("(?<=a)b", "Look-behind"),
            ("(?<!a)b", "Look-behind"),
            ("(?>a+)", "Atomic"),
            ("a++", "Possessive"),
            ("a*+", "Possessive"),
            ("a{1,2}+", "Possessive"),
            (r"(a)\1", "Back references"),
            (r"(?<n>a)\k<n>", "Back references"),
            (r"\X", "escape"),
            (r"\G", "escape"),
            (r"[\b]", "escape"),
            (r"\p{InGreek}", "property"),
            ("a**", "quantifier"),
            ("a{x}", "numbers"),
            ("a{", "without its '}'"),
            ("(a", "not valid"),
            ("a)", "not opened"),
            ("[a", "without its ']'"),
            ("(?q)", "unknown kind"),
            ("*a", "not valid"),
            ("[b-a]", "not valid"),
            (r"\uD800", "surrogate"),
            (r"\u12", "four digits"),
            (r"\x{110000}", "surrogate"),
            ("\\", "backslash"),
        ] {
            let error = compile(pattern, "").expect_err(pattern);
            assert!(error.contains(word), "{pattern}: {error}");
        }
        assert!(compile("a", "q").is_err());
        assert!(compile(&"[".repeat(1_000), "").is_err());
        assert!(compile(&"(".repeat(10_000), "").is_err());
        assert!(compile("((a{1,100}){1,100}){1,100}", "").is_err());
    }

    #[test]
    fn catastrophic_patterns_are_quick() {
        check("(a+)+b", "", &[], &[&"a".repeat(100_000)]);
        check("(a|aa)+", "", &[&"a".repeat(100_000)], &[]);
        check("(x+x+)+y", "", &[], &[&"x".repeat(100_000)]);
    }
}
