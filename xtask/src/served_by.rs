//! `cargo xtask served-by`: which operations real clients call with success, as a table in `docs/compatibility.md`.
//!
//! The tests of each client note what they called with success, one operation a line, in a file of its own under
//! `target/served-by`; the replay of recordings does the same. The table is what those files say. A client whose tests
//! did not run keeps its column, so that nobody needs all of them to add a line.

use crate::workspace::{root, target};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The clients: the name of the file, the head of the column, the step of `cargo xtask test`.
const CLIENTS: [(&str, &str, &str); 5] = [
    ("recordings", "Recordings", "conformance"),
    ("boto3", "boto3", "sdk"),
    ("awscli", "AWS CLI", "sdk"),
    ("sdk-js", "JavaScript v3", "sdk-js"),
    ("sdk-rust", "Rust", "sdk-rust"),
];

/// What the table says beside the marks: where an operation knowingly differs.
const DIFFERENCES: [(&str, &str); 5] = [
    ("CreateStateMachine", "definitions with parts that are not run yet are refused"),
    ("DeleteStateMachine", "running executions are aborted at once, in the background"),
    ("DescribeStateMachine", "`encryptionConfiguration` only for machines with a key or variables"),
    ("GetActivityTask", "an answer that cannot be delivered puts the task back"),
    ("ValidateStateMachineDefinition", "parts that are not run yet are warnings with the code `NOT_SERVED`"),
];

const BEGIN: &str = "<!-- written by `cargo xtask served-by` from what the tests have called; do not edit -->";
const END: &str = "<!-- end of what `cargo xtask served-by` writes -->";

/// Write the table of operations and clients into docs/compatibility.md, from what the tests have called.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only compare, and fail if the page says something else
    #[arg(long)]
    pub(crate) check: bool,
}

/// Where the tests of the clients write. Made if need be.
pub(crate) fn folder() -> Result<PathBuf> {
    let folder = target().join("served-by");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

/// Forgets what the clients of a step have called before; gives the folder to write to.
pub(crate) fn fresh(step: &str) -> Result<PathBuf> {
    let folder = folder()?;
    for (file, ..) in CLIENTS.iter().filter(|(.., of)| *of == step) {
        std::fs::write(folder.join(file), "").with_context(|| format!("cannot write {file}"))?;
    }
    Ok(folder)
}

/// Notes what passing recordings call with success.
pub(crate) fn note_recordings(operations: &BTreeSet<String>) -> Result<()> {
    let lines: String = operations.iter().map(|operation| format!("{operation}\n")).collect();
    std::fs::write(folder()?.join("recordings"), lines)?;
    Ok(())
}

/// Writes or compares the table.
pub(crate) fn run(options: &Options) -> Result<()> {
    let path = root().join("docs/compatibility.md");
    let page = std::fs::read_to_string(&path)?;
    let mut called = BTreeMap::new();
    for (file, _, step) in CLIENTS {
        match std::fs::read_to_string(folder()?.join(file)) {
            Ok(text) if !text.is_empty() => {
                called.insert(file, text.lines().map(str::to_owned).collect());
            }
            _ => println!("{file}: kept as it is; `cargo xtask test {step}` would say anew"),
        }
    }
    let wanted = with_table(&page, &operations()?, &called)?;
    if page == wanted {
        println!("the table of docs/compatibility.md says what the tests have called");
        return Ok(());
    }
    if options.check {
        for (now, then) in wanted.lines().zip(page.lines()).filter(|(now, then)| now != then) {
            println!("- {then}\n+ {now}");
        }
        bail!("the table of docs/compatibility.md is out of date: run `cargo xtask served-by`");
    }
    std::fs::write(&path, wanted)?;
    println!("wrote {}", path.display());
    Ok(())
}

/// The operations of the service model.
fn operations() -> Result<Vec<String>> {
    let text = std::fs::read_to_string(root().join("crates/api/model/service-2.json"))?;
    let model: Value = serde_json::from_str(&text)?;
    let operations = model["operations"].as_object().context("the model has operations")?;
    Ok(operations.keys().cloned().collect())
}

/// The page with its table made anew. Columns of which nothing was called stay as they are.
fn with_table(page: &str, operations: &[String], called: &BTreeMap<&str, BTreeSet<String>>) -> Result<String> {
    let (before, rest) = page.split_once(BEGIN).context("the page lacks the mark before the table")?;
    let (table, after) = rest.split_once(END).context("the page lacks the mark behind the table")?;
    let kept = marks(table);
    for operation in called.values().flatten() {
        ensure!(operations.contains(operation), "{operation} was called, but is no operation of the model");
    }
    let mut lines = vec![String::new()];
    let heads: Vec<&str> = CLIENTS.iter().map(|(_, head, _)| *head).collect();
    lines.push(format!("| Operation | {} | Known differences |", heads.join(" | ")));
    lines.push(format!("|---|{}---|", "---|".repeat(heads.len())));
    let mut counts = [0; CLIENTS.len()];
    for operation in operations {
        let mut row = format!("| {operation} |");
        for (index, (file, head, _)) in CLIENTS.iter().enumerate() {
            let calls = match called.get(file) {
                Some(called) => called.contains(operation),
                None => kept.contains(&(operation.clone(), (*head).to_owned())),
            };
            counts[index] += usize::from(calls);
            row += if calls { " ✓ |" } else { " |" };
        }
        let difference = DIFFERENCES.iter().find(|(name, _)| name == operation).map_or("", |(_, text)| text);
        lines.push(format!("{row} {difference} |").replace("|  |", "| |"));
    }
    let counts = counts.map(|count| format!(" {count} |")).concat();
    lines.push(format!("| **of {}** |{counts} |", operations.len()));
    Ok(format!("{before}{BEGIN}\n{}\n\n{END}{after}", lines.join("\n")))
}

/// The marks of a table: operation and head of the column.
fn marks(table: &str) -> BTreeSet<(String, String)> {
    let cells = |line: &str| -> Vec<String> { line.split('|').map(|cell| cell.trim().to_owned()).collect() };
    let mut lines = table.lines().filter(|line| line.starts_with('|'));
    let heads = lines.next().map(cells).unwrap_or_default();
    let rows = lines.map(cells);
    rows.flat_map(|row| {
        let operation = row.get(1).cloned().unwrap_or_default();
        let marked = row.into_iter().zip(heads.clone()).filter(|(cell, _)| cell == "✓").map(|(_, head)| head);
        marked.map(move |head| (operation.clone(), head)).collect::<Vec<_>>()
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(table: &str) -> String {
        format!("# Page\n\n{BEGIN}\n{table}\n{END}\n\nMore.\n")
    }

    #[test]
    fn the_page_has_the_table_of_the_model() {
        let text = std::fs::read_to_string(root().join("docs/compatibility.md")).expect("the page");
        let again = with_table(&text, &operations().expect("the model"), &BTreeMap::new()).expect("a table");
        assert_eq!(text, again, "run `cargo xtask served-by`");
    }

    #[test]
    fn what_was_called_is_marked_and_the_rest_stays() {
        let operations = ["CreateActivity".to_owned(), "GetActivityTask".to_owned()];
        let called = BTreeMap::from([("boto3", BTreeSet::from(["CreateActivity".to_owned()]))]);
        let once = with_table(&page(""), &operations, &called).expect("a table");
        assert!(once.contains("| CreateActivity | | ✓ | | | | |"), "{once}");
        let called = BTreeMap::from([("sdk-js", BTreeSet::from(["GetActivityTask".to_owned()]))]);
        let twice = with_table(&once, &operations, &called).expect("a table");
        assert!(twice.contains("| CreateActivity | | ✓ | | | | |"), "{twice}");
        assert!(twice.contains("| GetActivityTask | | | | ✓ | | an answer that"), "{twice}");
        assert!(twice.contains("| **of 2** | 0 | 1 | 0 | 1 | 0 | |"), "{twice}");
        assert!(twice.starts_with("# Page\n\n<!--") && twice.ends_with("-->\n\nMore.\n"), "{twice}");
        assert_eq!(with_table(&twice, &operations, &BTreeMap::new()).expect("a table"), twice);
        // What is no longer called loses its mark.
        let called = BTreeMap::from([("boto3", BTreeSet::from(["GetActivityTask".to_owned()]))]);
        let moved = with_table(&twice, &operations, &called).expect("a table");
        assert!(moved.contains("| CreateActivity | | | | | | |"), "{moved}");
    }

    #[test]
    fn a_page_without_marks_and_an_unknown_operation_are_refused() {
        let operations = ["CreateActivity".to_owned()];
        with_table("# Page\n", &operations, &BTreeMap::new()).expect_err("no marks");
        let called = BTreeMap::from([("boto3", BTreeSet::from(["Nothing".to_owned()]))]);
        with_table(&page(""), &operations, &called).expect_err("an unknown operation");
    }
}
