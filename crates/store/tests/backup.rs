//! Backups of a store in use and of one that stands still, restored; and a directory that is only looked at.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use stepwright_store::backup::{self, Head, NewFile, Reader};
use stepwright_store::embedded::{EmbeddedStore, Options};
use stepwright_store::memory::MemoryStore;
use stepwright_store::{Commit, ErrorKind, Order, Row, Store, Table, inspect};

/// The `n`-th commit: rows of several tables that belong together, and one of an older commit that goes.
fn turn(n: u64) -> Commit {
    let mut commit = Commit::default();
    commit.put(Table::Meta, "counter", n.to_be_bytes());
    commit.put(Table::Turn, n.to_be_bytes(), vec![n as u8; 200]);
    commit.put(Table::Expiry, n.to_be_bytes(), "");
    if n > 20 {
        commit.delete(Table::Turn, (n - 20).to_be_bytes());
        commit.delete_range(Table::Expiry, (n - 20).to_be_bytes(), (n - 19).to_be_bytes());
    }
    commit
}

type Rows = BTreeMap<Table, Vec<Row>>;

fn rows(store: &dyn Store) -> Rows {
    let scan = |&table: &Table| {
        let rows = store.scan(table, Bound::Unbounded, Bound::Unbounded, Order::Ascending, usize::MAX).expect("scan");
        (table, rows)
    };
    Table::ALL.iter().map(scan).filter(|(_, rows)| !rows.is_empty()).collect()
}

/// What a store holds after the first `n` turns.
fn rows_after(n: u64) -> Rows {
    let model = MemoryStore::new();
    for n in 1..=n {
        model.commit(&[turn(n)]).expect("commits");
    }
    rows(&model)
}

fn small() -> Options {
    Options { segment_bytes: 64 << 10, checkpoint_bytes: 30_000, ..Options::default() }
}

/// A backup in memory that lets a commit happen after every few writes.
struct Slow<'a> {
    bytes: Vec<u8>,
    between: &'a mut dyn FnMut(),
}

impl Write for Slow<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.between)();
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn restored(bytes: &[u8], dir: &Path) -> (Head, Rows) {
    let file = dir.join("b");
    fs::write(&file, bytes).expect("written");
    let data = dir.join("data");
    let mut last = (0, 0);
    let (head, totals) = backup::restore(&file, &data, &mut |done, all| last = (done, all)).expect("restores");
    assert_eq!(last, (totals.rows, totals.rows));
    let mut names: Vec<_> = fs::read_dir(&data).expect("lists").map(|e| e.expect("entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["FORMAT", "index", "log"], "nothing else is left");
    let store = EmbeddedStore::open(&data, Options::default()).expect("opens");
    store.commit(&[turn(100_000)]).expect("and goes on");
    store.close().expect("closes");
    fs::remove_dir_all(&data).expect("removed");
    backup::restore(&file, &data, &mut |_, _| {}).expect("restores again");
    (head, rows(&EmbeddedStore::open(&data, Options::default()).expect("opens")))
}

#[test]
fn a_backup_under_load_is_the_store_of_one_moment() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = EmbeddedStore::open(dir.path().join("live"), small()).expect("opens");
    let done = AtomicU64::new(0);
    let stop = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1.. {
                store.commit(&[turn(n)]).expect("commits");
                done.store(n, Ordering::SeqCst);
                if stop.load(Ordering::SeqCst) != 0 {
                    return;
                }
            }
        });
        for round in 0..4 {
            while done.load(Ordering::SeqCst) < 300 * (round + 1) {
                std::thread::yield_now();
            }
            let before = done.load(Ordering::SeqCst);
            let mut bytes = Vec::new();
            store.backup(1, &mut bytes).expect("backs up");
            let dir = tempfile::tempdir().expect("a directory");
            let (head, found) = restored(&bytes, dir.path());
            assert!(head.position >= before, "{} was acknowledged, the backup ends at {}", before, head.position);
            assert_eq!(found, rows_after(head.position), "every commit up to its position and none after");
        }
        stop.store(1, Ordering::SeqCst);
    });
}

#[test]
fn commits_and_checkpoints_go_on_while_a_backup_is_read_slowly() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = EmbeddedStore::open(dir.path().join("live"), small()).expect("opens");
    let mut large = Commit::default();
    for n in 0..400_u64 {
        large.put(Table::Payload, n.to_be_bytes(), vec![n as u8; 4_000]);
    }
    store.commit(&[large]).expect("commits");
    for n in 1..=50 {
        store.commit(&[turn(n)]).expect("commits");
    }
    let mut n = 50;
    let mut between = || {
        for _ in 0..20 {
            n += 1;
            store.commit(&[turn(n)]).expect("commits");
        }
        let mut gone = Commit::default();
        gone.delete_range(Table::Payload, "", vec![255; 9]);
        store.commit(&[gone]).expect("commits");
        store.checkpoint().expect("checkpoints");
    };
    let mut slow = Slow { bytes: Vec::new(), between: &mut between };
    store.backup(1, &mut slow).expect("backs up");
    let bytes = slow.bytes;
    assert!(n > 300, "{n}: the backup was written in many pieces");
    let (head, mut found) = restored(&bytes, dir.path());
    assert_eq!(head.position, 51);
    assert_eq!(found.remove(&Table::Payload).expect("rows that were deleted meanwhile").len(), 400);
    assert_eq!(found, rows_after(50));
}

#[test]
fn a_store_that_ends_meanwhile_gives_no_backup() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = EmbeddedStore::open(dir.path().join("live"), small()).expect("opens");
    for n in 1..=50 {
        store.commit(&[turn(n)]).expect("commits");
    }
    let mut between = || store.close().expect("closes");
    let mut slow = Slow { bytes: Vec::new(), between: &mut between };
    let error = store.backup(1, &mut slow).expect_err("it is closed");
    assert_eq!(error.kind(), ErrorKind::Closed);
    let told = Reader::new(&slow.bytes[..]).and_then(Reader::verify).expect_err("it has no end");
    assert!(told.to_string().contains("was not finished: the store is closed"), "{told}");
    let error = MemoryStore::new().backup(1, &mut Vec::new()).expect_err("nothing to back up");
    assert!(error.to_string().contains("in memory"), "{error}");
}

#[test]
fn a_file_is_placed_whole_or_not_at_all() {
    let dir = tempfile::tempdir().expect("a directory");
    let target = dir.path().join("b");
    let names = || fs::read_dir(dir.path()).expect("lists").count();
    let store = MemoryStore::new();
    store.commit(&[turn(1)]).expect("commits");
    let head = Head { position: 1, at_ms: 2 };

    let mut cut = NewFile::create(&target).expect("begins");
    cut.write_all(b"SWBACKUP").expect("writes");
    let error = cut.place().expect_err("not a whole backup");
    assert!(error.to_string().contains("ends in the middle"), "{error}");
    assert_eq!(names(), 0, "nothing is left of it");

    let mut file = NewFile::create(&target).expect("begins");
    let totals = backup::write_quiet(&store, head, &mut file).expect("writes");
    assert!(!target.exists(), "it has its name only when it is whole");
    assert_eq!(file.place().expect("places"), (head, totals));
    assert_eq!(names(), 1);
    assert_eq!(totals.bytes, target.metadata().expect("there").len());

    let error = NewFile::create(&target).expect_err("exists");
    assert!(error.to_string().contains("is not overwritten"), "{error}");
    let mut late = NewFile::create(&dir.path().join("c")).expect("begins");
    backup::write_quiet(&store, head, &mut late).expect("writes");
    fs::write(dir.path().join("c"), "somebody else's").expect("written");
    late.place().expect_err("taken meanwhile");
    assert_eq!(fs::read(dir.path().join("c")).expect("reads"), b"somebody else's");
}

#[test]
fn a_restore_touches_nothing_but_an_empty_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut bytes = Vec::new();
    let store = MemoryStore::new();
    store.commit(&[turn(1)]).expect("commits");
    backup::write_quiet(&store, Head { position: 1, at_ms: 2 }, &mut bytes).expect("writes");
    let file = dir.path().join("b");
    fs::write(&file, &bytes).expect("written");

    let used = dir.path().join("used");
    fs::create_dir(&used).expect("created");
    fs::write(used.join("a"), "x").expect("written");
    let error = backup::restore(&file, &used, &mut |_, _| {}).expect_err("not empty");
    assert!(error.to_string().contains("is not empty (it holds \"a\")"), "{error}");
    assert_eq!(fs::read_dir(&used).expect("lists").count(), 1);

    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, &bytes).expect("written");
    let fresh = dir.path().join("fresh");
    backup::restore(&file, &fresh, &mut |_, _| {}).expect_err("damaged");
    assert!(!fresh.exists(), "verified before anything is written");
}

/// Every file below a directory, with its bytes.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("lists") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.display().to_string(), fs::read(&path).expect("reads"));
        }
    }
    found
}

#[test]
fn a_directory_is_inspected_as_it_would_be_opened_and_not_changed() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let open = EmbeddedStore::open(&data, small()).expect("opens");
    for n in 1..=400 {
        open.commit(&[turn(n)]).expect("commits");
    }
    assert_eq!(inspect::open(&data).map(drop).expect_err("in use").kind(), ErrorKind::Locked);
    drop(open);
    // The remains of a batch that was never synced.
    let segment = fs::read_dir(data.join("log")).expect("lists").map(|e| e.expect("entry").path()).max().expect("one");
    let mut bytes = fs::read(&segment).expect("reads");
    let last = bytes.len() - 9;
    bytes[last] = 1;
    fs::write(&segment, &bytes).expect("written");

    let before = files(&data);
    let inspected = inspect::open(&data).expect("opens");
    assert_eq!(rows(&inspected), rows_after(400));
    assert_eq!(inspected.last_commit(), 400);
    assert!(inspected.commit(&[turn(401)]).is_err());
    let log = inspect::summarize_log(&data).expect("reads");
    assert_eq!(log.range.expect("records").1, 400);
    assert_eq!(log.torn.expect("the remains").0, segment);
    let mut offline = Vec::new();
    backup::write_quiet(&inspected, Head { position: 400, at_ms: 1 }, &mut offline).expect("writes");
    drop(inspected);
    assert_eq!(files(&data), before, "nothing was changed");
    assert_eq!(restored(&offline, tempfile::tempdir().expect("a directory").path()).1, rows_after(400));
}

#[test]
fn a_directory_without_a_store_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let error = inspect::open(dir.path()).map(drop).expect_err("nothing there");
    assert!(error.to_string().contains("there is no data in"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).expect("lists").count(), 0);
}
