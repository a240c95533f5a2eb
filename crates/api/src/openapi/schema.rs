//! Shapes of the model as JSON schemas.
//!
//! Each structure is a component. Scalars, lists and maps are written where they are used: their names tell a reader
//! nothing. Where the service deviates from its own model, the schema says what the service does.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::generated::reflection::DEVIATIONS;
use crate::reflect::{self, MemberInfo, ShapeKind};
use crate::rules::{IntegerRule, StringRule};

/// Patterns of the model as every dialect of regular expressions reads them, anchored, without look-ahead.
const PATTERNS: [(&str, &str); 3] = [
    (r"^(?=.*[a-zA-Z_\-\.])[a-zA-Z0-9_\-\.]+$", r"^[0-9]*[a-zA-Z_.\-][a-zA-Z0-9_.\-]*$"),
    ("[!-~]+", "^[!-~]+$"),
    (r"\p{ASCII}*", r"^[\x00-\x7F]*$"),
];

/// Strings that hold JSON text.
const JSON_TEXT: [&str; 3] = ["Definition", "SensitiveData", "SensitiveDataJobInput"];

/// A pointer to a component.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Adds a structure and every structure in it to the components.
pub(super) fn add(name: &'static str, components: &mut BTreeMap<&'static str, Value>) {
    match kind(name) {
        ShapeKind::Structure { members, .. } if !components.contains_key(name) => {
            components.insert(name, structure(name, members));
            for member in members {
                add(member.shape, components);
            }
        }
        ShapeKind::List { member, .. } => add(member, components),
        ShapeKind::Map { value, .. } => add(value, components),
        _ => {}
    }
}

/// The schema of a shape, where it is used.
pub(super) fn of(name: &'static str) -> Value {
    match kind(name) {
        ShapeKind::Structure { .. } => reference(name),
        ShapeKind::List { member, rule } => {
            let mut schema = json!({ "type": "array", "items": of(member) });
            bound(&mut schema, "minItems", rule.min);
            bound(&mut schema, "maxItems", rule.max);
            schema
        }
        ShapeKind::Map { value, .. } => json!({ "type": "object", "additionalProperties": of(value) }),
        ShapeKind::String(rule) => string(name, rule),
        ShapeKind::Enum(values) => json!({ "type": "string", "enum": values }),
        ShapeKind::Integer(rule) => integer("int32", rule),
        ShapeKind::Long(rule) => integer("int64", rule),
        ShapeKind::Float(rule) => {
            let mut schema = json!({ "type": "number", "format": "double" });
            bound(&mut schema, "minimum", rule.min);
            bound(&mut schema, "maximum", rule.max);
            schema
        }
        ShapeKind::Boolean => json!({ "type": "boolean" }),
        ShapeKind::Timestamp => json!({ "type": "number", "description": "Seconds since 1970, with milliseconds." }),
    }
}

fn kind(name: &str) -> ShapeKind {
    reflect::shape(name).expect("the tables name no shape that they do not have").kind
}

fn structure(name: &str, members: &[MemberInfo]) -> Value {
    let deviates = |member: &MemberInfo, constraint: &str| {
        DEVIATIONS.iter().find(|deviation| {
            (deviation.structure, deviation.member, deviation.constraint) == (name, member.name, constraint)
        })
    };
    let required: Vec<&str> = members
        .iter()
        .filter(|member| member.required && deviates(member, "required").is_none())
        .map(|member| member.name)
        .collect();
    let properties: Map<String, Value> = members
        .iter()
        .map(|member| {
            let mut schema = of(member.shape);
            if let Some(deviation) = deviates(member, "min")
                && let Some(schema) = schema.as_object_mut()
            {
                for constraint in ["minLength", "minItems", "minimum"] {
                    schema.remove(constraint);
                }
                schema.insert("description".to_owned(), json!(sentence(deviation.reason)));
            }
            (member.name.to_owned(), schema)
        })
        .collect();
    let mut schema = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn string(name: &str, rule: &StringRule) -> Value {
    let mut schema = json!({ "type": "string" });
    bound(&mut schema, "minLength", rule.min.filter(|&min| min > 0));
    bound(&mut schema, "maxLength", rule.max);
    if let Some(pattern) = rule.pattern {
        let portable = PATTERNS.iter().find(|(text, _)| *text == pattern.text);
        schema["pattern"] = json!(portable.expect("every pattern of the model is in the table; a test sees to it").1);
    }
    if JSON_TEXT.contains(&name) {
        schema["contentMediaType"] = json!("application/json");
    }
    schema
}

fn integer(format: &str, rule: &IntegerRule) -> Value {
    let mut schema = json!({ "type": "integer", "format": format });
    bound(&mut schema, "minimum", rule.min);
    bound(&mut schema, "maximum", rule.max);
    schema
}

fn bound<N: Into<Value>>(schema: &mut Value, name: &str, value: Option<N>) {
    if let Some(value) = value {
        schema[name] = value.into();
    }
}

/// A reason as a sentence.
fn sentence(reason: &str) -> String {
    let mut letters = reason.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_of_the_model_has_a_portable_form() {
        for shape in crate::SHAPES {
            if let ShapeKind::String(rule) = shape.kind
                && let Some(pattern) = rule.pattern
            {
                assert!(PATTERNS.iter().any(|(text, _)| *text == pattern.text), "{}", shape.name);
            }
        }
    }
}
