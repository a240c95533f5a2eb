//! Picture strings: how `$formatInteger`, `$parseInteger`, `$formatNumber`,
//! `$fromMillis` and `$toMillis` are told what a text looks like.
//!
//! The pictures are those of XPath's `format-integer`, `format-number` and
//! `format-dateTime`, read the way the reference (2.2.2) reads them, its slips
//! included where they give an answer: a definition must not print other
//! digits here than it prints elsewhere. Where the reference prints `NaN` or
//! `undefined`, overflows its stack or never ends, there is an error instead.
//!
//! Everything here is a pure function of plain values. Nothing may read a
//! clock, panic, or do more work than the length of what it is given allows.

mod calendar;
mod date_format;
mod date_match;
mod date_parse;
mod date_picture;
mod integer;
mod lenient;
mod number;
mod timestamp;
mod words;

pub use date_format::format_millis;
pub use date_parse::parse_millis;
pub(crate) use date_parse::parse_millis_counted;
pub use integer::{format_integer, parse_integer};
pub use number::{DecimalFormat, format_number};

use std::fmt;

/// Which of the reference's releases to follow where they differ: in how many
/// digits a day or a month takes, and in what a fraction of a second means to
/// `$toMillis`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Edition {
    /// 2.2.
    #[default]
    Current,
    /// 2.0.6, which Step Functions runs.
    V2_0_6,
}

/// A picture that makes no sense, or a value that cannot be shown with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureError {
    /// The reference's code: `D3132`. D1001 is for what the reference has no
    /// code for: a number, date, width or time zone out of range.
    pub code: &'static str,
    /// What was wrong, for the message; empty where the message needs nothing.
    pub value: String,
}

impl PictureError {
    fn new(code: &'static str, value: impl Into<String>) -> Self {
        Self { code, value: value.into() }
    }

    /// The picture alone is to blame, and the message needs no value.
    fn plain(code: &'static str) -> Self {
        Self::new(code, "")
    }

    fn out_of_range(value: impl fmt::Display) -> Self {
        Self::new("D1001", value.to_string())
    }
}

impl fmt::Display for PictureError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.as_str() {
            "" => formatter.write_str(self.code),
            value => write!(formatter, "{}: {value}", self.code),
        }
    }
}

impl std::error::Error for PictureError {}

/// How many digits a width modifier may ask for. The reference has no bound and
/// allocates what it is told to.
const MAX_DIGITS: usize = 1_000;

/// How many grouping separators one pattern may have: each is an insertion.
const MAX_SEPARATORS: usize = 256;
