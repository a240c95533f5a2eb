//! Values of the wrong type, outside of their range, or in a form that is none.

use stepwright_querylang::{Expression, Path, intrinsic::Function};

use super::{Case, between, did_you_mean};
use crate::check::state::TYPES;
use crate::json::{Node, NodeValue};

impl Case<'_> {
    /// Advice on whatever is said with the code of structure.
    pub(super) fn structure(&self) -> Option<String> {
        self.field().or_else(|| self.resource()).or_else(|| self.value()).or_else(|| self.path())
    }

    fn value(&self) -> Option<String> {
        if let Some(values) = between(self.message, "The field 'Type' should have one of these values: [", "]") {
            return Some(match self.text() {
                Some(given) => format!("{}Type is one of {values}.", did_you_mean(given, TYPES)),
                None => format!("Each state has a type: add \"Type\": one of {values}."),
            });
        }
        if let Some(values) = between(self.message, "Value should be one of the following: [", "]") {
            let near = self.text().map(|given| did_you_mean(given, values.split(", "))).unwrap_or_default();
            return Some(format!("{near}Write one of {values}, in exactly these letters."));
        }
        if let Some(wanted) = self.message.strip_prefix("Expected value of type ") {
            return Some(self.wrong_type(wanted));
        }
        if let Some(least) = self.message.strip_prefix("Minimum value is ") {
            return Some(format!("Write a number of {least} or more."));
        }
        if let Some(most) = self.message.strip_prefix("Maximum value is ") {
            return Some(format!("Write a number of {most} or less."));
        }
        let name = self.trail.member().map(|member| member.key.as_str()).unwrap_or_default();
        Some(match self.message {
            "Definition must be a valid JSON object" => {
                "A definition is an object with at least StartAt and States: \
                 {\"StartAt\": \"First\", \"States\": {\"First\": {\"Type\": \"Pass\", \"End\": true}}}."
                    .to_owned()
            }
            "Value cannot be empty" if name == "States" => {
                "A machine, branch or item processor has at least one state: add one.".to_owned()
            }
            "Value cannot be empty" => format!("{name} holds at least one entry: add one, or remove the field."),
            "States.ALL must appear alone and at end of list" => {
                "States.ALL stands for every error: give it an entry of its own, the last one, and put the other error \
                 names into entries before it."
                    .to_owned()
            }
            "String does not match RFC3339 timestamp" => {
                "Write date, T, time and zone, such as \"2026-01-31T09:00:00Z\" or \"2026-01-31T09:00:00+01:00\".".to_owned()
            }
            "JSONata string must start with {% and end with %}" => {
                "Put the whole string in marks, \"{% … %}\", with nothing before the first and behind the last.".to_owned()
            }
            message if message.starts_with("HeartbeatSeconds (") => {
                "A heartbeat is missed before the time is up, or never: make HeartbeatSeconds smaller than TimeoutSeconds."
                    .to_owned()
            }
            message if message.starts_with("MaxDelaySeconds (") => {
                "The longest delay is no shorter than the first: raise MaxDelaySeconds or lower IntervalSeconds.".to_owned()
            }
            message if message.starts_with("'QueryLanguage' can not be 'JSONPath'") => {
                "A machine of JSONata has JSONata states only. Remove the machine's QueryLanguage and set it on the states \
                 that use JSONata."
                    .to_owned()
            }
            message if message.starts_with("Express state machine does not support") => {
                "Express executions end within five minutes and wait for nobody: use a STANDARD state machine, or call \
                 the service without a pattern."
                    .to_owned()
            }
            message if message.contains("assigned in an outer scope") => {
                "Branches and item processors read the variables around them but cannot change them: choose another name, \
                 and hand the value out by the state's output."
                    .to_owned()
            }
            _ => return None,
        })
    }

    fn wrong_type(&self, wanted: &str) -> String {
        let node = self.trail.node();
        let name = self.trail.member().map(|member| member.key.as_str()).unwrap_or("it");
        let found = match node.map(|node| &node.value) {
            Some(NodeValue::Null) => "null",
            Some(NodeValue::Bool(_)) => "a boolean",
            Some(NodeValue::Number(_)) => "a number",
            Some(NodeValue::String(_)) => "a text",
            Some(NodeValue::Array(_)) => "an array",
            Some(NodeValue::Object(_)) => "an object",
            None => "something else",
        };
        let text = node.and_then(Node::as_str);
        let fix = match (wanted, text) {
            ("Boolean", Some(text @ ("true" | "false"))) => format!("write {text} without quotes"),
            ("Boolean", _) => "write true or false, without quotes".to_owned(),
            ("Integer" | "Double", Some(text)) if text.parse::<f64>().is_ok() => format!("write {text} without quotes"),
            ("Integer", Some(text)) if text.starts_with('$') => {
                format!("write a number, or use {name}Path for a path, where the state has that field")
            }
            ("Integer", _) => "write a whole number without quotes".to_owned(),
            ("Double", _) => "write a number without quotes".to_owned(),
            ("String", _) => "write it in double quotes".to_owned(),
            ("Array", Some(text)) => format!("put it in brackets: [{text:?}]"),
            ("Array", None) => "put it in brackets: […]".to_owned(),
            _ => "write {…}".to_owned(),
        };
        let kind = match wanted {
            "Boolean" => "true or false",
            "Integer" => "a whole number",
            "Double" => "a number",
            "String" => "a text",
            "Array" => "an array",
            "Object" => "an object",
            other => other,
        };
        format!("{name} must be {kind} and is {found}: {fix}.")
    }

    fn path(&self) -> Option<String> {
        if let Some(key) = between(self.message, "The value for the field '", "' must be a valid JSONPath or") {
            let value = self.trail.node().and_then(|node| find_key(node, key));
            return Some(match value {
                Some(text) => {
                    format!("{}Without \".$\" at the end of the name, it is passed on as text.", bad_expression(text))
                }
                None => {
                    format!(
                        "A name that ends in \".$\" has a path or an intrinsic function for its value, as a text: {key:?}."
                    )
                }
            });
        }
        match self.message {
            "Value must be a valid JSONPath." => Some(bad_expression(self.text()?).trim_end().to_owned()),
            message if message.starts_with("Value is not a Reference Path") => {
                let text = self.text()?;
                if text.starts_with('$') && Path::parse(text).is_ok() {
                    return Some(
                        "A reference path names one place: no *, .., filters, slices or functions, such as $.order.id or \
                         $.list[0]. It may begin with $$ or a variable only where the field allows it."
                            .to_owned(),
                    );
                }
                Some(bad_expression(text).trim_end().to_owned())
            }
            _ => None,
        }
    }

    /// Advice on an expression that is not JSONata.
    pub(super) fn jsonata(&self) -> String {
        let text = self.text().unwrap_or_default();
        let hint = if text.contains("==") {
            "Equality is one =, not ==. "
        } else if text.contains("&&") || text.contains("||") {
            "Write and, or instead of &&, ||. "
        } else if text.contains("States.") && text.contains('(') {
            "Intrinsic functions belong to JSONPath; JSONata has its own, such as $string or $uuid. "
        } else if text.contains("$.") {
            "There is no $ at the top: write $states.input. "
        } else {
            ""
        };
        format!("{hint}Correct the expression between {{% and %}}; `stepwright eval` tries one on an input.")
    }
}

/// What is wrong with a text that should be a path or an intrinsic call.
fn bad_expression(text: &str) -> String {
    let called = text.split('(').next().filter(|name| name.starts_with("States.") && text.contains('('));
    if let Some(name) = called.filter(|name| Function::named(name).is_none()) {
        let names = Function::ALL.map(Function::name);
        let near = did_you_mean(name, names);
        return format!("There is no intrinsic function {name}. {near}There are {}. ", names.join(", "));
    }
    let reason = Expression::parse(text).err().map(|error| format!("{error}: ")).unwrap_or_default();
    if !text.starts_with('$') && !text.starts_with("States.") {
        let bare = text.trim_start_matches('.');
        let plain = !bare.is_empty() && bare.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.');
        let near = if plain { format!("Did you mean \"$.{bare}\"? ") } else { String::new() };
        return format!(
            "{near}A path begins with $, such as $.order.id ({}is the input), $$ for the context object. ",
            "$ "
        );
    }
    format!("{text:?} cannot be read: {reason}a path is such as $.order.id, $.list[0] or $['a name']. ")
}

/// The text that a key has somewhere in a value.
fn find_key<'t>(node: &'t Node, key: &str) -> Option<&'t str> {
    match &node.value {
        NodeValue::Object(members) => members.iter().find_map(|member| {
            if member.key == key {
                return member.value.as_str();
            }
            find_key(&member.value, key)
        }),
        NodeValue::Array(items) => items.iter().find_map(|item| find_key(item, key)),
        _ => None,
    }
}
