//! Definitions in files: JSON, or YAML that is turned into JSON, whose places are found again in what was written.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use stepwright_source::{Error, Source, yaml};

use super::Failure;

/// The text of a definition, and what to call it.
#[derive(Debug)]
pub(crate) struct DefinitionFile {
    /// Its path, or `<stdin>`.
    pub(crate) name: String,
    /// What was written.
    pub(crate) written: String,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Json,
    Yaml(Source),
    /// YAML that cannot be read.
    Broken(Error),
}

impl DefinitionFile {
    /// A definition in JSON.
    pub(crate) fn of_json(name: &str, json: String) -> Self {
        Self { name: name.to_owned(), written: json, form: Form::Json }
    }

    fn of(name: String, written: String, is_yaml: bool) -> Self {
        let form = match is_yaml.then(|| yaml(&written)) {
            None => Form::Json,
            Some(Ok(source)) => Form::Yaml(source),
            Some(Err(error)) => Form::Broken(error),
        };
        Self { name, written, form }
    }

    /// The definition in JSON.
    ///
    /// # Errors
    /// It is in YAML and cannot be read.
    pub(crate) fn json(&self) -> Result<&str, &Error> {
        match &self.form {
            Form::Json => Ok(&self.written),
            Form::Yaml(source) => Ok(source.json()),
            Form::Broken(error) => Err(error),
        }
    }

    /// Where a place in the JSON is in what was written.
    pub(crate) fn place(&self, json: Range<usize>) -> Range<usize> {
        match &self.form {
            Form::Yaml(source) => source.place(json),
            Form::Json | Form::Broken(_) => json,
        }
    }
}

/// Whether a file's name says that it is YAML.
pub(crate) fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("yaml") || end.eq_ignore_ascii_case("yml"))
}

/// Reads a definition; `-` is stdin, where YAML is what does not begin with a bracket.
pub(crate) fn read(path: &Path) -> Result<DefinitionFile, Failure> {
    if path == Path::new("-") {
        let text = std::io::read_to_string(std::io::stdin())
            .map_err(|error| Failure::Usage(format!("the definition on stdin cannot be read: {error}")))?;
        // What is neither is judged as JSON: `nonsense` would be a text in YAML.
        let begins = text.trim_start_matches('\u{feff}').trim_start();
        let is_yaml = !begins.starts_with(['{', '[', '"']) && text.contains(": ") | text.contains(":\n");
        return Ok(DefinitionFile::of("<stdin>".to_owned(), text, is_yaml));
    }
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(DefinitionFile::of(name, text, is_yaml(path))),
        Err(error) => Err(Failure::Usage(format!("the definition {name} cannot be read: {error}"))),
    }
}

/// Endings of files that are definitions, for whoever looks for them in folders.
pub(crate) const ENDINGS: [&str; 3] = [".asl.json", ".asl.yaml", ".asl.yml"];

/// The definitions in a folder and the folders in it, by name. Hidden folders and those of other people's code are left
/// out.
pub(crate) fn find(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable =
        |error: std::io::Error| Failure::Usage(format!("the folder {} cannot be read: {error}", folder.display()));
    let mut found = Vec::new();
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).map_err(unreadable)?.collect::<Result<_, _>>().map_err(unreadable)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        // A link is not followed: it may lead back.
        let kind = entry.file_type().map_err(unreadable)?;
        if kind.is_dir() {
            if !name.starts_with('.') && !["node_modules", "target", "__pycache__"].contains(&&*name) {
                found.extend(find(&path)?);
            }
        } else if ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
    Ok(found)
}
