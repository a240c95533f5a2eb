//! Functions of a project as functions that run here, beside those of the configuration.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use stepwright_functions::{
    Definition, Definitions,
    definition::{Program, Target},
};
use stepwright_project::{Code, Function, Language, Project};

use super::{Failure, report::Note, state};

/// What AWS takes where a template says nothing.
const TIMEOUT_SECONDS: u64 = 3;
const MEMORY: u64 = 128;

/// The functions of a project and of the configuration, which wins. Code that stands in a template is written to a file.
pub(super) fn definitions(folder: &Path, project: &Project, configured: Definitions) -> Result<Definitions, Failure> {
    let mut definitions = Definitions::new();
    for function in &project.functions {
        definitions.insert(function.name.clone(), definition(folder, function)?);
    }
    definitions.extend(configured);
    Ok(definitions)
}

fn definition(folder: &Path, function: &Function) -> Result<Definition, Failure> {
    let code = match &function.code {
        Code::Folder(code) => folder.join(code),
        Code::Inline(text) => written(folder, function, text)?,
    };
    let handler = function.handler.clone();
    Ok(Definition {
        target: Target::Process(match function.language {
            Language::Python => Program::Python(handler),
            Language::Node => Program::Node(handler),
        }),
        folder: Some(std::path::absolute(&code).unwrap_or(code)),
        env: function.environment.clone(),
        timeout: Duration::from_secs(function.timeout_seconds.unwrap_or(TIMEOUT_SECONDS)),
        concurrency: 10,
        wait: Duration::from_secs(60),
        warm: 1,
        idle: Duration::from_secs(60),
        memory: function.memory.unwrap_or(MEMORY),
        echo_log: false,
    })
}

/// Writes the code of a function that stands in a template, and says in which folder.
fn written(folder: &Path, function: &Function, text: &str) -> Result<PathBuf, Failure> {
    let place = state(folder).join("functions").join(&function.name);
    let is_module = text.lines().any(|line| line.starts_with("export ") || line.starts_with("import "));
    let file = place.join(match function.language {
        Language::Python => "index.py",
        Language::Node if is_module => "index.mjs",
        Language::Node => "index.cjs",
    });
    if std::fs::read_to_string(&file).is_ok_and(|known| known == text) {
        return Ok(place);
    }
    let write = || -> std::io::Result<()> {
        // What it was before may be the other kind of file.
        if place.exists() {
            std::fs::remove_dir_all(&place)?;
        }
        std::fs::create_dir_all(&place)?;
        std::fs::write(&file, text)
    };
    write().map_err(|error| Failure::Failed(format!("the code of {:?} cannot be written: {error}", function.name)))?;
    Ok(place)
}

/// The functions whose code is among the files that changed.
pub(super) fn with_new_code(functions: &Definitions, folder: &Path, changed: &[PathBuf]) -> BTreeSet<String> {
    let is_code = |file: &&PathBuf| {
        file.extension().is_some_and(|ending| ["py", "js", "mjs", "cjs"].iter().any(|code| ending == *code))
    };
    let changed: Vec<PathBuf> = changed
        .iter()
        .filter(is_code)
        .map(|file| std::path::absolute(folder.join(file)).unwrap_or_else(|_| file.clone()))
        .collect();
    let is_new = |definition: &Definition| match (&definition.target, &definition.folder) {
        (Target::Url(_), _) => false,
        (_, Some(code)) => changed.iter().any(|file| file.starts_with(code)),
        (_, None) => !changed.is_empty(),
    };
    functions.iter().filter(|(_, definition)| is_new(definition)).map(|(name, _)| name.clone()).collect()
}

/// What is to be said of functions that are others now.
pub(super) fn notes(before: &Definitions, now: &Definitions, code: &BTreeSet<String>) -> Vec<Note> {
    let note = |name: &String, what| Note::Function { name: name.clone(), what };
    let changed = now.iter().filter_map(|(name, definition)| match before.get(name) {
        None => Some(note(name, "found")),
        Some(known) if known != definition || code.contains(name) => {
            Some(note(name, "changed: its next call runs the new code"))
        }
        Some(_) => None,
    });
    let gone = before.keys().filter(|name| !now.contains_key(*name)).map(|name| note(name, "gone"));
    changed.chain(gone).collect()
}
