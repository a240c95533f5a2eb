//! Choice states: rules of every operator, nested, on the input's own members and on variables.

use serde_json::{Value, json};

use super::data::{self, Scope};
use super::flow::{Flow, Writer};
use crate::workload::Dice;

/// Comparisons of a text, with literal and path.
const OF_TEXT: [&str; 5] =
    ["StringEquals", "StringLessThan", "StringGreaterThan", "StringLessThanEquals", "StringGreaterThanEquals"];
/// Comparisons of a number.
const OF_NUMBER: [&str; 5] =
    ["NumericEquals", "NumericLessThan", "NumericGreaterThan", "NumericLessThanEquals", "NumericGreaterThanEquals"];
/// Comparisons of an instant.
const OF_TIME: [&str; 5] = [
    "TimestampEquals",
    "TimestampLessThan",
    "TimestampGreaterThan",
    "TimestampLessThanEquals",
    "TimestampGreaterThanEquals",
];
/// Tests of what a value is.
const IS: [&str; 6] = ["IsNull", "IsPresent", "IsNumeric", "IsString", "IsBoolean", "IsTimestamp"];

impl Writer<'_> {
    /// A choice whose ways all lead to `next`, but for one that may end the flow.
    pub(super) fn choice(&mut self, flow: &mut Flow, here: &str, next: &str, scope: &mut Scope) -> u64 {
        let mut rules = Vec::new();
        for number in 0..=self.dice.roll(3) {
            let mut rule = condition(self.dice, scope, 0);
            let target = match self.dice.roll(24) {
                0 => self.fail_of(flow),
                1 => flow.last.clone(),
                2..=8 => next.to_owned(),
                _ => {
                    let detour = self.name();
                    let way = json!({"Type": "Pass", "Result": number, "ResultPath": "$.way", "Next": next});
                    flow.add(&detour, way);
                    detour
                }
            };
            rule["Next"] = target.into();
            if self.dice.one_in(4) {
                // Assigned on this way only, so nothing may count on it.
                let variable = self.variable();
                rule["Assign"] = json!({format!("{variable}.$"): data::expression(self.dice, scope)});
            }
            rules.push(rule);
        }
        let mut state = json!({"Type": "Choice", "Choices": rules, "Default": next});
        if self.dice.one_in(6) {
            state["Assign"] = json!({self.variable(): data::literal(self.dice)});
        }
        flow.add(here, state);
        0
    }
}

/// A condition without `Next`.
fn condition(dice: &mut Dice, scope: &Scope, nesting: u64) -> Value {
    match dice.roll(if nesting < 2 { 8 } else { 5 }) {
        5 => {
            let name = *dice.pick(&["And", "Or"]);
            let all: Vec<Value> = (0..=dice.roll(3)).map(|_| condition(dice, scope, nesting + 1)).collect();
            json!({name: all})
        }
        6 => json!({"Not": condition(dice, scope, nesting + 1)}),
        7 => {
            // Whether the second is looked at depends on the first: it would fail.
            let there = json!({"Variable": "$.missing", "IsPresent": true});
            json!({"And": [there, {"Variable": "$.missing", "NumericEquals": 1}]})
        }
        _ => test(dice, scope),
    }
}

fn test(dice: &mut Dice, scope: &Scope) -> Value {
    match dice.roll(8) {
        0 => {
            let operator = *dice.pick(&OF_TEXT);
            json!({"Variable": "$.text", operator: dice.pick(&["", "a", "x*y", "zz"])})
        }
        1 => json!({"Variable": "$.text", format!("{}Path", dice.pick(&OF_TEXT)): "$$.Execution.Name"}),
        2 => json!({"Variable": "$.text", "StringMatches": dice.pick(&["*", "a*", "*\\**", "two *s", ""])}),
        3 => {
            let variable = match scope.numbers.last() {
                Some(variable) if dice.one_in(2) => format!("${variable}"),
                _ => (*dice.pick(&["$.n", "$.half", "$.list[0]", "$.text"])).to_owned(),
            };
            json!({"Variable": variable, *dice.pick(&OF_NUMBER): dice.roll(4)})
        }
        4 => json!({"Variable": "$.n", format!("{}Path", dice.pick(&OF_NUMBER)): "$.deep.items[0].id"}),
        5 => {
            let operand = data::timestamp(dice);
            json!({"Variable": dice.pick(&["$.when", "$.text", "$$.State.EnteredTime"]), *dice.pick(&OF_TIME): operand})
        }
        6 => match dice.roll(3) {
            0 => json!({"Variable": "$.flag", "BooleanEquals": dice.one_in(2)}),
            1 => json!({"Variable": "$.flag", "BooleanEqualsPath": "$.deep.flag"}),
            _ => json!({"Variable": "$.when", format!("{}Path", dice.pick(&OF_TIME)): "$$.Execution.StartTime"}),
        },
        _ => {
            let variables = ["$.n", "$.text", "$.flag", "$.none", "$.when", "$.deep", "$.list[0]"];
            json!({"Variable": dice.pick(&variables), *dice.pick(&IS): dice.one_in(2)})
        }
    }
}
