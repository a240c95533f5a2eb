//! The conformance suite: what every back end must do, told in calls of [`Store`] only.
//!
//! A back end's tests call [`run`] with a way to make a [`Subject`]. The suite must never know
//! which back end it runs on.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::{Commit, ErrorKind, MAX_KEY_BYTES, MAX_VALUE_BYTES, Mutation, Order, Row, Store, Table};

/// A place where a store lives.
pub struct Subject {
    /// Opens the store in this place; the first time, an empty one. The suite closes or drops a
    /// store before it opens the next.
    pub open: Box<dyn Fn() -> Box<dyn Store>>,
    /// Whether an opened store holds what the one before it held.
    pub persistent: bool,
}

/// Runs everything, each test on a subject of its own.
///
/// # Panics
/// When the back end is wrong.
pub fn run(make: impl Fn() -> Subject) {
    basics(&make());
    bounds_and_order(&make());
    later_mutations_win(&make());
    delete_range(&make());
    limits(&make());
    closing(&make());
    reopening(&make());
    readers_see_whole_commits(&make());
    for seed in 1..=4 {
        model(&make(), seed);
    }
}

fn commit(store: &dyn Store, build: impl FnOnce(&mut Commit)) {
    let mut commit = Commit::default();
    build(&mut commit);
    store.commit(&[commit]).expect("a plain commit succeeds");
}

fn all(store: &dyn Store, table: Table) -> Vec<Row> {
    store.scan(table, Bound::Unbounded, Bound::Unbounded, Order::Ascending, usize::MAX).expect("a scan succeeds")
}

fn keys(rows: Vec<Row>) -> Vec<String> {
    rows.into_iter().map(|(key, _)| String::from_utf8(key).expect("the suite's keys are text")).collect()
}

fn basics(subject: &Subject) {
    let store = (subject.open)();
    assert_eq!(store.get(Table::Machine, b"a").expect("get"), None);
    assert_eq!(all(&*store, Table::Machine), []);
    commit(&*store, |c| {
        c.put(Table::Machine, "a", "1");
        c.put(Table::Revision, "a", "2");
        c.put(Table::Machine, "", "empty key");
        c.put(Table::Machine, "b", "");
    });
    let get = |table, key: &str| store.get(table, key.as_bytes()).expect("get");
    assert_eq!(get(Table::Machine, "a"), Some(b"1".to_vec()));
    assert_eq!(get(Table::Revision, "a"), Some(b"2".to_vec()));
    assert_eq!(get(Table::Machine, ""), Some(b"empty key".to_vec()));
    assert_eq!(get(Table::Machine, "b"), Some(Vec::new()));
    assert_eq!(get(Table::Activity, "a"), None, "tables are apart");
    commit(&*store, |c| {
        c.put(Table::Machine, "a", "3");
        c.delete(Table::Revision, "a");
        c.delete(Table::Revision, "never there");
    });
    assert_eq!(get(Table::Machine, "a"), Some(b"3".to_vec()));
    assert_eq!(get(Table::Revision, "a"), None);
    store.commit(&[]).expect("an empty batch is fine");
    store.commit(&[Commit::default()]).expect("an empty commit is fine");
}

fn bounds_and_order(subject: &Subject) {
    let store = (subject.open)();
    commit(&*store, |c| {
        for key in ["a", "b", "ba", "c", "d"] {
            c.put(Table::List, key, key);
        }
        c.put(Table::Name, "b", "another table");
        c.put(Table::Timer, "b", "another table");
    });
    let check = |from: Bound<&str>, to: Bound<&str>, limit, up: &[&str]| {
        let scan = |order| {
            let rows =
                store.scan(Table::List, from.map(str::as_bytes), to.map(str::as_bytes), order, limit).expect("scan");
            keys(rows)
        };
        assert_eq!(scan(Order::Ascending), up, "{from:?} {to:?} {limit}");
        if limit > 5 {
            let down: Vec<&str> = up.iter().rev().copied().collect();
            assert_eq!(scan(Order::Descending), down, "{from:?} {to:?}");
        }
    };
    use Bound::{Excluded, Included, Unbounded};
    check(Unbounded, Unbounded, 9, &["a", "b", "ba", "c", "d"]);
    check(Unbounded, Unbounded, 2, &["a", "b"]);
    check(Unbounded, Unbounded, 0, &[]);
    check(Included("b"), Included("c"), 9, &["b", "ba", "c"]);
    check(Included("b"), Excluded("c"), 9, &["b", "ba"]);
    check(Excluded("b"), Included("c"), 9, &["ba", "c"]);
    check(Excluded("b"), Excluded("ba"), 9, &[]);
    check(Included("b"), Included("b"), 9, &["b"]);
    check(Excluded("b"), Excluded("b"), 9, &[]);
    check(Excluded("b"), Included("b"), 9, &[]);
    check(Included("d"), Included("a"), 9, &[]);
    check(Excluded("d"), Unbounded, 9, &[]);
    check(Unbounded, Excluded("b"), 9, &["a"]);
    let newest = store.scan(Table::List, Unbounded, Unbounded, Order::Descending, 2).expect("scan");
    assert_eq!(keys(newest), ["d", "c"]);
}

fn later_mutations_win(subject: &Subject) {
    let store = (subject.open)();
    commit(&*store, |c| {
        c.put(Table::Head, "a", "old");
        c.put(Table::Head, "a", "new");
        c.put(Table::Head, "b", "x");
        c.delete(Table::Head, "b");
        c.delete(Table::Head, "c");
        c.put(Table::Head, "c", "kept");
        c.put(Table::Head, "d", "x");
        c.delete_range(Table::Head, "d", "e");
        c.delete_range(Table::Head, "e", "f");
        c.put(Table::Head, "e", "kept");
    });
    let expect = [("a", "new"), ("c", "kept"), ("e", "kept")];
    let expect: Vec<Row> = expect.map(|(k, v)| (k.into(), v.into())).into();
    assert_eq!(all(&*store, Table::Head), expect);

    // And over the commits of one batch.
    let mut first = Commit::default();
    first.put(Table::Head, "a", "first");
    first.put(Table::Head, "z", "first");
    let mut second = Commit::default();
    second.put(Table::Head, "a", "second");
    second.delete(Table::Head, "z");
    store.commit(&[first, second]).expect("commit");
    assert_eq!(store.get(Table::Head, b"a").expect("get"), Some(b"second".to_vec()));
    assert_eq!(store.get(Table::Head, b"z").expect("get"), None);
}

fn delete_range(subject: &Subject) {
    let store = (subject.open)();
    let fill = |store: &dyn Store| {
        commit(store, |c| {
            for table in [Table::Turn, Table::Payload] {
                for key in ["a", "b1", "b2", "c", "d"] {
                    c.put(table, key, "x");
                }
            }
        });
    };
    fill(&*store);
    // The suite cannot ask for a checkpoint, but a clean close may write one.
    let store = next(subject, store);
    if !subject.persistent {
        fill(&*store);
    }
    commit(&*store, |c| {
        c.put(Table::Turn, "b3", "in memory");
        c.delete_range(Table::Turn, "b", "c");
        c.put(Table::Turn, "b2", "again");
        c.delete_range(Table::Payload, "c", "c");
        c.delete_range(Table::Payload, "d", "a");
    });
    let check = |store: &dyn Store| {
        assert_eq!(keys(all(store, Table::Turn)), ["a", "b2", "c", "d"]);
        assert_eq!(
            keys(all(store, Table::Payload)),
            ["a", "b1", "b2", "c", "d"],
            "empty and crossed ranges delete nothing"
        );
        assert_eq!(store.get(Table::Turn, b"b1").expect("get"), None);
        assert_eq!(store.get(Table::Turn, b"b3").expect("get"), None);
        assert_eq!(store.get(Table::Turn, b"b2").expect("get"), Some(b"again".to_vec()));
    };
    check(&*store);
    if subject.persistent {
        let store = next(subject, store);
        check(&*store);
        let store = next(subject, store);
        check(&*store);
    }
}

fn limits(subject: &Subject) {
    let store = (subject.open)();
    let refused = |build: &dyn Fn(&mut Commit)| {
        let mut good = Commit::default();
        good.put(Table::Task, "good", "x");
        let mut bad = Commit::default();
        build(&mut bad);
        let error = store.commit(&[good, bad]).expect_err("over the limit is refused");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert_eq!(all(&*store, Table::Task), [], "nothing of the batch");
    };
    let long = vec![b'k'; MAX_KEY_BYTES + 1];
    refused(&|c| c.put(Table::Task, long.clone(), "x"));
    refused(&|c| c.delete(Table::Task, long.clone()));
    refused(&|c| c.delete_range(Table::Task, "a", long.clone()));
    refused(&|c| c.put(Table::Task, "k", vec![0; MAX_VALUE_BYTES + 1]));
    let key = vec![0xff; MAX_KEY_BYTES];
    let value = vec![7; 300_000];
    commit(&*store, |c| c.put(Table::Task, key.clone(), value.clone()));
    assert_eq!(store.get(Table::Task, &key).expect("get"), Some(value));
}

fn closing(subject: &Subject) {
    let store = (subject.open)();
    commit(&*store, |c| c.put(Table::Meta, "a", "1"));
    store.close().expect("close");
    store.close().expect("a second close does nothing");
    let error = store.commit(&[Commit::default()]).expect_err("a closed store takes no commit");
    assert_eq!(error.kind(), ErrorKind::Closed);
}

/// Closes a store cleanly and opens it again.
fn next(subject: &Subject, store: Box<dyn Store>) -> Box<dyn Store> {
    store.close().expect("close");
    drop(store);
    (subject.open)()
}

fn reopening(subject: &Subject) {
    let mut store = (subject.open)();
    if !subject.persistent {
        return;
    }
    for round in 0..6_u32 {
        let name = format!("round {round}");
        commit(&*store, |c| {
            c.put(Table::Execution, name.as_str(), "x");
            c.put(Table::Head, "latest", round.to_be_bytes());
        });
        // Every other time without a close, as after a kill.
        if round % 2 == 0 {
            store.close().expect("close");
        }
        drop(store);
        store = (subject.open)();
        assert_eq!(all(&*store, Table::Execution).len() as u32, round + 1);
        assert_eq!(store.get(Table::Head, b"latest").expect("get"), Some(round.to_be_bytes().to_vec()));
    }
}

fn readers_see_whole_commits(subject: &Subject) {
    let store = (subject.open)();
    let rounds = 60_u32;
    let set = |round: u32| {
        let mut commit = Commit::default();
        for key in 0..20_u32 {
            commit.put(Table::Frame, key.to_be_bytes(), round.to_be_bytes());
        }
        commit
    };
    store.commit(&[set(0)]).expect("commit");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..=rounds {
                store.commit(&[set(round)]).expect("commit");
            }
        });
        let mut last = 0;
        while last < rounds {
            let rows = all(&*store, Table::Frame);
            assert_eq!(rows.len(), 20);
            assert!(rows.iter().all(|row| row.1 == rows[0].1), "a torn read");
            let seen = u32::from_be_bytes(rows[0].1[..].try_into().expect("four bytes"));
            assert!(seen >= last, "time went back");
            last = seen;
        }
    });
}

/// A small generator of pseudo-random numbers: the suite repeats itself exactly.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    /// Few and short keys, so that they meet.
    fn key(&mut self) -> Vec<u8> {
        let len = self.below(4);
        (0..len).map(|_| b"abz\xff"[self.below(4) as usize]).collect()
    }
}

type Model = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

fn apply(model: &mut Model, mutation: &Mutation<'_>) {
    match *mutation {
        Mutation::Put { table, key, value } | Mutation::Insert { table, key, value } => {
            model.insert((table, key.to_vec()), value.to_vec());
        }
        Mutation::Delete { table, key } => {
            model.remove(&(table, key.to_vec()));
        }
        Mutation::DeleteRange { table, from, to } => {
            model.retain(|(t, key), _| *t != table || &key[..] < from || &key[..] >= to);
        }
    }
}

fn model(subject: &Subject, seed: u64) {
    const TABLES: [Table; 3] = [Table::Turn, Table::Timer, Table::Meta];
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut model = Model::new();
    let mut store = (subject.open)();
    for step in 0..200 {
        let commits = 1 + random.below(3);
        let batch: Vec<Commit> = (0..commits)
            .map(|_| {
                let mut commit = Commit::default();
                for _ in 0..random.below(6) {
                    let table = TABLES[random.below(3) as usize];
                    match random.below(10) {
                        0..=4 => {
                            let len = random.below(200) as usize;
                            let value = vec![random.below(256) as u8; len];
                            let key = random.key();
                            if random.below(2) == 0 && !model.contains_key(&(table, key.clone())) {
                                commit.insert(table, key, value);
                            } else {
                                commit.put(table, key, value);
                            }
                        }
                        5..=7 => commit.delete(table, random.key()),
                        _ => commit.delete_range(table, random.key(), random.key()),
                    }
                    apply(&mut model, &commit.mutations().last().expect("one was added"));
                }
                commit
            })
            .collect();
        store.commit(&batch).expect("commit");
        if subject.persistent && random.below(25) == 0 {
            if random.below(2) == 0 {
                store.close().expect("close");
            }
            drop(store);
            store = (subject.open)();
            compare(&*store, &model, seed, step);
        }
        let (from, to) = (random.key(), random.key());
        let bound = |kind: u64, key| match kind {
            0 => Bound::Included(key),
            1 => Bound::Excluded(key),
            _ => Bound::Unbounded,
        };
        let from = bound(random.below(3), &from[..]);
        let to = bound(random.below(3), &to[..]);
        let limit = random.below(12) as usize;
        let table = TABLES[random.below(3) as usize];
        for order in [Order::Ascending, Order::Descending] {
            let rows = store.scan(table, from, to, order, limit).expect("scan");
            let mut expect: Vec<Row> = model
                .iter()
                .filter(|((t, key), _)| *t == table && in_range(from, to, key))
                .map(|((_, key), value)| (key.clone(), value.clone()))
                .collect();
            if order == Order::Descending {
                expect.reverse();
            }
            expect.truncate(limit);
            assert_eq!(rows, expect, "seed {seed} step {step} {from:?} {to:?}");
        }
        let key = random.key();
        assert_eq!(store.get(table, &key).expect("get"), model.get(&(table, key)).cloned(), "seed {seed} step {step}");
    }
    compare(&*store, &model, seed, 200);
}

fn in_range(from: Bound<&[u8]>, to: Bound<&[u8]>, key: &[u8]) -> bool {
    (match from {
        Bound::Included(from) => key >= from,
        Bound::Excluded(from) => key > from,
        Bound::Unbounded => true,
    }) && (match to {
        Bound::Included(to) => key <= to,
        Bound::Excluded(to) => key < to,
        Bound::Unbounded => true,
    })
}

fn compare(store: &dyn Store, model: &Model, seed: u64, step: u32) {
    for &table in Table::ALL {
        let expect: Vec<Row> = model
            .iter()
            .filter(|((t, _), _)| *t == table)
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect();
        assert_eq!(all(store, table), expect, "seed {seed} step {step} {table:?}");
    }
}
