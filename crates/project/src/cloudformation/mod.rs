//! Templates of CloudFormation, SAM and CDK: the state machines, activities and functions that they declare.

mod function;
pub(crate) mod machine;
pub(crate) mod resources;
pub(crate) mod values;

use std::path::Path;

use stepwright_asl::json::Node;

use crate::{Severity, context::Context, document::Document};
use resources::Resources;
use values::Scope;

/// What only such a template holds that is of interest here.
const MARKS: [&str; 5] = [
    "AWS::Serverless::StateMachine",
    "AWS::StepFunctions::",
    "AWS::Serverless::Function",
    "AWS::Lambda::Function",
    "AWS::Serverless-2016-10-31",
];

pub(crate) fn find(context: &Context<'_>, file: &Path) {
    let Ok(text) = context.read(file) else { return };
    if !MARKS.iter().any(|mark| text.contains(mark)) {
        context.forget(file);
        return;
    }
    let document = match Document::parse(file, &text) {
        Ok(document) => document,
        Err(problem) => return context.problem(*problem),
    };
    let Some(resources) = document.root.get("Resources").filter(|resources| resources.as_object().is_some()) else {
        // It only speaks of templates.
        context.forget(file);
        return;
    };
    let scope = Scope::new(context, &document, Resources::read(resources));
    declared(context, &scope, document.root.get("Globals"));
}

/// Adds what the resources of a template declare.
pub(crate) fn declared(context: &Context<'_>, scope: &Scope<'_>, globals: Option<&Node>) {
    for resource in scope.resources.iter() {
        match scope.exists(resource) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(absent) => {
                scope.report(absent, Severity::Error);
                continue;
            }
        }
        let done = match resource.kind {
            "AWS::Serverless::StateMachine" | "AWS::StepFunctions::StateMachine" => {
                machine::read(context, scope, resource)
            }
            "AWS::StepFunctions::Activity" => scope.name_of(resource).map(|name| context.activity(name)),
            "AWS::Serverless::Function" | "AWS::Lambda::Function" => {
                let globals = globals.filter(|_| resource.kind == "AWS::Serverless::Function");
                function::read(context, scope, resource, globals.and_then(|globals| globals.get("Function")))
            }
            _ => Ok(()),
        };
        if let Err(absent) = done {
            scope.report(absent, Severity::Error);
        }
    }
}
