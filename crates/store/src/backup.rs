//! Backups: the rows of every table as of one moment, as one stream of checksummed blocks
//! (`docs/adr/0004-backup.md` says why rows and not files).
//!
//! Head, 40 bytes: `SWBACKUP`, version u32, the store's format u32, position u64, time u64
//! (milliseconds since the epoch), zeros u32, CRC-32 of the 36 bytes before it. Numbers are
//! little-endian.
//!
//! Then blocks: kind u8, length u32, CRC-32 u32, payload. The checksum begins with the one of
//! the block before it (of the head, for the first) and covers kind, length and payload, so a
//! block that is missing, moved or repeated is noticed as one that was changed is. Kinds:
//! 1, rows, each a table u8 and two byte strings (key and value), each a u32 length and the
//! bytes; rows rise by (table, key) through the whole stream. 2, the end: the number of rows
//! u64. 3, the writer failed: the reason, text. A stream without its end is no backup.
//!
//! This module must never report a backup as complete that was not read back to its end, and
//! never put anything in place of a file that exists.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::ops::Bound;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::embedded::{EmbeddedStore, FORMAT, Options};
use crate::log::Durability;
use crate::{Commit, Error, MAX_KEY_BYTES, MAX_VALUE_BYTES, Order, Row, Store, Table};

const MAGIC: [u8; 8] = *b"SWBACKUP";
const VERSION: u32 = 1;
const HEAD: usize = 40;
const BLOCK_HEAD: usize = 9;

const ROWS: u8 = 1;
const END: u8 = 2;
const FAILED: u8 = 3;

/// A block of rows is written when it has this many bytes.
const BLOCK_BYTES: usize = 64 << 10;

/// One row more than a full block: no block is longer.
const MAX_BLOCK_BYTES: usize = BLOCK_BYTES + 9 + MAX_KEY_BYTES + MAX_VALUE_BYTES;

/// Rows are committed by the restore in commits of about this size.
const COMMIT_BYTES: usize = 4 << 20;

/// Rows read at once from a store that stands still.
const PAGE: usize = 512;

/// Where a restore builds before it moves anything into place.
const BUILDING: &str = "restoring";

/// What a backup says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Every commit up to this number of the store it was made of is in it, and none after.
    pub position: u64,
    /// When it was begun, milliseconds since the epoch.
    pub at_ms: u64,
}

/// How much a backup holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Rows of all tables.
    pub rows: u64,
    /// Bytes of the backup.
    pub bytes: u64,
}

fn broken(reason: impl Into<String>) -> Error {
    Error::Invalid { reason: format!("the backup cannot be used: {}; nothing was changed", reason.into()) }
}

fn write_failed(error: &io::Error) -> Error {
    Error::Io { action: "writing", file: PathBuf::from("the backup"), reason: error.to_string() }
}

/// Writes a backup, row by row.
pub struct Writer<'a> {
    out: &'a mut dyn Write,
    crc: u32,
    block: Vec<u8>,
    totals: Totals,
}

impl<'a> Writer<'a> {
    /// Begins a backup.
    ///
    /// # Errors
    /// When `out` cannot be written to; here and below.
    pub fn new(out: &'a mut dyn Write, head: Head) -> Result<Writer<'a>, Error> {
        let mut bytes = [0; HEAD];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[16..24].copy_from_slice(&head.position.to_le_bytes());
        bytes[24..32].copy_from_slice(&head.at_ms.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..36]);
        bytes[36..].copy_from_slice(&crc.to_le_bytes());
        out.write_all(&bytes).map_err(|error| write_failed(&error))?;
        let block = Vec::with_capacity(BLOCK_BYTES + 4096);
        Ok(Writer { out, crc, block, totals: Totals { rows: 0, bytes: HEAD as u64 } })
    }

    /// Adds a row. Rows must rise by (table, key).
    pub fn row(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.block.push(table as u8);
        for bytes in [key, value] {
            let length = u32::try_from(bytes.len()).expect("keys and values are within the store's limits");
            self.block.extend_from_slice(&length.to_le_bytes());
            self.block.extend_from_slice(bytes);
        }
        self.totals.rows += 1;
        if self.block.len() >= BLOCK_BYTES { self.flush() } else { Ok(()) }
    }

    /// Ends the backup well.
    pub fn finish(mut self) -> Result<Totals, Error> {
        self.flush()?;
        self.write(END, &self.totals.rows.to_le_bytes())?;
        self.out.flush().map_err(|error| write_failed(&error))?;
        Ok(self.totals)
    }

    /// Ends it badly: whoever reads it is told why.
    pub fn fail(mut self, reason: &str) -> Result<(), Error> {
        let reason = &reason.as_bytes()[..reason.floor_char_boundary(4096)];
        self.write(FAILED, reason)?;
        self.out.flush().map_err(|error| write_failed(&error))
    }

    fn flush(&mut self) -> Result<(), Error> {
        if self.block.is_empty() {
            return Ok(());
        }
        let mut block = std::mem::take(&mut self.block);
        self.write(ROWS, &block)?;
        block.clear();
        self.block = block;
        Ok(())
    }

    fn write(&mut self, kind: u8, payload: &[u8]) -> Result<(), Error> {
        let length = u32::try_from(payload.len()).expect("a block is far below 4 GiB");
        self.crc = block_crc(self.crc, kind, length, payload);
        let mut head = [0; BLOCK_HEAD];
        head[0] = kind;
        head[1..5].copy_from_slice(&length.to_le_bytes());
        head[5..].copy_from_slice(&self.crc.to_le_bytes());
        self.out.write_all(&head).and_then(|()| self.out.write_all(payload)).map_err(|error| write_failed(&error))?;
        self.totals.bytes += (BLOCK_HEAD + payload.len()) as u64;
        Ok(())
    }
}

fn block_crc(before: u32, kind: u8, length: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(before);
    hasher.update(&[kind]);
    hasher.update(&length.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// Writes a backup of a store that nobody changes meanwhile.
///
/// # Errors
/// When the store cannot be read or `out` cannot be written to.
pub fn write_quiet(store: &dyn Store, head: Head, out: &mut dyn Write) -> Result<Totals, Error> {
    let mut writer = Writer::new(out, head)?;
    for &table in Table::ALL {
        let mut last: Option<Vec<u8>> = None;
        loop {
            let from = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let rows = store.scan(table, from, Bound::Unbounded, Order::Ascending, PAGE)?;
            for (key, value) in &rows {
                writer.row(table, key, value)?;
            }
            let full = rows.len() == PAGE;
            last = rows.into_iter().next_back().map(|(key, _)| key);
            if !full {
                break;
            }
        }
    }
    writer.finish()
}

/// Reads a backup and believes nothing of it: each block's checksum, the order of the rows, and
/// that it has an end.
pub struct Reader<R> {
    input: R,
    head: Head,
    crc: u32,
    block: Vec<u8>,
    /// Where the next row begins in the block.
    at: usize,
    last: Option<(Table, Vec<u8>)>,
    totals: Totals,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the head.
    ///
    /// # Errors
    /// `NewerFormat`; `Invalid`, saying what is wrong with it; `Io`. Here and below.
    pub fn new(mut input: R) -> Result<Reader<R>, Error> {
        let mut bytes = [0; HEAD];
        read(&mut input, &mut bytes, 0)?;
        if bytes[..8] != MAGIC {
            return Err(broken("it does not begin as one; it must be a file that `stepwright backup` wrote"));
        }
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let long = |at: usize| u64::from(word(at)) | (u64::from(word(at + 4)) << 32);
        let newer = |found, supported| Error::NewerFormat { dir: PathBuf::from("the backup"), found, supported };
        if word(8) > VERSION {
            return Err(newer(word(8), VERSION));
        }
        let crc = crc32fast::hash(&bytes[..36]);
        if word(36) != crc {
            return Err(broken("its first 40 bytes are damaged"));
        }
        if word(12) > FORMAT {
            return Err(newer(word(12), FORMAT));
        }
        Ok(Reader {
            input,
            head: Head { position: long(16), at_ms: long(24) },
            crc,
            block: Vec::new(),
            at: 0,
            last: None,
            totals: Totals { rows: 0, bytes: HEAD as u64 },
            ended: false,
        })
    }

    /// What it says of itself.
    pub fn head(&self) -> Head {
        self.head
    }

    /// What was read so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The next row; none at the end.
    pub fn next_row(&mut self) -> Result<Option<(Table, Row)>, Error> {
        while self.at >= self.block.len() {
            if self.ended || !self.next_block()? {
                return Ok(None);
            }
        }
        let (table, row) = self.parse_row()?;
        if self.last.as_ref().is_some_and(|(t, key)| (*t, &key[..]) >= (table, &row.0[..])) {
            return Err(broken(format!("row {} of table {table:?} is out of order", self.totals.rows + 1)));
        }
        self.last = Some((table, row.0.clone()));
        self.totals.rows += 1;
        Ok(Some((table, row)))
    }

    /// Reads on to the end.
    pub fn verify(mut self) -> Result<(Head, Totals), Error> {
        while self.next_row()?.is_some() {}
        Ok((self.head, self.totals))
    }

    fn next_block(&mut self) -> Result<bool, Error> {
        let start = self.totals.bytes;
        let mut head = [0; BLOCK_HEAD];
        read(&mut self.input, &mut head, start)?;
        let kind = head[0];
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
        let claimed = u32::from_le_bytes([head[5], head[6], head[7], head[8]]);
        let damaged = || broken(format!("it is damaged at byte {start}"));
        if length as usize > MAX_BLOCK_BYTES {
            return Err(damaged());
        }
        self.block.resize(length as usize, 0);
        read(&mut self.input, &mut self.block, start)?;
        self.crc = block_crc(self.crc, kind, length, &self.block);
        if self.crc != claimed {
            return Err(damaged());
        }
        self.totals.bytes += BLOCK_HEAD as u64 + u64::from(length);
        self.at = 0;
        match kind {
            ROWS => Ok(true),
            END => {
                self.ended = true;
                let rows = std::mem::take(&mut self.block);
                if rows[..] != self.totals.rows.to_le_bytes() {
                    return Err(broken(format!("it holds {} rows, and its end says otherwise", self.totals.rows)));
                }
                if self.input.read(&mut [0]).map_err(|error| read_failed(&error))? != 0 {
                    return Err(broken(format!("something follows its end at byte {}", self.totals.bytes)));
                }
                Ok(false)
            }
            FAILED => {
                let reason = String::from_utf8_lossy(&self.block).into_owned();
                Err(broken(format!("it was not finished: {reason}")))
            }
            _ => Err(damaged()),
        }
    }

    fn parse_row(&mut self) -> Result<(Table, Row), Error> {
        let mut rest = &self.block[self.at..];
        let number = rest[0];
        rest = &rest[1..];
        let mut bytes = || {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let length = u32::from_le_bytes(*length) as usize;
            let (bytes, after) = after.split_at_checked(length)?;
            rest = after;
            Some(bytes.to_vec())
        };
        let cut = || broken(format!("a block before byte {} does not hold whole rows", self.totals.bytes));
        let row = (bytes().ok_or_else(cut)?, bytes().ok_or_else(cut)?);
        self.at = self.block.len() - rest.len();
        let table = Table::from_u8(number).ok_or_else(|| broken(format!("table {number} is unknown")))?;
        Ok((table, row))
    }
}

fn read_failed(error: &io::Error) -> Error {
    Error::Io { action: "reading", file: PathBuf::from("the backup"), reason: error.to_string() }
}

fn read(input: &mut impl Read, bytes: &mut [u8], block: u64) -> Result<(), Error> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => broken(format!("it ends in the middle, in the block at byte {block}")),
        _ => read_failed(&error),
    })
}

/// A backup file on its way: it gets its name only when all of it is on disk and was read back.
/// Dropped before that, it is gone.
#[derive(Debug)]
pub struct NewFile {
    target: PathBuf,
    partial: PathBuf,
    file: File,
    placed: bool,
}

impl NewFile {
    /// Begins the file that will be at `target`. Only its owner may read it.
    ///
    /// # Errors
    /// `Invalid` when there is something at `target`; `Io`.
    pub fn create(target: &Path) -> Result<NewFile, Error> {
        if target.symlink_metadata().is_ok() {
            return Err(exists(target));
        }
        let name = target.file_name().ok_or_else(|| Error::invalid(format!("{} names no file", target.display())))?;
        let partial = target.with_file_name(format!(".{}.partial-{}", name.to_string_lossy(), std::process::id()));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&partial)
            .map_err(|error| io_error("creating", &partial, &error))?;
        Ok(NewFile { target: target.to_path_buf(), partial, file, placed: false })
    }

    /// Makes what was written durable, reads it back to its end, and gives it its name.
    ///
    /// # Errors
    /// As [`Reader::new`] and [`NewFile::create`]; then there is no file.
    pub fn place(mut self) -> Result<(Head, Totals), Error> {
        self.file.sync_all().map_err(|error| io_error("syncing", &self.partial, &error))?;
        let found = verify(&self.partial)?;
        rename_new(&self.partial, &self.target)?;
        self.placed = true;
        sync_dir(parent(&self.target))?;
        Ok(found)
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.placed {
            // Nobody can be told; the name says what it is.
            let _left = fs::remove_file(&self.partial);
        }
    }
}

fn exists(target: &Path) -> Error {
    Error::invalid(format!("{} exists and is not overwritten; choose another name or remove it", target.display()))
}

fn io_error(action: &'static str, file: &Path, error: &io::Error) -> Error {
    Error::Io { action, file: file.to_path_buf(), reason: error.to_string() }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync_dir(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| io_error("syncing", dir, &error))
}

/// Renames, unless there is something at `to`.
fn rename_new(from: &Path, to: &Path) -> Result<(), Error> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::EXIST) => Err(exists(to)),
        // Not every file system can promise it; there the name was free a moment ago at least.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {
            if to.symlink_metadata().is_ok() {
                return Err(exists(to));
            }
            fs::rename(from, to).map_err(|error| io_error("renaming", from, &error))
        }
        Err(error) => Err(io_error("renaming", from, &error.into())),
    }
}

/// Reads the backup in a file to its end.
///
/// # Errors
/// As [`Reader::new`].
pub fn verify(file: &Path) -> Result<(Head, Totals), Error> {
    open(file)?.verify()
}

fn open(file: &Path) -> Result<Reader<BufReader<File>>, Error> {
    let opened = File::open(file).map_err(|error| io_error("opening", file, &error))?;
    Reader::new(BufReader::with_capacity(256 << 10, opened))
}

/// Makes a data directory of a backup. The whole backup is read and verified before anything is
/// written; `dir` must be empty or missing. A restore that is cut off leaves a directory that no
/// store opens. `progress` is given the rows done and those of the backup.
///
/// # Errors
/// As [`Reader::new`]; `Invalid` when the directory is not empty; whatever a store's commit can
/// fail with.
pub fn restore(file: &Path, dir: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<(Head, Totals), Error> {
    refuse_used(dir)?;
    let (head, totals) = verify(file)?;
    fs::create_dir_all(dir).map_err(|error| io_error("creating", dir, &error))?;
    let building = dir.join(BUILDING);
    fs::create_dir(&building).map_err(|error| io_error("creating", &building, &error))?;

    // An ordinary store does the writing. What it holds is synced by its clean close at the end; until then nothing
    // here is worth a sync.
    let options = Options { durability: Durability::Relaxed, ..Options::default() };
    let store = EmbeddedStore::open(&building, options)?;
    let mut rows = open(file)?;
    let mut commit = Commit::default();
    let mut bytes = 0;
    while let Some((table, (key, value))) = rows.next_row()? {
        bytes += key.len() + value.len();
        commit.put(table, key, value);
        if bytes >= COMMIT_BYTES {
            store.commit(&[std::mem::take(&mut commit)])?;
            bytes = 0;
            progress(rows.totals().rows, totals.rows);
        }
    }
    store.commit(&[commit])?;
    store.close()?;
    drop(store);
    progress(totals.rows, totals.rows);

    // FORMAT last: a store in use without it is refused.
    for name in ["index", "log", "FORMAT"] {
        rename_new(&building.join(name), &dir.join(name))?;
        sync_dir(dir)?;
    }
    fs::remove_dir_all(&building).map_err(|error| io_error("removing", &building, &error))?;
    sync_dir(dir)?;
    sync_dir(parent(dir))?;
    Ok((head, totals))
}

fn refuse_used(dir: &Path) -> Result<(), Error> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error("listing", dir, &error)),
    };
    for entry in entries {
        let name = entry.map_err(|error| io_error("listing", dir, &error))?.file_name();
        // The root of a file system of its own is as good as empty.
        if name != "lost+found" {
            return Err(Error::invalid(format!(
                "{} is not empty (it holds {:?}); a backup is restored into an empty or new directory only",
                dir.display(),
                name
            )));
        }
    }
    Ok(())
}

impl fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("totals", &self.totals).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, Head { position: 7, at_ms: 99 }).expect("writes");
        for n in 0..3_u32 {
            writer.row(Table::Execution, &n.to_be_bytes(), &[7; 30_000]).expect("writes");
        }
        writer.row(Table::Turn, b"", b"").expect("writes");
        let totals = writer.finish().expect("writes");
        assert_eq!((totals.rows, totals.bytes), (4, bytes.len() as u64));
        bytes
    }

    fn refusal(bytes: &[u8]) -> String {
        match Reader::new(bytes).and_then(Reader::verify) {
            Ok(_) => panic!("it is believed"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = sample();
        let mut reader = Reader::new(&bytes[..]).expect("reads");
        assert_eq!(reader.head(), Head { position: 7, at_ms: 99 });
        let mut rows = Vec::new();
        while let Some((table, (key, value))) = reader.next_row().expect("reads") {
            rows.push((table, key, value.len()));
        }
        assert_eq!(rows.len(), 4);
        assert_eq!(rows[2], (Table::Execution, 2_u32.to_be_bytes().to_vec(), 30_000));
        assert_eq!(rows[3], (Table::Turn, Vec::new(), 0));
    }

    #[test]
    fn every_cut_and_every_flipped_byte_is_noticed() {
        let bytes = sample();
        for at in (0..bytes.len()).step_by(97).chain(0..HEAD + BLOCK_HEAD).chain(bytes.len() - 40..bytes.len()) {
            assert!(refusal(&bytes[..at]).contains("cannot be used"), "cut at {at}");
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x20;
            refusal(&damaged);
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(refusal(&longer).contains("follows its end"));
    }

    #[test]
    fn blocks_that_are_missing_or_moved_are_noticed() {
        let bytes = sample();
        let mut starts = vec![HEAD];
        while let Some(head) = bytes.get(starts[starts.len() - 1]..).filter(|rest| rest.len() >= BLOCK_HEAD) {
            let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
            starts.push(starts[starts.len() - 1] + BLOCK_HEAD + length);
        }
        assert_eq!(starts.len(), 4, "two blocks of rows and the end");
        let block = |n: usize| &bytes[starts[n]..starts[n + 1]];
        let missing = [&bytes[..HEAD], block(1), block(2)].concat();
        let moved = [&bytes[..HEAD], block(1), block(0), block(2)].concat();
        for damaged in [missing, moved] {
            assert!(refusal(&damaged).contains("damaged at byte 40"));
        }
    }

    #[test]
    fn a_failure_of_the_writer_is_told() {
        let mut bytes = Vec::new();
        let writer = Writer::new(&mut bytes, Head { position: 7, at_ms: 99 }).expect("writes");
        writer.fail("the store failed").expect("writes");
        assert!(refusal(&bytes).contains("was not finished: the store failed"));
    }
}
