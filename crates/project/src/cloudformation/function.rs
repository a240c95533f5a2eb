//! Functions of templates: what runs them, where their code is, and what they are told.

use std::collections::BTreeMap;

use serde_json::Value;
use stepwright_asl::json::Node;

use super::{
    resources::Resource,
    values::{Absent, Scope},
};
use crate::{
    Code, Severity,
    context::Context,
    handler::{Declared, declare},
};

pub(super) fn read(
    context: &Context<'_>,
    scope: &Scope<'_>,
    resource: &Resource<'_>,
    globals: Option<&Node>,
) -> Result<(), Absent> {
    let Some(node) = resource.node else { return Ok(()) };
    let properties = |name: &str| {
        let own = resource.properties.and_then(|properties| properties.get(name));
        own.or_else(|| globals.and_then(|globals| globals.get(name)))
    };
    let text = |name: &str| match properties(name).map(|node| scope.text(node)).transpose() {
        Err(Absent::NoValue) => Ok(None),
        known => known,
    };
    let number = |name: &str| match properties(name).map(|node| scope.number(node)).transpose() {
        Err(Absent::NoValue) => Ok(None),
        known => known,
    };
    let mut environment = BTreeMap::new();
    // SAM joins the variables of Globals with a function's own.
    for source in [globals, resource.properties].into_iter().flatten() {
        let variables = source.get("Environment").and_then(|environment| environment.get("Variables"));
        for member in variables.and_then(Node::as_object).unwrap_or_default() {
            match scope.text(&member.value) {
                Ok(value) => drop(environment.insert(member.key.clone(), value)),
                Err(absent) => scope.report(absent, Severity::Warning),
            }
        }
    }
    let is_image = text("PackageType")?.is_some_and(|package| package == "Image") || properties("ImageUri").is_some();
    let declared = Declared {
        name: scope.name_of(resource)?,
        id: resource.id.clone(),
        runtime: if is_image { Some("an image".to_owned()) } else { text("Runtime")? },
        handler: text("Handler")?,
        code: code(context, scope, resource, properties("CodeUri"), properties("InlineCode"))?,
        environment,
        timeout_seconds: number("Timeout")?,
        memory: number("MemorySize")?,
    };
    declare(context, scope.document, node, declared);
    Ok(())
}

/// Where the code is; none: not here.
fn code(
    context: &Context<'_>,
    scope: &Scope<'_>,
    resource: &Resource<'_>,
    uri: Option<&Node>,
    inline: Option<&Node>,
) -> Result<Option<Code>, Absent> {
    let folder = |named: &str| context.resolve(&scope.document.file, named).map(Code::Folder);
    let code = resource.properties.and_then(|properties| properties.get("Code"));
    if let Some(text) = inline.or_else(|| code.and_then(|code| code.get("ZipFile"))) {
        return Ok(Some(Code::Inline(scope.text(text)?)));
    }
    // CDK tells where its assets are.
    let asset = resource.metadata.and_then(|metadata| metadata.get("aws:asset:path")).and_then(Node::as_str);
    if let Some(asset) = asset {
        return Ok(folder(asset));
    }
    let Some(uri) = uri.or(code) else { return Ok(folder(".")) };
    Ok(match scope.value(uri)? {
        Value::String(named) if !named.starts_with("s3://") => folder(&named),
        _ => None,
    })
}
