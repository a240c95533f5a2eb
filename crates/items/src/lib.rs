//! Items out of bytes: JSON, JSON Lines, delimited text, Parquet, compressed or not, and the lists of files that
//! S3 Inventory and Athena write.
//!
//! Everything that reads text is fed with pieces of it, wherever they were cut, and holds no more than one item. After
//! each item a [`Mark`] says where decoding can go on, in this process or another.
//!
//! ```
//! use stepwright_items::{Format, Limits, TextDecoder};
//!
//! let mut decoder = TextDecoder::new(&Format::JsonLines, Limits::default())?;
//! let mut bytes: &[u8] = b"{\"a\": 1}\n{\"a\": 2}\n";
//! let first = decoder.next(&mut bytes, false)?.expect("an item");
//! assert_eq!(first.text, r#"{"a":1}"#);
//! let mark = decoder.mark().clone();
//! assert_eq!(mark.offset, 9);
//! let mut again = TextDecoder::resume(&Format::JsonLines, Limits::default(), mark)?;
//! assert_eq!(again.next(&mut bytes, true)?.expect("an item").text, r#"{"a":2}"#);
//! assert!(again.next(&mut bytes, true)?.is_none());
//! # Ok::<(), stepwright_items::Problem>(())
//! ```
//!
//! Nothing here opens a file or a connection, or knows what an item is for.

mod compact;
mod compression;
mod csv;
mod json;
mod json_lines;
mod manifest;
mod parquet_rows;
mod problem;
mod scan;
mod text;

#[cfg(test)]
mod tests;

pub use compact::{compact, quote};
pub use compression::{Compression, Decompressor};
pub use csv::check_headers;
pub use manifest::{Inventory, Part, athena_files, inventory};
pub use parquet_rows::{ParquetRows, Ranges};
pub use problem::{Problem, Spot};
pub use text::{Format, Item, Limits, Mark, TextDecoder};
