//! `stepwright validate`: what is wrong with definitions, where, and what to do about it. Also for `run` and others, which
//! refuse the same.

mod github;
mod problem;
mod sarif;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;
use stepwright_asl::{MachineType, Options, lint::lint, parse};
use stepwright_integrations::model::Catalog;

use super::{
    Failure,
    definition_file::{self, DefinitionFile},
    eprint, print, terminal,
};
use crate::definitions::not_served;
use problem::{Problem, Severity};

pub(super) const HELP: &str = "\
Definitions are JSON, or YAML where the name ends in .yaml or .yml. In folders, the files whose names end in .asl.json, \
.asl.yaml or .asl.yml are definitions, at any depth.

Exit code: 0 all definitions are right, 1 one is not (or has warnings, with --deny-warnings), 2 one cannot be read.

Examples:
  stepwright validate order.asl.json
  stepwright validate workflows/ billing.asl.yaml
  stepwright validate workflows/ --lint --deny-warnings
      For CI: also what is valid and probably not meant
  stepwright validate workflows/ --format github
      Annotations in the pull request of a GitHub workflow
  stepwright validate workflows/ --format sarif > validate.sarif
      For code scanning and editors";

#[derive(Debug, Args)]
pub(super) struct ValidateArgs {
    /// Definitions and folders of definitions (- for stdin)
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// How to say what is wrong
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Say also what is valid and probably not meant (docs/lint.md has the rules)
    #[arg(long)]
    lint: bool,
    /// Take warnings for failures: exit code 1
    #[arg(long)]
    deny_warnings: bool,
    /// Judge them as the definitions of EXPRESS state machines
    #[arg(long)]
    express: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people: excerpts with carets, on stderr
    Text,
    /// One JSON document with everything
    Json,
    /// SARIF 2.1.0
    Sarif,
    /// Workflow commands of GitHub Actions
    Github,
}

pub(super) fn validate(args: &ValidateArgs) -> Result<(), Failure> {
    let machine_type = if args.express { MachineType::Express } else { MachineType::Standard };
    let options = Options { machine_type, sdk: Some(&Catalog), ..Options::default() };
    let (files, mut unreadable) = files(&args.paths);
    let mut judged: Vec<(DefinitionFile, Found)> = Vec::new();
    for path in files {
        match definition_file::read(&path) {
            Ok(file) => {
                let found = check_as(&file, &options, args.lint.then(now_ms));
                judged.push((file, found));
            }
            Err(failure) => unreadable.push(failure.to_string()),
        }
    }
    let format = if args.json { Format::Json } else { args.format };
    match format {
        Format::Text => {
            for (file, found) in &judged {
                eprint(&shown(file, found));
                let line = format!("{}: {}\n", file.name, found.summary());
                // Of one definition, the error says it.
                if !found.is_wrong() {
                    print(&line);
                } else if judged.len() > 1 {
                    eprint(&line);
                }
            }
        }
        Format::Json => {
            let result = if judged.iter().any(|(_, found)| found.is_wrong()) { "FAIL" } else { "OK" };
            let files: Vec<_> = judged.iter().map(|(file, found)| problem::as_json(file, found)).collect();
            print(&format!("{:#}\n", json!({ "result": result, "files": files })));
        }
        Format::Sarif => print(&format!("{:#}\n", sarif::document(&judged))),
        Format::Github => print(&github::commands(&judged)),
    }
    if !unreadable.is_empty() {
        return Err(Failure::Usage(unreadable.join("\n")));
    }
    let wrong: Vec<_> = judged.iter().filter(|(_, found)| found.is_wrong()).collect();
    let warned: Vec<_> = judged.iter().filter(|(_, found)| found.warnings() > 0).collect();
    match (wrong.as_slice(), warned.as_slice()) {
        ([], []) => Ok(()),
        ([], _) if !args.deny_warnings => Ok(()),
        ([], [(file, found)]) => {
            Err(Failure::Failed(format!("{}: {}, and --deny-warnings", file.name, found.summary())))
        }
        ([], some) => Err(Failure::Failed(format!("{} definitions have warnings, and --deny-warnings", some.len()))),
        ([(file, found)], _) => Err(Failure::Failed(format!("{}: {}", file.name, found.summary()))),
        (some, _) => Err(Failure::Failed(format!("{} of {} definitions are not right", some.len(), judged.len()))),
    }
}

/// The files that paths mean, and what is wrong with the paths.
fn files(paths: &[PathBuf]) -> (Vec<PathBuf>, Vec<String>) {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        if path != Path::new("-") && path.is_dir() {
            match definition_file::find(path) {
                Ok(found) if found.is_empty() => problems.push(format!(
                    "the folder {} has no definitions: files whose names end in {}",
                    path.display(),
                    definition_file::ENDINGS.join(", ")
                )),
                Ok(found) => files.extend(found),
                Err(failure) => problems.push(failure.to_string()),
            }
        } else {
            files.push(path.clone());
        }
    }
    (files, problems)
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// What a definition's check found.
#[derive(Debug)]
pub(super) struct Found {
    problems: Vec<Problem>,
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
        self.problems.iter().filter(|problem| problem.severity == severity).count()
    }

    fn warnings(&self) -> usize {
        self.count(Severity::Warning)
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
pub(super) fn check(file: &DefinitionFile) -> Found {
    check_as(file, &Options { sdk: Some(&Catalog), ..Options::default() }, None)
}

/// The JSON of a definition that is right. Says what is wrong with any other, and what its author should look at.
pub(super) fn accepted(file: &DefinitionFile) -> Result<&str, Failure> {
    let found = check(file);
    eprint(&shown(file, &found));
    let wrong = || Failure::Usage(format!("{}: {}", file.name, found.summary()));
    if found.is_wrong() { Err(wrong()) } else { file.json().map_err(|_| wrong()) }
}

/// `now_ms`: the time that findings beyond AWS's rules judge by; none: without them.
fn check_as(file: &DefinitionFile, options: &Options, now_ms: Option<i64>) -> Found {
    let text = match file.json() {
        Ok(text) => text,
        Err(error) => {
            let problems = vec![Problem::of_yaml(error)];
            return Found { problems, unsupported: Vec::new(), valid: false };
        }
    };
    let parsed = parse(text, options);
    let mut problems = problem::of_diagnostics(file, text, options, parsed.diagnostics);
    if let Some(now_ms) = now_ms {
        problems
            .extend(lint(text, options, Some(now_ms)).into_iter().map(|finding| Problem::of_finding(file, finding)));
    }
    let unsupported = parsed.unsupported.iter().map(not_served).collect();
    Found { problems, unsupported, valid: parsed.definition.is_some() }
}

/// What was found, as a compiler shows it.
pub(super) fn shown(file: &DefinitionFile, found: &Found) -> String {
    let colours = terminal::colours(&std::io::stderr());
    found.problems.iter().map(|problem| problem.shown(file, colours)).collect()
}
