//! `stepwright validate`: what is wrong with a definition, and where. Also for `run`, which refuses the same.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use stepwright_asl::{
    Diagnostic, MachineType, Options, Severity, Span,
    lint::{Finding, lint},
    parse,
};
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
    /// Say also what is valid and probably not meant (docs/lint.md has the rules)
    #[arg(long)]
    lint: bool,
    /// Take warnings for failures: exit code 1
    #[arg(long)]
    deny_warnings: bool,
    /// Judge it as the definition of an EXPRESS state machine
    #[arg(long)]
    express: bool,
}

pub(super) fn validate(args: &ValidateArgs) -> Result<(), Failure> {
    let (name, text) = read(&args.definition)?;
    let machine_type = if args.express { MachineType::Express } else { MachineType::Standard };
    let options = Options { machine_type, sdk: Some(&Catalog), ..Options::default() };
    let mut found = check_as(&text, &options);
    if args.lint {
        found.findings = lint(&text, &options, Some(now_ms()));
    }
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
    if args.deny_warnings && found.warnings() > 0 {
        return Err(Failure::Failed(format!("{name}: {}, and --deny-warnings", found.summary())));
    }
    Ok(())
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// What a definition's check found.
pub(super) struct Found {
    diagnostics: Vec<Diagnostic>,
    findings: Vec<Finding>,
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

    fn warnings(&self) -> usize {
        self.count(Severity::Warning) + self.findings.len()
    }

    pub(super) fn summary(&self) -> String {
        let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let warnings = plural(self.warnings(), "warning");
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
    check_as(text, &Options { sdk: Some(&Catalog), ..Options::default() })
}

fn check_as(text: &str, options: &Options) -> Found {
    let parsed = parse(text, options);
    Found {
        findings: Vec::new(),
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

/// The diagnostics and findings as a compiler shows them.
pub(super) fn shown(name: &str, text: &str, found: &Found) -> String {
    let diagnostics = found.diagnostics.iter().map(|diagnostic| {
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
        let place = span.as_ref().map(|span| place(name, text, span)).unwrap_or_default();
        format!("{severity}[{code}]: {message}{at}\n{place}\n")
    });
    let findings = found.findings.iter().map(|finding| {
        let Finding { rule, message, suggestion, location, span } = finding;
        let place = place(name, text, span);
        format!("warning[{}]: {message} at {location}\n{place}  help: {suggestion}\n\n", rule.code())
    });
    diagnostics.chain(findings).collect()
}

fn place(name: &str, text: &str, span: &Span) -> String {
    // An empty span is a parser's: just after the character that is wrong.
    let before = text.get(..span.start).and_then(|before| before.chars().next_back()).map_or(0, char::len_utf8);
    let start = if span.start == span.end { span.start - before } else { span.start };
    format!("{}\n", excerpt(name, text, &(start..span.end), None))
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
        .chain(found.findings.iter().map(|finding| {
            json!({
                "severity": Severity::Warning.as_str(),
                "code": finding.rule.code(),
                "message": finding.message,
                "suggestion": finding.suggestion,
                "location": finding.location,
                "line": finding.span.line,
                "column": finding.span.column,
            })
        }))
        .collect();
    json!({
        "result": if found.is_wrong() { "FAIL" } else { "OK" },
        "diagnostics": diagnostics,
        "notServedYet": found.unsupported,
    })
}
