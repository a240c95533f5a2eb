//! How much one account may have in a region, for those who want to rehearse AWS's quotas. Off by default; as on AWS,
//! a few more may get through at the same moment.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use stepwright_store::{
    Store, Table,
    keys::{self, ScopeNumber},
};

use crate::{
    catalog::corrupt,
    error::{Error, Result},
    rows,
};

/// What one account may have in a region at most. None: as much as fits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quotas {
    /// State machines.
    pub state_machines: Option<usize>,
    /// Activities.
    pub activities: Option<usize>,
    /// Open executions of Standard machines.
    pub open_executions: Option<u64>,
}

impl Quotas {
    /// AWS's.
    pub const AWS: Quotas =
        Quotas { state_machines: Some(100_000), activities: Some(100_000), open_executions: Some(1_000_000) };
}

/// Open executions of each account and region, counted only where they are limited.
#[derive(Default)]
pub(crate) struct OpenExecutions {
    limit: Option<u64>,
    counts: RwLock<HashMap<ScopeNumber, Arc<AtomicU64>>>,
}

impl OpenExecutions {
    /// Counts what a store holds.
    pub(crate) fn open(store: &dyn Store, limit: Option<u64>) -> Result<Self> {
        let this = Self { limit, counts: RwLock::default() };
        if limit.is_some() {
            rows::for_each(store, Table::Head, &[], |key, _| {
                let (scope, _) = keys::parse_execution(key).ok_or_else(|| corrupt("the key of a head"))?;
                this.opened(scope);
                Ok(())
            })?;
        }
        Ok(this)
    }

    fn count(&self, scope: ScopeNumber) -> Arc<AtomicU64> {
        if let Some(count) = self.counts.read().unwrap_or_else(PoisonError::into_inner).get(&scope) {
            return count.clone();
        }
        self.counts.write().unwrap_or_else(PoisonError::into_inner).entry(scope).or_default().clone()
    }

    /// Whether one more may be open.
    pub(crate) fn check(&self, scope: ScopeNumber) -> Result<()> {
        let Some(limit) = self.limit else { return Ok(()) };
        if self.count(scope).load(Ordering::Relaxed) < limit {
            return Ok(());
        }
        Err(Error::ExecutionLimitExceeded { limit })
    }

    pub(crate) fn opened(&self, scope: ScopeNumber) {
        if self.limit.is_some() {
            self.count(scope).fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn closed(&self, scope: ScopeNumber) {
        if self.limit.is_some() {
            let count = self.count(scope);
            // One that went into quarantine before its first turn was not counted.
            let _zero = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
        }
    }
}
