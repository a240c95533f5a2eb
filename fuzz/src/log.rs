//! The reader of the log. It gives out what was written, in order, and nothing else; what it cannot read it refuses with
//! its place, or cuts if nothing shows that it was ever synced.
//!
//! The segment is written here by hand, after the description in the store's `log/format.rs`: so the format has a second
//! reading, and a change of it that nobody intended is noticed.

use std::{cell::RefCell, path::PathBuf};

use stepwright_store::{Commit, ErrorKind, Table, log::read_log};
use tempfile::TempDir;

const SALT: u32 = 0x5eed_5a17;
const HEADER: usize = 32;
const RECORD_HEADER: usize = 20;
const NUMBER: u64 = 1;

/// A directory that is used again and again by this thread.
struct Home {
    _folder: TempDir,
    data: PathBuf,
    segment: PathBuf,
}

thread_local! {
    static HOME: RefCell<Option<Home>> = const { RefCell::new(None) };
}

fn home() -> Home {
    // In memory where there is such a place: nothing here has to last.
    let memory = std::path::Path::new("/dev/shm");
    let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.expect("a folder");
    let data = folder.path().to_path_buf();
    let log = data.join("log");
    std::fs::create_dir(&log).expect("a folder");
    Home { data, segment: log.join(format!("{NUMBER:016x}.log")), _folder: folder }
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<usize> {
        Some(usize::from(self.next()?) << 8 | usize::from(self.next()?))
    }
}

struct Written {
    start: usize,
    end: usize,
    sequence: u64,
    durable: u64,
    commit: Commit,
}

fn segment_header() -> Vec<u8> {
    let mut bytes = b"SWLOG\0\0\0".to_vec();
    bytes.extend_from_slice(&1_u32.to_le_bytes());
    bytes.extend_from_slice(&SALT.to_le_bytes());
    bytes.extend_from_slice(&NUMBER.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

fn append(segment: &mut Vec<u8>, sequence: u64, durable: u64, key: &[u8], value: &[u8]) -> Written {
    let start = segment.len();
    let mut payload = vec![1, Table::Frame as u8];
    for bytes in [key, value] {
        // Varints: all of them are shorter than 16,384.
        if bytes.len() >= 0x80 {
            payload.push((bytes.len() & 0x7f) as u8 | 0x80);
            payload.push((bytes.len() >> 7) as u8);
        } else {
            payload.push(bytes.len() as u8);
        }
        payload.extend_from_slice(bytes);
    }
    let length = (payload.len() as u32).to_le_bytes();
    let mut rest = sequence.to_le_bytes().to_vec();
    rest.extend_from_slice(&((sequence - durable) as u32).to_le_bytes());
    rest.extend_from_slice(&payload);
    let mut hasher = crc32fast::Hasher::new_with_initial(SALT);
    hasher.update(&length);
    hasher.update(&rest);
    segment.extend_from_slice(&length);
    segment.extend_from_slice(&hasher.finalize().to_le_bytes());
    segment.extend_from_slice(&rest);
    let mut commit = Commit::default();
    commit.put(Table::Frame, key, value);
    assert!(segment.len() - start >= RECORD_HEADER);
    Written { start, end: segment.len(), sequence, durable, commit }
}

/// The first byte says what comes: any bytes as a segment, or records and what became of them.
pub(crate) fn run(bytes: &[u8]) {
    HOME.with_borrow_mut(|kept| {
        let home = kept.get_or_insert_with(home);
        match bytes.split_first() {
            Some((b'=', rest)) => raw(home, rest),
            Some((_, rest)) => damaged(home, &mut Bytes(rest)),
            None => {}
        }
    });
}

/// Any bytes as a file: an error with a place in it, or records that lie in it.
fn raw(home: &Home, bytes: &[u8]) {
    std::fs::write(&home.segment, bytes).expect("written");
    let mut end = HEADER as u64;
    for record in read_log(&home.data).expect("there is a log") {
        match record {
            Ok(record) => {
                assert_eq!(record.offset, end, "records lie one behind the other");
                end += record.bytes;
                assert!(end <= bytes.len() as u64);
            }
            Err(error) => told(&error, bytes.len()),
        }
    }
}

fn told(error: &stepwright_store::Error, length: usize) {
    let text = error.to_string();
    assert!(text.contains(".log"), "names the file: {text}");
    if let stepwright_store::Error::Corrupt { offset, .. } = error {
        assert!(*offset <= length as u64, "{offset} of {length} bytes: {text}");
    }
    assert_ne!(error.kind(), ErrorKind::Full);
}

/// Records are written, then bytes of the file change.
fn damaged(home: &Home, input: &mut Bytes<'_>) {
    let mut segment = segment_header();
    let mut written: Vec<Written> = Vec::new();
    let count = usize::from(input.next().unwrap_or(3) % 8);
    let first = 1 + u64::from(input.next().unwrap_or(0));
    // What was synced before the first record.
    let mut durable = first - 1;
    for sequence in (first..).take(count) {
        let shape = input.next().unwrap_or(5);
        // A batch of one or more records is synced at once.
        if shape & 1 == 1 {
            durable = sequence - 1;
        }
        let value: Vec<u8> = (0..usize::from(shape >> 1) * 3).map(|at| (at as u8).wrapping_mul(shape)).collect();
        written.push(append(&mut segment, sequence, durable, &[shape; 4], &value));
    }
    let end = segment.len();
    segment.resize(end + 64 + usize::from(input.next().unwrap_or(0)), 0);
    let whole = segment.clone();
    while let Some(at) = input.number() {
        let Some(change) = input.next() else { break };
        let at = HEADER + at % (segment.len() - HEADER);
        match change {
            0 => segment[at..].fill(0),
            0xff => segment.truncate(at.max(HEADER + 1)),
            _ => segment[at] ^= change,
        }
    }
    std::fs::write(&home.segment, &segment).expect("written");

    // A record is intact as long as its bytes are.
    let intact = |record: &Written| segment.get(record.start..record.end) == Some(&whole[record.start..record.end]);
    let good = written.iter().take_while(|record| intact(record)).count();
    let mut given = 0;
    let mut refused = false;
    for record in read_log(&home.data).expect("there is a log") {
        match record {
            Ok(record) => {
                let expected = written.get(given).expect("a record that nobody wrote");
                assert!(given < good, "record {} was given out although its bytes changed", record.sequence);
                assert_eq!((record.offset, record.sequence), (expected.start as u64, expected.sequence));
                assert_eq!((record.durable, &record.commit), (expected.durable, &expected.commit));
                given += 1;
            }
            Err(error) => {
                told(&error, segment.len());
                refused = true;
            }
        }
    }
    assert_eq!(given, good, "what is intact is given out");
    if let Some(first_bad) = written.get(good) {
        // Without a readable record before it, its number is not known: then only the one right behind it tells.
        let shows = |later: &Written| match good {
            0 => later.durable + 1 == later.sequence && later.sequence > first_bad.sequence,
            _ => later.durable >= first_bad.sequence,
        };
        let synced = written[good..].iter().any(|later| intact(later) && shows(later));
        assert!(refused || !synced, "record {} was synced, is damaged, and was cut away silently", first_bad.sequence);
    }
}
