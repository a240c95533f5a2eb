//! Proves what a store must be: every row can be read, every execution's rows agree with each other, and the fold of
//! its inputs gives its frames and its history. For a store that nobody changes meanwhile.
//!
//! It goes through the executions once, with all of their rows side by side, and holds one execution at a time. This
//! module must never write, and never take for granted what it can look up.

mod catalog;
mod cursor;
mod execution;
mod express;
mod finding;
mod listings;
mod map_runs;

use std::{collections::HashMap, sync::Arc};

use stepwright_machine::Definition;
use stepwright_store::{
    Store, Table,
    keys::{self, MachineNumber, ScopeNumber},
    records::{self, RevisionRow},
};

use crate::{error::Result, options::Compile, secrets::Secrets};

use cursor::Cursor;
pub use finding::{Finding, Report, Rule, RuleCount, TableCount};

/// Compiled revisions kept in memory.
const REVISIONS: usize = 512;

/// Executions between two calls of the progress function.
const PROGRESS: u64 = 1_000;

/// How far a check is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Executions checked.
    pub executions: u64,
    /// Their turns.
    pub turns: u64,
}

/// Checks everything in a store. `compile` is what the engine would be opened with.
///
/// # Errors
/// Only when the store cannot be read; what is wrong with what was read is a [`Finding`].
pub fn check(store: &dyn Store, compile: Compile, progress: &mut dyn FnMut(Progress)) -> Result<Report> {
    let mut check = Check {
        store,
        compile,
        secrets: Secrets::read(store)?,
        report: Report::default(),
        next_machine: None,
        scopes: HashMap::new(),
        revisions: HashMap::new(),
        matched: Matched::default(),
        progress: Progress::default(),
    };
    check.catalog()?;
    check.executions(progress)?;
    check.listings()?;
    check.express()?;
    check.map_runs()?;
    check.notices()?;
    check.unused()?;
    progress(check.progress);
    Ok(check.report)
}

/// Rows of tables with an order of their own that executions were found to have.
#[derive(Default)]
struct Matched {
    names: u64,
    lists: u64,
    timers: u64,
}

/// A revision as the check needs it.
struct Revision {
    row: RevisionRow,
    /// None: it does not compile, which was said once.
    definition: Option<Arc<Definition>>,
}

struct Check<'a> {
    store: &'a dyn Store,
    compile: Compile,
    /// None: there is no key, which was said.
    secrets: Option<Secrets>,
    report: Report,
    next_machine: Option<u64>,
    scopes: HashMap<ScopeNumber, (Arc<str>, Arc<str>)>,
    revisions: HashMap<(ScopeNumber, MachineNumber, u32), Option<Arc<Revision>>>,
    matched: Matched,
    progress: Progress,
}

impl<'a> Check<'a> {
    fn cursor(&self, table: Table) -> Cursor<'a> {
        Cursor::new(self.store, table)
    }

    /// All rows of a table.
    fn each(&mut self, table: Table, mut visit: impl FnMut(&mut Self, &[u8], &[u8]) -> Result<()>) -> Result<()> {
        let mut rows = self.cursor(table);
        while let Some((key, value)) = rows.next()? {
            visit(self, &key, &value)?;
        }
        self.report.count(&rows);
        Ok(())
    }

    fn executions(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<()> {
        let mut rows = self.cursor(Table::Execution);
        let mut own = execution::OwnRows::new(self);
        while let Some((key, value)) = rows.next()? {
            self.execution(&key, &value, &mut own)?;
            self.progress.executions += 1;
            if self.progress.executions.is_multiple_of(PROGRESS) {
                progress(self.progress);
            }
        }
        self.orphans_before(None, &mut own)?;
        self.report.count(&rows);
        own.count(&mut self.report);
        self.report.executions = self.progress.executions;
        self.report.turns = self.progress.turns;
        Ok(())
    }

    /// Turns that a sink is yet to be told of. One that is told of a turn which retention took is forgotten, so that the
    /// turn is there is not asked.
    fn notices(&mut self) -> Result<()> {
        self.each(Table::Notice, |check, key, value| {
            let row = records::decode::<records::NoticeRow>(Table::Notice, value);
            let problem = match &row {
                Err(error) => Some(error.to_string()),
                Ok(row) if !check.scopes.contains_key(&row.scope) => Some(format!("the scope {}", row.scope)),
                Ok(_) if keys::parse_notice(key).is_none() => Some("another key".to_owned()),
                Ok(_) => None,
            };
            if let Some(found) = problem {
                check.report.add(Finding {
                    rule: Rule::Rows,
                    table: Table::Notice,
                    key: key.to_vec(),
                    execution: None,
                    expected: "a channel, an order, and a turn of a known account and region".into(),
                    found,
                });
            }
            Ok(())
        })
    }

    /// Tables that this version writes nothing to.
    fn unused(&mut self) -> Result<()> {
        for &table in Table::ALL {
            if self.report.has_counted(table) {
                continue;
            }
            self.each(table, |check, key, _| {
                check.report.add(Finding {
                    rule: Rule::Rows,
                    table,
                    key: key.to_vec(),
                    execution: None,
                    expected: "no row: this version writes none to this table".into(),
                    found: "a row".into(),
                });
                Ok(())
            })?;
        }
        Ok(())
    }
}
