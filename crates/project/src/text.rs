//! The text of a definition as it is registered, with the way back to the file that it came from: what was filled in and
//! what was YAML stands elsewhere there.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use stepwright_source::Source;

/// A definition's text.
#[derive(Clone, Debug)]
pub struct Text {
    json: String,
    file: PathBuf,
    /// The last first.
    layers: Vec<Layer>,
}

/// One step on the way back.
#[derive(Clone, Debug)]
pub(crate) enum Layer {
    /// Parts of the text that stood elsewhere, outer ones first, by their beginnings.
    Places(Vec<(Range<usize>, Range<usize>)>),
    /// The text was YAML.
    Yaml(Arc<Source>),
    /// Parts were replaced: where they are, and where they were.
    Edits(Vec<(Range<usize>, Range<usize>)>),
    /// All of it is one value there.
    Whole(Range<usize>),
}

impl Layer {
    fn back(&self, range: Range<usize>) -> Range<usize> {
        match self {
            Self::Places(places) => {
                let behind = places.partition_point(|(place, _)| place.start <= range.start);
                let around = places[..behind].iter().rev().find(|(place, _)| place.end >= range.end);
                around.map_or(0..0, |(_, there)| there.clone())
            }
            Self::Yaml(source) => source.place(range),
            Self::Edits(edits) => {
                let start = before(edits, range.start, false);
                start..before(edits, range.end, true).max(start)
            }
            Self::Whole(place) => place.clone(),
        }
    }
}

/// Where a place was before the edits; inside of one, its beginning or its end.
fn before(edits: &[(Range<usize>, Range<usize>)], at: usize, end: bool) -> usize {
    let behind = edits.partition_point(|(new, _)| new.start < at || (new.start == at && !end));
    match edits[..behind].last() {
        None => at,
        Some((new, old)) if at >= new.end => old.end + (at - new.end),
        Some((_, old)) if end => old.end,
        Some((_, old)) => old.start,
    }
}

impl Text {
    /// A text that stands in the file as it is.
    pub(crate) fn new(json: String, file: PathBuf) -> Self {
        Self { json, file, layers: Vec::new() }
    }

    /// A text made of the one before it.
    pub(crate) fn then(mut self, json: String, layer: Layer) -> Self {
        self.json = json;
        self.layers.insert(0, layer);
        self
    }

    /// The JSON text.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The file that it came from, from the folder.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Where something that stands there in the JSON stands in the file, or what it is in.
    #[must_use]
    pub fn place(&self, json: Range<usize>) -> Range<usize> {
        self.layers.iter().fold(json, |range, layer| layer.back(range))
    }
}

/// A text whose `${Name}` were replaced.
pub(crate) struct Filled {
    pub(crate) text: String,
    pub(crate) edits: Layer,
    /// Those that there is no value for, with their places in the text before.
    pub(crate) unfilled: Vec<(String, Range<usize>)>,
}

/// Replaces `${Name}` by values; those without one stay.
pub(crate) fn fill(text: &str, value: &dyn Fn(&str) -> Option<String>) -> Filled {
    let mut filled = String::with_capacity(text.len());
    let (mut edits, mut unfilled, mut done) = (Vec::new(), Vec::new(), 0);
    for (at, _) in text.match_indices("${") {
        let Some(length) = text[at + 2..].find('}').filter(|_| at >= done) else { continue };
        let name = &text[at + 2..at + 2 + length];
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
        if name.is_empty() || !name.bytes().all(fits) {
            continue;
        }
        let old = at..at + length + 3;
        match value(name) {
            Some(value) => {
                filled.push_str(&text[done..at]);
                let start = filled.len();
                filled.push_str(&value);
                edits.push((start..filled.len(), old.clone()));
                done = old.end;
            }
            None => unfilled.push((name.to_owned(), old)),
        }
    }
    filled.push_str(&text[done..]);
    Filled { text: filled, edits: Layer::Edits(edits), unfilled }
}

/// A value as it stands within a JSON string.
pub(crate) fn escaped(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_filled_in_leads_back_to_where_it_was() {
        let old = "a ${X} b ${Y} c ${Z}";
        let filled = fill(old, &|name| (name != "Y").then(|| format!("<{name}{name}{name}{name}>")));
        assert_eq!(filled.text, "a <XXXX> b ${Y} c <ZZZZ>");
        assert_eq!(filled.unfilled, [("Y".to_owned(), 9..13)]);
        let text = Text::new(old.to_owned(), PathBuf::new()).then(filled.text.clone(), filled.edits);
        let back = |part: &str| {
            let at = filled.text.find(part).expect("a part");
            &old[text.place(at..at + part.len())]
        };
        assert_eq!(back("XX"), "${X}");
        assert_eq!(back("b"), "b");
        assert_eq!(back("${Y} c"), "${Y} c");
        assert_eq!(back("c <ZZZZ>"), "c ${Z}");
        assert_eq!(back("<XXXX>"), "${X}");
    }

    #[test]
    fn only_names_are_filled() {
        let filled = fill("${} ${ a } ${a{b}} ${\"k\": v} ${a", &|_| Some("!".to_owned()));
        assert_eq!(filled.text, "${} ${ a } ${a{b}} ${\"k\": v} ${a");
    }
}
