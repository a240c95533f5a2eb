//! Reading many rows without holding many: page by page, and the payloads of an execution by their numbers.

use std::{collections::HashMap, ops::Bound, sync::Arc};

use stepwright_machine::{PayloadId, TurnId};
use stepwright_store::{
    Order, Store, Table, keys,
    records::{self, PayloadRow, TurnRow},
};

use crate::{catalog::corrupt, error::Result, message::ExecutionRef};

/// Rows read at once.
const PAGE: usize = 1_024;

/// Visits every row whose key begins with `prefix`, in order.
pub(crate) fn for_each(
    store: &dyn Store,
    table: Table,
    prefix: &[u8],
    visit: impl FnMut(&[u8], &[u8]) -> Result<()>,
) -> Result<()> {
    for_each_from(store, table, prefix, prefix, visit)
}

/// [`for_each`], from a key on.
pub(crate) fn for_each_from(
    store: &dyn Store,
    table: Table,
    prefix: &[u8],
    first: &[u8],
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<()>,
) -> Result<()> {
    let end = keys::prefix_end(prefix);
    let to = if prefix.is_empty() { Bound::Unbounded } else { Bound::Excluded(&end[..]) };
    let mut last: Option<Vec<u8>> = None;
    loop {
        let from = match &last {
            Some(key) => Bound::Excluded(&key[..]),
            None => Bound::Included(first),
        };
        let rows = store.scan(table, from, to, Order::Ascending, PAGE)?;
        for (key, value) in &rows {
            visit(key, value)?;
        }
        if rows.len() < PAGE {
            return Ok(());
        }
        last = rows.into_iter().next_back().map(|(key, _)| key);
    }
}

/// Gives payloads their texts. Turns that were read are kept as long as it lives.
pub(crate) struct PayloadReader<'a> {
    store: &'a dyn Store,
    execution: ExecutionRef,
    turns: HashMap<TurnId, Arc<TurnRow>>,
    beside: HashMap<PayloadId, Arc<str>>,
}

impl<'a> PayloadReader<'a> {
    pub(crate) fn new(store: &'a dyn Store, execution: ExecutionRef) -> Self {
        Self { store, execution, turns: HashMap::new(), beside: HashMap::new() }
    }

    /// Takes a turn that was read anyway.
    pub(crate) fn keep(&mut self, turn: TurnId, row: Arc<TurnRow>) {
        self.turns.insert(turn, row);
    }

    /// The text of a payload; none if it does not exist.
    pub(crate) fn text(&mut self, id: PayloadId) -> Result<Option<Arc<str>>> {
        let ExecutionRef { scope, id: execution } = self.execution;
        if !self.turns.contains_key(&id.turn) {
            let Some(bytes) = self.store.get(Table::Turn, &keys::turn(scope, execution, id.turn))? else {
                return Ok(None);
            };
            self.turns.insert(id.turn, Arc::new(records::decode(Table::Turn, &bytes)?));
        }
        match self.turns.get(&id.turn).and_then(|row| row.payloads.get(id.index as usize)) {
            None => return Ok(None),
            Some(Some(text)) => return Ok(Some(text.clone())),
            Some(None) => {}
        }
        if let Some(text) = self.beside.get(&id) {
            return Ok(Some(text.clone()));
        }
        let key = keys::payload(scope, execution, id.turn, id.index);
        let Some(bytes) = self.store.get(Table::Payload, &key)? else { return Ok(None) };
        let row: PayloadRow = records::decode(Table::Payload, &bytes)?;
        self.beside.insert(id, row.text.clone());
        Ok(Some(row.text))
    }

    /// The text of a payload that must exist.
    pub(crate) fn must(&mut self, id: PayloadId) -> Result<Arc<str>> {
        self.text(id)?.ok_or_else(|| corrupt(&format!("payload {id:?} of execution {:?}", self.execution.id)))
    }
}
