//! Objects and their members: which ones an object may have, which it must have, and of what type they are.
//! Only structure is checked here; what a field means is decided where it is used.

use super::{Checker, Step};
use crate::definition::QueryLanguage::{self, JsonPath, Jsonata};
use crate::json::{Member, Node, NodeValue};

/// An object of the definition.
#[derive(Clone, Copy)]
pub(super) struct Fields<'t> {
    pub(super) node: &'t Node,
    pub(super) members: &'t [Member],
}

impl<'t> Fields<'t> {
    pub(super) fn get(&self, name: &str) -> Option<&'t Node> {
        self.members.iter().find(|member| member.key == name).map(|member| &member.value)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

/// A field that an object may have, and the language it belongs to if only one has it.
pub(crate) type Allowed = (&'static str, Option<QueryLanguage>);

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident: [$($field:literal $($language:ident)?),* $(,)?];)*) => {
        $($(#[$doc])* pub(crate) static $name: &[Allowed] = &[$(($field, fields!(@ $($language)?))),*];)*
    };
    (@) => { None };
    (@ $language:ident) => { Some($language) };
}

fields! {
    MACHINE: ["Comment", "QueryLanguage", "StartAt", "States", "TimeoutSeconds", "Version"];
    BRANCH: ["Comment", "StartAt", "States"];
    PROCESSOR: ["Comment", "StartAt", "States", "ProcessorConfig"];
    PROCESSOR_CONFIG: ["Mode", "ExecutionType"];
    TASK: [
        "Type", "Comment", "QueryLanguage", "Next", "End", "InputPath" JsonPath, "OutputPath" JsonPath,
        "Parameters" JsonPath, "ResultSelector" JsonPath, "ResultPath" JsonPath, "Arguments" Jsonata,
        "Output" Jsonata, "Assign", "Retry", "Catch", "Resource", "Credentials", "TimeoutSeconds",
        "TimeoutSecondsPath" JsonPath, "HeartbeatSeconds", "HeartbeatSecondsPath" JsonPath,
    ];
    PARALLEL: [
        "Type", "Comment", "QueryLanguage", "Next", "End", "InputPath" JsonPath, "OutputPath" JsonPath,
        "Parameters" JsonPath, "ResultSelector" JsonPath, "ResultPath" JsonPath, "Arguments" Jsonata,
        "Output" Jsonata, "Assign", "Retry", "Catch", "Branches",
    ];
    MAP: [
        "Type", "Comment", "QueryLanguage", "Next", "End", "InputPath" JsonPath, "OutputPath" JsonPath,
        "Parameters" JsonPath, "ResultSelector" JsonPath, "ResultPath" JsonPath, "Output" Jsonata, "Assign",
        "Retry", "Catch", "ItemProcessor", "Iterator", "ItemsPath" JsonPath, "Items" Jsonata, "ItemSelector",
        "ItemReader", "ItemBatcher", "ResultWriter", "Label", "MaxConcurrency", "MaxConcurrencyPath" JsonPath,
        "ToleratedFailureCount", "ToleratedFailureCountPath" JsonPath, "ToleratedFailurePercentage",
        "ToleratedFailurePercentagePath" JsonPath,
    ];
    PASS: [
        "Type", "Comment", "QueryLanguage", "Next", "End", "InputPath" JsonPath, "OutputPath" JsonPath,
        "Parameters" JsonPath, "ResultPath" JsonPath, "Result" JsonPath, "Output" Jsonata, "Assign",
    ];
    WAIT: [
        "Type", "Comment", "QueryLanguage", "Next", "End", "InputPath" JsonPath, "OutputPath" JsonPath,
        "Output" Jsonata, "Assign", "Seconds", "SecondsPath" JsonPath, "Timestamp", "TimestampPath" JsonPath,
    ];
    CHOICE: [
        "Type", "Comment", "QueryLanguage", "InputPath" JsonPath, "OutputPath" JsonPath, "Output" Jsonata,
        "Assign", "Choices", "Default",
    ];
    SUCCEED: [
        "Type", "Comment", "QueryLanguage", "InputPath" JsonPath, "OutputPath" JsonPath, "Output" Jsonata,
    ];
    FAIL: [
        "Type", "Comment", "QueryLanguage", "Error", "ErrorPath" JsonPath, "Cause", "CausePath" JsonPath,
    ];
    RETRIER: [
        "ErrorEquals", "IntervalSeconds", "MaxAttempts", "BackoffRate", "MaxDelaySeconds", "JitterStrategy",
        "Comment",
    ];
    CATCHER: [
        "ErrorEquals", "Next", "ResultPath" JsonPath, "Output" Jsonata, "Assign", "Comment",
    ];
    ITEM_READER: ["Resource", "Parameters" JsonPath, "Arguments" Jsonata, "ReaderConfig"];
    READER_CONFIG: [
        "InputType", "CSVHeaderLocation", "CSVHeaders", "CSVDelimiter", "MaxItems", "MaxItemsPath" JsonPath,
        "ManifestType", "ItemsPointer", "Transformation",
    ];
    ITEM_BATCHER: [
        "BatchInput", "MaxItemsPerBatch", "MaxItemsPerBatchPath" JsonPath, "MaxInputBytesPerBatch",
        "MaxInputBytesPerBatchPath" JsonPath,
    ];
    RESULT_WRITER: ["Resource", "Parameters" JsonPath, "Arguments" Jsonata, "WriterConfig"];
    WRITER_CONFIG: ["Transformation", "OutputType"];
}

/// A language by the name that definitions give it.
pub(super) fn language_name(language: QueryLanguage) -> &'static str {
    match language {
        JsonPath => "JSONPath",
        Jsonata => "JSONata",
    }
}

impl<'t> Checker<'t> {
    /// The value as an object.
    pub(super) fn object(&mut self, node: &'t Node) -> Option<Fields<'t>> {
        let members = node.as_object();
        if members.is_none() {
            self.invalid("Expected value of type Object", node);
        }
        members.map(|members| Fields { node, members })
    }

    /// The member as an object.
    pub(super) fn object_member(&mut self, fields: &Fields<'t>, name: &str) -> Option<Fields<'t>> {
        let node = fields.get(name)?;
        self.below(&Step::Member(name), |checker| checker.object(node))
    }

    /// The member as an array.
    pub(super) fn array(&mut self, fields: &Fields<'t>, name: &str) -> Option<&'t [Node]> {
        let node = fields.get(name)?;
        let items = node.as_array();
        if items.is_none() {
            self.invalid_member(name, "Expected value of type Array", node);
        }
        items
    }

    /// The member as an array with something in it.
    pub(super) fn filled_array(&mut self, fields: &Fields<'t>, name: &str) -> Option<&'t [Node]> {
        let items = self.array(fields, name)?;
        if items.is_empty() {
            self.invalid_member(name, "Value cannot be empty", fields.get(name)?);
            return None;
        }
        Some(items)
    }

    /// The member as a string.
    pub(super) fn string(&mut self, fields: &Fields<'t>, name: &str) -> Option<&'t str> {
        let node = fields.get(name)?;
        let text = node.as_str();
        if text.is_none() {
            self.invalid_member(name, "Expected value of type String", node);
        }
        text
    }

    /// The member as a boolean.
    pub(super) fn boolean(&mut self, fields: &Fields<'t>, name: &str) -> Option<bool> {
        let node = fields.get(name)?;
        if let NodeValue::Bool(value) = node.value {
            return Some(value);
        }
        self.invalid_member(name, "Expected value of type Boolean", node);
        None
    }

    /// The member as one of some strings.
    pub(super) fn one_of(&mut self, fields: &Fields<'t>, name: &str, values: &[&str]) -> Option<&'t str> {
        let node = fields.get(name)?;
        let text = self.string(fields, name)?;
        if values.contains(&text) {
            return Some(text);
        }
        let message = format!("Value should be one of the following: [{}]", values.join(", "));
        self.invalid_member(name, message, node);
        None
    }

    /// The member as an integer within a range.
    pub(super) fn integer(&mut self, fields: &Fields<'t>, name: &str, min: u64, max: u64) -> Option<u64> {
        let node = fields.get(name)?;
        let message = match &node.value {
            NodeValue::Number(number) if number.is_u64() || number.is_i64() => match number.as_u64() {
                Some(value) if value < min => format!("Minimum value is {min}"),
                Some(value) if value > max => format!("Maximum value is {max}"),
                Some(value) => return Some(value),
                None => format!("Minimum value is {min}"),
            },
            _ => "Expected value of type Integer".to_owned(),
        };
        self.invalid_member(name, message, node);
        None
    }

    /// The member as a number within a range.
    pub(super) fn float(&mut self, fields: &Fields<'t>, name: &str, min: f64, max: f64) -> Option<f64> {
        let node = fields.get(name)?;
        let message = match &node.value {
            NodeValue::Number(number) => match number.as_f64() {
                Some(value) if value < min => format!("Minimum value is {min:?}"),
                Some(value) if value > max => format!("Maximum value is {max:?}"),
                Some(value) => return Some(value),
                None => "Expected value of type Double".to_owned(),
            },
            _ => "Expected value of type Double".to_owned(),
        };
        self.invalid_member(name, message, node);
        None
    }

    /// Every member must be among those allowed, and belong to the language.
    pub(super) fn only(&mut self, fields: &Fields<'t>, allowed: &[Allowed], language: QueryLanguage) {
        for member in fields.members {
            let name = &member.key;
            match allowed.iter().find(|(field, _)| field == name) {
                Some((_, Some(needed))) if *needed != language => {
                    let (set, needed) = (language_name(language), language_name(*needed));
                    self.invalid(
                        format!(
                            "The QueryLanguage is set to '{set}', but field '{name}' is only supported for the \
                             '{needed}' QueryLanguage"
                        ),
                        &member.value,
                    );
                }
                Some(_) => {}
                None => self.invalid(format!("Field '{name}' is not supported"), &member.value),
            }
        }
    }

    /// Every one of these must be there.
    pub(super) fn required(&mut self, fields: &Fields<'t>, names: &[&str]) -> bool {
        let missing: Vec<&str> = names.iter().copied().filter(|name| !fields.has(name)).collect();
        if !missing.is_empty() {
            self.invalid(format!("These fields are required: [{}]", missing.join(", ")), fields.node);
        }
        missing.is_empty()
    }

    /// At most one of these may be there.
    pub(super) fn at_most_one(&mut self, fields: &Fields<'t>, names: &[&str]) -> bool {
        let alone = names.iter().filter(|name| fields.has(name)).count() <= 1;
        if !alone {
            let names = names.join(", ");
            self.invalid(format!("There should only be one of the following fields: [{names}]"), fields.node);
        }
        alone
    }

    /// Exactly one of these must be there.
    pub(super) fn exactly_one(&mut self, fields: &Fields<'t>, names: &[&str]) -> bool {
        if names.iter().any(|name| fields.has(name)) {
            return self.at_most_one(fields, names);
        }
        let names = names.join(", ");
        self.invalid(format!("This object should have only one of the following fields: [{names}]"), fields.node);
        false
    }
}
