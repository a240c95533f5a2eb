//! What a folder holds of workflows: state machines, activities and functions, found in plain definitions, templates of
//! CloudFormation and SAM, CDK's output and the Serverless Framework's file. Files in, data out: nothing here runs
//! anything, and nothing but the folder is read.
//!
//! | module | what it is for |
//! |---|---|
//! | `files` | which files there are |
//! | `document` | a YAML or JSON file as a tree whose parts know their places |
//! | `text` | the text of a definition, with the way back to its file |
//! | `cloudformation` | templates: their values, resources, state machines and functions |
//! | `serverless` | `serverless.yml` |
//! | `plain` | definitions that stand alone |
//! | `handler` | where the code of a function is |
//!
//! # Invariants
//!
//! Finding never fails: what cannot be understood is a [`Problem`] that names its place and the way out, and the rest is
//! found all the same.

mod cloudformation;
mod context;
mod document;
mod files;
mod handler;
mod plain;
mod serverless;
mod text;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use files::Fingerprint;
pub use stepwright_asl::MachineType;
pub use text::Text;

/// What is known besides the folder.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The region that ARNs name.
    pub region: String,
    /// The account that ARNs name.
    pub account: String,
    /// Values of templates' parameters, before their defaults; options of Serverless (`${opt:stage}`) too.
    pub parameters: BTreeMap<String, String>,
    /// Values for `${Name}` in plain definitions.
    pub substitutions: BTreeMap<String, String>,
    /// Functions that are defined elsewhere: none of their runtimes is a problem.
    pub functions: BTreeSet<String>,
    /// Environment variables, for `${env:NAME}`.
    pub environment: BTreeMap<String, String>,
}

/// What a folder holds.
#[derive(Clone, Debug, Default)]
pub struct Project {
    /// State machines, each name once.
    pub machines: Vec<Machine>,
    /// Names of activities.
    pub activities: BTreeSet<String>,
    /// Functions whose code is here, each name once.
    pub functions: Vec<Function>,
    /// What could not be understood.
    pub problems: Vec<Problem>,
    /// The texts of the files that were read, by their paths from the folder.
    pub files: BTreeMap<PathBuf, Arc<str>>,
}

/// A state machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// Its type.
    pub machine_type: MachineType,
    /// Its definition; it may hold mistakes.
    pub definition: Text,
}

/// A function whose code is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// What runs it.
    pub language: Language,
    /// The folder of its code, or its code itself.
    pub code: Code,
    /// Where the handler is in its code: `app.handler`, `src/app.handler`.
    pub handler: String,
    /// Its environment variables.
    pub environment: BTreeMap<String, String>,
    /// How long it may take, in seconds; none: the platform's default.
    pub timeout_seconds: Option<u64>,
    /// Its memory in MB; none: the platform's default.
    pub memory: Option<u64>,
    /// The file that tells of it, from the folder.
    pub file: PathBuf,
}

/// Code of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// A folder, from the project's.
    Folder(PathBuf),
    /// The text of a single file, `index`.
    Inline(String),
}

/// What runs a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// A module of Python.
    Python,
    /// A module of Node.
    Node,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something that the project names cannot run.
    Error,
    /// Something may not be as on AWS.
    Warning,
}

/// Something that could not be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file, from the folder.
    pub file: PathBuf,
    /// Where in the file, in bytes.
    pub place: Range<usize>,
    /// What is there, and the rule.
    pub message: String,
    /// The way out.
    pub help: String,
}

/// Looks at what is in a folder and below.
#[must_use]
pub fn find(root: &Path, options: &Options) -> Project {
    let context = context::Context::new(root, options);
    let listed = files::list(root);
    for file in &listed.templates {
        cloudformation::find(&context, file);
    }
    for file in &listed.serverless {
        serverless::find(&context, file);
    }
    plain::find(&context, &listed.definitions);
    context.into_project()
}

/// What may change the outcome of [`find`]: equal as long as nobody saves, adds or removes a file that it would look at.
#[must_use]
pub fn fingerprint(root: &Path) -> Fingerprint {
    files::fingerprint(root)
}
