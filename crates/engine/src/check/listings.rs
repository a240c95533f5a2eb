//! The tables with an order of their own: names, lists, timers, and names that outlive their execution. Executions
//! were asked for their rows before; what is left over here belongs to nobody.

use std::collections::HashSet;

use stepwright_machine::{ExecutionId, Frame, Head, TimerKind};
use stepwright_store::{
    Order, Table, keys,
    records::{self, ExecutionRow, ExpiryRow, ListRow, NameRow, TimerRow, TurnRow},
};

use super::{Check, Rule, execution::Waits};
use crate::{error::Result, lists, message::ExecutionRef, rows};

impl Check<'_> {
    pub(super) fn listings(&mut self) -> Result<()> {
        self.expiries()?;
        self.each(Table::Name, |check, key, value| {
            check.decode::<NameRow>(Table::Name, key, value);
            Ok(())
        })?;
        self.each(Table::List, |check, key, value| {
            check.decode::<ListRow>(Table::List, key, value);
            Ok(())
        })?;
        self.each(Table::Timer, |check, key, value| {
            check.decode::<TimerRow>(Table::Timer, key, value);
            Ok(())
        })?;
        // Each row that was found is another one, so equal numbers leave none over.
        if self.report.rows_of(Table::Name) > self.matched.names {
            self.names_left_over()?;
        }
        if self.report.rows_of(Table::List) > self.matched.lists {
            self.entries_left_over()?;
        }
        if self.report.rows_of(Table::Timer) > self.matched.timers {
            self.timers_left_over()?;
        }
        Ok(())
    }

    /// Retention deleted an execution, and its name is not free yet.
    fn expiries(&mut self) -> Result<()> {
        self.each(Table::Expiry, |check, key, value| {
            let Some(row) = check.decode::<ExpiryRow>(Table::Expiry, key, value) else { return Ok(()) };
            check.report.checked(Rule::Names, 1);
            let Some((_, id)) = key.get(8..).and_then(keys::parse_execution) else {
                check.finding(Rule::Rows, Table::Expiry, key, None, "a key of a time and an execution", "another");
                return Ok(());
            };
            let Some(value) = check.store.get(Table::Name, &row.name_key)? else {
                let expected = "a name that waits to be free";
                check.finding(Rule::Names, Table::Name, &row.name_key, None, expected, "none");
                return Ok(());
            };
            let Ok(name) = records::decode::<NameRow>(Table::Name, &value) else { return Ok(()) };
            if name.id() == id {
                check.matched.names += 1;
            } else {
                let (expected, found) = (format!("execution {:032x}", id.0), format!("{:032x}", name.id().0));
                check.finding(Rule::Names, Table::Name, &row.name_key, None, expected, found);
            }
            Ok(())
        })
    }

    fn row(&self, execution: ExecutionRef) -> Result<Option<ExecutionRow>> {
        let key = keys::execution(execution.scope, execution.id);
        let bytes = self.store.get(Table::Execution, &key)?;
        Ok(bytes.and_then(|bytes| records::decode(Table::Execution, &bytes).ok()))
    }

    fn names_left_over(&mut self) -> Result<()> {
        let mut expiring: HashSet<ExecutionId> = HashSet::new();
        rows::for_each(self.store, Table::Expiry, &[], |key, _| {
            expiring.extend(key.get(8..).and_then(keys::parse_execution).map(|(_, id)| id));
            Ok(())
        })?;
        rows::for_each(self.store, Table::Name, &[], |key, value| {
            let Ok(row) = records::decode::<NameRow>(Table::Name, value) else { return Ok(()) };
            let scope = key.get(..4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes);
            let execution = ExecutionRef { scope, id: row.id() };
            let held = match self.row(execution)? {
                Some(of) => match self.revision(scope, of.machine, of.revision)? {
                    Some(revision) => keys::name(scope, &revision.row.machine_name, &of.name) == key,
                    None => true,
                },
                None => expiring.contains(&row.id()),
            };
            if !held {
                let found = format!("execution {:032x}, which has it not", row.id().0);
                self.finding(Rule::Names, Table::Name, key, None, "an execution that has the name", found);
            }
            Ok(())
        })
    }

    fn entries_left_over(&mut self) -> Result<()> {
        rows::for_each(self.store, Table::List, &[], |key, _| {
            let scope = key.get(..4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes);
            let Some(id) = keys::parse_list_entry(key).filter(|_| key.len() >= 25) else {
                self.finding(Rule::Rows, Table::List, key, None, "a key of a list", "another");
                return Ok(());
            };
            let row = self.row(ExecutionRef { scope, id })?;
            let listed = row.as_ref().is_some_and(|row| {
                [None, Some(row.status())]
                    .iter()
                    .any(|status| lists::entries(scope, id, row, *status).any(|entry| entry == key))
            });
            if !listed {
                let found = match row {
                    Some(row) => format!("one of machine {} that is {:?}", row.machine, row.status()),
                    None => "none".into(),
                };
                self.finding(Rule::Lists, Table::List, key, None, "an execution as its list says", found);
            }
            Ok(())
        })
    }

    fn timers_left_over(&mut self) -> Result<()> {
        rows::for_each(self.store, Table::Timer, &[], |key, _| {
            let Some((due, scope, id, timer)) = keys::parse_timer(key).filter(|_| key.len() == 36) else {
                self.finding(Rule::Rows, Table::Timer, key, None, "a key of a timer", "another");
                return Ok(());
            };
            let execution = ExecutionRef { scope, id };
            let found = match self.row(execution)? {
                None => "none".to_owned(),
                Some(row) if row.end.is_some() => {
                    if self.was_forced(execution)? {
                        // Nobody could tell what it waited for. The timer fires into the void, once.
                        return Ok(());
                    }
                    "one that has ended".to_owned()
                }
                Some(_) if self.waits_for(execution, (timer, due))? => return Ok(()),
                Some(_) => "one that waits for something else".to_owned(),
            };
            self.finding(Rule::Timers, Table::Timer, key, None, "an execution that waits for the timer", found);
            Ok(())
        })
    }

    fn waits_for(&self, execution: ExecutionRef, set: (stepwright_machine::TimerId, i64)) -> Result<bool> {
        let ExecutionRef { scope, id } = execution;
        let mut waits = Waits::default();
        let head = self.store.get(Table::Head, &keys::execution(scope, id))?;
        let head: Option<Head> = head.and_then(|bytes| records::decode(Table::Head, &bytes).ok());
        waits.timers.extend(head.and_then(|head| head.timeout).map(|set| (set, TimerKind::ExecutionTimeout)));
        let frame = self.store.get(Table::Frame, &keys::frame(scope, id, set.0.frame.0))?;
        let frame: Option<Frame> = frame.and_then(|bytes| records::decode(Table::Frame, &bytes).ok());
        if let Some(frame) = &frame {
            waits.frame(frame);
        }
        Ok(waits.timers.iter().any(|(waiting, _)| *waiting == set))
    }

    /// Whether quarantine ended it without the interpreter.
    fn was_forced(&self, execution: ExecutionRef) -> Result<bool> {
        use std::ops::Bound::{Excluded, Included};
        let prefix = keys::execution(execution.scope, execution.id);
        let end = keys::prefix_end(&prefix);
        let last = self.store.scan(Table::Turn, Included(&prefix), Excluded(&end), Order::Descending, 1)?;
        let last = last.first().and_then(|(_, value)| records::decode::<TurnRow>(Table::Turn, value).ok());
        Ok(last.is_some_and(|turn| turn.inputs.is_empty()))
    }
}
