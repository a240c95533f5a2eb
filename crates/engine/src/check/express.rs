//! Rows of Express executions that have not ended: each can be run again.

use stepwright_store::{Table, keys, records::ExpressRow};

use super::{Check, Rule};
use crate::{arn, error::Result};

impl Check<'_> {
    pub(super) fn express(&mut self) -> Result<()> {
        self.each(Table::Express, |check, key, value| {
            let Some(row) = check.decode::<ExpressRow>(Table::Express, key, value) else { return Ok(()) };
            check.report.checked(Rule::Rows, 1);
            let Some((scope, _)) = keys::parse_execution(key).filter(|_| key.len() == 20) else {
                check.finding(Rule::Rows, Table::Express, key, None, "a key of an execution", "another");
                return Ok(());
            };
            let revision = check.revision(scope, row.machine, row.revision)?;
            let wanted = "a revision of an EXPRESS machine";
            let problem = match &revision {
                None => Some("none".to_owned()),
                Some(revision) if !revision.row.express => Some("one of a STANDARD machine".to_owned()),
                Some(_) => None,
            };
            if let Some(found) = problem {
                let machine_arn = revision.as_ref().map(|revision| revision.row.machine_arn.clone());
                let execution = machine_arn.map(|machine| arn::express(&machine, &row.name, row.uuid));
                check.finding(Rule::Catalog, Table::Express, key, execution.as_ref(), wanted, found);
            } else if serde_json::from_str::<serde::de::IgnoredAny>(&row.input).is_err() {
                check.finding(Rule::Rows, Table::Express, key, None, "an input that is JSON", "another text");
            }
            Ok(())
        })
    }
}
