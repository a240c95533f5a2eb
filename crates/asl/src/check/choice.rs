//! Choice states: rules, nested conditions and their operators.

use std::sync::Arc;

use super::fields::Fields;
use super::{Checker, Context, Step};
use crate::definition::{Choice, ChoiceRule, Condition, Domain, JsonataFields, Operand, QueryLanguage, Relation, Test};
use crate::json::{Node, NodeValue};
use crate::timestamp::parse_instant;

use stepwright_querylang::Path;
use stepwright_querylang::jsonata::Members;

pub(crate) const SELECTORS: [&str; 5] = ["And", "Or", "Not", "Variable", "Condition"];

/// Every operator of a data test, in the order of the documentation.
pub(crate) const OPERATORS: [&str; 39] = [
    "StringEquals",
    "StringEqualsPath",
    "StringLessThan",
    "StringLessThanPath",
    "StringGreaterThan",
    "StringGreaterThanPath",
    "StringLessThanEquals",
    "StringLessThanEqualsPath",
    "StringGreaterThanEquals",
    "StringGreaterThanEqualsPath",
    "StringMatches",
    "NumericEquals",
    "NumericEqualsPath",
    "NumericLessThan",
    "NumericLessThanPath",
    "NumericGreaterThan",
    "NumericGreaterThanPath",
    "NumericLessThanEquals",
    "NumericLessThanEqualsPath",
    "NumericGreaterThanEquals",
    "NumericGreaterThanEqualsPath",
    "BooleanEquals",
    "BooleanEqualsPath",
    "TimestampEquals",
    "TimestampEqualsPath",
    "TimestampLessThan",
    "TimestampLessThanPath",
    "TimestampGreaterThan",
    "TimestampGreaterThanPath",
    "TimestampLessThanEquals",
    "TimestampLessThanEqualsPath",
    "TimestampGreaterThanEquals",
    "TimestampGreaterThanEqualsPath",
    "IsNull",
    "IsPresent",
    "IsNumeric",
    "IsString",
    "IsBoolean",
    "IsTimestamp",
];

impl<'t> Checker<'t> {
    /// The fields of a Choice state.
    pub(super) fn choice(&mut self, fields: &Fields<'t>, context: Context) -> Option<Choice> {
        if !self.required(fields, &["Choices"]) {
            self.unclear();
        }
        let mut rules = Vec::new();
        for (index, node) in self.filled_array(fields, "Choices").unwrap_or_default().iter().enumerate() {
            let rule = self.below(&Step::Item("Choices", index), |checker| checker.rule(node, context));
            rules.extend(rule);
        }
        let default = if fields.has("Default") { Some(self.target(fields, "Default")?) } else { None };
        Some(Choice { rules, default })
    }

    fn rule(&mut self, node: &'t Node, context: Context) -> Option<ChoiceRule> {
        let Some(fields) = self.object(node) else {
            self.unclear();
            return None;
        };
        self.rule_fields(&fields, context.language, true);
        self.required(&fields, &["Next"]);
        let condition = self.condition(&fields, context.language);
        let (assign, jsonata) = match context.language {
            QueryLanguage::JsonPath => (self.assign(&fields), JsonataFields::default()),
            QueryLanguage::Jsonata => (None, self.jsonata_fields(&fields, Members::INPUT)),
        };
        let next = self.target(&fields, "Next")?;
        Some(ChoiceRule { condition: condition?, next, assign, jsonata })
    }

    /// Only the fields of a rule. Operators belong to a rule that has a `Variable`.
    fn rule_fields(&mut self, fields: &Fields<'t>, language: QueryLanguage, top: bool) {
        let path = Some(QueryLanguage::JsonPath);
        let jsonata = Some(QueryLanguage::Jsonata);
        let mut allowed = vec![
            ("And", path),
            ("Or", path),
            ("Not", path),
            ("Variable", path),
            ("Condition", jsonata),
            ("Comment", None),
        ];
        if top {
            allowed.extend([("Next", None), ("Assign", None), ("Output", jsonata)]);
        }
        if fields.has("Variable") {
            allowed.extend(OPERATORS.map(|operator| (operator, path)));
        }
        self.only(fields, &allowed, language);
        self.string(fields, "Comment");
    }

    fn condition(&mut self, fields: &Fields<'t>, language: QueryLanguage) -> Option<Condition> {
        if SELECTORS.iter().filter(|name| fields.has(name)).count() != 1 {
            let names = SELECTORS.join(", ");
            self.invalid(format!("The object must have only one of the following fields, [{names}]"), fields.node);
            return None;
        }
        if language == QueryLanguage::Jsonata {
            return self.jsonata_condition(fields);
        }
        if fields.has("And") {
            return self.conditions(fields, "And").map(Condition::And);
        }
        if fields.has("Or") {
            return self.conditions(fields, "Or").map(Condition::Or);
        }
        if let Some(node) = fields.get("Not") {
            let inner = self.below(&Step::Member("Not"), |checker| checker.nested(node))?;
            return Some(Condition::Not(Box::new(inner)));
        }
        self.data_test(fields)
    }

    fn jsonata_condition(&mut self, fields: &Fields<'t>) -> Option<Condition> {
        let node = fields.get("Condition")?;
        if let NodeValue::Bool(value) = node.value {
            return Some(Condition::Literal(value));
        }
        self.string(fields, "Condition")?;
        let Some(expression) = self.marked(fields, "Condition") else {
            self.invalid_member("Condition", "Expected value of type Boolean", node);
            return None;
        };
        expression.map(Condition::Jsonata)
    }

    fn conditions(&mut self, fields: &Fields<'t>, name: &str) -> Option<Vec<Condition>> {
        let items = self.filled_array(fields, name)?;
        let conditions: Vec<Option<Condition>> = items
            .iter()
            .enumerate()
            .map(|(index, item)| self.below(&Step::Item(name, index), |checker| checker.nested(item)))
            .collect();
        conditions.into_iter().collect()
    }

    fn nested(&mut self, node: &'t Node) -> Option<Condition> {
        let fields = self.object(node)?;
        self.rule_fields(&fields, QueryLanguage::JsonPath, false);
        self.condition(&fields, QueryLanguage::JsonPath)
    }

    fn data_test(&mut self, fields: &Fields<'t>) -> Option<Condition> {
        let variable = self.choice_path(fields, "Variable");
        if !self.exactly_one(fields, &OPERATORS) {
            return None;
        }
        let operator = OPERATORS.into_iter().find(|operator| fields.has(operator))?;
        let test = self.test(fields, operator);
        Some(Condition::Test { variable: variable?, test: test? })
    }

    fn choice_path(&mut self, fields: &Fields<'t>, name: &str) -> Option<Path> {
        let text = self.string(fields, name)?;
        let path = Path::parse(text).ok();
        if path.is_none() {
            let message = if text.starts_with('$') {
                "Value is not a Reference Path"
            } else {
                "Value is not a Reference Path: Reference path didn't start with '$'"
            };
            self.invalid_member(name, message, fields.get(name)?);
        }
        path
    }

    fn test(&mut self, fields: &Fields<'t>, operator: &str) -> Option<Test> {
        let is: Option<fn(bool) -> Test> = match operator {
            "IsNull" => Some(Test::IsNull),
            "IsPresent" => Some(Test::IsPresent),
            "IsNumeric" => Some(Test::IsNumeric),
            "IsString" => Some(Test::IsString),
            "IsBoolean" => Some(Test::IsBoolean),
            "IsTimestamp" => Some(Test::IsTimestamp),
            _ => None,
        };
        if let Some(test) = is {
            return self.boolean(fields, operator).map(test);
        }
        if operator == "StringMatches" {
            return self.string(fields, operator).map(|pattern| Test::StringMatches(Arc::from(pattern)));
        }
        let (name, is_path) = match operator.strip_suffix("Path") {
            Some(name) => (name, true),
            None => (operator, false),
        };
        let (domain, relation) = comparison(name)?;
        let operand = if is_path {
            Operand::Path(self.choice_path(fields, operator)?)
        } else {
            self.literal(fields, operator, domain)?
        };
        Some(Test::Compare { domain, relation, operand })
    }

    fn literal(&mut self, fields: &Fields<'t>, operator: &str, domain: Domain) -> Option<Operand> {
        let node = fields.get(operator)?;
        match domain {
            Domain::String => {
                let text = self.string(fields, operator)?;
                self.warn_no_path(fields, operator, text);
            }
            Domain::Numeric => {
                self.float(fields, operator, f64::MIN, f64::MAX)?;
            }
            Domain::Boolean => {
                self.boolean(fields, operator)?;
            }
            Domain::Timestamp => {
                let text = self.string(fields, operator)?;
                if parse_instant(text).is_none() {
                    self.invalid_member(operator, "String does not match RFC3339 timestamp", node);
                    return None;
                }
            }
        }
        Some(Operand::Literal(node.to_value()))
    }
}

/// What `NumericLessThanEquals` compares, and how.
fn comparison(name: &str) -> Option<(Domain, Relation)> {
    let domains = [
        ("String", Domain::String),
        ("Numeric", Domain::Numeric),
        ("Boolean", Domain::Boolean),
        ("Timestamp", Domain::Timestamp),
    ];
    let (domain, relation) =
        domains.into_iter().find_map(|(prefix, domain)| Some((domain, name.strip_prefix(prefix)?)))?;
    let relation = match relation {
        "Equals" => Relation::Equals,
        "LessThan" => Relation::LessThan,
        "GreaterThan" => Relation::GreaterThan,
        "LessThanEquals" => Relation::LessThanEquals,
        "GreaterThanEquals" => Relation::GreaterThanEquals,
        _ => return None,
    };
    Some((domain, relation))
}
