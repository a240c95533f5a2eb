//! The embedded store on a disk that fails, forgets, fills up, and is damaged.

mod support;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use stepwright_store::embedded::{Durability, EmbeddedStore, Options};
use stepwright_store::{Commit, Error, ErrorKind, Order, Row, Store, Table};
use support::{Call, Failure, FaultDisk, FaultIndex, Random};

const TABLE: Table = Table::Head;

fn options() -> Options {
    Options { segment_bytes: 4096, checkpoint_bytes: 6000, background: false, ..Options::default() }
}

fn open_as(index: &FaultIndex, options: Options) -> Result<EmbeddedStore, Error> {
    let disk = Arc::new(index.disk.clone());
    EmbeddedStore::open_with(disk, Path::new("data"), options, |_| Ok(Box::new(index.clone())))
}

fn open(index: &FaultIndex) -> Result<EmbeddedStore, Error> {
    open_as(index, options())
}

fn new_index() -> FaultIndex {
    FaultIndex { disk: FaultDisk::default(), rows: Arc::default() }
}

fn all(store: &dyn Store) -> Vec<Row> {
    store.scan(TABLE, Bound::Unbounded, Bound::Unbounded, Order::Ascending, usize::MAX).expect("reads go on")
}

/// The `n`-th commit: sets a counter, adds a row, takes an older one away.
fn turn(n: u64) -> Commit {
    let mut commit = Commit::default();
    commit.put(TABLE, "counter", n.to_be_bytes());
    let size = 20 + (n * 37) % 300;
    commit.put(TABLE, format!("row {n:08}"), vec![n as u8; size as usize]);
    if n.is_multiple_of(3) {
        commit.delete(TABLE, format!("row {:08}", n / 2));
    }
    if n.is_multiple_of(11) {
        let (from, to) = (n / 4, n / 4 + 3);
        commit.delete_range(TABLE, format!("row {from:08}"), format!("row {to:08}"));
    }
    commit
}

/// What a store holds after the first `n` commits.
fn rows_after(n: u64) -> Vec<Row> {
    let mut rows: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for n in 1..=n {
        rows.insert("counter".to_owned(), n.to_be_bytes().to_vec());
        let size = 20 + (n * 37) % 300;
        rows.insert(format!("row {n:08}"), vec![n as u8; size as usize]);
        if n.is_multiple_of(3) {
            rows.remove(&format!("row {:08}", n / 2));
        }
        if n.is_multiple_of(11) {
            for gone in n / 4..n / 4 + 3 {
                rows.remove(&format!("row {gone:08}"));
            }
        }
    }
    rows.into_iter().map(|(k, v)| (k.into_bytes(), v)).collect()
}

fn counter(store: &dyn Store) -> u64 {
    let value = store.get(TABLE, b"counter").expect("reads go on");
    value.map_or(0, |v| u64::from_be_bytes(v[..].try_into().expect("eight bytes")))
}

/// A store must hold exactly the first commits, at least the acknowledged and at most the tried.
fn check_prefix(store: &dyn Store, acknowledged: u64, tried: u64, what: &str) -> u64 {
    let n = counter(store);
    assert!(n >= acknowledged, "{what}: acknowledged {acknowledged}, found {n}");
    assert!(n <= tried, "{what}: tried {tried}, found {n}");
    assert_eq!(all(store), rows_after(n), "{what}");
    n
}

/// Commits in batches of varying size until `target`; returns what was acknowledged and tried.
fn drive(store: &dyn Store, mut done: u64, target: u64) -> (u64, u64, Option<Error>) {
    while done < target {
        let size = 1 + done % 5;
        let batch: Vec<Commit> = (done + 1..=done + size).map(turn).collect();
        match store.commit(&batch) {
            Ok(()) => done += size,
            Err(error) => return (done, done + size, Some(error)),
        }
    }
    (done, done, None)
}

/// A store in use: batches, and between them reads of old and new rows.
struct Life {
    acknowledged: u64,
    tried: u64,
}

/// Runs a store whose `n`-th call fails; then whatever is wrong is mended. Checks on the way that every error is of
/// the kind that tells the truth, that what was refused can be done again, and that reads go on.
fn live(index: &FaultIndex, failure: Failure, what: &str) -> Life {
    const TARGET: u64 = 70;
    let mut life = Life { acknowledged: 0, tried: 0 };
    // Nothing that fails looks like damage.
    let harmless = [ErrorKind::Io, ErrorKind::Failed, ErrorKind::Full];
    let store = match open(index) {
        Ok(store) => store,
        Err(error) => {
            assert!(harmless.contains(&error.kind()), "{what}: {error}");
            index.disk.mend();
            return life;
        }
    };
    while life.acknowledged < TARGET {
        let size = 1 + life.acknowledged % 5;
        let batch: Vec<Commit> = (life.acknowledged + 1..=life.acknowledged + size).map(turn).collect();
        life.tried = life.acknowledged + size;
        if let Err(error) = store.commit(&batch) {
            assert!(harmless.contains(&error.kind()), "{what}: {error}");
            let failed = index.disk.failed().unwrap_or_else(|| panic!("{what}: an error without a failure: {error}"));
            index.disk.mend();
            assert_eq!(counter(&store), life.acknowledged, "{what}: reads go on and show what was acknowledged");
            assert_eq!(all(&store), rows_after(life.acknowledged), "{what}");
            if error.kind() != ErrorKind::Full {
                // Of a batch that was begun nobody knows the outcome: that stays so.
                let again = store.commit(&batch).expect_err("poisoned");
                assert_eq!(again.kind(), error.kind(), "{what}");
                return life;
            }
            assert_eq!(failure, Failure::Full, "{what}: there is room, and it says {error}");
            let batch_began = matches!(failed.call, Call::Write | Call::Sync)
                && failed.file.as_ref().is_some_and(|name| name.ends_with(".log"));
            assert!(!batch_began, "{what}: nothing was changed, it says, and {failed:?}");
            store.commit(&batch).unwrap_or_else(|error| panic!("{what}: there is room again: {error}"));
        }
        life.acknowledged += size;
        for read in [store.get(TABLE, b"row 00000002").map(drop), scan(&store, 3).map(drop)] {
            if let Err(error) = read {
                assert_eq!(error.kind(), ErrorKind::Io, "{what}: {error}");
                index.disk.mend();
            }
        }
    }
    if let Err(error) = store.close() {
        assert!(harmless.contains(&error.kind()), "{what}: {error}");
    }
    life
}

fn scan(store: &dyn Store, limit: usize) -> Result<Vec<Row>, Error> {
    store.scan(TABLE, Bound::Unbounded, Bound::Unbounded, Order::Ascending, limit)
}

/// A store that is opened after a fault holds what was acknowledged, nothing by half, and is a whole one again.
fn check_after(index: &FaultIndex, life: &Life, what: &str) {
    let store = open(index).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = check_prefix(&store, life.acknowledged, life.tried, what);
    let (done, _, error) = drive(&store, found, found + 15);
    assert!(error.is_none(), "{what}: {error:?}");
    store.close().unwrap_or_else(|error| panic!("{what}: {error}"));
    drop(store);
    check_prefix(&open(index).expect("it was closed"), done, done, what);
}

/// Every call in the life of a store fails in turn: once or from then on, broken or for want of room. After each the
/// process is killed, and in another world the power goes.
#[test]
fn the_nth_call_fails() {
    let styles = [(Failure::Broken, true), (Failure::Broken, false), (Failure::Full, true), (Failure::Full, false)];
    let mut failed: BTreeMap<Call, u64> = BTreeMap::new();
    for (failure, forever) in styles {
        for n in 1_u64.. {
            let mut random = Random(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            let index = new_index();
            index.disk.fail_any_at(n, forever, failure);
            let what = format!("call {n}, {failure:?}, forever {forever}");
            let life = live(&index, failure, &what);
            let Some(found) = index.disk.failed() else {
                assert!(n > 200, "the loop met {n} calls only");
                break;
            };
            *failed.entry(found.call).or_default() += 1;
            let what = format!("{what}, {found:?}");
            let killed = index.fork();
            killed.disk.kill();
            check_after(&killed, &life, &format!("{what}, killed"));
            index.disk.crash(&mut random);
            check_after(&index, &life, &format!("{what}, power cut"));
        }
    }
    use Call::{
        Create, CreateDir, IndexApply, IndexGet, IndexMaintain, IndexPosition, IndexRow, IndexScan, List, Lock, Open,
        Remove, Rename, Reserve, Sync, SyncDir, Write,
    };
    for call in [
        Create,
        CreateDir,
        IndexApply,
        IndexGet,
        IndexMaintain,
        IndexPosition,
        IndexRow,
        IndexScan,
        List,
        Lock,
        Open,
        Remove,
        Rename,
        Reserve,
        Sync,
        SyncDir,
        Write,
    ] {
        assert!(failed.contains_key(&call), "{call:?} never failed: {failed:?}");
    }
}

/// Every call of a recovery fails in turn, of a log that has several segments and a torn tail. The next opening finds
/// all of it.
#[test]
fn the_nth_call_of_a_recovery_fails() {
    let torn = new_index();
    let store = open_as(&torn, Options { checkpoint_bytes: 1 << 20, ..options() }).expect("opens");
    let (done, ..) = drive(&store, 0, 60);
    drop(store);
    let last = torn.disk.log_files().into_iter().rev();
    let with_records = |path: &std::path::PathBuf| {
        let mut any = false;
        torn.disk.edit(path, |bytes| any = bytes[32..].iter().any(|&byte| byte != 0));
        any
    };
    let active = last.into_iter().find(with_records).expect("records");
    torn.disk.edit(&active, |bytes| {
        let end = bytes.iter().rposition(|&byte| byte != 0).expect("records");
        bytes[end + 40..end + 60].fill(7);
    });
    torn.disk.kill();
    let mut failed: BTreeMap<Call, u64> = BTreeMap::new();
    for forever in [true, false] {
        for failure in [Failure::Broken, Failure::Full] {
            for n in 1_u64.. {
                let index = torn.fork();
                index.disk.fail_any_at(n, forever, failure);
                let what = format!("call {n}, {failure:?}, forever {forever}");
                let opened = open(&index);
                let found = index.disk.failed();
                index.disk.mend();
                let Some(found) = found else {
                    check_prefix(&opened.expect("nothing failed"), done, done, &what);
                    break;
                };
                *failed.entry(found.call).or_default() += 1;
                if let Err(error) = opened {
                    let kinds = [ErrorKind::Io, ErrorKind::Failed, ErrorKind::Full];
                    assert!(kinds.contains(&error.kind()), "{what}, {found:?}: {error}");
                }
                let life = Life { acknowledged: done, tried: done };
                let killed = index.fork();
                killed.disk.kill();
                check_after(&killed, &life, &format!("{what}, {found:?}, killed"));
                index.disk.crash(&mut Random(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1));
                check_after(&index, &life, &format!("{what}, {found:?}, power cut"));
            }
        }
    }
    for call in [Call::Read, Call::Truncate, Call::Open, Call::Sync] {
        assert!(failed.contains_key(&call), "{call:?} never failed: {failed:?}");
    }
}

/// The power goes again and again, between and within calls.
#[test]
fn power_cuts() {
    for durability in [Durability::Durable, Durability::Relaxed] {
        for seed in 1..=40_u64 {
            let mut random = Random(seed.wrapping_mul(0xff51_afd7_ed55_8ccd) | 1);
            let index = new_index();
            let (mut acknowledged, mut tried) = (0, 0);
            for life in 0..12 {
                let what = format!("{durability:?} seed {seed} life {life}");
                let options = Options { durability, ..options() };
                index.disk.fail_at(1 + random.below(120), true);
                if let Ok(store) = open_as(&index, options) {
                    let found = counter(&store);
                    // Relaxed: a power cut may take acknowledged commits, but only whole ones
                    // and only the last.
                    if durability == Durability::Durable {
                        assert!(found >= acknowledged, "{what}");
                    }
                    assert!(found <= tried, "{what}");
                    assert_eq!(all(&store), rows_after(found), "{what}");
                    let (a, t, _) = drive(&store, found, found + 60);
                    (acknowledged, tried) = (a, t.max(tried));
                }
                index.disk.crash(&mut random);
            }
            let store = open(&index).unwrap_or_else(|e| panic!("{durability:?} {seed}: {e}"));
            assert_eq!(all(&store), rows_after(counter(&store)));
        }
    }
}

/// A store with some commits in one segment after a checkpoint; returns where batches begin.
fn written(index: &FaultIndex, batches: &[u64]) -> Vec<usize> {
    let store =
        open_as(index, Options { segment_bytes: 64 << 10, checkpoint_bytes: 1 << 20, ..options() }).expect("opens");
    let mut done = 0;
    let mut starts = Vec::new();
    for size in batches {
        starts.push(32 + store.stats().log_bytes as usize);
        let batch: Vec<Commit> = (done + 1..=done + size).map(turn).collect();
        store.commit(&batch).expect("commits");
        done += size;
    }
    starts.push(32 + store.stats().log_bytes as usize);
    starts
}

#[test]
fn a_torn_tail_is_cut_whatever_is_left_of_it() {
    // The last batch, of four records, is damaged in any of its bytes, or ends anywhere.
    let probe = new_index();
    let starts = written(&probe, &[3, 2, 4]);
    for at in starts[2]..starts[3] {
        for damage in ["flip", "zero the rest", "zero the sector"] {
            let index = new_index();
            written(&index, &[3, 2, 4]);
            let file = index.disk.log_files().remove(0);
            index.disk.edit(&file, |bytes| match damage {
                "flip" => bytes[at] ^= 0x10,
                "zero the rest" => bytes[at..starts[3]].fill(0),
                _ => bytes[at..(at + 64).min(starts[3])].fill(0),
            });
            let what = format!("{damage} at {at}");
            let store = open(&index).unwrap_or_else(|e| panic!("{what}: {e}"));
            let found = check_prefix(&store, 5, 9, &what);
            // What was cut must not come back under new numbers.
            let (a, _, error) = drive(&store, found, found + 9);
            assert!(error.is_none(), "{what}: {error:?}");
            drop(store);
            check_prefix(&open(&index).expect("opens"), a, a, &what);
        }
    }
}

fn refused(index: &FaultIndex, what: &str) -> (String, u64) {
    match open(index) {
        Ok(_) => panic!("{what}: damage was not noticed"),
        Err(Error::Corrupt { file, offset, .. }) => {
            let name = file.file_name().expect("a file").to_string_lossy();
            (name.into_owned(), offset)
        }
        Err(error) => panic!("{what}: {error}"),
    }
}

#[test]
fn a_flipped_byte_before_the_last_batch_is_refused() {
    let probe = new_index();
    let starts = written(&probe, &[3, 2, 4]);
    for at in 0..starts[2] {
        let index = new_index();
        written(&index, &[3, 2, 4]);
        let file = index.disk.log_files().remove(0);
        index.disk.edit(&file, |bytes| bytes[at] ^= 0x10);
        let (name, offset) = refused(&index, &format!("flip at {at}"));
        assert_eq!(name, "0000000000000001.log");
        assert!(offset as usize <= at, "{offset} is behind the damage at {at}");
        // Refusing changes nothing: with the byte put back, all is there.
        index.disk.edit(&file, |bytes| bytes[at] ^= 0x10);
        check_prefix(&open(&index).expect("repaired"), 9, 9, "repaired");
    }
}

#[test]
fn zeroed_sectors_and_missing_segments_are_refused() {
    let fill = |index: &FaultIndex| {
        let store = open_as(index, Options { checkpoint_bytes: 1 << 20, ..options() }).expect("opens");
        let (done, ..) = drive(&store, 0, 100);
        done
    };
    let index = new_index();
    fill(&index);
    let files = index.disk.log_files();
    assert!(files.len() >= 5, "{files:?}");

    // The end of a segment that is not the last.
    index.disk.edit(&files[1], |bytes| {
        let end = bytes.iter().rposition(|&b| b != 0).expect("records");
        bytes[end - 200..].fill(0);
    });
    let (name, _) = refused(&index, "zeroed end");
    assert_eq!(files[1].file_name().expect("name").to_string_lossy(), name);

    // A segment that is gone, at the start and in the middle.
    for gone in [0, 2] {
        let index = new_index();
        fill(&index);
        let file = &index.disk.log_files()[gone];
        use stepwright_store::disk::Disk;
        index.disk.remove(file).expect("removed");
        let (name, _) = refused(&index, "missing segment");
        assert_eq!(file.file_name().expect("name").to_string_lossy(), name);
    }
}

#[test]
fn damage_after_a_clean_close_is_refused_even_in_the_last_batch() {
    let index = new_index();
    let starts = written(&index, &[3, 2, 4]);
    open(&index).expect("opens").close().expect("closes");
    let file = index.disk.log_files().remove(0);
    index.disk.edit(&file, |bytes| bytes[starts[2] + 30] ^= 1);
    refused(&index, "closed");
}

#[test]
fn a_full_disk_refuses_commits_and_comes_back() {
    let index = new_index();
    let store = open(&index).expect("opens");
    let (done, ..) = drive(&store, 0, 20);
    index.disk.set_full(true);
    let (done, _, error) = drive(&store, done, 1000);
    let error = error.expect("the reserved space ends");
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    assert!(store.stats().space_short);
    // Nothing changed, reads go on, and it stays so.
    for _ in 0..3 {
        check_prefix(&store, done, done, "full");
        let again = store.commit(&[turn(done + 1)]).expect_err("still full");
        assert_eq!(again.kind(), ErrorKind::Full);
    }
    index.disk.set_full(false);
    let (done, _, error) = drive(&store, done, done + 200);
    assert!(error.is_none(), "{error:?}");
    assert!(!store.stats().space_short);
    check_prefix(&store, done, done, "room again");
    // Also when the process dies while the disk is full.
    index.disk.set_full(true);
    let (done, _, _) = drive(&store, done, done + 1000);
    drop(store);
    index.disk.crash(&mut Random(7));
    index.disk.set_full(false);
    check_prefix(&open(&index).expect("opens"), done, done, "after the crash");
}

#[test]
fn a_batch_larger_than_a_segment_is_taken() {
    let index = new_index();
    let store = open(&index).expect("opens");
    let batch: Vec<Commit> = (1..=60).map(turn).collect();
    store.commit(&batch).expect("commits");
    let (done, ..) = drive(&store, 60, 90);
    drop(store);
    index.disk.crash(&mut Random(3));
    check_prefix(&open(&index).expect("opens"), done, done, "large batch");
}

/// A process dies between the write and the sync; the next one reads the records from the
/// operating system's memory and may answer from them. They must be durable by then.
#[test]
fn what_was_read_after_a_kill_survives_a_power_cut() {
    let mut read_more = 0;
    for n in 1..200 {
        let index = new_index();
        index.disk.fail_at(n, true);
        let mut acknowledged = 0;
        if let Ok(store) = open(&index) {
            (acknowledged, ..) = drive(&store, 0, 60);
        }
        index.disk.fail_at(0, false);
        let store = open(&index).expect("the disk works again");
        let read = counter(&store);
        read_more += u64::from(read > acknowledged);
        drop(store);
        // Loses all that was not synced.
        index.disk.lose_unsynced();
        check_prefix(&open(&index).expect("opens"), read, read, &format!("call {n}"));
    }
    assert!(read_more > 3, "no kill fell between a write and its sync");
}
