//! JSON without blanks: checks that a text is exactly one JSON value and copies it. Members keep their order, numbers
//! their digits; escapes in strings become what they stand for wherever JSON can hold that.

/// Levels that an item may nest: what readers of JSON take elsewhere, less what a child's input wraps around it,
/// `{"Items":[{"Key":…,"Value":item}]}`.
const MAX_DEPTH: usize = 124;
/// A number this short has no digits enough to be out of a float's range, unless it has an exponent.
const SURELY_FINITE: usize = 300;

/// Appends a JSON value without blanks.
///
/// # Errors
/// The byte at which the text stops being a JSON value, and why. What was appended is of no use then.
pub fn compact(text: &str, out: &mut String) -> Result<(), (usize, &'static str)> {
    Compactor { text, bytes: text.as_bytes(), at: 0, copied: 0, out }.run()
}

/// Appends a text as a JSON string.
pub fn quote(text: &str, out: &mut String) {
    out.push('"');
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[copied..at]);
        copied = at + 1;
        escape(char::from(byte), out);
    }
    out.push_str(&text[copied..]);
    out.push('"');
}

fn escape(character: char, out: &mut String) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        control if u32::from(control) < 0x20 => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            let code = u32::from(control) as usize;
            out.push_str("\\u00");
            out.push(char::from(HEX[code >> 4]));
            out.push(char::from(HEX[code & 15]));
        }
        plain => out.push(plain),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    FirstElement,
    FirstMember,
    Member,
    CommaOrEnd,
    Nothing,
}

struct Compactor<'t, 'o> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    /// Everything before is in `out` or left out.
    copied: usize,
    out: &'o mut String,
}

type Outcome<T> = Result<T, (usize, &'static str)>;

impl Compactor<'_, '_> {
    fn run(mut self) -> Outcome<()> {
        // Whether each container around is an object.
        let mut around: Vec<bool> = Vec::new();
        let mut expect = Expect::Value;
        loop {
            self.blanks();
            let Some(&byte) = self.bytes.get(self.at) else {
                self.copy();
                return if expect == Expect::Nothing { Ok(()) } else { self.wrong("the value is not complete") };
            };
            let after = |around: &[bool]| if around.is_empty() { Expect::Nothing } else { Expect::CommaOrEnd };
            expect = match (expect, byte) {
                (Expect::FirstElement, b']') | (Expect::FirstMember, b'}') => {
                    self.at += 1;
                    around.pop();
                    after(&around)
                }
                (Expect::FirstMember | Expect::Member, b'"') => {
                    self.string()?;
                    self.blanks();
                    if self.bytes.get(self.at) != Some(&b':') {
                        return self.wrong("a colon is missing after a member's name");
                    }
                    self.at += 1;
                    Expect::Value
                }
                (Expect::FirstMember | Expect::Member, _) => return self.wrong("a member's name is missing"),
                (Expect::Value | Expect::FirstElement, b'{' | b'[') => {
                    self.at += 1;
                    if around.len() == MAX_DEPTH {
                        return self.wrong("the value nests too deep");
                    }
                    around.push(byte == b'{');
                    if byte == b'{' { Expect::FirstMember } else { Expect::FirstElement }
                }
                (Expect::Value | Expect::FirstElement, _) => {
                    self.scalar(byte)?;
                    after(&around)
                }
                (Expect::CommaOrEnd, b',') => {
                    self.at += 1;
                    if around.last() == Some(&true) { Expect::Member } else { Expect::Value }
                }
                (Expect::CommaOrEnd, b'}' | b']') if around.last() == Some(&(byte == b'}')) => {
                    self.at += 1;
                    around.pop();
                    after(&around)
                }
                (Expect::CommaOrEnd, _) => return self.wrong("a comma or the end of the value is missing"),
                (Expect::Nothing, _) => return self.wrong("something stands after the value"),
            };
        }
    }

    fn wrong<T>(&self, reason: &'static str) -> Outcome<T> {
        Err((self.at, reason))
    }

    fn copy(&mut self) {
        self.out.push_str(&self.text[self.copied..self.at]);
        self.copied = self.at;
    }

    fn blanks(&mut self) {
        if !self.bytes.get(self.at).is_some_and(|byte| is_blank(*byte)) {
            return;
        }
        self.copy();
        while self.bytes.get(self.at).is_some_and(|byte| is_blank(*byte)) {
            self.at += 1;
        }
        self.copied = self.at;
    }

    fn scalar(&mut self, first: u8) -> Outcome<()> {
        match first {
            b'"' => self.string(),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            b'-' | b'0'..=b'9' => self.number(),
            _ => self.wrong("a value is missing"),
        }
    }

    fn word(&mut self, word: &str) -> Outcome<()> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return self.wrong("a value is missing");
        }
        self.at += word.len();
        Ok(())
    }

    fn digits(&mut self) -> Outcome<()> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == start { self.wrong("a number has no digits") } else { Ok(()) }
    }

    fn number(&mut self) -> Outcome<()> {
        let start = self.at;
        if self.bytes[self.at] == b'-' {
            self.at += 1;
        }
        if self.bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
            if self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
                return self.wrong("a number begins with 0");
            }
        } else {
            self.digits()?;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        // Whoever reads it has nothing but floats for numbers that long.
        let text = &self.text[start..self.at];
        let may_be_infinite = text.len() > SURELY_FINITE || text.contains(['e', 'E']);
        if may_be_infinite && !text.parse::<f64>().is_ok_and(f64::is_finite) {
            return self.wrong("a number is out of range");
        }
        Ok(())
    }

    fn string(&mut self) -> Outcome<()> {
        self.at += 1;
        loop {
            let rest = &self.bytes[self.at..];
            let Some(found) = rest.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\') else {
                self.at = self.bytes.len();
                return self.wrong("a string has no end");
            };
            self.at += found;
            match self.bytes[self.at] {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    self.copy();
                    let character = self.escaped()?;
                    escape(character, self.out);
                    self.copied = self.at;
                }
                _ => return self.wrong("a string holds a control character"),
            }
        }
    }

    /// The character that an escape stands for.
    fn escaped(&mut self) -> Outcome<char> {
        self.at += 1;
        let Some(&kind) = self.bytes.get(self.at) else { return self.wrong("a string has no end") };
        self.at += 1;
        Ok(match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.code()?;
                let code = match first {
                    0xD800..=0xDBFF => {
                        if !self.bytes[self.at..].starts_with(b"\\u") {
                            return self.wrong("half of a surrogate pair stands alone");
                        }
                        self.at += 2;
                        let second = self.code()?;
                        if !(0xDC00..=0xDFFF).contains(&second) {
                            return self.wrong("half of a surrogate pair stands alone");
                        }
                        0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
                    }
                    code => code,
                };
                match char::from_u32(code) {
                    Some(character) => character,
                    None => return self.wrong("half of a surrogate pair stands alone"),
                }
            }
            _ => {
                self.at -= 1;
                return self.wrong("a backslash stands before a character that needs none");
            }
        })
    }

    fn code(&mut self) -> Outcome<u32> {
        let digits = self.bytes.get(self.at..self.at + 4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let Some(digits) = digits else { return self.wrong("\\u is not followed by four hexadecimal digits") };
        self.at += 4;
        Ok(digits.iter().fold(0, |code, digit| code << 4 | char::from(*digit).to_digit(16).unwrap_or(0)))
    }
}

pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(text: &str) -> Result<String, (usize, &'static str)> {
        let mut out = String::new();
        compact(text, &mut out).map(|()| out)
    }

    #[test]
    fn blanks_go_and_all_else_stays() {
        let check = |text: &str, expect: &str| assert_eq!(done(text).as_deref(), Ok(expect), "{text}");
        check(" { \"b\" : [ 1 , 2.50 , -0 , 1E+5 ] ,\n \"a\" : { } } ", r#"{"b":[1,2.50,-0,1E+5],"a":{}}"#);
        check("[ ]", "[]");
        check("\"a b\"", "\"a b\"");
        check(" true", "true");
        check("null\r", "null");
        check("123456789012345678901234567890.10", "123456789012345678901234567890.10");
    }

    #[test]
    fn escapes_are_written_in_one_way() {
        let check = |text: &str, expect: &str| assert_eq!(done(text).as_deref(), Ok(expect), "{text}");
        check(r#""\u00e9\/\u0041""#, "\"é/A\"");
        check(r#""\ud83d\ude00x""#, "\"😀x\"");
        check(r#""\u0000\u001f\b\f\n\r\t\"\\""#, r#""\u0000\u001f\b\f\n\r\t\"\\""#);
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "[1",
            "[1,]",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "{\"a\":1,}",
            "[1 2]",
            "01",
            "1.",
            "-",
            ".5",
            "1e",
            "tru",
            "truex",
            "nul",
            "'a'",
            "\"a",
            "\"\n\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "\"\\udc00\"",
            "1 1",
            "{}{}",
            "[}",
            "{]",
            "[1}",
            "NaN",
            "+1",
            "\"\\",
            "\"\\u00",
            "{\"a\":1]",
        ] {
            assert!(done(text).is_err(), "{text}");
        }
        assert!(done(&format!("{}{}", "[".repeat(124), "]".repeat(124))).is_ok());
        assert!(done(&format!("{}{}", "[".repeat(125), "]".repeat(125))).is_err());
    }
}
