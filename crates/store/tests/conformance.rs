//! The suite on every back end, with checkpoints rare, frequent and constant.

use std::rc::Rc;

use stepwright_store::Store;
use stepwright_store::embedded::{Durability, EmbeddedStore, Options};
use stepwright_store::memory::MemoryStore;
use stepwright_store::suite::{self, Subject};

fn embedded(options: &Options) {
    suite::run(|| {
        let dir = Rc::new(tempfile::tempdir().expect("a temporary directory"));
        let options = options.clone();
        Subject {
            open: Box::new(move || {
                let store = EmbeddedStore::open(dir.path().join("data"), options.clone());
                Box::new(store.expect("the store opens")) as Box<dyn Store>
            }),
            persistent: true,
        }
    });
}

fn small(checkpoint_bytes: u64) -> Options {
    Options { segment_bytes: 64 << 10, checkpoint_bytes, ..Options::default() }
}

#[test]
fn memory() {
    suite::run(|| Subject { open: Box::new(|| Box::new(MemoryStore::new())), persistent: false });
}

#[test]
fn embedded_defaults() {
    embedded(&Options::default());
}

#[test]
fn embedded_with_frequent_checkpoints_in_the_background() {
    embedded(&small(20_000));
}

#[test]
fn embedded_with_a_checkpoint_after_every_commit() {
    embedded(&Options { background: false, ..small(1) });
}

#[test]
fn embedded_relaxed() {
    embedded(&Options { durability: Durability::Relaxed, ..small(100_000) });
}
