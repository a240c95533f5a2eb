//! The embedded store on a disk that fails, forgets, fills up, and is damaged.

mod support;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use stepwright_store::embedded::{Durability, EmbeddedStore, Options};
use stepwright_store::{Commit, Error, ErrorKind, Order, Row, Store, Table};
use support::{Call, FaultDisk, FaultIndex, Random};

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

/// Every call in the life of a store fails in turn, once with the process dying at it and once
/// with it living on; then the power goes.
#[test]
fn the_nth_call_fails() {
    let mut kinds = Vec::new();
    for dead in [true, false] {
        for n in 1_u64.. {
            let mut random = Random(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            let index = new_index();
            let what = format!("call {n}, dead {dead}");
            index.disk.fail_at(n, dead);
            let (mut acknowledged, mut tried) = (0, 0);
            if let Ok(store) = open(&index) {
                let (a, t, error) = drive(&store, 0, 120);
                (acknowledged, tried) = (a, t);
                if let Some(error) = error {
                    // Fatal errors stay; reads go on and show what was acknowledged.
                    assert_ne!(error.kind(), ErrorKind::Full, "{what}: {error}");
                    let again = store.commit(&[turn(t + 1)]).expect_err("poisoned");
                    assert_eq!(again.kind(), error.kind(), "{what}");
                    assert_eq!(counter(&store), acknowledged, "{what}");
                } else {
                    let _ = store.close();
                }
            }
            let failed = index.disk.failed();
            if let Some(call) = failed
                && !kinds.contains(&call)
            {
                kinds.push(call);
            }
            index.disk.crash(&mut random);
            let store = open(&index).unwrap_or_else(|e| panic!("{what}: {e}"));
            let found = check_prefix(&store, acknowledged, tried, &what);
            // And the store is a whole one again.
            let (a, _, error) = drive(&store, found, found + 40);
            assert!(error.is_none(), "{what}: {error:?}");
            store.close().unwrap_or_else(|e| panic!("{what}: {e}"));
            drop(store);
            check_prefix(&open(&index).expect("it was closed"), a, a, &what);
            if failed.is_none() {
                assert!(n > 100, "the loop met {n} calls only");
                break;
            }
        }
    }
    for call in [Call::Write, Call::Sync, Call::Reserve, Call::Rename, Call::Remove, Call::SyncDir, Call::IndexApply] {
        assert!(kinds.contains(&call), "{call:?} never failed: {kinds:?}");
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
