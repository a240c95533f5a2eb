//! The embedded store in a real directory: the lock, the format, the files.

use std::fs;
use std::ops::Bound;
use std::path::Path;

use stepwright_store::embedded::{EmbeddedStore, FORMAT, Options};
use stepwright_store::log::read_log;
use stepwright_store::{Commit, Error, ErrorKind, Order, Store, Table};

fn open(dir: &Path) -> Result<EmbeddedStore, Error> {
    EmbeddedStore::open(dir, Options::default())
}

fn put(store: &dyn Store, key: &str) {
    let mut commit = Commit::default();
    commit.put(Table::Head, key, "value");
    store.commit(&[commit]).expect("commits");
}

fn refusal(dir: &Path) -> Error {
    match open(dir) {
        Ok(_) => panic!("it should be refused"),
        Err(error) => error,
    }
}

#[test]
fn a_second_opening_is_refused_until_the_first_is_closed() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).expect("opens");
    let error = refusal(dir.path());
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains("in use by another process"), "{error}");
    put(&store, "a");
    store.close().expect("closes");
    let store = open(dir.path()).expect("a closed store can be opened");
    assert_eq!(store.get(Table::Head, b"a").expect("get"), Some(b"value".to_vec()));
}

#[test]
fn a_newer_format_is_refused_untouched() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).expect("opens");
    put(&store, "a");
    drop(store);
    let format = dir.path().join("FORMAT");
    let before = fs::read_to_string(&format).expect("FORMAT is there");
    let of_format = |number: u32| before.replace(&FORMAT.to_string(), &number.to_string());
    fs::write(&format, of_format(FORMAT + 1)).expect("written");
    let error = refusal(dir.path());
    assert_eq!(error.kind(), ErrorKind::NewerFormat);
    let told = format!("has format {}, and this version reads up to format {FORMAT}", FORMAT + 1);
    assert!(error.to_string().contains(&told), "{error}");
    fs::write(&format, of_format(FORMAT - 2)).expect("written");
    let error = refusal(dir.path());
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("make a backup with the version that wrote it"), "{error}");
    // The format before this one is read, and raised.
    fs::write(&format, of_format(FORMAT - 1)).expect("written");
    let store = open(dir.path()).expect("opens");
    assert!(store.get(Table::Head, b"a").expect("get").is_some());
    drop(store);
    assert_eq!(fs::read_to_string(&format).expect("FORMAT is there"), before);

    fs::write(&format, "something else").expect("written");
    assert_eq!(refusal(dir.path()).kind(), ErrorKind::Corrupt);
    fs::remove_file(&format).expect("removed");
    assert_eq!(refusal(dir.path()).kind(), ErrorKind::Corrupt);
}

/// Tables that lie in different trees of the index.
const SPREAD: [Table; 4] = [Table::Execution, Table::Turn, Table::List, Table::Timer];

fn put_everywhere(store: &EmbeddedStore, round: u32) {
    let mut commit = Commit::default();
    for table in SPREAD {
        commit.insert(table, format!("key{round}"), format!("value{round}"));
        commit.put(table, "changed", format!("value{round}"));
        if round > 0 {
            commit.delete(table, format!("key{}", round - 1));
        }
    }
    store.commit(&[commit]).expect("commits");
}

/// Everything in a folder, to put into another.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("created");
    for entry in fs::read_dir(from).expect("lists") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
    }
}

#[test]
fn a_checkpoint_that_reached_some_trees_only_is_repeated_from_the_log() {
    // The same store before and after its second checkpoint.
    let (before, after) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let options = Options { background: false, ..Options::default() };
    let store = EmbeddedStore::open(before.path(), options.clone()).expect("opens");
    put_everywhere(&store, 0);
    store.checkpoint().expect("a checkpoint");
    put_everywhere(&store, 1);
    drop(store);
    copy(before.path(), after.path());
    let store = EmbeddedStore::open(after.path(), options.clone()).expect("opens");
    store.checkpoint().expect("a checkpoint");
    drop(store);

    let trees: Vec<_> =
        fs::read_dir(after.path().join("index")).expect("lists").map(|e| e.expect("an entry")).collect();
    assert_eq!(trees.len(), SPREAD.len());
    for reached in trees.iter().map(fs::DirEntry::file_name).filter(|name| name != "rest") {
        let cut = tempfile::tempdir().expect("a directory");
        copy(before.path(), cut.path());
        let tree = cut.path().join("index").join(&reached);
        fs::remove_dir_all(&tree).expect("removed");
        copy(&after.path().join("index").join(&reached), &tree);
        for round in 2..4 {
            let store = EmbeddedStore::open(cut.path(), options.clone()).expect("opens");
            for table in SPREAD {
                let rows = store.scan(table, Bound::Unbounded, Bound::Unbounded, Order::Ascending, 9).expect("a scan");
                let value = format!("value{}", round - 1);
                let expected = [("changed".to_owned(), value.clone()), (format!("key{}", round - 1), value)];
                assert_eq!(rows, expected.map(|(key, value)| (key.into_bytes(), value.into_bytes())), "{reached:?}");
            }
            put_everywhere(&store, round);
            store.checkpoint().expect("a checkpoint");
        }
    }
}

#[test]
fn what_came_and_went_between_two_checkpoints_leaves_nothing_in_the_index() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options { background: false, ..Options::default() };
    let store = EmbeddedStore::open(dir.path(), options).expect("opens");
    let mut commit = Commit::default();
    commit.put(Table::Head, "old", "value");
    store.commit(&[commit]).expect("commits");
    store.checkpoint().expect("a checkpoint");
    let before = store.stats().index_rows;
    let mut come = Commit::default();
    come.insert(Table::Head, "short", "value");
    come.put(Table::Head, "short", "another value");
    let mut go = Commit::default();
    go.delete(Table::Head, "short");
    go.delete(Table::Head, "old");
    go.insert(Table::Head, "old", "value");
    go.delete(Table::Head, "old");
    store.commit(&[come, go]).expect("commits");
    store.checkpoint().expect("a checkpoint");
    assert_eq!(store.stats().index_rows - before, 1, "that the old row is gone");
    assert_eq!(store.get(Table::Head, b"old").expect("a get"), None);
}

#[test]
fn a_missing_folder_of_the_index_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).expect("opens");
    put_everywhere(&store, 0);
    store.checkpoint().expect("a checkpoint");
    drop(store);
    fs::remove_dir_all(dir.path().join("index").join("turn")).expect("removed");
    let error = refusal(dir.path());
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("index/turn"), "{error}");
}

#[test]
fn a_flipped_byte_names_file_and_offset() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).expect("opens");
    for key in ["a", "b", "c"] {
        put(&store, key);
    }
    drop(store);
    let segment = dir.path().join("log/0000000000000001.log");
    let mut bytes = fs::read(&segment).expect("read");
    bytes[32 + 25] ^= 1;
    fs::write(&segment, &bytes).expect("written");
    let error = refusal(dir.path());
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let text = error.to_string();
    assert!(text.contains("0000000000000001.log is damaged at byte 32"), "{text}");
    let inspected: Vec<_> = read_log(dir.path()).expect("there is a log").collect();
    assert_eq!(inspected.len(), 1, "{inspected:?}");
    assert!(matches!(inspected[0], Err(Error::Corrupt { offset: 32, .. })));
}

#[test]
fn the_log_can_be_inspected() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).expect("opens");
    for key in ["a", "b", "c"] {
        put(&store, key);
    }
    drop(store);
    let mut log = read_log(dir.path()).expect("there is a log");
    let records: Vec<_> = log.by_ref().map(|r| r.expect("intact")).collect();
    assert_eq!(records.iter().map(|r| r.sequence).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(records[1].offset, records[0].offset + records[0].bytes);
    assert_eq!(records[2].durable, 2);
    assert_eq!(records[0].commit.mutations().count(), 1);
    assert_eq!(log.torn_tail(), None);

    let segment = dir.path().join("log/0000000000000001.log");
    let mut bytes = fs::read(&segment).expect("read");
    bytes[records[2].offset as usize + 21] ^= 1;
    fs::write(&segment, &bytes).expect("written");
    let mut log = read_log(dir.path()).expect("there is a log");
    assert_eq!(log.by_ref().filter(Result::is_ok).count(), 2);
    assert_eq!(log.torn_tail(), Some((&*segment, records[2].offset)));
}
