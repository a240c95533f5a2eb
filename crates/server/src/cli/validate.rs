//! `stepwright validate`: what is wrong with a definition, and where. Also for `run`, which refuses the same.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use stepwright_asl::{Diagnostic, Options, Severity, parse};
use stepwright_integrations::model::Catalog;

use super::{Failure, eprint, print};
use crate::{definitions::not_served, excerpt::excerpt};

#[derive(Debug, Args)]
pub(super) struct ValidateArgs {
    /// The definition, a JSON file (- for stdin)
    definition: PathBuf,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

pub(super) fn validate(args: &ValidateArgs) -> Result<(), Failure> {
    let (name, text) = read(&args.definition)?;
    let found = check(&text);
    if args.json {
        print(&format!("{:#}\n", as_json(&found)));
    } else {
        eprint(&shown(&name, &text, &found));
    }
    if found.is_wrong() {
        return Err(Failure::Usage(format!("{name}: {}", found.summary())));
    }
    if !args.json {
        print(&format!("{name}: {}\n", found.summary()));
    }
    Ok(())
}

/// What a definition's check found.
pub(super) struct Found {
    diagnostics: Vec<Diagnostic>,
    unsupported: Vec<String>,
    valid: bool,
}

impl Found {
    pub(super) fn is_wrong(&self) -> bool {
        !self.valid || !self.unsupported.is_empty()
    }

    /// Whether AWS would refuse it.
    pub(super) fn is_invalid(&self) -> bool {
        !self.valid
    }

    fn count(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count()
    }

    pub(super) fn summary(&self) -> String {
        let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let warnings = plural(self.count(Severity::Warning), "warning");
        if !self.valid {
            format!("{}, {warnings}", plural(self.count(Severity::Error), "error"))
        } else if !self.unsupported.is_empty() {
            format!("valid on AWS, but not served by this version of Stepwright yet: {}", self.unsupported.join(", "))
        } else {
            format!("valid, {warnings}")
        }
    }
}

/// Checks a definition.
pub(super) fn check(text: &str) -> Found {
    let parsed = parse(text, &Options { sdk: Some(&Catalog), ..Options::default() });
    Found {
        valid: parsed.definition.is_some(),
        unsupported: parsed.unsupported.iter().map(not_served).collect(),
        diagnostics: parsed.diagnostics,
    }
}

/// Reads a definition, and the name to call it by.
pub(super) fn read(path: &Path) -> Result<(String, String), Failure> {
    if path == Path::new("-") {
        let text = std::io::read_to_string(std::io::stdin())
            .map_err(|error| Failure::Usage(format!("the definition on stdin cannot be read: {error}")))?;
        return Ok(("<stdin>".to_owned(), text));
    }
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok((name, text)),
        Err(error) => Err(Failure::Usage(format!("the definition {name} cannot be read: {error}"))),
    }
}

/// The diagnostics as a compiler shows them.
pub(super) fn shown(name: &str, text: &str, found: &Found) -> String {
    found
        .diagnostics
        .iter()
        .map(|diagnostic| {
            let severity = match diagnostic.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            let Diagnostic { code, message, location, span, .. } = diagnostic;
            // The message of a text that is not JSON ends with its place, which the excerpt shows better.
            let (message, at) = match (message.split_once("\n at [Source"), location) {
                (Some((message, _)), _) => (message, String::new()),
                (None, Some(location)) => (message.as_str(), format!(" at {location}")),
                (None, None) => (message.as_str(), String::new()),
            };
            let place = span.as_ref().map(|span| {
                // An empty span is a parser's: just after the character that is wrong.
                let before =
                    text.get(..span.start).and_then(|before| before.chars().next_back()).map_or(0, char::len_utf8);
                let start = if span.start == span.end { span.start - before } else { span.start };
                format!("{}\n", excerpt(name, text, &(start..span.end), None))
            });
            format!("{severity}[{code}]: {message}{at}\n{}\n", place.unwrap_or_default())
        })
        .collect()
}

fn as_json(found: &Found) -> Value {
    let diagnostics: Vec<Value> = found
        .diagnostics
        .iter()
        .map(|diagnostic| {
            let mut shown = json!({
                "severity": diagnostic.severity.as_str(),
                "code": diagnostic.code.as_str(),
                "message": diagnostic.message,
            });
            if let Some(location) = &diagnostic.location {
                shown["location"] = json!(location);
            }
            if let Some(span) = &diagnostic.span {
                shown["line"] = json!(span.line);
                shown["column"] = json!(span.column);
            }
            shown
        })
        .collect();
    json!({
        "result": if found.is_wrong() { "FAIL" } else { "OK" },
        "diagnostics": diagnostics,
        "notServedYet": found.unsupported,
    })
}
