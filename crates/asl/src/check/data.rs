//! The fields that shape data in JSONPath states: paths, reference paths, payload templates, `Assign`.
//! They are compiled here, once; nothing is evaluated.

use std::ops::RangeInclusive;

use stepwright_querylang::{Expression, Path, ReferencePath, Template, is_variable_name};

use super::fields::Fields;
use super::number::variable_name;
use super::{Checker, Step};
use crate::definition::{DataFlow, NumberField, PathField, QueryLanguage, ResultPath};
use crate::diagnostic::Code;
use crate::json::{Member, Node, NodeValue};

/// The longest name of a variable, in characters.
const MAX_VARIABLE_NAME: usize = 80;

const NOT_A_PATH: &str = "Value must be a valid JSONPath.";
const NOT_A_REFERENCE_PATH: &str = "Value is not a Reference Path";

/// Where a reference path may start.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Roots {
    /// `$` only.
    Input,
    /// `$` and variables.
    InputAndVariables,
    /// Also `$$`.
    All,
}

impl Roots {
    fn admit(self, path: &str) -> bool {
        let rest = path.strip_prefix('$').unwrap_or(path);
        match rest.chars().next() {
            None | Some('.' | '[') => true,
            Some('$') => self == Self::All,
            Some(_) => self != Self::Input,
        }
    }
}

/// Whether a string was probably meant as a path or an intrinsic call.
pub(super) fn looks_like_path(text: &str) -> bool {
    ["$.", "$[", "$$."].iter().any(|prefix| text.starts_with(prefix))
        || text.strip_prefix("States.").is_some_and(|rest| rest.contains('(') && rest.ends_with(')'))
}

impl<'t> Checker<'t> {
    /// The data flow fields of a JSONPath state. A Map's `Parameters` are read with the Map.
    pub(super) fn data_flow(&mut self, fields: &Fields<'t>, is_map: bool) -> DataFlow {
        DataFlow {
            input_path: self.path_field(fields, "InputPath"),
            parameters: if is_map { None } else { self.template(fields, "Parameters") },
            result_selector: self.template(fields, "ResultSelector"),
            result_path: self.result_path(fields),
            output_path: self.path_field(fields, "OutputPath"),
            assign: self.assign(fields),
        }
    }

    fn path_field(&mut self, fields: &Fields<'t>, name: &str) -> PathField {
        match fields.get(name).map(|node| &node.value) {
            None => PathField::Whole,
            Some(NodeValue::Null) => PathField::Nothing,
            Some(NodeValue::String(text)) if text == "$" => PathField::Whole,
            Some(_) => self.path(fields, name).map_or(PathField::Whole, PathField::Path),
        }
    }

    /// A full path.
    pub(super) fn path(&mut self, fields: &Fields<'t>, name: &str) -> Option<Path> {
        let text = self.string(fields, name)?;
        let path = Path::parse(text).ok();
        if path.is_none() {
            self.invalid_member(name, NOT_A_PATH, fields.get(name)?);
        }
        path
    }

    /// A path or an intrinsic call.
    pub(super) fn expression(&mut self, fields: &Fields<'t>, name: &str) -> Option<Expression> {
        let text = self.string(fields, name)?;
        let expression = Expression::parse(text).ok();
        if expression.is_none() {
            self.invalid_member(name, NOT_A_PATH, fields.get(name)?);
        }
        expression
    }

    /// A reference path.
    pub(super) fn reference_path(&mut self, fields: &Fields<'t>, name: &str, roots: Roots) -> Option<ReferencePath> {
        let text = self.string(fields, name)?;
        let path = ReferencePath::parse(text).ok().filter(|_| roots.admit(text));
        if path.is_none() {
            let message = if Path::parse(text).is_ok() { NOT_A_REFERENCE_PATH } else { NOT_A_PATH };
            self.invalid_member(name, message, fields.get(name)?);
        }
        path
    }

    /// `ResultPath`.
    pub(super) fn result_path(&mut self, fields: &Fields<'t>) -> ResultPath {
        match fields.get("ResultPath").map(|node| &node.value) {
            None => ResultPath::Replace,
            Some(NodeValue::Null) => ResultPath::Discard,
            Some(NodeValue::String(text)) if text == "$" => ResultPath::Replace,
            Some(_) => {
                self.reference_path(fields, "ResultPath", Roots::Input).map_or(ResultPath::Replace, ResultPath::At)
            }
        }
    }

    /// A payload template.
    pub(super) fn template(&mut self, fields: &Fields<'t>, name: &str) -> Option<Template> {
        let object = self.object_member(fields, name)?;
        self.below(&Step::Member(name), |checker| checker.compile(object.node))
    }

    fn compile(&mut self, node: &'t Node) -> Option<Template> {
        self.warn_no_dollar(node);
        match Template::compile(&node.to_value()) {
            Ok(template) => Some(template),
            Err(errors) => {
                for error in errors {
                    let message = format!(
                        "The value for the field '{}' must be a valid JSONPath or a valid intrinsic function call",
                        error.key
                    );
                    let length = self.location.len();
                    self.location.push_str(&error.location);
                    self.invalid(message, node);
                    self.location.truncate(length);
                }
                None
            }
        }
    }

    fn warn_no_dollar(&mut self, node: &'t Node) {
        match &node.value {
            NodeValue::Object(members) => {
                for Member { key, value, .. } in members {
                    match value.as_str() {
                        Some(text) if !key.ends_with(".$") && looks_like_path(text) => {
                            let message = format!(
                                "The value of the field '{key}' looks like a JSONPath or an intrinsic function call, \
                                 but the name of the field does not end with '.$'"
                            );
                            self.say(Code::NoDollar, message, value);
                        }
                        Some(_) => {}
                        None => self.below(&Step::Member(key), |checker| checker.warn_no_dollar(value)),
                    }
                }
            }
            NodeValue::Array(items) => items.iter().for_each(|item| self.warn_no_dollar(item)),
            _ => {}
        }
    }

    /// Warns of a path in a field that takes text.
    pub(super) fn warn_no_path(&mut self, fields: &Fields<'t>, name: &str, text: &str) {
        if looks_like_path(text) {
            let message =
                format!("The value of the field '{name}' looks like a path, but the name does not end with 'Path'");
            let node = fields.get(name).unwrap_or(fields.node);
            self.below(&Step::Member(name), |checker| checker.say(Code::NoPath, message, node));
        }
    }

    /// `Assign` of a JSONPath state, choice rule or catcher.
    pub(super) fn assign(&mut self, fields: &Fields<'t>) -> Option<Template> {
        self.variable_names(fields, QueryLanguage::JsonPath);
        self.template(fields, "Assign")
    }

    /// The names that an `Assign` assigns.
    pub(super) fn variable_names(&mut self, fields: &Fields<'t>, language: QueryLanguage) {
        let Some(assign) = fields.get("Assign") else { return };
        for Member { key, value, .. } in assign.as_object().unwrap_or_default() {
            self.below(&Step::Member("Assign"), |checker| {
                // Keys that end in `.$` have no meaning in JSONata states.
                let name = if language == QueryLanguage::JsonPath { variable_name(key) } else { key };
                checker.below(&Step::Member(key), |checker| checker.variable(name, value));
            });
        }
    }

    fn variable(&mut self, name: &str, node: &'t Node) {
        if name == "states" {
            self.say(Code::ReservedVariableName, "Cannot assign to reserved variable '$states'.", node);
        } else if !is_variable_name(name) {
            let message = format!("Invalid variable name '{name}': the variable name contains invalid characters.");
            self.say(Code::InvalidVariableName, message, node);
        } else if name.chars().count() > MAX_VARIABLE_NAME {
            let message = format!(
                "Invalid variable name '{name}': the variable name exceeds the {MAX_VARIABLE_NAME}-character limit."
            );
            self.say(Code::InvalidVariableName, message, node);
        } else {
            let outer = &self.scope[..self.scope.len().saturating_sub(1)];
            if outer.iter().any(|flow| self.numbering.flows[flow.0 as usize].assigned.contains(name)) {
                let message = format!("Cannot assign to variable '${name}': it is assigned in an outer scope.");
                self.invalid(message, node);
            }
        }
    }

    /// A number given literally, by a path or by an expression.
    pub(super) fn number_field(
        &mut self,
        fields: &Fields<'t>,
        name: &str,
        path: Option<(&str, Roots)>,
        range: RangeInclusive<u64>,
        language: QueryLanguage,
    ) -> Option<NumberField<u64>> {
        if let Some((path_name, roots)) = path {
            self.at_most_one(fields, &[name, path_name]);
            if fields.has(path_name) {
                return self.reference_path(fields, path_name, roots).map(NumberField::Path);
            }
        }
        if language == QueryLanguage::Jsonata
            && let Some(expression) = self.marked(fields, name)
        {
            return expression.map(NumberField::Jsonata);
        }
        self.integer(fields, name, *range.start(), *range.end()).map(NumberField::Literal)
    }
}
