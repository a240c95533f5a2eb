//! A disk and an index for tests: they forget what was not synced, and fail on request.
//!
//! The disk keeps, per file, the durable bytes and the writes since the last sync; per directory,
//! the durable names and the current ones. A crash keeps an arbitrary part of what was not
//! synced: each unsynced sector is there or not, each unsynced name change is there or not.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stepwright_store::disk::{Disk, DiskFile, Lock};
use stepwright_store::index::{Change, Index, Rows};
use stepwright_store::{Error, Order, Table};

const SECTOR: usize = 512;

/// A small generator of pseudo-random numbers.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    Write,
    Sync,
    Reserve,
    Rename,
    Remove,
    SyncDir,
    IndexApply,
    // These are counted only when all are.
    CreateDir,
    List,
    Create,
    Open,
    Read,
    Truncate,
    Lock,
    IndexPosition,
    IndexGet,
    IndexScan,
    IndexRow,
    IndexMaintain,
}

impl Call {
    /// Whether it changes what a crash may leave behind.
    fn changes(self) -> bool {
        self <= Call::IndexApply
    }
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// As a broken device does.
    Broken,
    /// For want of room, where a call can want room.
    Full,
}

/// What failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) call: Call,
    /// The name of the file at that time, if it was done to one.
    pub(crate) file: Option<String>,
}

#[derive(Default)]
struct Inode {
    durable: Vec<u8>,
    /// What a reader sees.
    current: Vec<u8>,
}

#[derive(Default)]
struct State {
    inodes: Vec<Inode>,
    /// Names that survive a crash for certain, and those that a process sees.
    durable_names: BTreeMap<PathBuf, usize>,
    names: BTreeMap<PathBuf, usize>,
    locked: bool,
    /// Grows with every crash: handles of an earlier life do nothing.
    life: u64,
    calls: u64,
    fail_at: Option<u64>,
    failure: Option<Failure>,
    /// Whether reads and the like are counted, too.
    count_all: bool,
    /// What failed first, once something did.
    failed: Option<Failed>,
    /// After a failure everything fails, as when the process is gone.
    dead_after_failure: bool,
    full: bool,
    salt: u32,
}

/// A disk in memory; clones share it.
#[derive(Clone, Default)]
pub(crate) struct FaultDisk(Arc<Mutex<State>>);

struct FaultFile {
    disk: FaultDisk,
    inode: usize,
    life: u64,
}

struct FaultLock {
    disk: FaultDisk,
    life: u64,
}

impl Lock for FaultLock {}

impl Drop for FaultLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.life == self.life {
            state.locked = false;
        }
    }
}

fn broken() -> io::Error {
    io::Error::other("the test made this call fail")
}

impl State {
    fn call(&mut self, call: Call) -> io::Result<()> {
        self.call_on(call, None)
    }

    fn call_on(&mut self, call: Call, inode: Option<usize>) -> io::Result<()> {
        if !call.changes() && !self.count_all {
            return Ok(());
        }
        let first = self.failed.is_none();
        if first {
            self.calls += 1;
        }
        if first && self.fail_at == Some(self.calls) {
            let name = inode.and_then(|inode| self.names.iter().find(|(_, of)| **of == inode));
            let file = name.and_then(|(path, _)| Some(path.file_name()?.to_str()?.to_owned()));
            self.failed = Some(Failed { call, file });
            return Err(self.error(call));
        }
        if !first && self.dead_after_failure { Err(self.error(call)) } else { Ok(()) }
    }

    fn error(&self, call: Call) -> io::Error {
        let wants_room = matches!(
            call,
            Call::Write
                | Call::Sync
                | Call::Reserve
                | Call::Rename
                | Call::SyncDir
                | Call::IndexApply
                | Call::CreateDir
                | Call::Create
                | Call::IndexMaintain
        );
        match self.failure {
            Some(Failure::Full) if wants_room => io::ErrorKind::StorageFull.into(),
            _ => broken(),
        }
    }
}

impl FaultDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the `n`-th call from now fail, and with `dead` every one after it.
    pub(crate) fn fail_at(&self, n: u64, dead: bool) {
        self.arm(n, dead, Failure::Broken, false);
    }

    /// The same, of every call that there is.
    pub(crate) fn fail_any_at(&self, n: u64, forever: bool, failure: Failure) {
        self.arm(n, forever, failure, true);
    }

    fn arm(&self, n: u64, dead: bool, failure: Failure, all: bool) {
        let mut state = self.state();
        state.calls = 0;
        state.fail_at = Some(n);
        state.failure = Some(failure);
        state.count_all = all;
        state.failed = None;
        state.dead_after_failure = dead;
    }

    /// Whatever was wrong is mended, for the process that runs on.
    pub(crate) fn mend(&self) {
        let mut state = self.state();
        state.fail_at = None;
        state.dead_after_failure = false;
    }

    /// What failed, if something did.
    pub(crate) fn failed(&self) -> Option<Failed> {
        self.state().failed.clone()
    }

    /// The process dies and the machine lives on; nothing fails any more.
    pub(crate) fn kill(&self) {
        let mut state = self.state();
        state.life += 1;
        state.locked = false;
        state.fail_at = None;
        state.failed = None;
        state.dead_after_failure = false;
    }

    /// A disk of its own with the same contents.
    pub(crate) fn fork(&self) -> FaultDisk {
        let state = self.state();
        let inodes = state.inodes.iter();
        let inodes = inodes.map(|i| Inode { durable: i.durable.clone(), current: i.current.clone() }).collect();
        FaultDisk(Arc::new(Mutex::new(State {
            inodes,
            durable_names: state.durable_names.clone(),
            names: state.names.clone(),
            life: state.life,
            salt: state.salt,
            ..State::default()
        })))
    }

    /// From now on there is no room (or there is).
    pub(crate) fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    /// The power goes, and nothing that was not synced is kept.
    pub(crate) fn lose_unsynced(&self) {
        let mut guard = self.state();
        let state = &mut *guard;
        state.life += 1;
        state.locked = false;
        for inode in &mut state.inodes {
            inode.current.clone_from(&inode.durable);
        }
        state.names = state.durable_names.clone();
    }

    /// The power goes: keeps what was synced and an arbitrary part of the rest.
    pub(crate) fn crash(&self, random: &mut Random) {
        let mut guard = self.state();
        let state = &mut *guard;
        state.life += 1;
        state.locked = false;
        state.fail_at = None;
        state.failed = None;
        for inode in &mut state.inodes {
            let len = match random.below(2) {
                0 => inode.durable.len(),
                _ => inode.current.len(),
            };
            let mut bytes = inode.durable.clone();
            bytes.resize(len, 0);
            // Half of the crashes keep most sectors, half lose most.
            let keep = if random.below(2) == 0 { 2 } else { 9 };
            for (at, sector) in bytes.chunks_mut(SECTOR).enumerate() {
                let start = at * SECTOR;
                let end = (start + sector.len()).min(inode.current.len());
                if start < end && random.below(10) < keep {
                    sector[..end - start].copy_from_slice(&inode.current[start..end]);
                }
            }
            inode.durable.clone_from(&bytes);
            inode.current = bytes;
        }
        // Each name change that was not synced is taken back or not.
        let paths: Vec<PathBuf> = state.durable_names.keys().chain(state.names.keys()).cloned().collect();
        for path in paths {
            if random.below(2) == 0 {
                match state.durable_names.get(&path) {
                    Some(&inode) => state.names.insert(path, inode),
                    None => state.names.remove(&path),
                };
            }
        }
        state.durable_names = state.names.clone();
    }

    /// The log's files, oldest first.
    pub(crate) fn log_files(&self) -> Vec<PathBuf> {
        let state = self.state();
        let is_log = |p: &&PathBuf| p.extension().is_some_and(|e| e == "log");
        state.names.keys().filter(is_log).cloned().collect()
    }

    /// Changes the bytes of a file, durably.
    pub(crate) fn edit(&self, path: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let inode = state.names[path];
        let inode = &mut state.inodes[inode];
        edit(&mut inode.current);
        inode.durable = inode.current.clone();
    }
}

impl Disk for FaultDisk {
    fn create_dir_all(&self, _dir: &Path) -> io::Result<()> {
        self.state().call(Call::CreateDir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.call(Call::List)?;
        let names = state.names.keys().filter(|p| p.parent() == Some(dir));
        Ok(names.filter_map(|p| Some(p.file_name()?.to_str()?.to_owned())).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.call(Call::Create)?;
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.names.insert(path.to_path_buf(), inode);
        Ok(Arc::new(FaultFile { disk: self.clone(), inode, life: state.life }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.call(Call::Open)?;
        match state.names.get(path) {
            None => Err(io::ErrorKind::NotFound.into()),
            Some(&inode) => Ok(Arc::new(FaultFile { disk: self.clone(), inode, life: state.life })),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.call(Call::Rename)?;
        let inode = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_path_buf(), inode);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.call(Call::Remove)?;
        state.names.remove(path);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.call(Call::SyncDir)?;
        let inside = |path: &PathBuf| path.parent() == Some(dir);
        state.durable_names.retain(|path, _| !inside(path));
        let now: Vec<_> =
            state.names.iter().filter(|(path, _)| inside(path)).map(|(path, &inode)| (path.clone(), inode)).collect();
        state.durable_names.extend(now);
        Ok(())
    }

    fn lock(&self, _path: &Path) -> io::Result<Box<dyn Lock>> {
        let mut state = self.state();
        state.call(Call::Lock)?;
        if state.locked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.locked = true;
        Ok(Box::new(FaultLock { disk: self.clone(), life: state.life }))
    }

    fn salt(&self) -> u32 {
        let mut state = self.state();
        state.salt = state.salt.wrapping_add(0x9e37_79b9);
        state.salt
    }
}

impl FaultFile {
    fn with<T>(&self, f: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.state();
        if state.life != self.life {
            return Err(broken());
        }
        f(&mut state)
    }
}

impl DiskFile for FaultFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.with(|state| {
            let result = state.call_on(Call::Write, Some(self.inode));
            // A failing write may have written any part; here the first half.
            let bytes = match result {
                Ok(()) => bytes,
                Err(_) => &bytes[..bytes.len() / 2],
            };
            let current = &mut state.inodes[self.inode].current;
            let offset = offset as usize;
            if current.len() < offset + bytes.len() {
                current.resize(offset + bytes.len(), 0);
            }
            current[offset..offset + bytes.len()].copy_from_slice(bytes);
            result
        })
    }

    fn read_all(&self) -> io::Result<Vec<u8>> {
        self.with(|state| {
            state.call_on(Call::Read, Some(self.inode))?;
            Ok(state.inodes[self.inode].current.clone())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|state| {
            state.call_on(Call::Sync, Some(self.inode))?;
            let inode = &mut state.inodes[self.inode];
            inode.durable.clone_from(&inode.current);
            Ok(())
        })
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        self.with(|state| {
            if state.full {
                return Err(io::ErrorKind::StorageFull.into());
            }
            state.call_on(Call::Reserve, Some(self.inode))?;
            let current = &mut state.inodes[self.inode].current;
            if current.len() < len as usize {
                current.resize(len as usize, 0);
            }
            Ok(())
        })
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.with(|state| {
            state.call_on(Call::Truncate, Some(self.inode))?;
            state.inodes[self.inode].current.truncate(len as usize);
            Ok(())
        })
    }
}

type IndexRows = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// An index in memory that outlives the store. Its calls count with the disk's: a failing apply
/// leaves half of the changes behind, without the position.
#[derive(Clone)]
pub(crate) struct FaultIndex {
    pub(crate) disk: FaultDisk,
    pub(crate) rows: Arc<Mutex<(IndexRows, u64)>>,
}

impl FaultIndex {
    fn rows(&self) -> MutexGuard<'_, (IndexRows, u64)> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, call: Call) -> Result<(), Error> {
        self.disk.state().call(call).map_err(|error| index_error("reading", &error))
    }

    /// An index of its own with the same contents, on a disk of its own.
    pub(crate) fn fork(&self) -> FaultIndex {
        FaultIndex { disk: self.disk.fork(), rows: Arc::new(Mutex::new(self.rows().clone())) }
    }
}

fn index_error(action: &'static str, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull => Error::Full { dir: "index".into(), needed: 0, reason: error.to_string() },
        _ => Error::Io { action, file: "index".into(), reason: error.to_string() },
    }
}

impl Index for FaultIndex {
    fn position(&self) -> Result<u64, Error> {
        self.read(Call::IndexPosition)?;
        Ok(self.rows().1)
    }

    fn apply(&self, changes: &mut dyn Iterator<Item = Result<Change<'_>, Error>>, position: u64) -> Result<(), Error> {
        let changes: Vec<Change<'_>> = changes.collect::<Result<_, _>>()?;
        assert!(changes.is_sorted_by(|a, b| (a.table, &a.key) < (b.table, &b.key)), "changes rise");
        let full = self.disk.state().full;
        let called = self.disk.state().call(Call::IndexApply);
        let mut rows = self.rows();
        let done = match (full, &called) {
            (false, Ok(())) => changes.len(),
            _ => changes.len() / 2,
        };
        for change in changes.into_iter().take(done) {
            let key = (change.table, change.key.into_owned());
            match change.value {
                Some(value) => rows.0.insert(key, value.to_vec()),
                None => rows.0.remove(&key),
            };
        }
        if full {
            return Err(Error::Full { dir: "index".into(), needed: 0, reason: "the test says so".to_owned() });
        }
        called.map_err(|error| index_error("writing", &error))?;
        rows.1 = position;
        Ok(())
    }

    fn maintain(&self) -> Result<(), Error> {
        self.disk.state().call(Call::IndexMaintain).map_err(|error| index_error("compacting", &error))
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.read(Call::IndexGet)?;
        Ok(self.rows().0.get(&(table, key.to_vec())).cloned())
    }

    fn scan(&self, table: Table, from: Bound<&[u8]>, to: Bound<&[u8]>, order: Order) -> Result<Rows<'_>, Error> {
        self.read(Call::IndexScan)?;
        let after = |key: &[u8]| match from {
            Bound::Included(from) => key >= from,
            Bound::Excluded(from) => key > from,
            Bound::Unbounded => true,
        };
        let before = |key: &[u8]| match to {
            Bound::Included(to) => key <= to,
            Bound::Excluded(to) => key < to,
            Bound::Unbounded => true,
        };
        let mut rows: Vec<_> = self
            .rows()
            .0
            .iter()
            .filter(|((t, key), _)| *t == table && after(key) && before(key))
            .map(|((_, key), value)| Ok((key.clone(), value.clone())))
            .collect();
        if order == Order::Descending {
            rows.reverse();
        }
        Ok(Box::new(rows.into_iter().map(|row| self.read(Call::IndexRow).and(row))))
    }
}
