//! What is being found: the folder, and all that was understood of it so far.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    ops::Range,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use crate::{Function, Machine, Options, Problem, Project, Severity};

pub(crate) struct Context<'a> {
    root: &'a Path,
    pub(crate) options: &'a Options,
    project: RefCell<Project>,
    /// Definitions that a template or another file uses: they don't stand alone.
    used: RefCell<BTreeSet<PathBuf>>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(root: &'a Path, options: &'a Options) -> Self {
        Self { root, options, project: RefCell::default(), used: RefCell::default() }
    }

    /// The folder's own name: what a stack would be called.
    pub(crate) fn name(&self) -> String {
        let absolute = std::path::absolute(self.root).unwrap_or_default();
        absolute.file_name().map_or_else(|| "project".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    /// The text of a file, from the folder.
    pub(crate) fn read(&self, file: &Path) -> Result<Arc<str>, String> {
        if let Some(text) = self.project.borrow().files.get(file) {
            return Ok(Arc::clone(text));
        }
        let length = std::fs::metadata(self.root.join(file)).map_err(|error| error.to_string())?.len();
        if length > crate::files::MAX_BYTES {
            return Err(format!("it is longer than {} bytes", crate::files::MAX_BYTES));
        }
        let bytes = std::fs::read(self.root.join(file)).map_err(|error| error.to_string())?;
        let text = String::from_utf8(bytes).map_err(|_| "it is not text in UTF-8".to_owned())?;
        let text: Arc<str> = text.strip_prefix('\u{feff}').unwrap_or(&text).into();
        self.project.borrow_mut().files.insert(file.to_owned(), Arc::clone(&text));
        Ok(text)
    }

    /// Forgets the text of a file that turned out to tell of nothing.
    pub(crate) fn forget(&self, file: &Path) {
        self.project.borrow_mut().files.remove(file);
    }

    pub(crate) fn is_file(&self, path: &Path) -> bool {
        self.root.join(path).is_file()
    }

    /// A path that a file names, from the folder; none: it leads out of the folder.
    pub(crate) fn resolve(&self, file: &Path, named: &str) -> Option<PathBuf> {
        let named = Path::new(named);
        let joined = match named.strip_prefix(std::path::absolute(self.root).ok()?) {
            Ok(inside) => inside.to_owned(),
            Err(_) => file.parent().unwrap_or(Path::new("")).join(named),
        };
        let mut path = PathBuf::new();
        for component in joined.components() {
            match component {
                Component::Normal(part) => path.push(part),
                Component::CurDir => {}
                Component::ParentDir if path.pop() => {}
                _ => return None,
            }
        }
        Some(path)
    }

    pub(crate) fn use_definition(&self, file: PathBuf) {
        self.used.borrow_mut().insert(file);
    }

    pub(crate) fn is_used(&self, file: &Path) -> bool {
        self.used.borrow().contains(file)
    }

    pub(crate) fn problem(&self, problem: Problem) {
        let mut project = self.project.borrow_mut();
        if !project.problems.contains(&problem) {
            project.problems.push(problem);
        }
    }

    /// Adds a state machine; its name is told at the place.
    pub(crate) fn machine(&self, machine: Machine, file: &Path, place: Range<usize>) {
        let twin = self.project.borrow().machines.iter().find(|known| known.name == machine.name).map(|known| {
            let file = known.definition.file().display();
            format!("there is a state machine {:?} already, in {file}: names are unique in a project", machine.name)
        });
        match twin {
            Some(message) => self.problem(Problem {
                severity: Severity::Error,
                file: file.to_owned(),
                place,
                message,
                help: "rename one of them, or run stepwright dev in the folder of one".to_owned(),
            }),
            None => self.project.borrow_mut().machines.push(machine),
        }
    }

    pub(crate) fn activity(&self, name: String) {
        self.project.borrow_mut().activities.insert(name);
    }

    /// Adds a function; the first of a name counts.
    pub(crate) fn function(&self, function: Function) {
        let mut project = self.project.borrow_mut();
        if !project.functions.iter().any(|known| known.name == function.name) {
            project.functions.push(function);
        }
    }

    /// Names with the ARNs that they stand for: functions, activities, state machines.
    pub(crate) fn known(&self) -> Vec<(String, String)> {
        let Options { region, account, functions, .. } = self.options;
        let partition = partition(region);
        let project = self.project.borrow();
        let names: BTreeSet<&String> =
            functions.iter().chain(project.functions.iter().map(|function| &function.name)).collect();
        let functions = names
            .into_iter()
            .map(|name| (name.clone(), format!("arn:{partition}:lambda:{region}:{account}:function:{name}")));
        let activities = project
            .activities
            .iter()
            .map(|name| (name.clone(), format!("arn:{partition}:states:{region}:{account}:activity:{name}")));
        let machines = project.machines.iter().map(|machine| {
            let name = &machine.name;
            (name.clone(), format!("arn:{partition}:states:{region}:{account}:stateMachine:{name}"))
        });
        functions.chain(activities).chain(machines).collect()
    }

    pub(crate) fn into_project(self) -> Project {
        let mut project = self.project.into_inner();
        let activities: Vec<String> = project
            .machines
            .iter()
            .flat_map(|machine| {
                named_activities(machine.definition.json(), &self.options.account, &self.options.region)
            })
            .collect();
        project.activities.extend(activities);
        project
    }
}

/// The partition of a region.
pub(crate) fn partition(region: &str) -> &'static str {
    match region {
        _ if region.starts_with("cn-") => "aws-cn",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// Activities of this account and region that a definition names: it cannot be run without them.
fn named_activities(json: &str, account: &str, region: &str) -> BTreeSet<String> {
    let prefix = format!("\"arn:{}:states:{region}:{account}:activity:", partition(region));
    let names = json.match_indices(&prefix).filter_map(|(at, _)| {
        let name = json[at + prefix.len()..].split('"').next()?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (!name.is_empty() && name.bytes().all(fits)).then(|| name.to_owned())
    });
    names.collect()
}
