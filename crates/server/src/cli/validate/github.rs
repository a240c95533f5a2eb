//! Workflow commands of GitHub Actions, which become annotations of a pull request.

use std::fmt::Write as _;

use super::{Found, problem::Severity};
use crate::cli::definition_file::DefinitionFile;

/// A line for each problem.
pub(super) fn commands(judged: &[(DefinitionFile, Found)]) -> String {
    let mut out = String::new();
    for (file, found) in judged {
        for problem in &found.problems {
            let (start, end) = problem.places(file);
            let level = match problem.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            // Columns mean something within one line only.
            let columns = if start.line == end.line {
                format!(",col={},endColumn={}", start.column, end.column)
            } else {
                String::new()
            };
            // Writing to a string cannot fail.
            let _ = writeln!(
                out,
                "::{level} file={},line={},endLine={}{columns},title={}::{}",
                property(&file.name),
                start.line,
                end.line,
                property(&problem.code),
                data(&format!("{}\n{}", problem.message, problem.help))
            );
        }
        for feature in &found.unsupported {
            let feature = data(&format!("Not served by this version of Stepwright yet: {feature}"));
            let _ = writeln!(out, "::error file={},title=NOT_SERVED_YET::{feature}", property(&file.name));
        }
    }
    out
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
