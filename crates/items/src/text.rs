//! Decoders of text behind one face: the format chosen, what an item is, where decoding can go on.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Problem, csv::CsvDecoder, json::JsonDecoder, json_lines::JsonLinesDecoder};

/// How a text holds items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON document; the elements of an array in it, or the members of an object.
    Json {
        /// A JSON pointer to the array or object; none: the document itself.
        pointer: Option<Arc<str>>,
    },
    /// A JSON value in each line.
    JsonLines,
    /// Rows of fields.
    Csv {
        /// The names of the columns; none: the first row has them.
        headers: Option<Vec<Arc<str>>>,
        /// What stands between fields; ASCII.
        delimiter: u8,
    },
}

/// What decoding may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of an item as the text has it.
    pub item_bytes: usize,
    /// Bytes before the array or object that `Format::Json` points to (AWS: 16 MB).
    pub pointer_bytes: u64,
    /// Bytes of the first row where it holds the names of columns (AWS: 10 KiB).
    pub header_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { item_bytes: 8 << 20, pointer_bytes: 16_000_000, header_bytes: 10 << 10 }
    }
}

/// An item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// JSON text without needless blanks.
    pub text: String,
    /// The member's name, where the text is a JSON object.
    pub key: Option<String>,
}

/// Where decoding can go on: right after an item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Bytes of the text, decompressed, that lie before.
    pub offset: u64,
    /// Items before.
    pub items: u64,
    /// Lines before.
    pub lines: u64,
    /// What the format must know beyond that.
    pub(crate) inside: Inside,
}

/// What the format must know of what lies before a mark.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Inside {
    /// Nothing was decoded, or nothing needs to be known.
    #[default]
    Plain,
    /// In a JSON array or object, after an element or member.
    Container { is_object: bool, is_root: bool },
    /// After the container.
    AfterContainer { is_root: bool },
    /// In rows, with these columns; `after_return`: a line feed that comes next belongs to the row before.
    Rows { headers: Arc<[Box<str>]>, after_return: bool },
}

/// Decodes a text that comes in pieces.
#[derive(Debug)]
pub struct TextDecoder(Kind);

#[derive(Debug)]
enum Kind {
    Json(JsonDecoder),
    JsonLines(JsonLinesDecoder),
    Csv(CsvDecoder),
}

impl TextDecoder {
    /// A decoder at the beginning of a text.
    ///
    /// # Errors
    /// The names of the columns that were given can't be.
    pub fn new(format: &Format, limits: Limits) -> Result<Self, Problem> {
        Self::resume(format, limits, Mark::default())
    }

    /// A decoder whose next bytes are those at the mark.
    ///
    /// # Errors
    /// The names of the columns that were given can't be.
    pub fn resume(format: &Format, limits: Limits, mark: Mark) -> Result<Self, Problem> {
        Ok(Self(match format {
            Format::Json { pointer } => Kind::Json(JsonDecoder::new(pointer.as_deref(), limits, mark)?),
            Format::JsonLines => Kind::JsonLines(JsonLinesDecoder::new(limits, mark)),
            Format::Csv { headers, delimiter } => {
                Kind::Csv(CsvDecoder::new(headers.as_deref(), *delimiter, limits, mark)?)
            }
        }))
    }

    /// The next item. Takes from `input` what it looked at; none: everything was looked at and no item ended, or there
    /// is nothing more. `at_end`: nothing comes after `input`.
    ///
    /// # Errors
    /// The text breaks a rule of its format. The decoder is of no use then.
    pub fn next(&mut self, input: &mut &[u8], at_end: bool) -> Result<Option<Item>, Problem> {
        match &mut self.0 {
            Kind::Json(decoder) => decoder.next(input, at_end),
            Kind::JsonLines(decoder) => decoder.next(input, at_end),
            Kind::Csv(decoder) => decoder.next(input, at_end),
        }
    }

    /// Where decoding can go on: behind the last item that was given.
    #[must_use]
    pub fn mark(&self) -> &Mark {
        match &self.0 {
            Kind::Json(decoder) => decoder.mark(),
            Kind::JsonLines(decoder) => decoder.mark(),
            Kind::Csv(decoder) => decoder.mark(),
        }
    }

    /// Whether what follows doesn't matter any more.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(&self.0, Kind::Json(decoder) if decoder.is_done())
    }
}

/// What stands before the first character of many files that Windows wrote.
pub(crate) const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// Drops a byte order mark of UTF-8 and finds those of other encodings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// So many bytes of a byte order mark were seen.
    Seen(u8),
    /// What comes is text.
    Past,
}

impl Beginning {
    pub(crate) fn at(offset: u64) -> Self {
        if offset == 0 { Self::Seen(0) } else { Self::Past }
    }

    /// Takes the mark from the input. Says how many bytes that were taken before turned out to be text, whether
    /// there is enough input to tell, and takes part in no decoding.
    pub(crate) fn pass(&mut self, input: &mut &[u8], at_end: bool) -> Result<Option<&'static [u8]>, Problem> {
        let Self::Seen(seen) = self else { return Ok(Some(&[])) };
        while usize::from(*seen) < BYTE_ORDER_MARK.len() {
            let known = &BYTE_ORDER_MARK[..usize::from(*seen)];
            match input.split_first() {
                Some((byte, rest)) if *byte == BYTE_ORDER_MARK[usize::from(*seen)] => {
                    *seen += 1;
                    *input = rest;
                }
                Some((0xFE | 0xFF, _)) if known.is_empty() => {
                    return Err(Problem::unreadable(
                        "the text is not UTF-8: it begins with a byte order mark of UTF-16 or UTF-32",
                    ));
                }
                Some(_) => {
                    *self = Self::Past;
                    return Ok(Some(known));
                }
                None if at_end => {
                    *self = Self::Past;
                    return Ok(Some(known));
                }
                None => return Ok(None),
            }
        }
        *self = Self::Past;
        Ok(Some(&[]))
    }
}

/// What stands for invalid UTF-8 in problems.
pub(crate) const NOT_UTF8: &str = "the text is not UTF-8";
