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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Write,
    Sync,
    Reserve,
    Rename,
    Remove,
    SyncDir,
    IndexApply,
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
    /// What failed, once it did.
    failed: Option<Call>,
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
        if self.failed.is_some() && self.dead_after_failure {
            return Err(broken());
        }
        self.calls += 1;
        if self.fail_at == Some(self.calls) {
            self.failed = Some(call);
            return Err(broken());
        }
        Ok(())
    }
}

impl FaultDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the `n`-th call from now fail, and with `dead` every one after it.
    pub(crate) fn fail_at(&self, n: u64, dead: bool) {
        let mut state = self.state();
        state.calls = 0;
        state.fail_at = Some(n);
        state.failed = None;
        state.dead_after_failure = dead;
    }

    /// Which call failed, if one did.
    pub(crate) fn failed(&self) -> Option<Call> {
        self.state().failed
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
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let names = state.names.keys().filter(|p| p.parent() == Some(dir));
        Ok(names.filter_map(|p| Some(p.file_name()?.to_str()?.to_owned())).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.names.insert(path.to_path_buf(), inode);
        Ok(Arc::new(FaultFile { disk: self.clone(), inode, life: state.life }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.state();
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
            let result = state.call(Call::Write);
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
        self.with(|state| Ok(state.inodes[self.inode].current.clone()))
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|state| {
            state.call(Call::Sync)?;
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
            state.call(Call::Reserve)?;
            let current = &mut state.inodes[self.inode].current;
            if current.len() < len as usize {
                current.resize(len as usize, 0);
            }
            Ok(())
        })
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.with(|state| {
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
}

impl Index for FaultIndex {
    fn position(&self) -> Result<u64, Error> {
        Ok(self.rows().1)
    }

    fn apply(&self, changes: &mut dyn Iterator<Item = Result<Change, Error>>, position: u64) -> Result<(), Error> {
        let changes: Vec<Change> = changes.collect::<Result<_, _>>()?;
        assert!(changes.is_sorted_by(|a, b| (a.table, &a.key) < (b.table, &b.key)), "changes rise");
        let full = self.disk.state().full;
        let called = self.disk.state().call(Call::IndexApply);
        let mut rows = self.rows();
        let done = match (full, &called) {
            (false, Ok(())) => changes.len(),
            _ => changes.len() / 2,
        };
        for change in changes.into_iter().take(done) {
            let key = (change.table, change.key);
            match change.value {
                Some(value) => rows.0.insert(key, value),
                None => rows.0.remove(&key),
            };
        }
        if full {
            return Err(Error::Full { dir: "index".into(), needed: 0, reason: "the test says so".to_owned() });
        }
        called.map_err(|error| Error::Io { action: "writing", file: "index".into(), reason: error.to_string() })?;
        rows.1 = position;
        Ok(())
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.rows().0.get(&(table, key.to_vec())).cloned())
    }

    fn scan(&self, table: Table, from: Bound<&[u8]>, to: Bound<&[u8]>, order: Order) -> Result<Rows<'_>, Error> {
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
        Ok(Box::new(rows.into_iter()))
    }
}
