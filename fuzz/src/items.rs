//! Datasets: their format on a line, then the text. Wherever the text is cut and wherever decoding is taken up again,
//! the items are the same, each is JSON without blanks, and what is compressed does not grow without bounds.

use std::sync::Arc;

use stepwright_items::{Compression, Decompressor, Format, Limits, Mark, Problem, TextDecoder, compact};

use crate::line_and_rest;

pub(crate) const PIECES: &[&str] = &[
    "json\n",
    "json /a\n",
    "json /a/0\n",
    "lines\n",
    "csv\n",
    "csv;\n",
    "rows\n",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\"",
    "\\",
    "\\u00e9",
    "\\ud83d\\ude00",
    "\"a\":",
    "null",
    "true",
    "1.5e3",
    " ",
    "\t",
    "\r\n",
    "\n",
    "\r",
    "a,b",
    ";",
    "\"\"",
    "\u{feff}",
    "\u{1f}\u{8b}",
    "é",
    "[1,2]",
    "{\"a\":[1]}",
];

/// Longer texts are only decoded whole.
const CUT_UP_TO: usize = 600;

type Items = Vec<(Option<String>, String)>;

fn decode(mut decoder: TextDecoder, pieces: &[&[u8]]) -> Result<(Items, Vec<Mark>), Problem> {
    let (mut items, mut marks) = (Vec::new(), Vec::new());
    for (number, piece) in pieces.iter().enumerate() {
        let mut input = *piece;
        while let Some(item) = decoder.next(&mut input, number + 1 == pieces.len())? {
            items.push((item.key, item.text));
            marks.push(decoder.mark().clone());
        }
        assert!(input.is_empty(), "bytes were left");
    }
    Ok((items, marks))
}

pub(crate) fn run(bytes: &[u8]) {
    let (format, text) = line_and_rest(bytes);
    let format = String::from_utf8_lossy(format);
    let format = match format.split_once(' ').unwrap_or((&format, "")) {
        ("lines", _) => Format::JsonLines,
        ("csv", _) => Format::Csv { headers: None, delimiter: b',' },
        ("csv;", _) => Format::Csv { headers: None, delimiter: b';' },
        ("rows", _) => Format::Csv { headers: Some(vec!["a".into(), "".into()]), delimiter: b',' },
        (_, pointer) => Format::Json { pointer: (!pointer.is_empty()).then(|| Arc::from(pointer)) },
    };
    let limits = Limits { item_bytes: 1 << 16, ..Limits::default() };
    let Ok(decoder) = TextDecoder::new(&format, limits) else { return };
    let whole = decode(decoder, &[text]);
    if let Ok((items, _)) = &whole {
        for (_, item) in items {
            let mut again = String::new();
            assert_eq!(compact(item, &mut again), Ok(()), "{item}");
            assert_eq!(&again, item, "an item has blanks");
        }
    }
    if text.len() <= CUT_UP_TO {
        cut(&format, limits, text, &whole);
    }
    if let Some(compression) = Compression::of(text) {
        decompress(compression, text);
    }
}

fn cut(format: &Format, limits: Limits, text: &[u8], whole: &Result<(Items, Vec<Mark>), Problem>) {
    let fresh = || TextDecoder::new(format, limits).expect("it was one before");
    let bytes: Vec<&[u8]> = text.chunks(1).chain([&[] as &[u8]]).collect();
    assert_eq!(&decode(fresh(), &bytes), whole, "byte by byte");
    let middle = text.len() / 2;
    assert_eq!(&decode(fresh(), &[&text[..middle], &text[middle..]]), whole, "in two halves");
    let Ok((items, marks)) = whole else { return };
    for (place, mark) in marks.iter().enumerate().rev().take(20) {
        let rest = &text[usize::try_from(mark.offset).expect("an offset")..];
        let decoder = TextDecoder::resume(format, limits, mark.clone()).expect("it was one before");
        let (found, _) = decode(decoder, &[rest]).expect("it could be decoded before");
        assert_eq!(found, items[place + 1..], "taken up after item {place}");
    }
}

fn decompress(compression: Compression, text: &[u8]) {
    let Ok(mut decompressor) = Decompressor::new(compression) else { return };
    let (mut input, mut out) = (text, Vec::new());
    for _ in 0..1_000 {
        if input.is_empty() || decompressor.push(&mut input, &mut out, 1 << 10).is_err() {
            return;
        }
        assert!(out.len() <= 4 << 20, "{} bytes at once", out.len());
        out.clear();
    }
}
