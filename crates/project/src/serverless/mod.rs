//! `serverless.yml` of the Serverless Framework, with the plugin for Step Functions: its state machines, activities and
//! functions, under the names that the framework gives them.

mod variables;

use std::{collections::BTreeMap, path::Path};

use stepwright_asl::json::Node;

use crate::{
    Code, Machine, MachineType, Severity,
    cloudformation::{
        declared,
        machine::{Unreadable, from_file, inline},
        resources::Resources,
        values::{Absent, Scope},
    },
    context::Context,
    document::Document,
    handler::{Declared, declare},
};
use variables::Variables;

pub(crate) fn find(context: &Context<'_>, file: &Path) {
    let Ok(text) = context.read(file) else { return };
    let mut document = match Document::parse(file, &text) {
        Ok(document) => document,
        Err(problem) => return context.problem(*problem),
    };
    let root = document.root.clone();
    let variables = Variables::new(context, &document, &root);
    let resolved = variables.resolve(&root);
    let stage = variables.stage();
    document.root = resolved;
    let service = match document.root.get("service") {
        Some(service) => service.as_str().or_else(|| service.get("name").and_then(Node::as_str)).unwrap_or("service"),
        None => "service",
    };
    let names = Names { prefix: format!("{service}-{stage}") };

    let mut resources = Resources::default();
    if let Some(own) = document.root.get("resources").and_then(|resources| resources.get("Resources")) {
        resources.add(own);
    }
    let functions = members(document.root.get("functions"));
    for (key, function) in &functions {
        let name = names.function(key, function);
        resources.add_named(format!("{}LambdaFunction", logical(key)), "AWS::Lambda::Function", name.clone());
        // The plugin takes the function's own name as well.
        resources.add_named((*key).to_owned(), "AWS::Lambda::Function", name);
    }
    let steps = document.root.get("stepFunctions");
    let machines = members(steps.and_then(|steps| steps.get("stateMachines")));
    for (key, machine) in &machines {
        let id = machine.get("id").or_else(|| machine.get("name")).and_then(Node::as_str);
        let id = match machine.get("id") {
            Some(_) => id.unwrap_or(key).to_owned(),
            None => format!("{}StepFunctionsStateMachine", logical(id.unwrap_or(key))),
        };
        resources.add_named(id, "AWS::StepFunctions::StateMachine", names.machine(key, machine));
    }
    let activities = steps.and_then(|steps| steps.get("activities")).and_then(Node::as_array).unwrap_or_default();
    for name in activities.iter().filter_map(Node::as_str) {
        resources.add_named(
            format!("{}StepFunctionsActivity", logical(name)),
            "AWS::StepFunctions::Activity",
            name.to_owned(),
        );
        context.activity(name.to_owned());
    }

    let scope = Scope::new(context, &document, resources);
    declared(context, &scope, None);
    for (key, function) in functions {
        if let Err(absent) = read_function(context, &scope, &names, key, function) {
            scope.report(absent, Severity::Warning);
        }
    }
    for (key, machine) in machines {
        if let Err(absent) = read_machine(context, &scope, &names, &root, key, machine) {
            scope.report(absent, Severity::Error);
        }
    }
}

/// How the framework calls things.
struct Names {
    prefix: String,
}

impl Names {
    fn function(&self, key: &str, function: &Node) -> String {
        let named = function.get("name").and_then(Node::as_str);
        named.map_or_else(|| format!("{}-{key}", self.prefix), ToOwned::to_owned)
    }

    #[expect(clippy::unused_self, reason = "all names are asked for alike")]
    fn machine(&self, key: &str, machine: &Node) -> String {
        machine.get("name").and_then(Node::as_str).unwrap_or(key).to_owned()
    }
}

/// A name as a part of a logical id.
fn logical(name: &str) -> String {
    let name = name.replace('-', "Dash").replace('_', "Underscore");
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

fn members(node: Option<&Node>) -> Vec<(&str, &Node)> {
    // Several files of functions are a list of objects.
    let Some(node) = node else { return Vec::new() };
    let objects: Vec<&Node> = node.as_array().map_or_else(|| vec![node], |list| list.iter().collect());
    let members = objects.into_iter().flat_map(|object| object.as_object().unwrap_or_default());
    members.map(|member| (member.key.as_str(), &member.value)).collect()
}

fn read_function(
    context: &Context<'_>,
    scope: &Scope<'_>,
    names: &Names,
    key: &str,
    function: &Node,
) -> Result<(), Absent> {
    let provider = scope.document.root.get("provider");
    let setting = |name: &str| function.get(name).or_else(|| provider.and_then(|provider| provider.get(name)));
    let mut environment = BTreeMap::new();
    for source in [provider, Some(function)].into_iter().flatten() {
        for (name, value) in members(source.get("environment")) {
            match scope.text(value) {
                Ok(value) => drop(environment.insert(name.to_owned(), value)),
                Err(absent) => scope.report(absent, Severity::Warning),
            }
        }
    }
    let runtime = match function.get("image") {
        Some(_) => Some("an image".to_owned()),
        None => setting("runtime").map(|node| scope.text(node)).transpose()?,
    };
    let declared = Declared {
        name: names.function(key, function),
        id: key.to_owned(),
        runtime,
        handler: function.get("handler").map(|node| scope.text(node)).transpose()?,
        code: context.resolve(&scope.document.file, ".").map(Code::Folder),
        environment,
        // The framework's own default.
        timeout_seconds: setting("timeout").map(|node| scope.number(node)).transpose()?.or(Some(6)),
        memory: setting("memorySize").map(|node| scope.number(node)).transpose()?.or(Some(1024)),
    };
    declare(context, scope.document, function, declared);
    Ok(())
}

fn read_machine(
    context: &Context<'_>,
    scope: &Scope<'_>,
    names: &Names,
    unresolved: &Node,
    key: &str,
    machine: &Node,
) -> Result<(), Absent> {
    let machine_type = match machine.get("type").and_then(Node::as_str) {
        Some("EXPRESS") => MachineType::Express,
        _ => MachineType::Standard,
    };
    let Some(definition) = machine.get("definition") else {
        let message = format!("the state machine {key:?} has no definition");
        return scope.unknown(machine, message, "write it under definition, or name its file: ${file(NAME.asl.json)}");
    };
    // A definition in a file of its own has its places there, as long as nothing in it must be resolved.
    let steps = unresolved.get("stepFunctions").and_then(|steps| steps.get("stateMachines"));
    let written = steps.and_then(|all| all.get(key)).and_then(|machine| machine.get("definition"));
    let file = written.and_then(Node::as_str).and_then(variables::whole_file);
    let path = file.and_then(|named| context.resolve(&scope.document.file, named));
    let from_own_file = path.as_deref().and_then(|path| match from_file(context, path, &|_| None) {
        Ok((text, _)) if !["\"Fn::", "\"Ref\"", "${"].iter().any(|mark| text.json().contains(mark)) => Some(text),
        Ok(_) | Err(Unreadable::File(_) | Unreadable::Yaml(_)) => None,
    });
    let definition = match from_own_file {
        Some(text) => text,
        None => inline(context, scope, definition, &BTreeMap::new())?,
    };
    let name = names.machine(key, machine);
    context.machine(Machine { name, machine_type, definition }, &scope.document.file, scope.document.place(machine));
    Ok(())
}
