//! Texts that people write in YAML, as the JSON text that everything else reads, with the way back from a place in the
//! JSON to the place in the YAML. No files here; nothing that knows what a definition is.
//!
//! ```
//! let source = stepwright_source::yaml("StartAt: A # the first\nStates: {}\n").unwrap();
//! assert_eq!(source.json(), "{\n  \"StartAt\": \"A\",\n  \"States\": {}\n}\n");
//! let json = source.json().find("\"A\"").unwrap();
//! assert_eq!(source.place(json..json + 3), 9..10);
//! ```

mod scalar;
mod yaml;

use std::ops::Range;

pub use yaml::yaml;

/// How deep a text may nest: more than any definition, less than what a recursive reader bears.
pub const MAX_DEPTH: usize = 200;

/// How long the JSON may become. An anchor that is used again and again makes it longer than the YAML.
pub const MAX_BYTES: usize = 16 << 20;

/// Why a text is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What is wrong, and what to do about it.
    pub message: String,
    /// Where: bytes of the YAML.
    pub place: Range<usize>,
}

/// A YAML text as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    json: String,
    /// Keys and values: their bytes in the JSON and in the YAML, by their beginnings in the JSON, outer ones first.
    places: Vec<(Range<usize>, Range<usize>)>,
}

impl Source {
    /// The JSON text.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Where something that stands there in the JSON stands in the YAML: the key or value itself, or the smallest one
    /// that it is in.
    #[must_use]
    pub fn place(&self, json: Range<usize>) -> Range<usize> {
        let behind = self.places.partition_point(|(place, _)| place.start <= json.start);
        self.places[..behind]
            .iter()
            .rev()
            .find(|(place, _)| place.end >= json.end)
            .map_or(0..0, |(_, yaml)| yaml.clone())
    }
}
