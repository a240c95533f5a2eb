//! The candidate indexes. The one that was taken is inside `stepwright-store`; the others live here only.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use redb::{ReadableDatabase, TableDefinition};
use stepwright_store::disk::RealDisk;
use stepwright_store::embedded::{EmbeddedStore, Options};
use stepwright_store::index::{Change, Index, Rows};
use stepwright_store::{Error, Order, Table};

const POSITION: [u8; 1] = [0];
const ROWS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("rows");
const CACHE_BYTES: usize = 16 << 20;

/// Opens the embedded store with the index of this name.
pub(crate) fn open(name: &str, dir: &Path, options: Options) -> anyhow::Result<EmbeddedStore> {
    Ok(match name {
        "lsm-tree" => EmbeddedStore::open(dir, options)?,
        "fjall" => EmbeddedStore::open_with(Arc::new(RealDisk), dir, options, |path| {
            Ok(Box::new(FjallIndex::open(path).map_err(|e| io(&e))?))
        })?,
        "redb" => {
            EmbeddedStore::open_with(Arc::new(RealDisk), dir, options, |path| Ok(Box::new(RedbIndex::open(path)?)))?
        }
        other => anyhow::bail!("unknown index {other:?}; known: lsm-tree, fjall, redb"),
    })
}

fn io(error: &dyn std::fmt::Display) -> Error {
    Error::Io { action: "using", file: "index".into(), reason: error.to_string() }
}

fn full_key(table: Table, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + key.len());
    out.push(table as u8);
    out.extend_from_slice(key);
    out
}

fn bounds(table: Table, from: Bound<&[u8]>, to: Bound<&[u8]>) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let from = match from {
        Bound::Unbounded => Bound::Included(vec![table as u8]),
        other => other.map(|key| full_key(table, key)),
    };
    let to = match to {
        Bound::Unbounded => Bound::Excluded(vec![table as u8 + 1]),
        other => other.map(|key| full_key(table, key)),
    };
    (from, to)
}

fn position(value: Option<&[u8]>) -> u64 {
    value.and_then(|value| value.try_into().ok()).map_or(0, u64::from_be_bytes)
}

struct FjallIndex {
    database: Database,
    rows: Keyspace,
}

impl FjallIndex {
    fn open(path: &Path) -> fjall::Result<FjallIndex> {
        let database = Database::builder(path).cache_size(CACHE_BYTES as u64).worker_threads(1).open()?;
        let rows = database.keyspace("rows", KeyspaceCreateOptions::default)?;
        Ok(FjallIndex { database, rows })
    }
}

impl Index for FjallIndex {
    fn position(&self) -> Result<u64, Error> {
        Ok(position(self.rows.get(POSITION).map_err(|e| io(&e))?.as_deref()))
    }

    fn apply(&self, changes: &mut dyn Iterator<Item = Result<Change, Error>>, position: u64) -> Result<(), Error> {
        let mut ingestion = self.rows.start_ingestion().map_err(|e| io(&e))?;
        ingestion.write(POSITION, position.to_be_bytes()).map_err(|e| io(&e))?;
        for change in changes {
            let change = change?;
            let key = full_key(change.table, &change.key);
            match change.value {
                Some(value) => ingestion.write(key, value),
                None => ingestion.write_tombstone(key),
            }
            .map_err(|e| io(&e))?;
        }
        ingestion.finish().map_err(|e| io(&e))?;
        self.database.persist(PersistMode::SyncAll).map_err(|e| io(&e))
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let value = self.rows.get(full_key(table, key)).map_err(|e| io(&e))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn contains(&self, table: Table, key: &[u8]) -> Result<bool, Error> {
        self.rows.contains_key(full_key(table, key)).map_err(|e| io(&e))
    }

    fn scan(&self, table: Table, from: Bound<&[u8]>, to: Bound<&[u8]>, order: Order) -> Result<Rows<'_>, Error> {
        let range = self.rows.range(bounds(table, from, to));
        let row = |guard: fjall::Guard| {
            let (key, value) = guard.into_inner().map_err(|e| io(&e))?;
            Ok((key[1..].to_vec(), value.to_vec()))
        };
        Ok(match order {
            Order::Ascending => Box::new(range.map(row)),
            Order::Descending => Box::new(range.rev().map(row)),
        })
    }
}

struct RedbIndex {
    database: redb::Database,
}

impl RedbIndex {
    fn open(path: &Path) -> Result<RedbIndex, Error> {
        let database =
            redb::Builder::new().set_cache_size(CACHE_BYTES).create(path.with_extension("redb")).map_err(|e| io(&e))?;
        let transaction = database.begin_write().map_err(|e| io(&e))?;
        transaction.open_table(ROWS).map_err(|e| io(&e))?;
        transaction.commit().map_err(|e| io(&e))?;
        Ok(RedbIndex { database })
    }

    fn table(&self) -> Result<redb::ReadOnlyTable<&'static [u8], &'static [u8]>, Error> {
        let transaction = self.database.begin_read().map_err(|e| io(&e))?;
        transaction.open_table(ROWS).map_err(|e| io(&e))
    }
}

impl Index for RedbIndex {
    fn position(&self) -> Result<u64, Error> {
        let value = self.table()?.get(&POSITION[..]).map_err(|e| io(&e))?;
        Ok(value.map_or(0, |value| position(Some(value.value()))))
    }

    fn apply(&self, changes: &mut dyn Iterator<Item = Result<Change, Error>>, position: u64) -> Result<(), Error> {
        let transaction = self.database.begin_write().map_err(|e| io(&e))?;
        {
            let mut table = transaction.open_table(ROWS).map_err(|e| io(&e))?;
            table.insert(&POSITION[..], &position.to_be_bytes()[..]).map_err(|e| io(&e))?;
            for change in changes {
                let change = change?;
                let key = full_key(change.table, &change.key);
                match change.value {
                    Some(value) => table.insert(&key[..], &value[..]).map_err(|e| io(&e))?,
                    None => table.remove(&key[..]).map_err(|e| io(&e))?,
                };
            }
        }
        transaction.commit().map_err(|e| io(&e))
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let value = self.table()?.get(&full_key(table, key)[..]).map_err(|e| io(&e))?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    fn scan(&self, table: Table, from: Bound<&[u8]>, to: Bound<&[u8]>, order: Order) -> Result<Rows<'_>, Error> {
        let (from, to) = bounds(table, from, to);
        let (from, to) = (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice));
        let range = self.table()?.range::<&[u8]>((from, to)).map_err(|e| io(&e))?;
        let row = |row: Result<_, redb::StorageError>| {
            let (key, value): (redb::AccessGuard<'_, &[u8]>, redb::AccessGuard<'_, &[u8]>) = row.map_err(|e| io(&e))?;
            Ok((key.value()[1..].to_vec(), value.value().to_vec()))
        };
        Ok(match order {
            Order::Ascending => Box::new(range.map(row)),
            Order::Descending => Box::new(range.rev().map(row)),
        })
    }
}
