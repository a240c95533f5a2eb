//! A data directory looked at and not touched: the store in it as an opening would find it, for
//! `stepwright check` and for backups of a server that is stopped.
//!
//! It is the ordinary recovery, on a disk whose changes stay in memory and on an index of links
//! in a temporary directory, so it reads what a server would read and refuses what a server
//! would refuse. This module must never write, rename or remove anything below the data
//! directory.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::{DirBuilderExt, FileExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskFile, Lock, RealDisk};
use crate::embedded::{EmbeddedStore, Options};
use crate::log::{LOG_DIR, read_log};
use crate::lsm::LsmIndex;
use crate::{Commit, Error, Order, Row, Stats, Store, Table};

const FORMAT_FILE: &str = "FORMAT";

/// A store that can only be read. Nobody else can open its directory as long as it lives.
pub struct Inspected {
    store: EmbeddedStore,
    /// Goes after the store that reads it.
    _links: Links,
}

/// Opens the data directory for reading only.
///
/// # Errors
/// As [`EmbeddedStore::open`]; `Invalid` when there is no store in it.
pub fn open(dir: &Path) -> Result<Inspected, Error> {
    let io = |action: &'static str, file: &Path, error: &io::Error| Error::Io {
        action,
        file: file.to_path_buf(),
        reason: error.to_string(),
    };
    if !dir.join(FORMAT_FILE).is_file() && !dir.join(LOG_DIR).is_dir() {
        return Err(Error::invalid(format!(
            "there is no data in {}: a data directory holds a file FORMAT and the folders log and index",
            dir.display()
        )));
    }
    let dir = std::path::absolute(dir).map_err(|error| io("finding", dir, &error))?;
    let mut links = Err(Error::Closed);
    let options = Options { background: false, ..Options::default() };
    let cache_bytes = options.cache_bytes;
    let store = EmbeddedStore::open_with(Arc::new(Overlay::default()), &dir, options, |index| {
        let made = Links::make(index).map_err(|error| io("linking", index, &error))?;
        let opened = LsmIndex::open(&made.0, cache_bytes)?;
        links = Ok(made);
        Ok(Box::new(opened))
    })?;
    Ok(Inspected { store, _links: links? })
}

impl Inspected {
    /// The number of the last commit.
    #[must_use]
    pub fn last_commit(&self) -> u64 {
        self.store.last_commit()
    }
}

/// What lies in the log of a data directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSummary {
    /// Records, each with its checksum and the number that follows the one before it.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The numbers of the first and the last.
    pub range: Option<(u64, u64)>,
    /// Where the remains of a batch that was never synced begin, if there are any. They are no damage: the next opening
    /// cuts them.
    pub torn: Option<(PathBuf, u64)>,
}

/// Reads the log of a data directory, oldest record first.
///
/// # Errors
/// Damage, naming file and offset.
pub fn summarize_log(dir: &Path) -> Result<LogSummary, Error> {
    let mut log = read_log(dir)?;
    let mut found = LogSummary::default();
    for record in log.by_ref() {
        let record = record?;
        found.records += 1;
        found.bytes += record.bytes;
        let first = found.range.map_or(record.sequence, |(first, _)| first);
        found.range = Some((first, record.sequence));
    }
    found.torn = log.torn_tail().map(|(file, offset)| (file.to_path_buf(), offset));
    Ok(found)
}

impl Store for Inspected {
    fn commit(&self, _: &[Commit]) -> Result<(), Error> {
        Err(Error::invalid("this store was opened for reading only".to_owned()))
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.store.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, Error> {
        self.store.scan(table, from, to, order, limit)
    }

    fn stats(&self) -> Stats {
        self.store.stats()
    }

    fn close(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// A temporary directory that looks like the index's: the small files of each tree are copied, because opening it tidies
/// them up; its tables, which are never changed once they are written, are links.
struct Links(PathBuf);

impl Links {
    fn make(index: &Path) -> io::Result<Links> {
        let name = format!("stepwright-inspect-{}-{:08x}", std::process::id(), RealDisk.salt());
        let links = Links(std::env::temp_dir().join(name));
        DirBuilder::new().mode(0o700).create(&links.0)?;
        if index.is_dir() {
            for tree in fs::read_dir(index)? {
                let tree = tree?;
                let target = links.0.join(tree.file_name());
                fs::create_dir(&target)?;
                links.fill(&tree.path(), &target, true)?;
            }
        }
        Ok(links)
    }

    fn fill(&self, from: &Path, to: &Path, copy: bool) -> io::Result<()> {
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let (source, target) = (entry.path(), to.join(entry.file_name()));
            if entry.file_type()?.is_dir() {
                fs::create_dir(&target)?;
                self.fill(&source, &target, false)?;
            } else if copy {
                fs::copy(&source, &target)?;
            } else {
                symlink(&source, &target)?;
            }
        }
        Ok(())
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        // Links go, what they lead to stays.
        let _left = fs::remove_dir_all(&self.0);
    }
}

/// The real disk to read from; what is changed is changed in memory.
#[derive(Clone, Default)]
struct Overlay(Arc<Mutex<BTreeMap<PathBuf, Option<Arc<OverlayFile>>>>>);

impl Overlay {
    fn files(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Option<Arc<OverlayFile>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Shared(#[expect(dead_code, reason = "held for its lock")] Option<File>);

impl Lock for Shared {}

impl Disk for Overlay {
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let files = self.files();
        let mut names = match RealDisk.list(dir) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        names.retain(|name| !files.contains_key(&dir.join(name)));
        let changed = files.iter().filter(|(path, file)| file.is_some() && path.parent() == Some(dir));
        names.extend(changed.filter_map(|(path, _)| Some(path.file_name()?.to_str()?.to_owned())));
        Ok(names)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = Arc::new(OverlayFile::default());
        self.files().insert(path.to_path_buf(), Some(Arc::clone(&file)));
        Ok(file)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut files = self.files();
        let file = match files.get(path) {
            Some(Some(file)) => Arc::clone(file),
            Some(None) => return Err(io::ErrorKind::NotFound.into()),
            None => {
                let base = File::open(path)?;
                let len = base.metadata()?.len();
                let contents = Contents { base: Some(base), base_len: len, len, writes: Vec::new() };
                let file = Arc::new(OverlayFile(Mutex::new(contents)));
                files.insert(path.to_path_buf(), Some(Arc::clone(&file)));
                file
            }
        };
        Ok(file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.open(from)?;
        let mut files = self.files();
        let file = files.insert(from.to_path_buf(), None).flatten();
        files.insert(to.to_path_buf(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.open(path)?;
        self.files().insert(path.to_path_buf(), None);
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let file = match File::open(path) {
            Ok(file) => file,
            // Nobody ever had it open here.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Box::new(Shared(None))),
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            Ok(()) => Ok(Box::new(Shared(Some(file)))),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn salt(&self) -> u32 {
        RealDisk.salt()
    }
}

/// A file as it would be.
#[derive(Default)]
struct OverlayFile(Mutex<Contents>);

#[derive(Default)]
struct Contents {
    base: Option<File>,
    /// How much of the real file still counts.
    base_len: u64,
    len: u64,
    writes: Vec<(u64, Vec<u8>)>,
}

impl OverlayFile {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DiskFile for OverlayFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut contents = self.contents();
        contents.len = contents.len.max(offset + bytes.len() as u64);
        contents.writes.push((offset, bytes.to_vec()));
        Ok(())
    }

    fn read_all(&self) -> io::Result<Vec<u8>> {
        let contents = self.contents();
        let size = |len: u64| usize::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge));
        let mut bytes = vec![0; size(contents.len)?];
        if let Some(base) = &contents.base {
            base.read_exact_at(&mut bytes[..size(contents.base_len)?], 0)?;
        }
        for (offset, written) in &contents.writes {
            let at = size(*offset)?;
            bytes[at..at + written.len()].copy_from_slice(written);
        }
        Ok(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        let mut contents = self.contents();
        contents.len = contents.len.max(len);
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut contents = self.contents();
        contents.len = len;
        contents.base_len = contents.base_len.min(len);
        contents.writes.retain_mut(|(offset, bytes)| {
            let left = usize::try_from(len.saturating_sub(*offset)).unwrap_or(usize::MAX);
            bytes.truncate(left);
            !bytes.is_empty()
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_changed_in_memory_only() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a");
        fs::write(&path, b"0123456789").expect("written");
        let disk = Overlay::default();
        let file = disk.open(&path).expect("opens");
        file.write_at(b"xyz", 8).expect("writes");
        assert_eq!(file.read_all().expect("reads"), b"01234567xyz");
        file.truncate(9).expect("cuts");
        file.reserve(12).expect("grows");
        assert_eq!(file.read_all().expect("reads"), b"01234567x\0\0\0");
        file.truncate(4).expect("cuts");
        file.reserve(6).expect("grows");
        assert_eq!(file.read_all().expect("reads"), b"0123\0\0", "what was cut does not come back");
        disk.rename(&path, &dir.path().join("b")).expect("renames");
        disk.create(&dir.path().join("c")).expect("creates");
        let mut names = disk.list(dir.path()).expect("lists");
        names.sort();
        assert_eq!(names, ["b", "c"]);
        disk.remove(&dir.path().join("c")).expect("removes");
        assert_eq!(disk.open(&dir.path().join("c")).map(drop).expect_err("gone").kind(), io::ErrorKind::NotFound);
        assert_eq!(fs::read(&path).expect("reads"), b"0123456789");
        assert_eq!(fs::read_dir(dir.path()).expect("lists").count(), 1);
    }
}
