//! A disk of a simulated machine: files that remember what was not synced, names that are durable only after their
//! directory was synced, and faults at chosen operations. A power cut keeps any part of what was not synced; a killed
//! process loses nothing that the system had taken. It must never lose what was synced.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use stepwright_store::disk::{Disk, DiskFile, Lock};

use crate::{fault::Fault, workload::Dice};

/// What a disk writes at once.
const SECTOR: usize = 512;

/// What is done to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Read,
    Write,
    Sync,
    Reserve,
    Truncate,
    Name,
    SyncDir,
    /// A checkpoint writes its rows to the index.
    Index,
}

/// A change of a file that no sync covers yet, with what undoes it.
enum Unsynced {
    Write { at: usize, before: Vec<u8>, after: Vec<u8>, length_before: usize },
    Length { before: usize, after: usize, cut: Vec<u8> },
}

#[derive(Default)]
struct File {
    bytes: Vec<u8>,
    unsynced: Vec<Unsynced>,
}

impl File {
    fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        let length_before = self.bytes.len();
        let before = self.bytes.get(at..end.min(length_before)).unwrap_or_default().to_vec();
        if end > length_before {
            self.bytes.resize(end, 0);
        }
        self.bytes[at..end].copy_from_slice(bytes);
        self.unsynced.push(Unsynced::Write { at, before, after: bytes.to_vec(), length_before });
    }

    fn set_length(&mut self, after: usize) {
        let before = self.bytes.len();
        if before != after {
            let cut = self.bytes.get(after..).unwrap_or_default().to_vec();
            self.bytes.resize(after, 0);
            self.unsynced.push(Unsynced::Length { before, after, cut });
        }
    }

    /// What a power cut leaves: what was synced, and of the rest what the dice say.
    fn cut_power(&mut self, dice: &mut Dice) {
        let unsynced = std::mem::take(&mut self.unsynced);
        for change in unsynced.iter().rev() {
            match change {
                Unsynced::Write { at, before, length_before, .. } => {
                    self.bytes[*at..*at + before.len()].copy_from_slice(before);
                    self.bytes.truncate(*length_before);
                }
                Unsynced::Length { before, after, cut } => {
                    self.bytes.resize(*before, 0);
                    if before > after {
                        self.bytes[*after..].copy_from_slice(cut);
                    }
                }
            }
        }
        // All of it, none of it, a beginning, or any sectors at all.
        let way = dice.roll(6);
        let kept = dice.index(unsynced.len() + 1);
        for (number, change) in unsynced.iter().enumerate() {
            let keep = match way {
                0 => true,
                1 => false,
                2 => number < kept,
                _ => !dice.one_in(3),
            };
            match change {
                Unsynced::Length { after, .. } if keep => self.bytes.resize(*after, 0),
                Unsynced::Write { at, after, .. } if keep && way < 2 => self.put(*at, after),
                Unsynced::Write { at, after, .. } if keep || way > 2 => {
                    // Torn at the borders of sectors of the file.
                    let mut from = 0;
                    while from < after.len() {
                        let to = (from + SECTOR - (at + from) % SECTOR).min(after.len());
                        if !dice.one_in(3) {
                            self.put(at + from, &after[from..to]);
                        }
                        from = to;
                    }
                }
                _ => {}
            }
        }
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if end > self.bytes.len() {
            self.bytes.resize(end, 0);
        }
        self.bytes[at..end].copy_from_slice(bytes);
    }
}

enum NameChange {
    Create(PathBuf, usize),
    Rename(PathBuf, PathBuf, usize),
    Remove(PathBuf),
}

struct Armed {
    fault: Fault,
    /// Operations of its kind that still succeed.
    after: u64,
}

struct State {
    dice: Dice,
    files: Vec<File>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    changes: Vec<NameChange>,
    /// The process that may use the disk now.
    process: u64,
    locked: bool,
    /// The process was cut: nothing it does has an effect any more.
    cut: bool,
    full: bool,
    armed: Option<Armed>,
    triggered: BTreeMap<&'static str, u64>,
}

/// A disk of a simulated machine.
#[derive(Clone)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

/// The disk as one process has it.
struct Mounted {
    disk: SimDisk,
    process: u64,
}

struct Handle {
    disk: SimDisk,
    process: u64,
    file: usize,
}

struct Held {
    disk: SimDisk,
    process: u64,
}

fn broken() -> io::Error {
    io::Error::other("the simulated disk failed")
}

fn gone() -> io::Error {
    io::Error::other("the simulated process was cut")
}

/// How far an operation may go.
enum Way {
    Done,
    /// It fails, having done this much of it: a part of it that the dice choose.
    Fails(io::Error),
}

impl State {
    /// Says whether an operation is to fail.
    fn begin(&mut self, process: u64, operation: Operation) -> Way {
        if self.cut || process != self.process {
            return Way::Fails(gone());
        }
        let Some(armed) = &mut self.armed else { return Way::Done };
        if !armed.fault.strikes(operation) {
            return Way::Done;
        }
        if armed.after > 0 {
            armed.after -= 1;
            return Way::Done;
        }
        let fault = armed.fault;
        self.armed = None;
        *self.triggered.entry(fault.name()).or_default() += 1;
        match fault {
            Fault::Cut => {
                self.cut = true;
                Way::Fails(gone())
            }
            Fault::Full => {
                self.full = true;
                Way::Done
            }
            _ => Way::Fails(broken()),
        }
    }
}

impl SimDisk {
    pub(crate) fn new(dice: Dice) -> Self {
        Self(Arc::new(Mutex::new(State {
            dice,
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            process: 0,
            locked: false,
            cut: false,
            full: false,
            armed: None,
            triggered: BTreeMap::new(),
        })))
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk for a new process.
    pub(crate) fn mount(&self) -> (Arc<dyn Disk>, u64) {
        let mut state = self.lock_state();
        state.process += 1;
        state.cut = false;
        state.locked = false;
        (Arc::new(Mounted { disk: self.clone(), process: state.process }), state.process)
    }

    /// Lets a fault strike after so many operations of its kind.
    pub(crate) fn arm(&self, fault: Fault, after: u64) {
        self.lock_state().armed = Some(Armed { fault, after });
    }

    /// No fault strikes from now on, and there is room.
    pub(crate) fn heal(&self) {
        let mut state = self.lock_state();
        state.armed = None;
        state.full = false;
    }

    /// There is room again. Whether there was none.
    pub(crate) fn make_room(&self) -> bool {
        std::mem::take(&mut self.lock_state().full)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.lock_state().full
    }

    /// Whether the process was cut and has to be started again.
    pub(crate) fn is_cut(&self) -> bool {
        self.lock_state().cut
    }

    /// Faults that struck so far, by name.
    pub(crate) fn triggered(&self) -> BTreeMap<&'static str, u64> {
        self.lock_state().triggered.clone()
    }

    /// Counts a fault that struck elsewhere.
    pub(crate) fn count(&self, fault: Fault) {
        *self.lock_state().triggered.entry(fault.name()).or_default() += 1;
    }

    /// Ends the process that uses the disk; everything that it wrote reaches the disk sooner or later.
    pub(crate) fn kill(&self) {
        self.lock_state().process += 1;
    }

    /// Ends the process, and what was not synced is kept or lost as the dice say.
    pub(crate) fn cut_power(&self) {
        let mut state = self.lock_state();
        let state = &mut *state;
        state.process += 1;
        for file in &mut state.files {
            file.cut_power(&mut state.dice);
        }
        let mut names = std::mem::take(&mut state.durable_names);
        let way = state.dice.roll(3);
        for change in std::mem::take(&mut state.changes) {
            let keep = match way {
                0 => true,
                1 => false,
                _ => state.dice.one_in(2),
            };
            if keep {
                change.apply(&mut names);
            }
        }
        state.names.clone_from(&names);
        state.durable_names = names;
        state.forget_unnamed();
    }

    /// Files of the log with changes that no sync covers.
    pub(crate) fn unsynced_log(&self) -> Vec<PathBuf> {
        let state = self.lock_state();
        let is_log = |path: &Path| path.extension().is_some_and(|extension| extension == "log");
        let unsynced = |file: usize| !state.files[file].unsynced.is_empty();
        state
            .names
            .iter()
            .filter(|(path, file)| is_log(path) && unsynced(**file))
            .map(|(path, _)| path.clone())
            .collect()
    }

    /// An operation on the index: whether it may go on, and a number for how much of it is done if not.
    pub(crate) fn index_operation(&self, process: u64) -> Result<(), (io::Error, u64)> {
        let mut state = self.lock_state();
        let way = state.begin(process, Operation::Index);
        let part = state.dice.bits();
        match way {
            Way::Fails(error) => Err((error, part)),
            Way::Done if state.full => Err((io::ErrorKind::StorageFull.into(), part)),
            Way::Done => Ok(()),
        }
    }

    fn begin(&self, process: u64, operation: Operation) -> (MutexGuard<'_, State>, Option<io::Error>) {
        let mut state = self.lock_state();
        match state.begin(process, operation) {
            Way::Done => (state, None),
            Way::Fails(error) => (state, Some(error)),
        }
    }

    /// Changes a name. A change that fails may have happened all the same, while the process lives to see it.
    fn change_name(&self, process: u64, change: impl FnOnce(&State) -> io::Result<NameChange>) -> io::Result<()> {
        let (mut state, failure) = self.begin(process, Operation::Name);
        if process != state.process {
            return Err(gone());
        }
        let change = change(&state)?;
        if failure.is_none() || state.dice.one_in(2) {
            change.apply(&mut state.names);
            state.changes.push(change);
        }
        failure.map_or(Ok(()), Err)
    }
}

impl State {
    /// Gives back the memory of files that no name leads to.
    fn forget_unnamed(&mut self) {
        let named: BTreeSet<usize> = self.names.values().chain(self.durable_names.values()).copied().collect();
        for (number, file) in self.files.iter_mut().enumerate() {
            if !named.contains(&number) {
                *file = File::default();
            }
        }
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            NameChange::Create(path, file) => {
                names.insert(path.clone(), *file);
            }
            NameChange::Rename(from, to, file) => {
                // A directory's entry leads to a file, whatever became of the entries before it.
                if names.get(from) == Some(file) {
                    names.remove(from);
                }
                names.insert(to.clone(), *file);
            }
            NameChange::Remove(path) => {
                names.remove(path);
            }
        }
    }
}

impl Disk for Mounted {
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let (state, failure) = self.disk.begin(self.process, Operation::Read);
        if let Some(error) = failure {
            return Err(error);
        }
        let inside = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let made = {
            let mut state = self.disk.lock_state();
            state.files.push(File::default());
            state.files.len() - 1
        };
        self.disk.change_name(self.process, |_| Ok(NameChange::Create(path.to_path_buf(), made)))?;
        Ok(Arc::new(Handle { disk: self.disk.clone(), process: self.process, file: made }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let (state, failure) = self.disk.begin(self.process, Operation::Read);
        if let Some(error) = failure {
            return Err(error);
        }
        let file = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(Handle { disk: self.disk.clone(), process: self.process, file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.change_name(self.process, |state| {
            let file = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
            Ok(NameChange::Rename(from.to_path_buf(), to.to_path_buf(), file))
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.change_name(self.process, |state| {
            let found = state.names.contains_key(path);
            found.then(|| NameChange::Remove(path.to_path_buf())).ok_or(io::ErrorKind::NotFound.into())
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let (mut state, failure) = self.disk.begin(self.process, Operation::SyncDir);
        if let Some(error) = failure {
            return Err(error);
        }
        let state = &mut *state;
        let inside = |change: &NameChange| {
            let path = match change {
                NameChange::Create(path, _) | NameChange::Remove(path) | NameChange::Rename(path, ..) => path,
            };
            path.parent() == Some(dir)
        };
        let (now, later): (Vec<_>, Vec<_>) = std::mem::take(&mut state.changes).into_iter().partition(inside);
        state.changes = later;
        for change in now {
            change.apply(&mut state.durable_names);
        }
        state.forget_unnamed();
        Ok(())
    }

    fn lock(&self, _: &Path) -> io::Result<Box<dyn Lock>> {
        let mut state = self.disk.lock_state();
        if state.process != self.process {
            return Err(gone());
        }
        if std::mem::replace(&mut state.locked, true) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Held { disk: self.disk.clone(), process: self.process }))
    }

    fn salt(&self) -> u32 {
        self.disk.lock_state().dice.bits() as u32
    }
}

impl Lock for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.disk.lock_state();
        if state.process == self.process {
            state.locked = false;
        }
    }
}

impl DiskFile for Handle {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (mut state, failure) = self.disk.begin(self.process, Operation::Write);
        if self.process != state.process {
            return Err(gone());
        }
        let at = usize::try_from(offset).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        // A write that fails may have been done in part, or as a whole.
        let done = match &failure {
            None => bytes.len(),
            Some(_) => state.dice.index(bytes.len() + 1),
        };
        if done > 0 && !(state.cut && state.dice.one_in(4)) {
            state.files[self.file].write(at, &bytes[..done]);
        }
        failure.map_or(Ok(()), Err)
    }

    fn read_all(&self) -> io::Result<Vec<u8>> {
        let (state, failure) = self.disk.begin(self.process, Operation::Read);
        match failure {
            Some(error) => Err(error),
            None => Ok(state.files[self.file].bytes.clone()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        let (mut state, failure) = self.disk.begin(self.process, Operation::Sync);
        if self.process != state.process {
            return Err(gone());
        }
        // One that fails leaves open what of it reached the disk.
        if failure.is_none() || state.dice.one_in(4) {
            state.files[self.file].unsynced.clear();
        }
        failure.map_or(Ok(()), Err)
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        let (mut state, failure) = self.disk.begin(self.process, Operation::Reserve);
        if let Some(error) = failure {
            return Err(error);
        }
        let len = usize::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        if len > state.files[self.file].bytes.len() {
            if state.full {
                return Err(io::ErrorKind::StorageFull.into());
            }
            state.files[self.file].set_length(len);
        }
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let (mut state, failure) = self.disk.begin(self.process, Operation::Truncate);
        if let Some(error) = failure {
            return Err(error);
        }
        let len = usize::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        state.files[self.file].set_length(len);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with a synced beginning and an unsynced end, after many power cuts of their own.
    fn after_power_cuts(sync_names: bool) -> Vec<Option<Vec<u8>>> {
        let one = |seed| {
            let disk = SimDisk::new(Dice::new(seed));
            let (mounted, _) = disk.mount();
            let path = Path::new("data/a.log");
            let file = mounted.create(path).expect("no fault");
            if sync_names {
                mounted.sync_dir(Path::new("data")).expect("no fault");
            }
            file.write_at(&[1; 600], 0).expect("no fault");
            file.sync().expect("no fault");
            assert_eq!(disk.unsynced_log(), [] as [PathBuf; 0]);
            file.write_at(&[2; 1_500], 600).expect("no fault");
            assert_eq!(disk.unsynced_log(), [path]);
            disk.cut_power();
            assert!(file.write_at(&[3], 0).is_err(), "a process that is gone writes nothing");
            let (mounted, _) = disk.mount();
            mounted.open(path).ok().map(|file| file.read_all().expect("no fault"))
        };
        (0..200).map(one).collect()
    }

    #[test]
    fn a_power_cut_keeps_what_was_synced_and_any_part_of_the_rest() {
        let cuts = after_power_cuts(true);
        let files: Vec<_> = cuts.into_iter().map(|file| file.expect("its name was synced")).collect();
        assert!(files.iter().all(|file| file[..600] == [1; 600]));
        assert!(files.iter().any(|file| file.len() == 600), "all of the rest lost");
        assert!(files.iter().any(|file| file.len() == 2_100 && file[600..] == [2; 1_500]), "nothing lost");
        assert!(files.iter().any(|file| file.len() == 2_100 && file.contains(&0)), "a hole in it");
    }

    #[test]
    fn a_name_that_was_not_synced_may_be_lost() {
        let cuts = after_power_cuts(false);
        assert!(cuts.iter().any(Option::is_none) && cuts.iter().any(Option::is_some));
    }

    #[test]
    fn a_fault_strikes_once_where_it_was_armed() {
        let disk = SimDisk::new(Dice::new(1));
        let (mounted, _) = disk.mount();
        let file = mounted.create(Path::new("data/a.log")).expect("no fault");
        disk.arm(Fault::Sync, 1);
        let results: Vec<bool> = (0..4).map(|_| file.sync().is_ok()).collect();
        assert_eq!(results, [true, false, true, true]);
        disk.arm(Fault::Full, 0);
        file.write_at(&[1], 0).expect("room for what is there");
        assert_eq!(file.reserve(4_096).map_err(|error| error.kind()), Err(io::ErrorKind::StorageFull));
        disk.make_room();
        file.reserve(4_096).expect("there is room again");
        assert_eq!(disk.triggered().values().sum::<u64>(), 2);
    }
}
