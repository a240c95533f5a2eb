//! Definitions out of seeds, and readers that know just enough of each format to say what is in a text.

use std::fmt::Write as _;

use stepwright_asl::{Definition, Options, parse};

/// The definition of a text that is right.
pub(crate) fn parsed(text: &str) -> Definition {
    let parsed = parse(text, &Options::default());
    parsed.definition.unwrap_or_else(|| panic!("{:?}\n{text}", parsed.diagnostics))
}

/// Makes definitions; the same seed makes the same.
pub(crate) struct Generator {
    random: u64,
    names: usize,
}

/// Names that each format must escape.
const NAMES: [&str; 12] = [
    "Check",
    "a \"quoted\" name",
    "<b>&amp;",
    "end",
    "Größe 価格",
    "back\\slash",
    "x | y --> z",
    "#35; 100 %",
    "`code`",
    "a]b)c}",
    "subgraph graph",
    "A name that is quite long, so that it takes more than one line",
];

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, names: 0 }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % bound as u64) as usize
    }

    /// A definition of about so many states.
    pub(crate) fn definition(&mut self, states: usize) -> String {
        let count = 1 + self.below(states);
        self.flow(count, 3)
    }

    fn name(&mut self) -> String {
        self.names += 1;
        let name = NAMES[self.below(NAMES.len())];
        serde_json::Value::from(format!("{name} {}", self.names)).to_string()
    }

    fn flow(&mut self, count: usize, depth: usize) -> String {
        let names: Vec<String> = (0..count).map(|_| self.name()).collect();
        let mut states = Vec::new();
        for (index, name) in names.iter().enumerate() {
            // The next one is always led to, so that every state is reached; others may be anywhere, back included.
            let anywhere = names[self.below(count)].clone();
            let next = match names.get(index + 1) {
                Some(next) => format!("\"Next\": {next}"),
                None => "\"End\": true".to_owned(),
            };
            let catch = match self.below(3) {
                0 => format!(r#""Catch": [{{"ErrorEquals": ["States.ALL"], "Next": {anywhere}}}], "#),
                _ => String::new(),
            };
            let inside = |generator: &mut Self| {
                let count = 1 + generator.below(4);
                generator.flow(count, depth - 1)
            };
            let state = match self.below(if depth > 0 { 8 } else { 5 }) {
                0 | 1 if index + 1 < count => {
                    let mut rules = String::new();
                    for _ in 0..self.below(4) {
                        let to = &names[self.below(count)];
                        let _ = write!(rules, r#"{{"Variable": "$.a<b", "StringEquals": "\"x\"", "Next": {to}}},"#);
                    }
                    let next = &names[index + 1];
                    format!(
                        r#"{{"Type": "Choice", "Default": {anywhere},
                            "Choices": [{rules}{{"Variable": "$.n", "IsPresent": true, "Next": {next}}}]}}"#
                    )
                }
                2 => format!(r#"{{"Type": "Wait", "Seconds": 1, {next}}}"#),
                3 => {
                    format!(r#"{{"Type": "Task", "Resource": "arn:aws:states:us-east-1:1:activity:a", {catch}{next}}}"#)
                }
                5 | 6 => {
                    let branches: Vec<String> = (0..=self.below(3)).map(|_| inside(self)).collect();
                    format!(r#"{{"Type": "Parallel", "Branches": [{}], {catch}{next}}}"#, branches.join(","))
                }
                7 => {
                    let processor = inside(self);
                    format!(r#"{{"Type": "Map", "ItemProcessor": {processor}, {catch}{next}}}"#)
                }
                _ => format!(r#"{{"Type": "Pass", {next}}}"#),
            };
            states.push(format!("{name}: {state}"));
        }
        format!(r#"{{"StartAt": {}, "States": {{{}}}}}"#, names[0], states.join(","))
    }
}

/// Reads XML of elements, attributes in double quotes and text; every element is closed. Returns the states drawn.
pub(crate) fn read_xml(text: &str) -> usize {
    let mut open: Vec<&str> = Vec::new();
    let mut states = 0;
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        entities(&rest[..at]);
        let end = rest[at..].find('>').expect("a tag ends") + at;
        let tag = &rest[at + 1..end];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "elements nest");
        } else {
            let quotes = tag.matches('"').count();
            assert!(quotes.is_multiple_of(2) && !tag.contains('<'), "attributes are quoted: {tag}");
            entities(tag);
            states += usize::from(tag.contains("data-state=\""));
            if !tag.ends_with('/') {
                open.push(tag.split(' ').next().expect("a name"));
            }
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty() && rest.trim().is_empty());
    states
}

fn entities(text: &str) {
    for piece in text.split('&').skip(1) {
        let name = piece.split(';').next().expect("a name");
        assert!(["amp", "lt", "gt", "quot", "#39"].contains(&name), "{text}");
    }
    assert!(!text.contains('\0'));
}

/// Reads a flowchart line by line: states and ways.
pub(crate) fn read_mermaid(text: &str) -> (usize, usize) {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("flowchart TD"));
    let (mut states, mut ways, mut depth) = (0, 0, 0);
    for line in lines.map(str::trim) {
        let bare = without_quoted(line, false);
        if bare == "end" {
            depth -= 1;
        } else if let Some(rest) = bare.strip_prefix("subgraph ") {
            depth += 1;
            states += usize::from(rest.starts_with('s'));
            assert!(rest.ends_with("[\"\"]"), "{line}");
        } else if bare.contains("-->") || bare.contains("-.->") {
            ways += 1;
            let ends: Vec<&str> = bare.split(' ').collect();
            assert_eq!(ends.len(), 3, "{line}");
            assert!(ends[1].starts_with('-') && (ends[1].ends_with('>') || ends[1].ends_with("|\"\"|")), "{line}");
        } else if !bare.starts_with("class") && !bare.starts_with("start") && !bare.starts_with("finish") {
            states += 1;
            let number = bare.trim_start_matches('s');
            let digits = number.chars().take_while(char::is_ascii_digit).count();
            assert!(["[\"\"]", "{\"\"}", "([\"\"])", "(\"\")"].contains(&&number[digits..]), "{line}");
        }
    }
    assert_eq!(depth, 0, "every subgraph ends");
    (states, ways)
}

/// Reads a digraph line by line: states and ways.
pub(crate) fn read_dot(text: &str) -> (usize, usize) {
    let (mut states, mut ways, mut depth) = (0, 0, 0);
    for line in text.lines() {
        let bare = without_quoted(line.trim(), true);
        depth += i32::try_from(bare.matches('{').count()).expect("few");
        depth -= i32::try_from(bare.matches('}').count()).expect("few");
        assert!(bare.ends_with(['{', '}', ';']), "{line}");
        if bare.contains(" -> ") {
            ways += usize::from(!bare.contains("style=dotted"));
        } else if bare.starts_with('s') && bare[1..].starts_with(|c: char| c.is_ascii_digit()) {
            states += 1;
        }
    }
    assert_eq!(depth, 0, "every bracket closes");
    (states, ways)
}

/// A line whose quoted texts are empty, so that whatever is left is the format's own.
fn without_quoted(line: &str, escapes: bool) -> String {
    let mut out = String::new();
    let mut characters = line.chars();
    let mut quoted = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' if quoted && escapes => {
                characters.next();
            }
            '"' => {
                quoted = !quoted;
                out.push('"');
            }
            _ if quoted => {}
            other => out.push(other),
        }
    }
    assert!(!quoted, "a quote is closed: {line}");
    out
}
