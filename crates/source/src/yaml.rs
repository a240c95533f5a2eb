//! One YAML document, event by event, into JSON text and the places of its parts. Not by recursion: the text decides the
//! depth.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::Value;

use crate::{Error, MAX_BYTES, MAX_DEPTH, Source, scalar};

/// Reads a text of one document.
///
/// # Errors
/// It is not YAML, or it holds what JSON cannot say: several documents, tags, keys that are not text or not unique,
/// numbers without an end; or it is too deep or too long.
pub fn yaml(text: &str) -> Result<Source, Error> {
    let offsets = Offsets::of(text);
    let mut writer =
        Writer { text, source: Source::default(), open: Vec::new(), anchors: HashMap::new(), documents: 0 };
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => writer.event(&event, offsets.range(span))?,
            Err(error) => {
                let at = offsets.byte(error.marker().index());
                return Err(Error { message: format!("this is not YAML: {}", error.info()), place: at..at });
            }
        }
    }
    if writer.documents == 0 {
        writer.source.json.push_str("null");
    }
    writer.source.json.push('\n');
    Ok(writer.source)
}

/// The parser counts characters, everybody else bytes.
struct Offsets {
    /// Every so many characters, the byte; none: all characters are bytes.
    bytes: Option<Vec<usize>>,
    end: usize,
}

impl Offsets {
    fn of(text: &str) -> Self {
        let bytes = (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at).collect());
        Self { bytes, end: text.len() }
    }

    fn byte(&self, character: usize) -> usize {
        match &self.bytes {
            None => character.min(self.end),
            Some(bytes) => bytes.get(character).copied().unwrap_or(self.end),
        }
    }

    fn range(&self, span: Span) -> Range<usize> {
        let start = self.byte(span.start.index());
        start..self.byte(span.end.index()).max(start)
    }
}

/// What is being written.
struct Level {
    is_map: bool,
    /// Keys of a map so far.
    keys: HashSet<String>,
    /// Whether a key was written whose value is next.
    after_key: bool,
    empty: bool,
    /// Its number among the places.
    place: usize,
    anchor: usize,
    /// Where it begins in the JSON.
    start: usize,
}

struct Writer<'t> {
    text: &'t str,
    source: Source,
    open: Vec<Level>,
    /// What anchors stand for: JSON text, written on one line of its own.
    anchors: HashMap<usize, String>,
    documents: usize,
}

impl Writer<'_> {
    fn event(&mut self, event: &Event<'_>, place: Range<usize>) -> Result<(), Error> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(error("a file holds one document: remove what follows the line ---", place));
                }
            }
            Event::Scalar(text, style, anchor, tag) => self.scalar(text, *style, *anchor, tag.as_deref(), place)?,
            Event::Alias(anchor) => {
                let Some(json) = self.anchors.get(anchor).cloned() else {
                    return Err(error("an alias cannot stand within what it names", place));
                };
                self.value(&json, place)?;
            }
            Event::MappingStart(anchor, tag) => self.begin(true, *anchor, tag.as_deref(), place)?,
            Event::SequenceStart(anchor, tag) => self.begin(false, *anchor, tag.as_deref(), place)?,
            Event::MappingEnd | Event::SequenceEnd => self.end(&place),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        if self.source.json.len() > MAX_BYTES {
            let message = format!("the document is longer than {MAX_BYTES} bytes of JSON: use fewer aliases");
            return Err(Error { message, place: 0..0 });
        }
        Ok(())
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        place: Range<usize>,
    ) -> Result<(), Error> {
        let is_text = is_string(tag, &place)? || !matches!(style, ScalarStyle::Plain);
        let string = Value::from(text).to_string();
        if self.open.last().is_some_and(|level| level.is_map && !level.after_key) {
            return self.key(text, &string, !is_text, place);
        }
        let json = if is_text {
            string
        } else {
            scalar::plain(text)
                .ok_or_else(|| error(&format!("JSON has no number {text}; write it in quotes"), place.clone()))?
        };
        if anchor > 0 {
            self.anchors.insert(anchor, json.clone());
        }
        self.value(&json, place)
    }

    fn key(&mut self, text: &str, string: &str, plain: bool, place: Range<usize>) -> Result<(), Error> {
        if plain && text == "<<" {
            return Err(error(
                "merge keys (<<) are not supported: write the fields out, or use an alias for a whole value",
                place,
            ));
        }
        self.comma();
        let start = self.source.json.len();
        self.source.json.push_str(string);
        self.source.places.push((start..self.source.json.len(), place.clone()));
        self.source.json.push_str(": ");
        let Some(level) = self.open.last_mut() else { return Ok(()) };
        level.after_key = true;
        if !level.keys.insert(text.to_owned()) {
            return Err(error(&format!("the key {text:?} stands here twice: remove or rename one"), place));
        }
        Ok(())
    }

    /// Writes a whole value.
    fn value(&mut self, json: &str, place: Range<usize>) -> Result<(), Error> {
        self.may_be_here(&place)?;
        self.comma();
        let start = self.source.json.len();
        self.source.json.push_str(json);
        self.source.places.push((start..self.source.json.len(), place));
        self.done();
        Ok(())
    }

    fn begin(&mut self, is_map: bool, anchor: usize, tag: Option<&Tag>, place: Range<usize>) -> Result<(), Error> {
        is_string(tag, &place)?;
        self.may_be_here(&place)?;
        if self.open.len() >= MAX_DEPTH {
            return Err(error(&format!("the document nests deeper than {MAX_DEPTH} levels"), place));
        }
        self.comma();
        let start = self.source.json.len();
        self.source.json.push(if is_map { '{' } else { '[' });
        let number = self.source.places.len();
        self.source.places.push((start..start, place));
        self.open.push(Level {
            is_map,
            keys: HashSet::new(),
            after_key: false,
            empty: true,
            place: number,
            anchor,
            start,
        });
        Ok(())
    }

    fn end(&mut self, place: &Range<usize>) {
        let Some(level) = self.open.pop() else { return };
        if !level.empty {
            self.line();
        }
        self.source.json.push(if level.is_map { '}' } else { ']' });
        let (json, yaml) = &mut self.source.places[level.place];
        json.end = self.source.json.len();
        // A block ends where the next thing begins; what people see as its end is before the blanks.
        let end = place.end.max(yaml.start);
        yaml.end = yaml.start + self.text.get(yaml.start..end).map_or(0, |text| text.trim_end().len());
        if level.anchor > 0 {
            self.anchors.insert(level.anchor, self.source.json[level.start..].to_owned());
        }
        self.done();
    }

    /// A key must be a scalar.
    fn may_be_here(&self, place: &Range<usize>) -> Result<(), Error> {
        if self.open.last().is_some_and(|level| level.is_map && !level.after_key) {
            return Err(error("a key must be a text, not a list, an object or an alias", place.clone()));
        }
        Ok(())
    }

    fn comma(&mut self) {
        let Some(level) = self.open.last_mut() else { return };
        if level.after_key {
            return;
        }
        if !level.empty {
            self.source.json.push(',');
        }
        level.empty = false;
        self.line();
    }

    fn line(&mut self) {
        self.source.json.push('\n');
        for _ in 0..self.open.len() {
            self.source.json.push_str("  ");
        }
    }

    fn done(&mut self) {
        if let Some(level) = self.open.last_mut() {
            level.after_key = false;
        }
    }
}

/// Whether a tag says that a scalar is a string. No other tag means anything here.
fn is_string(tag: Option<&Tag>, place: &Range<usize>) -> Result<bool, Error> {
    let Some(tag) = tag else { return Ok(false) };
    if tag.is_yaml_core_schema() {
        return Ok(tag.suffix == "str");
    }
    let message = format!(
        "the tag {tag} has no meaning here: a definition holds plain values. Tags of CloudFormation such as !Sub are \
         replaced before a definition is deployed; write the value, or ${{Name}} for a definition substitution"
    );
    Err(error(&message, place.clone()))
}

fn error(message: &str, place: Range<usize>) -> Error {
    Error { message: message.to_owned(), place }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, part: &str, at: &str) {
        let error = yaml(text).expect_err("refused");
        assert!(error.message.contains(part), "{}", error.message);
        assert!(text[error.place.start..].starts_with(at), "{:?} of {text:?}", error.place);
    }

    #[test]
    fn a_document_becomes_json_whose_parts_know_where_they_stood() {
        let text = "# Größe\nStartAt: 'é'\nStates:\n  é:\n    Type: Wait\n    Seconds: 010\n    Next: &n B\n  B: {Type: Pass, End: true, \
                    Comment: *n, Result: [1, ~, \"x\\n\"]}\nText: |\n  two\n  lines\n";
        let source = yaml(text).expect("YAML");
        let value: Value = serde_json::from_str(source.json()).expect("JSON");
        assert_eq!(value["States"]["é"]["Seconds"], 10);
        assert_eq!(value["States"]["B"]["Comment"], "B");
        assert_eq!(value["States"]["B"]["Result"], serde_json::json!([1, null, "x\n"]));
        assert_eq!(value["Text"], "two\nlines\n");
        #[track_caller]
        fn stands(source: &Source, text: &str, json: &str, yaml: &str) {
            let start = source.json().find(json).expect("in the JSON");
            assert_eq!(&text[source.place(start..start + json.len())], yaml);
        }
        stands(&source, text, "\"Wait\"", "Wait");
        stands(&source, text, "\"Seconds\"", "Seconds");
        stands(&source, text, "10", "010");
        let state = source.json().find("{\n      \"Type\": \"Wait\"").expect("a state");
        let end = state + source.json()[state..].find('}').expect("its end") + 1;
        assert!(text[source.place(state..end)].starts_with("Type: Wait"));
        assert!(text[source.place(state..end)].ends_with("&n B"));
    }

    #[test]
    fn what_json_cannot_say_is_refused_with_its_place() {
        refused("a: 1\na: 2\n", "twice", "a: 2");
        refused("a: !Sub x\n", "CloudFormation", "!Sub x");
        refused("a: 1\n---\nb: 2\n", "one document", "---");
        refused("? [1]\n: 2\n", "a key must be", "[1]");
        refused("a: .inf\n", "JSON has no number", ".inf");
        refused("<<: {}\n", "merge keys", "<<");
        refused("a: [1\n", "this is not YAML", "");
        refused(&"- ".repeat(300), "nests deeper", "- ");
    }

    #[test]
    fn aliases_cannot_fill_the_memory() {
        let mut text = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for (name, before) in ('b'..='j').zip('a'..) {
            let refer = vec![format!("*{before}"); 9].join(", ");
            text.push_str(&format!("{name}: &{name} [{refer}]\n"));
        }
        assert!(yaml(&text).expect_err("refused").message.contains("fewer aliases"));
    }

    #[test]
    fn nothing_is_null() {
        assert_eq!(yaml("").expect("YAML").json(), "null\n");
        assert_eq!(yaml("# x").expect("YAML").place(0..4), 0..0);
    }

    #[test]
    fn no_text_breaks_it() {
        let pieces =
            ["a", ": ", "\n", "  ", "- ", "[", "]", "{", "}", "&a ", "*a", "!t ", "\"", "'", "|", "é", "#", ","];
        let mut random = 1_u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..random % 12 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.push_str(pieces[(random >> 33) as usize % pieces.len()]);
            }
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            match yaml(&text) {
                Ok(source) => {
                    assert!(serde_json::from_str::<Value>(source.json()).is_ok(), "{text:?}: {}", source.json());
                    assert!(text.get(source.place(0..1)).is_some(), "{text:?}");
                }
                Err(error) => assert!(text.get(error.place.clone()).is_some(), "{text:?}: {error:?}"),
            }
        }
    }
}
