//! Fields that should not be there, should be there, or exclude each other.

use super::trail::{Role, allowed, of_type};
use super::{Case, between, did_you_mean, nearest};
use crate::check::choice::{OPERATORS, SELECTORS};
use crate::check::state::TYPES;
use crate::json::Node;

impl Case<'_> {
    /// Advice on a message about fields.
    pub(super) fn field(&self) -> Option<String> {
        if let Some(name) = between(self.message, "Field '", "' is not supported") {
            return Some(self.unknown_field(name));
        }
        if let Some(name) = between(self.message, "but field '", "'") {
            return Some(other_language(name, self.message.contains("set to 'JSONata'")));
        }
        if let Some(names) = between(self.message, "These fields are required: [", "]") {
            return Some(self.required(names));
        }
        if let Some(names) = between(self.message, "There should only be one of the following fields: [", "]") {
            return Some(format!("These fields exclude each other ({names}): keep one and remove the others."));
        }
        if let Some(names) = between(self.message, "should have only one of the following fields: [", "]") {
            return Some(self.one_of(names));
        }
        if self.message.starts_with("The object must have only one of the following fields") {
            return Some(
                "A rule is one condition: either Variable with one comparison, or And, Or, Not, or in JSONata Condition. \
                 To test two things, put both in an And."
                    .to_owned(),
            );
        }
        if let Some(name) = between(self.message, "The field '", "' is required but was missing") {
            let near = self.trail.node().map(|node| near_key(node, name)).unwrap_or_default();
            let example = if name == "RoleArn" { "\"arn:aws:iam::123456789012:role/name\"" } else { "…" };
            return Some(format!(
                "This call needs {name}: add {name:?}: {example}, or \"{name}.$\" with a path to it. {near}"
            ));
        }
        None
    }

    fn unknown_field(&self, name: &str) -> String {
        let Some((object, role)) = self.trail.parent() else { return super::GENERAL.to_owned() };
        if matches!(role, Role::Rule | Role::Nested) {
            return unknown_in_rule(object, role, name);
        }
        let Some(allowed) = allowed(role, object) else { return super::GENERAL.to_owned() };
        let names: Vec<&str> =
            allowed.iter().map(|(name, _)| *name).filter(|name| object.get(name).is_none()).collect();
        let kind = object.get("Type").and_then(Node::as_str).unwrap_or_default();
        let what = match role {
            Role::Machine => "the machine".to_owned(),
            Role::Branch => "a branch".to_owned(),
            Role::Processor => "an item processor".to_owned(),
            Role::State => format!("a {kind} state"),
            Role::Retrier => "a retrier".to_owned(),
            Role::Catcher => "a catcher".to_owned(),
            _ => "this object".to_owned(),
        };
        if role == Role::State {
            match (kind, name) {
                ("Choice", "Next" | "End") => {
                    return "A Choice leads on by its rules: give each of Choices a Next, and the state a Default for \
                            everything else. Remove this field."
                        .to_owned();
                }
                ("Succeed" | "Fail", "Next" | "End") => {
                    return format!("A {kind} state ends its flow by itself: remove this field.");
                }
                _ => {}
            }
            let others: Vec<&str> = TYPES
                .into_iter()
                .filter(|other| of_type(other).is_some_and(|fields| fields.iter().any(|(field, _)| *field == name)))
                .collect();
            if !others.is_empty() {
                return format!(
                    "{name} is a field of {} states, not of {kind} states: remove it, or put a state of such a type here.",
                    others.join(", ")
                );
            }
        }
        if matches!(role, Role::Processor | Role::Branch) && name == "Type" {
            return "States stand under States, by their names: put this state there, and its name into StartAt."
                .to_owned();
        }
        let near = did_you_mean(name, names.iter().copied());
        format!("{near}The fields of {what} are {}.", listed(allowed.iter().map(|(name, _)| *name)))
    }

    fn required(&self, names: &str) -> String {
        let Some(object) = self.trail.node() else { return super::GENERAL.to_owned() };
        let mut help = Vec::new();
        for name in names.split(", ") {
            let near = near_key(object, name);
            if !near.is_empty() {
                help.push(near);
                continue;
            }
            help.push(match name {
                "StartAt" => "Add \"StartAt\": the name of the state to begin with.".to_owned(),
                "States" => "Add \"States\": {…}, the states by their names.".to_owned(),
                "Type" => format!("Each state has a type: add \"Type\", one of {}.", TYPES.join(", ")),
                "Resource" => {
                    "Add \"Resource\": what the task calls, such as \"arn:aws:states:::lambda:invoke\".".to_owned()
                }
                "Choices" => "Add \"Choices\": [{…}], rules with a condition and a Next each.".to_owned(),
                "Branches" => "Add \"Branches\": [{\"StartAt\": …, \"States\": {…}}], one for each branch.".to_owned(),
                "ErrorEquals" => {
                    "Add \"ErrorEquals\": [\"States.ALL\"], or the names of the errors that are meant.".to_owned()
                }
                "Next" => "Add \"Next\": the name of the state that this leads to.".to_owned(),
                "ItemProcessor" => {
                    "Add \"ItemProcessor\": {\"StartAt\": …, \"States\": {…}}, what is done with each item.".to_owned()
                }
                other => format!("Add {other:?}."),
            });
        }
        help.join(" ")
    }

    fn one_of(&self, names: &str) -> String {
        if names == "Next, End" {
            let near = self.trail.node().map(|node| near_key(node, "Next")).unwrap_or_default();
            return format!(
                "A state leads somewhere: add \"Next\": the name of the state that follows, or \"End\": true. {near}"
            )
            .trim_end()
            .to_owned();
        }
        if names.starts_with("StringEquals") {
            let unknown = self.trail.node().and_then(Node::as_object).unwrap_or_default().iter().find_map(|member| {
                let known = OPERATORS.contains(&member.key.as_str()) || SELECTORS.contains(&member.key.as_str());
                nearest(&member.key, OPERATORS).filter(|_| !known).map(|near| (member.key.as_str(), near))
            });
            let near =
                unknown.map(|(key, near)| format!("Did you mean {near:?} instead of {key:?}? ")).unwrap_or_default();
            return format!(
                "{near}A rule compares its Variable with one operator, such as StringEquals, NumericGreaterThan, \
                 BooleanEquals, TimestampLessThan, IsPresent or StringMatches."
            );
        }
        if names.starts_with("SecondsPath") {
            return "A Wait says how long or until when, in one field: \"Seconds\": 10, \"SecondsPath\": \"$.delay\", \
                    \"Timestamp\": \"2026-01-31T09:00:00Z\" or \"TimestampPath\": \"$.at\"."
                .to_owned();
        }
        format!("Give it one of these fields: {names}.")
    }
}

fn unknown_in_rule(object: &Node, role: Role, name: &str) -> String {
    if OPERATORS.contains(&name) {
        return "An operator stands beside the Variable that it compares: add \"Variable\": \"$.…\" to the same object."
            .to_owned();
    }
    if role == Role::Nested && matches!(name, "Next" | "Assign" | "Output") {
        return format!(
            "{name} belongs to the whole rule, not to a condition within it: move it beside And, Or or Not."
        );
    }
    let candidates = OPERATORS.into_iter().chain(SELECTORS).chain(["Next", "Comment", "Assign", "Output"]);
    let near = did_you_mean(name, candidates.filter(|candidate| object.get(candidate).is_none()));
    format!(
        "{near}A rule has a condition (Variable with one operator such as StringEquals or NumericLessThan, or And, Or, \
         Not; in JSONata: Condition), and Next."
    )
}

/// A field of one query language, in a state of the other.
fn other_language(name: &str, in_jsonata: bool) -> String {
    let instead = match (name, in_jsonata) {
        ("Parameters", true) => "Use Arguments, with \"{% … %}\" where a value is computed.",
        ("InputPath", true) => "Read $states.input where the value is needed.",
        ("ResultPath" | "ResultSelector" | "OutputPath", true) => {
            "Use Output, such as \"{% $merge([$states.input, {'result': $states.result}]) %}\"."
        }
        ("Result", true) => "Use Output.",
        ("ItemsPath", true) => "Use Items, such as \"{% $states.input.list %}\".",
        ("Variable" | "And" | "Or" | "Not", true) => "Use Condition, such as \"{% $states.input.total > 100 %}\".",
        (
            "SecondsPath" | "TimestampPath" | "TimeoutSecondsPath" | "HeartbeatSecondsPath" | "ErrorPath" | "CausePath",
            true,
        ) => "Use the field without Path, with an expression: \"{% $states.input.value %}\".",
        ("Arguments", false) => "Use Parameters, with names that end in \".$\" where a value is a path.",
        ("Output", false) => "Use ResultSelector, ResultPath and OutputPath (in a Pass state Parameters or Result).",
        ("Items", false) => "Use ItemsPath, such as \"$.list\".",
        ("Condition", false) => "Use Variable with an operator, such as \"NumericGreaterThan\": 100.",
        _ => "Use what this language has for it.",
    };
    let (here, there) = if in_jsonata { ("JSONata", "JSONPath") } else { ("JSONPath", "JSONata") };
    let switch = if in_jsonata {
        format!("Or write the whole definition in {there}: a JSONata machine has no {there} states.")
    } else {
        format!("Or set \"QueryLanguage\": {there:?} for this state or the whole machine.")
    };
    format!("This is a field of {there}, and the state's language is {here}. {instead} {switch}")
}

/// A key of an object that was probably meant to be `name`.
fn near_key(object: &Node, name: &str) -> String {
    let keys = object.as_object().unwrap_or_default().iter().map(|member| member.key.as_str());
    // Keys that mean something themselves are not misspelt.
    let known =
        |key: &&str| TYPES.iter().all(|kind| of_type(kind).unwrap_or_default().iter().all(|(field, _)| field != key));
    nearest(name, keys.filter(known))
        .filter(|key| *key != name)
        .map(|key| format!("Did you mean {name:?} where {key:?} stands?"))
        .unwrap_or_default()
}

fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
