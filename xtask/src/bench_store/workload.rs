//! Commits like those of real turns, by number: the same on every candidate and in every run.

use stepwright_store::{Commit, Table};

/// Small and repeatable.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Bytes that compress about as badly as postcard with small JSON in it.
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        const TEXT: &[u8] = b"{\"orderId\":\"\",\"total\":0,\"items\":[],\"status\":\"PAID\"}";
        (0..len).map(|at| if at % 3 == 0 { self.next() as u8 } else { TEXT[at % TEXT.len()] }).collect()
    }
}

/// Account and region, then a time-ordered id: as the engine's keys begin.
fn key(execution: u64, rest: &[u8]) -> Vec<u8> {
    let mut key = vec![0, 0, 0, 1];
    key.extend_from_slice(&(1_700_000_000_000_u64 * 1000 + execution).to_be_bytes());
    key.extend_from_slice(rest);
    key
}

/// The key range of an execution's turns.
pub(crate) fn turns_of(execution: u64) -> (Vec<u8>, Vec<u8>) {
    (key(execution, &[]), key(execution + 1, &[]))
}

/// Map items share an execution, this many to each.
const ITEMS: u64 = 400;

/// The execution that the `number`-th turn belongs to.
pub(crate) fn execution_of(number: u64) -> u64 {
    match number % 10 {
        0..=4 | 9 => number,
        _ => number / ITEMS * ITEMS + 5,
    }
}

/// The `number`-th turn. Of ten turns five are a whole execution of ten states, four are an item of an inline Map,
/// and one parks or wakes a Wait. Every execution is removed some 200,000 turns later.
pub(crate) fn turn(number: u64) -> Commit {
    let mut random = Random(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for _ in 0..4 {
        random.next();
    }
    let mut commit = Commit::default();
    let execution = execution_of(number);
    let in_turn = (number as u32).to_be_bytes();
    match number % 10 {
        0..=4 => {
            commit.put(Table::Execution, key(execution, &[]), random.bytes(90));
            commit.put(Table::Name, name(number), random.bytes(28));
            commit.put(Table::List, key(execution, &[1]), random.bytes(24));
            commit.put(Table::List, key(execution, &[2]), random.bytes(24));
            commit.put(Table::Turn, key(execution, &in_turn), random.bytes(284));
        }
        5..=8 => {
            commit.put(Table::Turn, key(execution, &in_turn), random.bytes(96));
            commit.put(Table::Frame, key(execution, &in_turn), random.bytes(48));
            commit.put(Table::Head, key(execution, &[]), random.bytes(60));
            let before = (number.saturating_sub(10) as u32).to_be_bytes();
            commit.delete(Table::Frame, key(execution, &before));
        }
        _ if number % 20 == 9 => {
            commit.put(Table::Turn, key(execution, &in_turn), random.bytes(140));
            commit.put(Table::Frame, key(execution, &[0]), random.bytes(110));
            commit.put(Table::Head, key(execution, &[]), random.bytes(80));
            commit.put(Table::Timer, timer(execution), random.bytes(16));
            commit.put(Table::Task, key(execution, &[3]), random.bytes(24));
        }
        _ => {
            // Wakes the one parked some turns before.
            let parked = number.saturating_sub(10);
            commit.put(Table::Turn, key(parked, &in_turn), random.bytes(120));
            commit.delete(Table::Frame, key(parked, &[0]));
            commit.delete(Table::Head, key(parked, &[]));
            commit.delete(Table::Timer, timer(parked));
            commit.delete(Table::Task, key(parked, &[3]));
        }
    }
    if let Some(old) = number.checked_sub(200_000)
        && old % 10 < 5
    {
        let (from, to) = turns_of(old);
        commit.delete_range(Table::Turn, from, to);
        commit.delete(Table::Execution, key(old, &[]));
    }
    commit
}

fn name(number: u64) -> Vec<u8> {
    // Names are spread, not ordered.
    let hash = number.wrapping_mul(0xff51_afd7_ed55_8ccd);
    [&[0, 0, 0, 1, 0, 7][..], &hash.to_be_bytes()].concat()
}

fn timer(execution: u64) -> Vec<u8> {
    let due = 1_700_000_060_000_u64 + execution / 20;
    [&due.to_be_bytes()[..], &key(execution, &[])].concat()
}
