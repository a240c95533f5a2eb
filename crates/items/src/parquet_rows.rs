//! Rows of a Parquet file, each as a JSON object. The file is read by ranges through whoever holds it, one row group
//! after the other; what is in memory is a page or two of each column.
//!
//! Numbers stay numbers; decimals are text with all their digits, for what reads JSON numbers would lose some; dates and
//! times are ISO 8601 text, bytes Base64.

use std::{
    cell::Cell,
    fmt::{self, Write as _},
    io::{self, Read},
    rc::Rc,
    sync::Arc,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use parquet::{
    errors::{ParquetError, Result as ParquetResult},
    file::{
        reader::{ChunkReader, Length},
        serialized_reader::{ReadOptionsBuilder, SerializedFileReader},
    },
    record::{Field, Row, reader::RowIter},
};

use crate::{Item, Problem, Spot, compact::quote};

/// Bytes of the footer (AWS: 5 MB).
const MAX_FOOTER_BYTES: u64 = 5 << 20;
/// Bytes of a row group (AWS: 256 MB).
const MAX_GROUP_BYTES: i64 = 256 << 20;
/// Rows that are decoded at a time.
const BATCH_ROWS: usize = 256;
/// What a file ends with.
const MAGIC: &[u8; 4] = b"PAR1";
/// Bytes that are looked at in one go where the length of what comes is not known: headers of pages.
const HEADER_STEP: usize = 1 << 10;

/// A file that can be read by ranges. Reading may take as long as a network does.
pub trait Ranges: Send + Sync + 'static {
    /// How long it is.
    fn length(&self) -> u64;

    /// Exactly these bytes.
    ///
    /// # Errors
    /// They can't be had.
    fn read(&self, start: u64, length: usize) -> io::Result<Bytes>;
}

/// The rows of a file.
pub struct ParquetRows {
    rows: RowIter<'static>,
    /// Rows before the next.
    taken: u64,
}

impl fmt::Debug for ParquetRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParquetRows").field("taken", &self.taken).finish_non_exhaustive()
    }
}

impl ParquetRows {
    /// The rows from number `skip` on.
    ///
    /// # Errors
    /// The file is no Parquet file, or one that is too large in its parts.
    pub fn open(file: impl Ranges, skip: u64) -> Result<Self, Problem> {
        let length = file.length();
        let damaged = |reason: &dyn fmt::Display| Problem::unreadable(format!("it is no Parquet file: {reason}"));
        if length < 12 {
            return Err(damaged(&"it is too short"));
        }
        let tail = file.read(length - 8, 8).map_err(|error| Problem::unreadable(error.to_string()))?;
        let (footer, magic) = tail.split_at(4);
        if magic != MAGIC {
            return Err(damaged(&"it does not end with PAR1"));
        }
        let footer = footer.iter().rev().fold(0u64, |length, byte| length << 8 | u64::from(*byte));
        if footer > MAX_FOOTER_BYTES {
            return Err(Problem::unreadable(format!(
                "the Parquet file's footer is longer than {MAX_FOOTER_BYTES} bytes"
            )));
        }
        // Groups that lie before are not even looked at.
        let left = Rc::new(Cell::new(skip));
        let too_long = Rc::new(Cell::new(None));
        let (counter, refusal) = (Rc::clone(&left), Rc::clone(&too_long));
        let options = ReadOptionsBuilder::new().with_predicate(Box::new(move |group, number| {
            if group.compressed_size() > MAX_GROUP_BYTES {
                refusal.set(Some(number));
            }
            let rows = u64::try_from(group.num_rows()).unwrap_or(0);
            let is_before = counter.get() >= rows;
            if is_before {
                counter.set(counter.get() - rows);
            }
            !is_before
        }));
        let reader = SerializedFileReader::new_with_options(Source(Arc::new(file)), options.build())
            .map_err(|error| damaged(&error))?;
        if let Some(number) = too_long.get() {
            let reason = format!("row group {number} of the Parquet file is longer than {MAX_GROUP_BYTES} bytes");
            return Err(Problem::unreadable(reason));
        }
        let mut rows = RowIter::from_file_into(Box::new(reader)).with_batch_size(BATCH_ROWS);
        for _ in 0..left.get() {
            match rows.next() {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(damaged(&error)),
                None => break,
            }
        }
        Ok(Self { rows, taken: skip })
    }

    /// The next row.
    ///
    /// # Errors
    /// The file is damaged, or can't be read.
    pub fn next_row(&mut self) -> Result<Option<Item>, Problem> {
        let spot = Spot::Item { number: self.taken + 1, byte: 0 };
        match self.rows.next() {
            None => Ok(None),
            Some(Err(error)) => Err(Problem::unreadable(format!("row {}: {error}", self.taken + 1))),
            Some(Ok(row)) => {
                self.taken += 1;
                let mut text = String::new();
                write_row(&row, &mut text).map_err(|fmt::Error| Problem::at(spot, "it can't be written as JSON"))?;
                Ok(Some(Item { text, key: None }))
            }
        }
    }
}

/// A file as the library wants it.
struct Source<F>(Arc<F>);

impl<F: Ranges> Length for Source<F> {
    fn len(&self) -> u64 {
        self.0.length()
    }
}

impl<F: Ranges> ChunkReader for Source<F> {
    type T = Piecewise<F>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(Piecewise { file: Arc::clone(&self.0), at: start, held: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.0.length()) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} lie beyond its end")));
        }
        self.0.read(start, length).map_err(|error| ParquetError::External(Box::new(error)))
    }
}

/// Reads on in small steps.
struct Piecewise<F> {
    file: Arc<F>,
    at: u64,
    held: Bytes,
}

impl<F: Ranges> Read for Piecewise<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.held.is_empty() {
            let left = usize::try_from(self.file.length().saturating_sub(self.at)).unwrap_or(usize::MAX);
            let step = left.min(HEADER_STEP);
            if step == 0 {
                return Ok(0);
            }
            self.held = self.file.read(self.at, step)?;
            self.at += step as u64;
        }
        let given = self.held.len().min(buffer.len());
        buffer[..given].copy_from_slice(&self.held.split_to(given));
        Ok(given)
    }
}

fn write_row(row: &Row, out: &mut String) -> fmt::Result {
    out.push('{');
    for (place, (name, field)) in row.get_column_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        quote(name, out);
        out.push(':');
        write_field(field, out)?;
    }
    out.push('}');
    Ok(())
}

fn write_field(field: &Field, out: &mut String) -> fmt::Result {
    match field {
        Field::Null => out.push_str("null"),
        Field::Bool(value) => write!(out, "{value}")?,
        Field::Byte(value) => write!(out, "{value}")?,
        Field::Short(value) => write!(out, "{value}")?,
        Field::Int(value) => write!(out, "{value}")?,
        Field::Long(value) => write!(out, "{value}")?,
        Field::UByte(value) => write!(out, "{value}")?,
        Field::UShort(value) => write!(out, "{value}")?,
        Field::UInt(value) => write!(out, "{value}")?,
        Field::ULong(value) => write!(out, "{value}")?,
        Field::Float16(value) => write_float(f32::from(*value), value.is_finite(), out)?,
        Field::Float(value) => write_float(*value, value.is_finite(), out)?,
        Field::Double(value) => write_float(*value, value.is_finite(), out)?,
        Field::Decimal(_) => write!(out, "\"{field}\"")?,
        Field::Str(value) => quote(value, out),
        Field::Bytes(value) => quote(&BASE64_STANDARD.encode(value.data()), out),
        Field::Date(days) => {
            out.push('"');
            write_date(i64::from(*days), out)?;
            out.push('"');
        }
        Field::TimeMillis(time) => write_time(i64::from(*time), 1_000, out)?,
        Field::TimeMicros(time) => write_time(*time, 1_000_000, out)?,
        Field::TimestampMillis(time) => write_timestamp(*time, 1_000, out)?,
        Field::TimestampMicros(time) => write_timestamp(*time, 1_000_000, out)?,
        Field::Group(row) => write_row(row, out)?,
        Field::ListInternal(list) => {
            out.push('[');
            for (place, element) in list.elements().iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write_field(element, out)?;
            }
            out.push(']');
        }
        Field::MapInternal(map) => {
            out.push('{');
            for (place, (key, value)) in map.entries().iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                let mut name = String::new();
                write_field(key, &mut name)?;
                // Names are text, whatever the keys are.
                if name.starts_with('"') {
                    out.push_str(&name);
                } else {
                    quote(&name, out);
                }
                out.push(':');
                write_field(value, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

/// JSON has no infinity and nothing that is no number.
fn write_float(value: impl fmt::Debug, is_finite: bool, out: &mut String) -> fmt::Result {
    if is_finite { write!(out, "{value:?}") } else { out.write_str("null") }
}

/// A day by its number from the first of 1970.
fn write_date(days: i64, out: &mut String) -> fmt::Result {
    // Years begin in March here, so that a leap day is the last of one, and 400 of them have the same days for ever.
    let from_march = days + 719_468;
    let (era, day_of_era) = (from_march.div_euclid(146_097), from_march.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, carried) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year_of_era + era * 400 + carried;
    write!(out, "{year:04}-{month:02}-{day:02}")
}

fn write_clock(time: i64, per_second: i64, out: &mut String) -> fmt::Result {
    let (seconds, rest) = (time.div_euclid(per_second), time.rem_euclid(per_second));
    let width = if per_second == 1_000 { 3 } else { 6 };
    write!(out, "{:02}:{:02}:{:02}.{rest:0width$}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

fn write_time(time: i64, per_second: i64, out: &mut String) -> fmt::Result {
    out.push('"');
    write_clock(time, per_second, out)?;
    out.push('"');
    Ok(())
}

fn write_timestamp(time: i64, per_second: i64, out: &mut String) -> fmt::Result {
    let per_day = 86_400 * per_second;
    out.push('"');
    write_date(time.div_euclid(per_day), out)?;
    out.push('T');
    write_clock(time.rem_euclid(per_day), per_second, out)?;
    out.push_str("Z\"");
    Ok(())
}
