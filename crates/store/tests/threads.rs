//! The store's own threads: one that panics ends this opening of the store, it does not leave it half alive.

use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stepwright_store::disk::RealDisk;
use stepwright_store::embedded::{EmbeddedStore, Options};
use stepwright_store::index::{Change, Index, Rows};
use stepwright_store::{Commit, Error, ErrorKind, Order, Store, Table};

/// An empty index that breaks at the first checkpoint.
struct Broken;

impl Index for Broken {
    fn position(&self) -> Result<u64, Error> {
        Ok(0)
    }

    fn apply(&self, _: &mut dyn Iterator<Item = Result<Change<'_>, Error>>, _: u64) -> Result<(), Error> {
        panic!("as told")
    }

    fn get(&self, _: Table, _: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(None)
    }

    fn scan(&self, _: Table, _: Bound<&[u8]>, _: Bound<&[u8]>, _: Order) -> Result<Rows<'_>, Error> {
        Ok(Box::new(std::iter::empty()))
    }
}

#[test]
fn a_checkpoint_that_panics_ends_the_store_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options { checkpoint_bytes: 4_096, ..Options::default() };
    let store = EmbeddedStore::open_with(Arc::new(RealDisk), dir.path(), options, |_| Ok(Box::new(Broken)));
    let store = store.expect("opens");
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut committed = 0_u32;
    let error = loop {
        let mut commit = Commit::default();
        commit.put(Table::Head, committed.to_be_bytes(), vec![0; 512]);
        match store.commit(&[commit]) {
            Ok(()) => committed += 1,
            Err(error) => break error,
        }
        assert!(Instant::now() < deadline, "commits go on although nothing releases the log any more");
    };
    assert_eq!(error.kind(), ErrorKind::Failed, "{error}");
    assert!(error.to_string().contains("panicked"), "{error}");
    drop(store);
    let store = EmbeddedStore::open(dir.path(), Options::default()).expect("opens again");
    for key in 0..committed {
        assert!(store.get(Table::Head, &key.to_be_bytes()).expect("get").is_some(), "{key}");
    }
}
