//! From what a template says of a function to a function that can run: its language, and the file of its handler.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use stepwright_asl::json::Node;

use crate::{Code, Function, Language, Severity, context::Context, document::Document};

/// A function as it is declared.
pub(crate) struct Declared {
    pub(crate) name: String,
    /// Its logical id.
    pub(crate) id: String,
    pub(crate) runtime: Option<String>,
    pub(crate) handler: Option<String>,
    /// None: its code is not here.
    pub(crate) code: Option<Code>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) timeout_seconds: Option<u64>,
    pub(crate) memory: Option<u64>,
}

/// Adds a function, or says why it cannot run. One that stepwright.toml defines is that one.
pub(crate) fn declare(context: &Context<'_>, document: &Document, node: &Node, declared: Declared) {
    let Declared { name, id, runtime, handler, code, environment, timeout_seconds, memory } = declared;
    if context.options.functions.contains(&name) {
        return;
    }
    let way_out =
        format!("define it in stepwright.toml: [functions.{name}] with command = [\"…\"] or url = \"http://…\"");
    let refuse = |message: String, help: &str| {
        context.problem(document.problem(Severity::Warning, node, message, help));
    };
    let runtime = runtime.unwrap_or_default();
    let language = match () {
        () if runtime.starts_with("python") => Language::Python,
        () if runtime.starts_with("nodejs") => Language::Node,
        () if runtime.is_empty() => {
            return refuse(format!("the function {name:?} has no Runtime: it cannot run here"), &way_out);
        }
        () => return refuse(format!("the function {name:?} cannot run here: its runtime is {runtime}"), &way_out),
    };
    let Some(code) = code else {
        return refuse(format!("the code of the function {name:?} is not in this folder"), &way_out);
    };
    let handler = match (&code, handler) {
        (_, Some(handler)) => handler,
        (Code::Inline(_), None) => "index.handler".to_owned(),
        (Code::Folder(_), None) => {
            return refuse(format!("the function {name:?} has no Handler"), "add it, such as app.handler");
        }
    };
    let code = match code {
        Code::Inline(text) => Code::Inline(text),
        Code::Folder(folder) => {
            let found = places(&folder, &document.file, &id).find(|folder| module(context, folder, &handler, language));
            match found {
                Some(folder) => Code::Folder(folder),
                None => {
                    let (file, _) = handler.rsplit_once('.').unwrap_or((&handler, ""));
                    let ending = if language == Language::Python { "py" } else { "js, .mjs or .cjs" };
                    let file = folder.join(file);
                    let message = format!(
                        "the function {name:?} has the handler {handler:?}, but there is no file {}.{ending}",
                        file.display()
                    );
                    return refuse(message, "correct Handler or the folder of the code; build it if it must be built");
                }
            }
        }
    };
    let file = document.file.clone();
    context.function(Function { name, language, code, handler, environment, timeout_seconds, memory, file });
}

/// Where code may be: where it says, or where `sam build` puts what it builds.
fn places(folder: &Path, template: &Path, id: &str) -> impl Iterator<Item = PathBuf> {
    let built = template.parent().unwrap_or(Path::new("")).join(".aws-sam/build").join(id);
    [folder.to_owned(), built].into_iter()
}

/// Whether the file of a handler is there.
fn module(context: &Context<'_>, folder: &Path, handler: &str, language: Language) -> bool {
    let Some((module, _)) = handler.rsplit_once('.') else { return false };
    let here = |path: String| context.is_file(&folder.join(path));
    match language {
        Language::Python => {
            let module = module.replace('.', "/");
            here(format!("{module}.py")) || here(format!("{module}/__init__.py"))
        }
        Language::Node => ["js", "mjs", "cjs"].iter().any(|ending| here(format!("{module}.{ending}"))),
    }
}
