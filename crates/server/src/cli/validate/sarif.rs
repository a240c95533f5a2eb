//! SARIF 2.1.0, the format that code scanners and editors exchange.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Found, problem::Severity};
use crate::cli::definition_file::DefinitionFile;

/// The log of one run.
pub(super) fn document(judged: &[(DefinitionFile, Found)]) -> Value {
    let mut codes: BTreeSet<&str> = BTreeSet::new();
    let mut results = Vec::new();
    for (file, found) in judged {
        for problem in &found.problems {
            codes.insert(&problem.code);
            let (start, end) = problem.places(file);
            let level = match problem.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            let region = json!({
                "startLine": start.line, "startColumn": start.column, "endLine": end.line, "endColumn": end.column,
            });
            let mut location = json!({
                "physicalLocation": { "artifactLocation": { "uri": uri(&file.name) }, "region": region },
            });
            if let Some(path) = &problem.location {
                location["logicalLocations"] = json!([{ "fullyQualifiedName": path }]);
            }
            results.push(json!({
                "ruleId": problem.code,
                "level": level,
                "message": { "text": format!("{}\n{}", problem.message, problem.help) },
                "locations": [location],
            }));
        }
        for feature in &found.unsupported {
            codes.insert("NOT_SERVED_YET");
            results.push(json!({
                "ruleId": "NOT_SERVED_YET",
                "level": "error",
                "message": { "text": format!("Not served by this version of Stepwright yet: {feature}") },
                "locations": [{ "physicalLocation": { "artifactLocation": { "uri": uri(&file.name) } } }],
            }));
        }
    }
    let rules: Vec<Value> = codes.into_iter().map(|code| json!({ "id": code })).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {
                "driver": { "name": "stepwright", "semanticVersion": env!("CARGO_PKG_VERSION"), "rules": rules },
            },
            // Columns count characters, not UTF-16 units.
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// A file's path as a relative reference.
fn uri(name: &str) -> String {
    let name = if name == "<stdin>" { "stdin" } else { name.trim_start_matches("./") };
    let path = name.replace('\\', "/");
    path.split('/').map(super::super::client::path_segment).collect::<Vec<_>>().join("/")
}
