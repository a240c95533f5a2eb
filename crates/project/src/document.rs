//! A YAML or JSON file as a tree whose parts know where they stand in it.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use stepwright_asl::json::{self, Node, NodeValue};
use stepwright_source::Source;

use crate::{Problem, Severity};

/// How deep a file may nest.
const MAX_DEPTH: usize = 250;

pub(crate) struct Document {
    pub(crate) file: PathBuf,
    pub(crate) root: Node,
    yaml: Option<Arc<Source>>,
}

impl Document {
    /// Reads the text of a file; short tags are functions.
    ///
    /// # Errors
    /// It is neither JSON nor YAML.
    pub(crate) fn parse(file: &Path, text: &str) -> Result<Self, Box<Problem>> {
        let wrong = |message: String, place| {
            Box::new(Problem {
                severity: Severity::Error,
                file: file.to_owned(),
                place,
                message,
                help: "until it is right, what it held before is kept".to_owned(),
            })
        };
        // YAML holds JSON, but an error in JSON is better told by a reader of JSON.
        let is_json = text.trim_start().starts_with(['{', '[']);
        if is_json {
            let root = json::parse(text, MAX_DEPTH)
                .map_err(|error| wrong(format!("this is not JSON: {error}"), error.offset..error.offset))?;
            return Ok(Self { file: file.to_owned(), root, yaml: None });
        }
        let source = stepwright_source::cloudformation(text).map_err(|error| wrong(error.message, error.place))?;
        let root = json::parse(source.json(), MAX_DEPTH).map_err(|error| wrong(error.to_string(), 0..0))?;
        Ok(Self { file: file.to_owned(), root, yaml: Some(Arc::new(source)) })
    }

    /// Where a part of it stands in the file.
    pub(crate) fn place(&self, node: &Node) -> Range<usize> {
        self.range(node.start..node.end)
    }

    pub(crate) fn range(&self, json: Range<usize>) -> Range<usize> {
        match &self.yaml {
            Some(source) => source.place(json),
            None => json,
        }
    }

    /// A problem with a part of it.
    pub(crate) fn problem(&self, severity: Severity, node: &Node, message: String, help: &str) -> Problem {
        Problem { severity, file: self.file.clone(), place: self.place(node), message, help: help.to_owned() }
    }
}

/// What kind of value it is, for messages.
pub(crate) fn kind(node: &Node) -> &'static str {
    match &node.value {
        NodeValue::Null => "null",
        NodeValue::Bool(_) => "true or false",
        NodeValue::Number(_) => "a number",
        NodeValue::String(_) => "a string",
        NodeValue::Array(_) => "a list",
        NodeValue::Object(_) => "an object",
    }
}
