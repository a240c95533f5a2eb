//! Reading the log: recovery, and inspection of a data directory.
//!
//! The rule that everything rests on: an unreadable record may be cut away only when nothing
//! shows that it was ever synced. A readable record behind it that was written after that sync
//! shows it, and so does a checkpoint that covers it; then the log is damaged and is refused.
//! This module must never change a file and never skip a record.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{
    HeaderError, RECORD_HEADER, RawRecord, SEGMENT_HEADER, SEGMENT_VERSION, SegmentHeader, decode_record,
};
use crate::disk::{Disk, DiskFile};
use crate::{Commit, Error};

/// How many bytes the search behind an unreadable record may checksum. Only bytes made to look
/// like records get near it.
const SEARCH_BUDGET: usize = 4 << 30;

/// No log has a record of a higher number: that would be ten thousand a second for nine hundred years.
const MAX_UNKNOWN: u64 = 1 << 48;

pub(crate) fn segment_name(number: u64) -> String {
    format!("{number:016x}.log")
}

fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok())?
}

pub(crate) fn io_error(action: &'static str, file: &Path, error: &std::io::Error) -> Error {
    Error::Io { action, file: file.to_path_buf(), reason: error.to_string() }
}

/// The numbers of the segments in `dir`, rising and without a gap.
pub(crate) fn list_segments(disk: &dyn Disk, dir: &Path) -> Result<Vec<u64>, Error> {
    let names = disk.list(dir).map_err(|e| io_error("listing", dir, &e))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|n| segment_number(n)).collect();
    numbers.sort_unstable();
    for pair in numbers.windows(2) {
        if pair[1] != pair[0] + 1 {
            return Err(Error::corrupt(
                dir.join(segment_name(pair[0] + 1)),
                0,
                "this log segment is missing, although there are segments before and after it",
            ));
        }
    }
    Ok(numbers)
}

/// A segment that was read.
pub(crate) struct ReadSegment {
    pub(crate) number: u64,
    pub(crate) salt: u32,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Where the next record goes.
    pub(crate) end: u64,
    /// The length of the file.
    pub(crate) len: u64,
    /// Whether there are bytes of an unfinished batch behind `end`.
    pub(crate) torn: bool,
    /// The last record in it, if it has one.
    pub(crate) last: Option<u64>,
}

/// Walks the segments of a log in order.
pub(crate) struct Walk<'d> {
    disk: &'d dyn Disk,
    dir: PathBuf,
    /// Records up to this one are in the index, so they were durable once; `None` when there is
    /// no index to ask.
    position: Option<u64>,
    /// The next sequence number, once a record was seen.
    next: Option<u64>,
    /// Set when a segment did not end in zeros: nothing may follow.
    torn: bool,
    /// Where the last segment with records ended.
    last_end: Option<(PathBuf, u64)>,
}

impl<'d> Walk<'d> {
    pub(crate) fn new(disk: &'d dyn Disk, dir: &Path, position: Option<u64>) -> Walk<'d> {
        Walk { disk, dir: dir.to_path_buf(), position, next: None, torn: false, last_end: None }
    }

    /// Reads one segment and hands its records to `each`.
    pub(crate) fn segment(
        &mut self,
        number: u64,
        mut each: impl FnMut(u64, RawRecord<'_>) -> Result<(), Error>,
    ) -> Result<ReadSegment, Error> {
        let path = self.dir.join(segment_name(number));
        let file = self.disk.open(&path).map_err(|e| io_error("opening", &path, &e))?;
        let bytes = file.read_all().map_err(|e| io_error("reading", &path, &e))?;
        let header = match SegmentHeader::decode(&bytes) {
            Ok(header) => header,
            Err(HeaderError::Newer(found)) => {
                return Err(Error::NewerFormat { dir: path, found, supported: SEGMENT_VERSION });
            }
            Err(HeaderError::Damaged(reason)) => return Err(Error::corrupt(&path, 0, reason)),
        };
        if header.number != number {
            return Err(Error::corrupt(
                &path,
                16,
                format!("the header says that this is segment {}; a file was renamed or copied", header.number),
            ));
        }

        let mut at = SEGMENT_HEADER;
        let mut last = None;
        let all_zero = |from: usize| bytes[from..].iter().all(|&b| b == 0);
        if self.torn && !all_zero(at) {
            let (file, offset) = self.last_end.clone().unwrap_or((path, at as u64));
            return Err(Error::corrupt(file, offset, "a record is unreadable, and a later segment holds records"));
        }
        loop {
            let expected = match self.next {
                Some(next) => next..=next,
                None => 0..=u64::MAX,
            };
            let Some(record) = decode_record(&bytes[at..], header.salt, expected) else {
                break;
            };
            if self.next.is_none()
                && let Some(position) = self.position
                && record.sequence > position + 1
            {
                let missing = self.dir.join(segment_name(number.saturating_sub(1)));
                return Err(Error::corrupt(
                    missing,
                    0,
                    format!(
                        "this log segment is missing: the log begins with record {}, and the \
                         index holds records up to {position} only",
                        record.sequence
                    ),
                ));
            }
            self.next = Some(record.sequence + 1);
            last = Some(record.sequence);
            each(at as u64, record)?;
            at += record.len();
        }
        let torn = !all_zero(at);
        if torn {
            self.check_tail(&path, &bytes, at, header.salt, last.is_none())?;
            self.torn = true;
        }
        if torn || last.is_some() {
            self.last_end = Some((path, at as u64));
        }
        Ok(ReadSegment { number, salt: header.salt, file, end: at as u64, len: bytes.len() as u64, torn, last })
    }

    /// Decides whether the bytes from `at` are the remains of a batch that was never synced.
    fn check_tail(&self, path: &Path, bytes: &[u8], at: usize, salt: u32, first_in_segment: bool) -> Result<(), Error> {
        let position = self.position.unwrap_or(0);
        let next = self.next.unwrap_or(position + 1);
        if first_in_segment && let Some(found) = decode_record(&bytes[at..], salt, 0..=u64::MAX) {
            // Intact, but not the one that should be here: what lies before it is missing.
            let (file, offset) = self.last_end.clone().unwrap_or((path.to_path_buf(), at as u64));
            return Err(Error::corrupt(
                file,
                offset,
                format!(
                    "record {next} should be here, but the next one in the log is {} in {}",
                    found.sequence,
                    path.display()
                ),
            ));
        }
        if position >= next {
            return Err(Error::corrupt(
                path,
                at as u64,
                format!(
                    "record {next} is unreadable, although the index was written up to record \
                     {position}"
                ),
            ));
        }
        // As many records as could lie between here and the end.
        let plausible = (bytes.len() - at).div_ceil(RECORD_HEADER) as u64;
        let lowest = if self.next.is_some() { next } else { 1 };
        // With neither an index nor a record before it, nothing says which number the unreadable one has; but the
        // record right before a readable one lies in these bytes.
        let unknown = self.next.is_none() && self.position.is_none();
        let likely = lowest..=if unknown { MAX_UNKNOWN } else { next + plausible };
        let mut budget = SEARCH_BUDGET;
        for from in at + 1..bytes.len() {
            let candidate = &bytes[from..];
            let Some(header) = candidate.get(..RECORD_HEADER) else {
                break;
            };
            if header[..4] == [0; 4] && header[4..12] == [0; 8] {
                continue;
            }
            let Some(found) = decode_record(candidate, salt, likely.clone()) else {
                let claimed = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
                let looked_right =
                    likely.contains(&u64::from_le_bytes([8, 9, 10, 11, 12, 13, 14, 15].map(|i| header[i])));
                if looked_right && (claimed as usize) < candidate.len() {
                    budget = budget.saturating_sub(claimed as usize);
                }
                if budget == 0 {
                    return Err(Error::corrupt(
                        path,
                        at as u64,
                        format!("record {next} is unreadable, and what follows cannot be told"),
                    ));
                }
                continue;
            };
            let shows = if unknown {
                found.durable + 1 == found.sequence
            } else {
                found.durable >= next || found.sequence < next
            };
            if shows {
                let next = if unknown { found.sequence - 1 } else { next };
                return Err(Error::corrupt(
                    path,
                    at as u64,
                    format!(
                        "record {next} is unreadable, and record {} at byte {from}, written after \
                         it was synced, is intact",
                        found.sequence
                    ),
                ));
            }
        }
        Ok(())
    }

    /// The next sequence number to use, after all segments were walked.
    pub(crate) fn finish(self) -> Result<u64, Error> {
        let position = self.position.unwrap_or(0);
        let Some(next) = self.next else {
            return Ok(position + 1);
        };
        if next <= position {
            let (file, offset) = self.last_end.unwrap_or((self.dir, 0));
            return Err(Error::corrupt(
                file,
                offset,
                format!(
                    "the log ends with record {}, although the index was written up to record \
                     {position}",
                    next - 1
                ),
            ));
        }
        Ok(next)
    }
}

/// One commit as it lies in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// The segment's file.
    pub file: PathBuf,
    /// Where in the file the record begins, in bytes.
    pub offset: u64,
    /// The bytes it takes, its header included.
    pub bytes: u64,
    /// Its number; numbers rise by one.
    pub sequence: u64,
    /// When it was written, every record up to this number was durable.
    pub durable: u64,
    /// What it changed.
    pub commit: Commit,
}

/// The records of a log, oldest first. See [`read_log`].
#[derive(Debug)]
pub struct LogReader {
    dir: PathBuf,
    segments: std::vec::IntoIter<u64>,
    next: Option<u64>,
    torn: bool,
    last_end: Option<(PathBuf, u64)>,
    records: std::vec::IntoIter<LogRecord>,
    /// Given out once the records before the damage are.
    error: Option<Error>,
}

/// Reads the log in the data directory `dir` without changing or locking anything: for
/// inspection of a store that is closed. Records before the last checkpoint may be gone already.
/// The remains of a batch that was never synced end the iteration, as recovery would cut them;
/// [`LogReader::torn_tail`] then says where they are. Damage is an `Err` and ends it too.
///
/// # Errors
/// When there is no log, it cannot be listed, or a segment is missing.
pub fn read_log(dir: impl AsRef<Path>) -> Result<LogReader, Error> {
    let dir = dir.as_ref().join(super::LOG_DIR);
    let segments = list_segments(&crate::disk::RealDisk, &dir)?;
    Ok(LogReader {
        dir,
        segments: segments.into_iter(),
        next: None,
        torn: false,
        last_end: None,
        records: Vec::new().into_iter(),
        error: None,
    })
}

impl LogReader {
    /// Where the remains of an unfinished batch begin, once the iteration met them.
    pub fn torn_tail(&self) -> Option<(&Path, u64)> {
        match &self.last_end {
            Some((path, at)) if self.torn => Some((path, *at)),
            _ => None,
        }
    }

    fn load(&mut self, number: u64) {
        let mut walk = Walk::new(&crate::disk::RealDisk, &self.dir, None);
        walk.next = self.next;
        walk.torn = self.torn;
        walk.last_end = self.last_end.take();
        let file = self.dir.join(segment_name(number));
        let mut records = Vec::new();
        let result = walk.segment(number, |offset, record| {
            records.push(LogRecord {
                file: file.clone(),
                offset,
                bytes: record.len() as u64,
                sequence: record.sequence,
                durable: record.durable,
                commit: Commit::from_bytes(record.payload).map_err(|reason| Error::corrupt(&file, offset, reason))?,
            });
            Ok(())
        });
        self.next = walk.next;
        self.torn = walk.torn;
        self.last_end = walk.last_end;
        self.records = records.into_iter();
        self.error = result.err();
    }
}

impl Iterator for LogReader {
    type Item = Result<LogRecord, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.records.next() {
                return Some(Ok(record));
            }
            if let Some(error) = self.error.take() {
                self.segments = Vec::new().into_iter();
                return Some(Err(error));
            }
            let number = self.segments.next()?;
            self.load(number);
        }
    }
}
