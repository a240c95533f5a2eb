//! The index of the embedded store on `lsm-tree`: a tree for each of the large tables and one for all the others,
//! whose keys are the table's number and the key.
//!
//! The keys of most large tables begin with an execution's time-ordered identity, so what a checkpoint brings lies after
//! what is there, and is moved down without being written again. In one tree with the others it would lie between them,
//! and every merge would write all of them anew.
//!
//! A checkpoint is one ingestion for each tree: sorted rows go straight into new files, and a new version of the tree
//! that names them is made durable in one step. The tree of the small tables is last, and the position goes with it: a
//! checkpoint that was cut off before is repeated from the log. This module must never write outside of a checkpoint
//! (the trees' own memory stays empty), and never make the position durable before every other tree.

use std::fs::File;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use lsm_tree::compaction::Leveled;
use lsm_tree::config::{BlockSizePolicy, CompressionPolicy, PartitioningPolicy};
use lsm_tree::{
    AbstractTree, AnyIngestion, AnyTree, Cache, CompressionType, Config, Guard, SeqNo, SequenceNumberCounter,
};

use crate::disk::is_full;
use crate::index::{Change, Index, Rows};
use crate::trickle::trickling;
use crate::{Error, Order, Row, Table};

/// The key of the position, before those of all tables.
const POSITION: [u8; 1] = [0];

/// The key of the tables' own trees that hold something, a bit each, after those of all tables: a folder that is gone is
/// noticed.
const FILLED: [u8; 1] = [u8::MAX];

/// Bytes of one file of the index. Most keys rise with time, so most of what a level holds is not touched by what comes
/// after it; small files let it be.
const FILE_BYTES: u64 = 16 << 20;

/// Checkpoints that lie side by side before they are merged. Each one more is one more filter to ask for a row; each
/// one less means that what is below is written anew more often, which at the top rate cost a tenth of the processor.
const UNMERGED: u8 = 8;

/// Reads see the newest version: checkpoints are applied as a whole.
const LATEST: SeqNo = SeqNo::MAX;

/// The tree of the small tables, which is written last. Each tree is a folder.
const REST: &str = "rest";

/// The folder of a tree's files, each called by its number.
const TABLES: &str = "tables";

/// The trees of one table each.
const OWN: [(Table, &str); 6] = [
    (Table::Execution, "execution"),
    (Table::Turn, "turn"),
    (Table::Payload, "payload"),
    (Table::Name, "name"),
    (Table::List, "list"),
    (Table::MapChild, "map_child"),
];

/// The number of a table's own tree, if it has one. Part of the stored format.
fn own(table: Table) -> Option<usize> {
    OWN.iter().position(|(own, _)| *own == table)
}

/// [`Index`] on LSM trees.
pub(crate) struct LsmIndex {
    path: PathBuf,
    cache: Arc<Cache>,
    rest: AnyTree,
    /// Made when there is something to put into them: a new server does not wait for five more.
    own: [OnceLock<AnyTree>; OWN.len()],
    compaction: Arc<Leveled>,
}

impl LsmIndex {
    /// Opens or creates the trees in `path`.
    pub(crate) fn open(path: &Path, cache_bytes: u64) -> Result<LsmIndex, Error> {
        let cache = Arc::new(Cache::with_capacity_bytes(cache_bytes));
        let index = LsmIndex {
            path: path.to_path_buf(),
            rest: open_tree(path, REST, &cache)?,
            cache,
            own: Default::default(),
            compaction: Arc::new(Leveled::default().with_table_target_size(FILE_BYTES).with_l0_threshold(UNMERGED)),
        };
        let filled = index.fact(FILLED)?.map_or(0, u8::from_be_bytes);
        for (number, (_, name)) in OWN.iter().enumerate() {
            if path.join(name).is_dir() {
                index.own_to_write(number)?;
            } else if filled >> number & 1 == 1 {
                return Err(Error::corrupt(path.join(name), 0, "this folder of the index is missing"));
            }
        }
        Ok(index)
    }

    /// A number that is not in a table.
    fn fact<const BYTES: usize>(&self, key: [u8; 1]) -> Result<Option<[u8; BYTES]>, Error> {
        let value = self.rest.get(key, LATEST).map_err(|e| index_error("reading", &self.path, &e))?;
        let bytes = value.map(|value| (*value).try_into()).transpose();
        bytes.map_err(|_| Error::corrupt(self.path.join(REST), 0, "a number in the index is none"))
    }

    /// The newest file of each tree: the one that is being written, if one is.
    fn newest_files(&self) -> Vec<PathBuf> {
        let own = self.own.iter().zip(OWN).filter_map(|(tree, (_, name))| Some((tree.get()?, name)));
        let file = |(tree, name): (&AnyTree, &str)| {
            let newest = tree.next_table_id().checked_sub(1)?;
            Some(self.path.join(name).join(TABLES).join(newest.to_string()))
        };
        own.chain([(&self.rest, REST)]).filter_map(file).collect()
    }

    /// The tree that a table is in, if anything was ever put into it.
    fn tree(&self, table: Table) -> Option<&AnyTree> {
        own(table).map_or(Some(&self.rest), |number| self.own[number].get())
    }

    /// The tree with this number, made if need be. Only checkpoints make trees, and they come one after the other.
    fn own_to_write(&self, number: usize) -> Result<&AnyTree, Error> {
        if let Some(tree) = self.own[number].get() {
            return Ok(tree);
        }
        let tree = open_tree(&self.path, OWN[number].1, &self.cache)?;
        Ok(self.own[number].get_or_init(|| tree))
    }
}

/// Opens or creates a tree in the folder of the index.
fn open_tree(index: &Path, name: &str, cache: &Arc<Cache>) -> Result<AnyTree, Error> {
    let path = index.join(name);
    let sequence = SequenceNumberCounter::default();
    let visible = SequenceNumberCounter::default();
    let tree = Config::new(&path, sequence.clone(), visible.clone())
        .use_cache(Arc::clone(cache))
        .data_block_size_policy(BlockSizePolicy::all(4096))
        .data_block_compression_policy(CompressionPolicy::new([CompressionType::None, CompressionType::Lz4]))
        // In parts of a few KiB: whole ones are as large as a part of the cache, are never kept in it, and are read and
        // checked anew for every row that is looked for.
        .index_block_partitioning_policy(PartitioningPolicy::all(true))
        .filter_block_partitioning_policy(PartitioningPolicy::all(true))
        .open()
        .map_err(|e| index_error("opening", &path, &e))?;
    // The tree synced what is in its folder; the folder's own name is ours to sync.
    File::open(index)
        .and_then(|dir| dir.sync_all())
        .map_err(|e| index_error("syncing", index, &lsm_tree::Error::Io(e)))?;
    // Numbers given out by this opening must be above those in the files.
    let next = tree.get_highest_persisted_seqno().map_or(1, |n| n + 1);
    sequence.set(next);
    visible.set(next);
    Ok(tree)
}

fn index_error(action: &'static str, path: &Path, error: &lsm_tree::Error) -> Error {
    match error {
        lsm_tree::Error::Io(io) if is_full(io) => {
            Error::Full { dir: path.to_path_buf(), needed: 0, reason: io.to_string() }
        }
        lsm_tree::Error::Io(io) => Error::Io { action, file: path.to_path_buf(), reason: io.to_string() },
        other => Error::corrupt(path, 0, format!("the index cannot be read: {other}")),
    }
}

fn full_key(table: Table, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + key.len());
    out.push(table as u8);
    out.extend_from_slice(key);
    out
}

impl Index for LsmIndex {
    fn position(&self) -> Result<u64, Error> {
        Ok(self.fact(POSITION)?.map_or(0, u64::from_be_bytes))
    }

    fn apply(&self, changes: &mut dyn Iterator<Item = Result<Change<'_>, Error>>, position: u64) -> Result<(), Error> {
        trickling(|| self.newest_files(), || self.ingest(changes, position))
    }

    fn maintain(&self) -> Result<(), Error> {
        trickling(|| self.newest_files(), || self.merge())
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let Some(tree) = self.tree(table) else { return Ok(None) };
        tree.get(full_key(table, key), LATEST)
            .map(|value| value.map(|value| value.to_vec()))
            .map_err(|e| index_error("reading", &self.path, &e))
    }

    fn scan(&self, table: Table, from: Bound<&[u8]>, to: Bound<&[u8]>, order: Order) -> Result<Rows<'_>, Error> {
        let Some(tree) = self.tree(table) else { return Ok(Box::new(std::iter::empty())) };
        let from = match from {
            Bound::Included(key) => Bound::Included(full_key(table, key)),
            Bound::Excluded(key) => Bound::Excluded(full_key(table, key)),
            Bound::Unbounded => Bound::Included(vec![table as u8]),
        };
        let to = match to {
            Bound::Included(key) => Bound::Included(full_key(table, key)),
            Bound::Excluded(key) => Bound::Excluded(full_key(table, key)),
            Bound::Unbounded => Bound::Excluded(vec![table as u8 + 1]),
        };
        let range = tree.range((from, to), LATEST, None);
        let row = |guard: lsm_tree::IterGuardImpl| -> Result<Row, Error> {
            let (key, value) = guard.into_inner().map_err(|e| index_error("reading", &self.path, &e))?;
            Ok((key[1..].to_vec(), value.to_vec()))
        };
        Ok(match order {
            Order::Ascending => Box::new(range.map(row)),
            Order::Descending => Box::new(range.rev().map(row)),
        })
    }
}

impl LsmIndex {
    fn ingest(&self, changes: &mut dyn Iterator<Item = Result<Change<'_>, Error>>, position: u64) -> Result<(), Error> {
        let error = |e: lsm_tree::Error| index_error("writing", &self.path, &e);
        let mut rest = self.rest.ingestion().map_err(error)?;
        rest.write(POSITION, position.to_be_bytes()).map_err(error)?;
        let mut current: Option<(usize, AnyIngestion<'_>)> = None;
        let mut key = Vec::new();
        for change in changes {
            let change = change?;
            let ingestion = match (own(change.table), &mut current) {
                (None, _) => &mut rest,
                (Some(number), Some((same, ingestion))) if *same == number => ingestion,
                (Some(number), other) => {
                    // Each of these trees holds one table, so what comes for it comes in a row.
                    if let Some((_, done)) = other.take() {
                        done.finish().map_err(error)?;
                    }
                    let ingestion = self.own_to_write(number)?.ingestion().map_err(error)?;
                    &mut other.insert((number, ingestion)).1
                }
            };
            key.clear();
            key.push(change.table as u8);
            key.extend_from_slice(&change.key);
            match change.value {
                Some(value) => ingestion.write(&key[..], value),
                None => ingestion.write_tombstone(&key[..]),
            }
            .map_err(error)?;
        }
        if let Some((_, done)) = current {
            done.finish().map_err(error)?;
        }
        let filled = (0..OWN.len()).filter(|number| self.own[*number].get().is_some());
        let filled = filled.fold(0u8, |bits, number| bits | 1 << number);
        rest.write(FILLED, filled.to_be_bytes()).map_err(error)?;
        rest.finish().map_err(error)
    }

    fn merge(&self) -> Result<(), Error> {
        for tree in self.own.iter().filter_map(OnceLock::get).chain([&self.rest]) {
            // Each call does one compaction at most, and says nothing about what it did.
            for _ in 0..8 {
                let before = tree.next_table_id();
                // Nobody reads an older state than the newest, so what a compaction replaced is let go at once. With the
                // number of now, the files would stay, and their filters in memory, until the next compaction.
                tree.compact(self.compaction.clone(), SeqNo::MAX)
                    .map_err(|e| index_error("compacting", &self.path, &e))?;
                if tree.next_table_id() == before {
                    break;
                }
            }
        }
        Ok(())
    }
}
