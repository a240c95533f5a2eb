//! The small tables: counters, scopes, state machines, their revisions, activities, tags.

use std::{collections::HashMap, sync::Arc};

use serde::de::DeserializeOwned;
use stepwright_machine::Definition;
use stepwright_store::{
    Table,
    keys::{self, MetaKey, ScopeNumber, Tagged},
    records::{self, ActivityRow, AliasRow, MachineRow, MetaRow, RevisionRow, ScopeRow, TagsRow, VersionRow},
};

use super::{Check, Finding, REVISIONS, Revision, Rule};
use crate::{arn, error::Result, model::Scope};

impl Check<'_> {
    /// A row's value, or a finding.
    pub(super) fn decode<T: DeserializeOwned>(&mut self, table: Table, key: &[u8], value: &[u8]) -> Option<T> {
        match records::decode(table, value) {
            Ok(row) => Some(row),
            Err(error) => {
                self.finding(Rule::Rows, table, key, None, "a row that can be read", error.to_string());
                None
            }
        }
    }

    pub(super) fn finding(
        &mut self,
        rule: Rule,
        table: Table,
        key: &[u8],
        execution: Option<&Arc<str>>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) {
        let (expected, found) = (shortened(expected.into()), shortened(found.into()));
        self.report.add(Finding { rule, table, key: key.to_vec(), execution: execution.cloned(), expected, found });
    }

    pub(super) fn catalog(&mut self) -> Result<()> {
        self.meta()?;
        self.scopes()?;
        self.machines()?;
        self.revisions()?;
        self.versions()?;
        self.aliases()?;
        self.activities()?;
        self.tags()
    }

    fn meta(&mut self) -> Result<()> {
        let (master, next) = (keys::meta(MetaKey::MasterKey), keys::meta(MetaKey::NextMachine));
        let clock = keys::meta(MetaKey::Clock);
        self.each(Table::Meta, |check, key, value| {
            let Some(row) = check.decode::<MetaRow>(Table::Meta, key, value) else { return Ok(()) };
            match row {
                MetaRow::Secret(_) if key == master => {}
                MetaRow::Number(number) if key == next => check.next_machine = Some(number),
                MetaRow::Clock(_) if key == clock => {}
                other => {
                    let found = match other {
                        MetaRow::Secret(_) => "a secret".to_owned(),
                        MetaRow::Number(number) => format!("the number {number}"),
                        MetaRow::Clock(_) => "a clock".to_owned(),
                    };
                    check.finding(
                        Rule::Catalog,
                        Table::Meta,
                        key,
                        None,
                        "the master key, a counter or the clock",
                        found,
                    );
                }
            }
            Ok(())
        })?;
        // A store that no engine was ever opened on has neither.
        let used = self.report.rows_of(Table::Meta) > 0;
        if used && self.secrets.is_none() {
            self.finding(Rule::Catalog, Table::Meta, &master, None, "the key of task tokens", "none");
        }
        self.report.checked(Rule::Catalog, 1);
        Ok(())
    }

    fn scopes(&mut self) -> Result<()> {
        self.each(Table::Scope, |check, key, value| {
            let Some(row) = check.decode::<ScopeRow>(Table::Scope, key, value) else { return Ok(()) };
            check.report.checked(Rule::Catalog, 1);
            if key != keys::scope(&row.account, &row.region) {
                let found = format!("account {} in {}", row.account, row.region);
                check.finding(Rule::Catalog, Table::Scope, key, None, "the account and region of its key", found);
            }
            if check.scopes.insert(row.number, (row.account, row.region)).is_some() {
                let found = format!("{}, which another scope has, too", row.number);
                check.finding(Rule::Catalog, Table::Scope, key, None, "a number of its own", found);
            }
            Ok(())
        })
    }

    /// The scope and the name that a key of a named resource holds.
    fn named(&mut self, table: Table, key: &[u8], skip: usize) -> Option<(ScopeNumber, Scope, Arc<str>)> {
        let number = key.get(..4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
        let name = key.get(4 + skip..).and_then(|bytes| std::str::from_utf8(bytes).ok());
        let (Some(number), Some(name)) = (number, name) else {
            self.finding(Rule::Rows, table, key, None, "a key of a scope and a name", "something else");
            return None;
        };
        let Some((account, region)) = self.scopes.get(&number).cloned() else {
            self.finding(Rule::Catalog, table, key, None, "the number of a scope", format!("{number}"));
            return None;
        };
        Some((number, Scope { account, region }, name.into()))
    }

    fn machines(&mut self) -> Result<()> {
        let mut numbers: HashMap<u32, Vec<u8>> = HashMap::new();
        self.each(Table::Machine, |check, key, value| {
            let Some(row) = check.decode::<MachineRow>(Table::Machine, key, value) else { return Ok(()) };
            let Some((scope, names, name)) = check.named(Table::Machine, key, 0) else { return Ok(()) };
            check.report.checked(Rule::Catalog, 1);
            if arn::name_of(&row.arn, &names, "stateMachine") != Some(&name) {
                let expected = format!("an ARN of {name} in its account and region");
                check.finding(Rule::Catalog, Table::Machine, key, None, expected, &*row.arn);
            }
            if numbers.insert(row.number, key.to_vec()).is_some() {
                let found = format!("{}, which another machine has, too", row.number);
                check.finding(Rule::Catalog, Table::Machine, key, None, "a number of its own", found);
            }
            if check.next_machine.is_none_or(|next| u64::from(row.number) >= next) {
                let expected = format!("a number below the next one, {:?}", check.next_machine);
                check.finding(Rule::Catalog, Table::Machine, key, None, expected, row.number.to_string());
            }
            let revision = keys::revision(scope, row.number, row.revision);
            if check.store.get(Table::Revision, &revision)?.is_none() {
                let expected = format!("the revision in force of {}", row.arn);
                check.finding(Rule::Catalog, Table::Revision, &revision, None, expected, "none");
            }
            Ok(())
        })
    }

    fn revisions(&mut self) -> Result<()> {
        self.each(Table::Revision, |check, key, value| {
            let Some(row) = check.decode::<RevisionRow>(Table::Revision, key, value) else { return Ok(()) };
            check.report.checked(Rule::Catalog, 1);
            if key.len() != 12 {
                check.finding(Rule::Rows, Table::Revision, key, None, "a key of three numbers", "another");
            }
            check.compiled(key, &row);
            Ok(())
        })
    }

    fn versions(&mut self) -> Result<()> {
        self.each(Table::Version, |check, key, value| {
            let Some(row) = check.decode::<VersionRow>(Table::Version, key, value) else { return Ok(()) };
            check.report.checked(Rule::Catalog, 1);
            let Some((scope, machine, _)) = keys::parse_version(key) else {
                check.finding(Rule::Rows, Table::Version, key, None, "a key of three numbers", "another");
                return Ok(());
            };
            let revision = keys::revision(scope, machine, row.revision);
            if check.store.get(Table::Revision, &revision)?.is_none() {
                let expected = "the revision that the version is";
                check.finding(Rule::Catalog, Table::Revision, &revision, None, expected, "none");
            }
            Ok(())
        })
    }

    fn aliases(&mut self) -> Result<()> {
        self.each(Table::Alias, |check, key, value| {
            let Some(row) = check.decode::<AliasRow>(Table::Alias, key, value) else { return Ok(()) };
            check.report.checked(Rule::Catalog, 1);
            let Some((scope, machine, _)) = keys::parse_alias(key) else {
                check.finding(Rule::Rows, Table::Alias, key, None, "a key of two numbers and a name", "another");
                return Ok(());
            };
            for (version, _) in &row.routes {
                let version = keys::version(scope, machine, *version);
                if check.store.get(Table::Version, &version)?.is_none() {
                    let expected = "the version that an alias routes to";
                    check.finding(Rule::Catalog, Table::Version, &version, None, expected, "none");
                }
            }
            let sum: u32 = row.routes.iter().map(|(_, weight)| u32::from(*weight)).sum();
            if sum != 100 {
                check.finding(Rule::Catalog, Table::Alias, key, None, "weights that add up to 100", sum.to_string());
            }
            Ok(())
        })
    }

    fn compiled(&mut self, key: &[u8], row: &RevisionRow) -> Option<Arc<Definition>> {
        match (self.compile)(&row.definition) {
            Ok(definition) => Some(Arc::new(definition)),
            Err(error) => {
                let expected = format!("a definition of {} that compiles", row.machine_arn);
                self.finding(Rule::Catalog, Table::Revision, key, None, expected, error);
                None
            }
        }
    }

    /// The revision that an execution runs; none if there is none.
    pub(super) fn revision(&mut self, scope: u32, machine: u32, number: u32) -> Result<Option<Arc<Revision>>> {
        let place = (scope, machine, number);
        if let Some(known) = self.revisions.get(&place) {
            return Ok(known.clone());
        }
        let key = keys::revision(scope, machine, number);
        // What is wrong with the row was said when its table was checked.
        let row = match self.store.get(Table::Revision, &key)? {
            Some(bytes) => records::decode::<RevisionRow>(Table::Revision, &bytes).ok(),
            None => None,
        };
        let revision = row.map(|row| {
            let definition = (self.compile)(&row.definition).ok().map(Arc::new);
            Arc::new(Revision { row, definition })
        });
        if self.revisions.len() >= REVISIONS {
            self.revisions.clear();
        }
        self.revisions.insert(place, revision.clone());
        Ok(revision)
    }

    fn activities(&mut self) -> Result<()> {
        self.each(Table::Activity, |check, key, value| {
            let Some(row) = check.decode::<ActivityRow>(Table::Activity, key, value) else { return Ok(()) };
            let Some((_, scope, name)) = check.named(Table::Activity, key, 0) else { return Ok(()) };
            check.report.checked(Rule::Catalog, 1);
            if arn::name_of(&row.arn, &scope, "activity") != Some(&name) {
                let expected = format!("an ARN of {name} in its account and region");
                check.finding(Rule::Catalog, Table::Activity, key, None, expected, &*row.arn);
            }
            Ok(())
        })
    }

    fn tags(&mut self) -> Result<()> {
        self.each(Table::Tag, |check, key, value| {
            if check.decode::<TagsRow>(Table::Tag, key, value).is_none() {
                return Ok(());
            }
            let Some((scope, _, name)) = check.named(Table::Tag, key, 1) else { return Ok(()) };
            check.report.checked(Rule::Catalog, 1);
            let owner =
                if key == keys::tags(scope, Tagged::StateMachine, &name) { Table::Machine } else { Table::Activity };
            if check.store.get(owner, &keys::named(scope, &name))?.is_none() {
                let expected = format!("the {owner:?} that carries the tags");
                check.finding(Rule::Catalog, Table::Tag, key, None, expected, "none");
            }
            Ok(())
        })
    }
}

/// A finding is a line, not a document.
fn shortened(text: String) -> String {
    const CHARS: usize = 400;
    match text.char_indices().nth(CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
