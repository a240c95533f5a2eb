//! What is wrong with a project, shown once and not at each look.

use std::collections::BTreeSet;

use stepwright_asl::{Diagnostic, parse};
use stepwright_project::{Machine, MachineType, Project, Severity};

use super::report::Note;
use crate::{
    definitions::{not_served, options},
    excerpt::{excerpt, place_of},
};

/// What was said already.
#[derive(Default)]
pub(super) struct Problems {
    said: BTreeSet<String>,
    configuration: Option<String>,
}

/// The type as the engine has it.
pub(super) fn engine_type(machine_type: MachineType) -> stepwright_engine::MachineType {
    match machine_type {
        MachineType::Standard => stepwright_engine::MachineType::Standard,
        MachineType::Express => stepwright_engine::MachineType::Express,
    }
}

/// Whether a definition can be registered.
pub(super) fn is_right(machine: &Machine) -> bool {
    let parsed = parse(machine.definition.json(), &options(engine_type(machine.machine_type)));
    parsed.definition.is_some() && parsed.unsupported.is_empty()
}

/// Whether something in a project does not work.
pub(super) fn any_error(project: &Project) -> bool {
    project.problems.iter().any(|problem| problem.severity == Severity::Error) || !project.machines.iter().all(is_right)
}

impl Problems {
    /// What was not said yet, and that all is right again.
    pub(super) fn notes(&mut self, project: &Project) -> Vec<Note> {
        self.configuration = None;
        let mut notes = Vec::new();
        for problem in &project.problems {
            notes.push(shown(
                project,
                problem.severity == Severity::Error,
                None,
                &problem.message,
                &problem.file,
                problem.place.clone(),
                Some(&problem.help),
            ));
        }
        for machine in &project.machines {
            notes.extend(of_machine(project, machine));
        }
        if project.machines.is_empty() && project.problems.is_empty() {
            notes.push(Note::Nothing);
        }
        let now: BTreeSet<String> = notes.iter().map(Note::text).collect();
        notes.retain(|note| !self.said.contains(&note.text()));
        let had = !self.said.is_empty();
        if now.is_empty() && had {
            notes.push(Note::AllRight);
        }
        self.said = now;
        notes
    }

    /// That the configuration cannot be read.
    pub(super) fn of_configuration(&mut self, message: String) -> Vec<Note> {
        if self.configuration.as_ref() == Some(&message) {
            return Vec::new();
        }
        self.configuration = Some(message.clone());
        let text = format!("error: {message}\n  what was there before stays\n");
        vec![Note::Problem { error: true, file: None, line: 0, column: 0, message, text }]
    }
}

fn of_machine(project: &Project, machine: &Machine) -> Vec<Note> {
    let definition = &machine.definition;
    let parsed = parse(definition.json(), &options(engine_type(machine.machine_type)));
    let mut notes: Vec<Note> = parsed
        .diagnostics
        .iter()
        .map(|diagnostic| {
            let Diagnostic { severity, code, message, location, span } = diagnostic;
            // The message of a text that is not JSON ends with its place, which the excerpt shows better.
            let (message, at) = match (message.split_once("\n at [Source"), location) {
                (Some((message, _)), _) => (message, String::new()),
                (None, Some(location)) => (message.as_str(), format!(" at {location}")),
                (None, None) => (message.as_str(), String::new()),
            };
            let place = span.as_ref().map_or(0..0, |span| {
                // An empty span is a parser's: just after the character that is wrong.
                let start = if span.start == span.end { span.start.saturating_sub(1) } else { span.start };
                definition.place(start..span.end)
            });
            let is_error = *severity == stepwright_asl::Severity::Error;
            let message = format!("{message}{at}");
            shown(project, is_error, Some(code.as_str()), &message, definition.file(), place, None)
        })
        .collect();
    notes.extend(parsed.unsupported.iter().map(|part| {
        let message = format!("valid on AWS, but not served by this version of Stepwright yet: {}", not_served(part));
        shown(project, true, None, &message, definition.file(), 0..0, None)
    }));
    notes
}

fn shown(
    project: &Project,
    error: bool,
    code: Option<&str>,
    message: &str,
    file: &std::path::Path,
    place: std::ops::Range<usize>,
    help: Option<&str>,
) -> Note {
    let name = file.display().to_string();
    let source = project.files.get(file).map_or("", |text| &**text);
    let severity = if error { "error" } else { "warning" };
    let code = code.map(|code| format!("[{code}]")).unwrap_or_default();
    let found = place_of(source, place.start);
    let text = format!("{severity}{code}: {message}\n{}\n", excerpt(&name, source, &place, help));
    let (line, column) = (found.line, found.column);
    Note::Problem { error, file: Some(name), line, column, message: message.to_owned(), text }
}
