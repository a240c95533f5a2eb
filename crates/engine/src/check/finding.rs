//! What a check found, and what it looked at. Data only.

use std::{fmt, sync::Arc};

use stepwright_store::Table;

use super::cursor::Cursor;

/// Findings kept; beyond it they are only counted.
const KEPT: usize = 1_000;

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $title:literal: $what:literal,)*) => {
        /// Something that must hold.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Rule {
            $($(#[$doc])* $name,)*
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &[Rule] = &[$(Rule::$name,)*];

            /// Its name.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Rule::$name => $title,)* }
            }

            /// What it says.
            #[must_use]
            pub const fn says(self) -> &'static str {
                match self { $(Rule::$name => $what,)* }
            }
        }
    };
}

rules! {
    /// See [`Rule::says`].
    Rows = "rows": "every row has the form of its table and belongs to something",
    /// See [`Rule::says`].
    Catalog = "catalog": "scopes, machines, revisions, activities, tags and counters agree",
    /// See [`Rule::says`].
    History = "history": "turns and events are numbered without a gap, times never go back, and only the last event ends",
    /// See [`Rule::says`].
    Fold = "fold": "the fold of the inputs gives the events, payloads, frames and the end",
    /// See [`Rule::says`].
    Outcome = "outcome": "the execution's row says what its history says",
    /// See [`Rule::says`].
    Timers = "timers": "what waits has its timer, and every timer has something that waits",
    /// See [`Rule::says`].
    Tasks = "tasks": "open tasks have their place in a queue, and nothing else has",
    /// See [`Rule::says`].
    Names = "names": "each execution holds its name with the hash of its input, and nobody else holds one",
    /// See [`Rule::says`].
    Lists = "lists": "each execution is in its two lists, as it is, and nothing else is",
    /// See [`Rule::says`].
    MapRuns = "map-runs": "each map run belongs to an execution and counts what its children's rows say",
    /// See [`Rule::says`].
    Quarantine = "quarantine": "what is in quarantine is an open execution",
}

/// A rule that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// The table.
    pub table: Table,
    /// The key of the row that is wrong, or missing.
    pub key: Vec<u8>,
    /// The execution that it is about.
    pub execution: Option<Arc<str>>,
    /// What there should be.
    pub expected: String,
    /// What there is.
    pub found: String,
}

impl Finding {
    /// The key for people: numbers and names, as far as the table's keys have such.
    #[must_use]
    pub fn shown_key(&self) -> String {
        shown_key(self.table, &self.key)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: table {:?}, key {}", self.rule.title(), self.table, self.shown_key())?;
        if let Some(execution) = &self.execution {
            write!(f, ", execution {execution}")?;
        }
        write!(f, ": expected {}; found {}", self.expected, self.found)
    }
}

/// Rows of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableCount {
    /// The table.
    pub table: Table,
    /// Its rows.
    pub rows: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// How often a rule was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleCount {
    /// Things it was asked of: rows, events, executions.
    pub checked: u64,
    /// Of these, how many it does not hold for.
    pub findings: u64,
    /// Of these, how many it cannot be asked of, such as executions that the interpreter broke on.
    pub skipped: u64,
}

/// The result of a check.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Executions.
    pub executions: u64,
    /// Their turns.
    pub turns: u64,
    /// Tables that hold something, or should.
    pub tables: Vec<TableCount>,
    /// What is wrong, in the order it was met; the first thousand.
    pub findings: Vec<Finding>,
    rules: [RuleCount; Rule::ALL.len()],
}

impl Report {
    /// What became of a rule.
    #[must_use]
    pub fn rule(&self, rule: Rule) -> RuleCount {
        self.rules[rule as usize]
    }

    /// All findings, also those that were not kept.
    #[must_use]
    pub fn total_findings(&self) -> u64 {
        self.rules.iter().map(|rule| rule.findings).sum()
    }

    pub(super) fn add(&mut self, finding: Finding) {
        self.rules[finding.rule as usize].findings += 1;
        if self.findings.len() < KEPT {
            self.findings.push(finding);
        }
    }

    pub(super) fn checked(&mut self, rule: Rule, times: u64) {
        self.rules[rule as usize].checked += times;
    }

    pub(super) fn skipped(&mut self, rule: Rule) {
        self.rules[rule as usize].skipped += 1;
    }

    /// Enters a table that was walked through.
    pub(super) fn count(&mut self, cursor: &Cursor<'_>) {
        self.checked(Rule::Rows, cursor.rows);
        self.tables.push(TableCount { table: cursor.table, rows: cursor.rows, bytes: cursor.bytes });
        self.tables.sort_by_key(|count| count.table);
    }

    pub(super) fn has_counted(&self, table: Table) -> bool {
        self.tables.iter().any(|count| count.table == table)
    }

    pub(super) fn rows_of(&self, table: Table) -> u64 {
        self.tables.iter().filter(|count| count.table == table).map(|count| count.rows).sum()
    }
}

fn shown_key(table: Table, key: &[u8]) -> String {
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |all, byte| (all << 8) | u64::from(*byte));
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    // The lengths of the parts; 16 is an identity.
    let layout: &[usize] = match table {
        Table::Execution | Table::Head | Table::Quarantine | Table::Express => &[4, 16],
        Table::Frame | Table::Turn | Table::MapChild | Table::MapRunOf => &[4, 16, 4],
        Table::MapRun | Table::MapRunState => &[4, 16],
        Table::Payload | Table::Task => &[4, 16, 4, 4],
        Table::Timer => &[8, 4, 16, 4, 4],
        Table::Expiry => &[8, 4, 16],
        Table::List => &[4, 4, 1, 16],
        Table::Revision | Table::Version => &[4, 4, 4],
        Table::Alias => &[4, 4],
        Table::Tag => &[4, 1],
        Table::Machine | Table::Activity | Table::Name => &[4],
        _ => &[],
    };
    let mut parts = Vec::new();
    let mut rest = key;
    for &length in layout {
        let Some((part, after)) = rest.split_at_checked(length) else { break };
        parts.push(if length == 16 { hex(part) } else { number(part).to_string() });
        rest = after;
    }
    parts.extend(rest.split(|byte| *byte == 0).filter(|part| !part.is_empty()).map(|part| {
        match std::str::from_utf8(part) {
            Ok(text) => text.escape_debug().to_string(),
            Err(_) => hex(part),
        }
    }));
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use stepwright_machine::{ExecutionId, FrameId, TimerId};
    use stepwright_store::keys;

    use super::*;

    #[test]
    fn keys_are_shown_in_parts() {
        let id = ExecutionId(0xAB);
        let timer = TimerId { frame: FrameId(3), number: 4 };
        assert_eq!(
            shown_key(Table::Timer, &keys::timer(77, 1, id, timer)),
            "77/1/000000000000000000000000000000ab/3/4"
        );
        assert_eq!(shown_key(Table::Name, &keys::name(2, "m", "é")), "2/m/é");
        assert_eq!(shown_key(Table::Meta, b"master_key"), "master_key");
        assert_eq!(shown_key(Table::Head, &[1, 2, 255]), "0102ff");
    }
}
