//! One thing that is to be said of a definition, whoever found it, with its place in what was written.

use std::ops::Range;

use serde_json::{Value, json};
use stepwright_asl::{Diagnostic, Options, Span, advice::advise, lint::Finding};

use super::Found;
use crate::{
    cli::{
        definition_file::DefinitionFile,
        terminal::{Tone, tame, toned},
    },
    excerpt::{Place, excerpt, place_of},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    Error,
    Warning,
}

/// Something to be said.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) severity: Severity,
    pub(super) code: String,
    pub(super) message: String,
    /// A slash path from the root: `/States/A/Next`.
    pub(super) location: Option<String>,
    /// Bytes of what was written.
    pub(super) place: Range<usize>,
    /// The rule and the way out.
    pub(super) help: String,
}

/// What the check of a definition says, with advice.
pub(super) fn of_diagnostics(
    file: &DefinitionFile,
    text: &str,
    options: &Options,
    diagnostics: Vec<Diagnostic>,
) -> Vec<Problem> {
    let advice = advise(text, options, &diagnostics);
    let both = diagnostics.into_iter().zip(advice);
    both.map(|(diagnostic, advice)| {
        let Diagnostic { severity, code, message, location, .. } = diagnostic;
        // The message of a text that is not JSON ends with its place, which the excerpt shows better.
        let (message, location) = match message.split_once("\n at [Source") {
            Some((message, _)) => (message.to_owned(), None),
            None => (message, location),
        };
        Problem {
            severity: match severity {
                stepwright_asl::Severity::Error => Severity::Error,
                stepwright_asl::Severity::Warning => Severity::Warning,
            },
            code: code.as_str().to_owned(),
            message,
            location,
            place: advice.span.map_or(0..0, |span| place(file, text, &span)),
            help: advice.help,
        }
    })
    .collect()
}

fn place(file: &DefinitionFile, text: &str, span: &Span) -> Range<usize> {
    // An empty span is a parser's: just after the character that is wrong.
    let before = text.get(..span.start).and_then(|before| before.chars().next_back()).map_or(0, char::len_utf8);
    let start = if span.start == span.end { span.start - before } else { span.start };
    file.place(start..span.end)
}

impl Problem {
    /// YAML that cannot be read.
    pub(super) fn of_yaml(error: &stepwright_source::Error) -> Self {
        Self {
            severity: Severity::Error,
            code: "INVALID_YAML".to_owned(),
            message: error.message.clone(),
            location: None,
            place: error.place.clone(),
            help: "A definition in YAML is one document of objects, lists and plain values, indented with blanks."
                .to_owned(),
        }
    }

    /// A finding beyond AWS's rules.
    pub(super) fn of_finding(file: &DefinitionFile, finding: Finding) -> Self {
        let Finding { rule, message, suggestion, location, span } = finding;
        Self {
            severity: Severity::Warning,
            code: rule.code().to_owned(),
            message,
            location: Some(location),
            place: file.place(span.start..span.end),
            help: suggestion,
        }
    }

    /// As a compiler shows it.
    pub(super) fn shown(&self, file: &DefinitionFile, colours: bool) -> String {
        let (word, tone) = match self.severity {
            Severity::Error => ("error", Tone::Bad),
            Severity::Warning => ("warning", Tone::Warn),
        };
        let head = toned(&format!("{word}[{}]", self.code), tone, colours);
        let at = self.location.as_ref().map(|location| format!(" at {location}")).unwrap_or_default();
        // Both may hold names out of the definition.
        let [said, help] = [format!("{}{at}", self.message), self.help.clone()].map(|text| tame(&text, usize::MAX));
        let excerpt = excerpt(&file.name, &file.written, &self.place, Some(&help));
        format!("{head}: {said}\n{excerpt}\n\n")
    }

    /// Where it begins and where it ends, lines and columns.
    pub(super) fn places(&self, file: &DefinitionFile) -> (Place, Place) {
        let text = &file.written;
        (place_of(text, self.place.start), place_of(text, self.place.end))
    }
}

/// The `files` entry of a definition.
pub(super) fn as_json(file: &DefinitionFile, found: &Found) -> Value {
    let diagnostics: Vec<Value> = found
        .problems
        .iter()
        .map(|problem| {
            let (start, end) = problem.places(file);
            let mut shown = json!({
                "severity": match problem.severity {
                    Severity::Error => "ERROR",
                    Severity::Warning => "WARNING",
                },
                "code": problem.code,
                "message": problem.message,
                "suggestion": problem.help,
                "line": start.line,
                "column": start.column,
                "endLine": end.line,
                "endColumn": end.column,
            });
            if let Some(location) = &problem.location {
                shown["location"] = json!(location);
            }
            shown
        })
        .collect();
    json!({
        "file": file.name,
        "result": if found.is_wrong() { "FAIL" } else { "OK" },
        "diagnostics": diagnostics,
        "notServedYet": found.unsupported,
    })
}
