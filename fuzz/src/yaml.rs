//! Definitions in YAML. What is read is JSON, each of its parts has a place in the text, and what is not read has a place
//! and a reason.

use stepwright_source::yaml;

pub(crate) const PIECES: &[&str] = &[
    "StartAt: A\n",
    "States:\n",
    "  A:\n",
    "    Type: Pass\n",
    "- ",
    ": ",
    "? ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "&a ",
    "*a",
    "!t ",
    "!!str ",
    "\"",
    "'",
    "|\n",
    ">-\n",
    "# c\n",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "<<: ",
    "~",
    "0x1f",
    ".inf",
    "1e3",
    "\u{e9}",
    "\u{feff}",
    "\t",
    "\r\n",
    "\n",
    "  ",
    "\\x41",
    "\0",
];

/// Most of a text that is fed.
const MAX_BYTES: usize = 64 * 1024;

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(&bytes[..bytes.len().min(MAX_BYTES)]) else { return };
    match yaml(text) {
        Ok(source) => {
            let json = source.json();
            assert!(json.len() <= stepwright_source::MAX_BYTES + text.len() * 8, "{} bytes of JSON", json.len());
            let reader = serde_json::Deserializer::from_str(json);
            let read = reader.into_iter::<serde_json::Value>().next();
            let deep = |error: &serde_json::Error| error.to_string().contains("recursion limit");
            assert!(read.is_some_and(|read| read.as_ref().err().is_none_or(deep)), "no JSON: {json}");
            for (at, _) in json.char_indices().step_by(7) {
                assert!(text.get(source.place(at..at + 1)).is_some(), "no place for {at}");
            }
        }
        Err(error) => {
            assert!(text.get(error.place.clone()).is_some() && !error.message.is_empty(), "{error:?}");
        }
    }
}
