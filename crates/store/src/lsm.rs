//! The index of the embedded store on `lsm-tree`: one tree, whose keys are the table's number
//! and the key.
//!
//! A checkpoint is one ingestion: sorted rows go straight into new files, and a new version of
//! the tree that names them is made durable in one step, the position among them. So a
//! checkpoint is in the index as a whole or not at all. This module must never write outside of
//! a checkpoint: the tree's own memory stays empty.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsm_tree::compaction::Leveled;
use lsm_tree::config::{BlockSizePolicy, CompressionPolicy, PartitioningPolicy};
use lsm_tree::{AbstractTree, AnyTree, Cache, CompressionType, Config, Guard, SeqNo, SequenceNumberCounter};

use crate::disk::is_full;
use crate::index::{Change, Index, Rows};
use crate::{Error, Order, Row, Table};

/// The key of the position; no table has number 0.
const POSITION: [u8; 1] = [0];

/// Bytes of one file of the index. Most keys rise with time, so most of what a level holds is not touched by what comes
/// after it; small files let it be.
const FILE_BYTES: u64 = 16 << 20;

/// Checkpoints that lie side by side before they are merged. Each one more is one more filter to ask for a row; each
/// one less means that what is below is written anew more often, which at the top rate cost a tenth of the processor.
const UNMERGED: u8 = 8;

/// Reads see the newest version: checkpoints are applied as a whole.
const LATEST: SeqNo = SeqNo::MAX;

/// [`Index`] on an LSM tree.
pub(crate) struct LsmIndex {
    path: PathBuf,
    tree: AnyTree,
    compaction: Arc<Leveled>,
}

impl LsmIndex {
    /// Opens or creates the tree in `path`.
    pub(crate) fn open(path: &Path, cache_bytes: u64) -> Result<LsmIndex, Error> {
        let sequence = SequenceNumberCounter::default();
        let visible = SequenceNumberCounter::default();
        let tree = Config::new(path, sequence.clone(), visible.clone())
            .use_cache(Arc::new(Cache::with_capacity_bytes(cache_bytes)))
            .data_block_size_policy(BlockSizePolicy::all(4096))
            .data_block_compression_policy(CompressionPolicy::new([CompressionType::None, CompressionType::Lz4]))
            // In parts of a few KiB: whole ones are as large as a part of the cache, are never kept in it, and are read and
            // checked anew for every row that is looked for.
            .index_block_partitioning_policy(PartitioningPolicy::all(true))
            .filter_block_partitioning_policy(PartitioningPolicy::all(true))
            .open()
            .map_err(|e| index_error("opening", path, &e))?;
        // Numbers given out by this opening must be above those in the files.
        let next = tree.get_highest_persisted_seqno().map_or(1, |n| n + 1);
        sequence.set(next);
        visible.set(next);
        let compaction = Leveled::default().with_table_target_size(FILE_BYTES).with_l0_threshold(UNMERGED);
        Ok(LsmIndex { path: path.to_path_buf(), tree, compaction: Arc::new(compaction) })
    }
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
        let error = |e: &lsm_tree::Error| index_error("reading", &self.path, e);
        match self.tree.get(POSITION, LATEST).map_err(|e| error(&e))? {
            None => Ok(0),
            Some(value) => {
                let bytes: [u8; 8] = (*value)
                    .try_into()
                    .map_err(|_| Error::corrupt(&self.path, 0, "the position in the index is not a number"))?;
                Ok(u64::from_be_bytes(bytes))
            }
        }
    }

    fn apply(&self, changes: &mut dyn Iterator<Item = Result<Change, Error>>, position: u64) -> Result<(), Error> {
        let error = |e: lsm_tree::Error| index_error("writing", &self.path, &e);
        let mut ingestion = self.tree.ingestion().map_err(error)?;
        ingestion.write(POSITION, position.to_be_bytes()).map_err(error)?;
        for change in changes {
            let change = change?;
            let key = full_key(change.table, &change.key);
            match change.value {
                Some(value) => ingestion.write(key, value),
                None => ingestion.write_tombstone(key),
            }
            .map_err(error)?;
        }
        ingestion.finish().map_err(error)
    }

    fn maintain(&self) -> Result<(), Error> {
        // Each call does one compaction at most, and says nothing about what it did.
        for _ in 0..8 {
            let before = self.tree.next_table_id();
            // Nobody reads an older state than the newest, so what a compaction replaced is let go at once. With the
            // number of now, the files would stay, and their filters in memory, until the next compaction.
            self.tree
                .compact(self.compaction.clone(), SeqNo::MAX)
                .map_err(|e| index_error("compacting", &self.path, &e))?;
            if self.tree.next_table_id() == before {
                break;
            }
        }
        Ok(())
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.tree
            .get(full_key(table, key), LATEST)
            .map(|value| value.map(|value| value.to_vec()))
            .map_err(|e| index_error("reading", &self.path, &e))
    }

    fn contains(&self, table: Table, key: &[u8]) -> Result<bool, Error> {
        self.tree.contains_key(full_key(table, key), LATEST).map_err(|e| index_error("reading", &self.path, &e))
    }

    fn scan(&self, table: Table, from: Bound<&[u8]>, to: Bound<&[u8]>, order: Order) -> Result<Rows<'_>, Error> {
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
        let range = self.tree.range((from, to), LATEST, None);
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
