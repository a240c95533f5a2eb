//! The state machines that test files test: definitions in files, and machines of projects as `stepwright dev` finds
//! them.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::{Path, PathBuf},
    sync::Arc,
};

use stepwright_project::{Project, Severity};
use stepwright_testing::{
    run::{self, Machine},
    suite::Subject,
};

use super::json_of;
use crate::{
    cli::{Failure, dev},
    config::{self, Settings},
    definitions,
};

/// What was read so far: each definition and each project once.
#[derive(Default)]
pub(super) struct Machines {
    machines: BTreeMap<PathBuf, Arc<Machine>>,
    projects: BTreeMap<PathBuf, Project>,
}

impl Machines {
    /// What a test file tests, under the path of its definition; a machine of a project is called by the folder and its
    /// name.
    pub(super) fn get(&mut self, file: &Path, subject: &Subject) -> Result<(PathBuf, Arc<Machine>), Failure> {
        let folder = match file.parent() {
            None => Path::new("."),
            Some(folder) if folder == Path::new("") => Path::new("."),
            Some(folder) => folder,
        };
        let project_folder = match subject {
            Subject::Machine { project: Some(project), .. } => folder.join(project),
            _ => folder.to_owned(),
        };
        let path = match subject {
            Subject::Beside => beside(file).ok_or_else(|| {
                let rule = "put it beside the tests under the same name, such as order.asl.json for order.test.yaml, or \
                            name it with definition, or a state machine of a template with machine";
                Failure::Usage(format!("{}: there is no definition; {rule}", file.display()))
            })?,
            Subject::File(definition) => folder.join(definition),
            Subject::Machine { name, .. } => project_folder.join(name),
        };
        if let Some(machine) = self.machines.get(&path) {
            return Ok((path, Arc::clone(machine)));
        }
        let machine = match subject {
            Subject::Beside | Subject::File(_) => of_file(&path)?,
            Subject::Machine { name, .. } => {
                let wrong = |error| Failure::Usage(format!("{}: machine: {error}", file.display()));
                let project = match self.projects.entry(project_folder.clone()) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => new.insert(project_of(&project_folder).map_err(wrong)?),
                };
                of_project(project, &project_folder, name).map_err(wrong)?
            }
        };
        let machine = Arc::new(machine);
        self.machines.insert(path.clone(), Arc::clone(&machine));
        Ok((path, machine))
    }
}

/// The definition beside a test file.
fn beside(file: &Path) -> Option<PathBuf> {
    let name = file.file_name()?.to_str()?;
    let stem = name.rsplit_once(".test.").map_or(name, |(stem, _)| stem);
    let ends = ["asl.json", "asl.yaml", "asl.yml", "json", "yaml", "yml"];
    ends.iter().map(|end| file.with_file_name(format!("{stem}.{end}"))).find(|path| path.is_file() && path != file)
}

fn of_file(path: &Path) -> Result<Machine, Failure> {
    let text = json_of(path)?;
    let definition = definitions::compile(&text)
        .map_err(|error| Failure::Usage(format!("{}: is no valid definition: {error}", path.display())))?;
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    // A name that a state machine may have, and the one under which a file of mocks knows it.
    let name = file.split('.').next().unwrap_or_default();
    let fits = |character: char| character.is_ascii_alphanumeric() || character == '-' || character == '_';
    let name: String = name.chars().map(|character| if fits(character) { character } else { '-' }).take(80).collect();
    let name = if name.is_empty() { "machine".to_owned() } else { name };
    Ok(Machine { name: name.into(), text: text.into(), definition: Arc::new(definition) })
}

/// What a folder holds. The environment's settings don't count: the same test is the same run for everybody.
fn project_of(folder: &Path) -> Result<Project, String> {
    if !folder.is_dir() {
        return Err(format!("it is looked for in {}, which is no folder; name one with project", folder.display()));
    }
    let no_variables = std::iter::empty::<(std::ffi::OsString, std::ffi::OsString)>();
    let resolved = config::resolve(&[], no_variables, Some(&dev::configuration(folder)));
    let settings = resolved.map_err(|error| error.to_string())?.settings;
    let settings = Settings { account: run::ACCOUNT.to_owned(), region: run::REGION.to_owned(), ..settings };
    Ok(dev::project(folder, &settings))
}

fn of_project(project: &Project, folder: &Path, name: &str) -> Result<Machine, String> {
    let Some(machine) = project.machines.iter().find(|machine| machine.name == name) else {
        let mut said = format!("there is no state machine {name:?} in {}; ", folder.display());
        let names: Vec<&str> = project.machines.iter().map(|machine| machine.name.as_str()).collect();
        said.push_str(&match names.as_slice() {
            [] => "there is none at all".to_owned(),
            names => format!("there are {}", names.join(", ")),
        });
        // It may be one of those that could not be read.
        for problem in project.problems.iter().filter(|problem| problem.severity == Severity::Error) {
            let file = folder.join(&problem.file);
            said.push_str(&format!("\n  {}: {}; {}", file.display(), problem.message, problem.help));
        }
        return Err(said);
    };
    let text = machine.definition.json();
    let definition = definitions::compile(text).map_err(|error| {
        let file = folder.join(machine.definition.file());
        format!("{name:?} of {} has no valid definition: {error}", file.display())
    })?;
    Ok(Machine { name: name.into(), text: text.into(), definition: Arc::new(definition) })
}
