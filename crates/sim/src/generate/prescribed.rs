//! Machines whose output is known: tasks that echo, retried until they succeed, inside Parallel and Map states, loops
//! and waits that bring everything out of order. Whatever happens on the way, an execution of one ends with this output
//! unless someone stops it.

use serde_json::{Map, Value, json};

use super::flow::Writer;
use super::{ACTIVITY, ECHO, FUNCTION};
use crate::workload::Dice;

/// A machine and what it comes to, whatever its input.
pub(super) struct Prescribed {
    pub(super) definition: Value,
    pub(super) output: Value,
}

/// A few pieces one after another; the output has a member for each.
pub(super) fn machine(dice: &mut Dice) -> Prescribed {
    let mut writer = Writer::new(dice);
    let mut states = Map::new();
    let start = writer.name();
    let mut here = writer.name();
    states.insert(start.clone(), json!({"Type": "Pass", "Result": {}, "Next": here}));
    let mut output = Map::new();
    let count = writer.dice.between(2, 4);
    for number in 0..count {
        let (mut state, value) = match writer.dice.roll(3) {
            0 => writer.items(),
            1 => writer.branches(true),
            _ => writer.counted(),
        };
        let next = writer.name();
        let member = format!("p{number}");
        state["ResultPath"] = format!("$.{member}").into();
        state["Next"] = next.as_str().into();
        output.insert(member, value);
        states.insert(std::mem::replace(&mut here, next), state);
    }
    states.insert(here, json!({"Type": "Succeed"}));
    Prescribed { definition: json!({"StartAt": start, "States": states}), output: Value::Object(output) }
}

impl Writer<'_> {
    /// A Map over items that finish in any order.
    fn items(&mut self) -> (Value, Value) {
        let items: Vec<u64> = (0..=self.dice.between(1, 4)).map(|_| self.dice.roll(4)).collect();
        let outputs = items.iter().enumerate().map(|(index, item)| json!({"v": item, "i": index})).collect();
        let pause = json!({"Type": "Wait", "SecondsPath": "$.v"});
        let states = if self.dice.one_in(2) { vec![pause, self.echo()] } else { vec![self.echo(), pause] };
        let state = json!({
            "Type": "Map",
            "ItemsPath": "$.items",
            "ItemSelector": {"v.$": "$$.Map.Item.Value", "i.$": "$$.Map.Item.Index"},
            "ItemProcessor": self.chain(states),
            "MaxConcurrency": self.dice.roll(4),
        });
        // The items come from a literal before it, in a branch of their own.
        let branch = self.chain(vec![json!({"Type": "Pass", "Result": {"items": items}}), state]);
        let output = json!({"of": Value::Array(outputs)});
        (json!({"Type": "Parallel", "Branches": [branch], "ResultSelector": {"of.$": "$[0]"}}), output)
    }

    /// A Parallel of branches that finish in any order.
    fn branches(&mut self, nested: bool) -> (Value, Value) {
        let (mut flows, mut outputs) = (Vec::new(), Vec::new());
        for _ in 0..self.dice.between(2, 3) {
            if nested && self.dice.one_in(4) {
                let (inner, output) = self.branches(false);
                flows.push(self.chain(vec![inner]));
                outputs.push(output);
                continue;
            }
            let value = json!({"is": self.dice.roll(1_000)});
            let mut states = vec![json!({"Type": "Pass", "Result": value})];
            for _ in 0..self.dice.between(1, 3) {
                states.push(if self.dice.one_in(3) {
                    json!({"Type": "Wait", "Seconds": self.dice.roll(4)})
                } else {
                    self.echo()
                });
            }
            flows.push(self.chain(states));
            outputs.push(value);
        }
        (json!({"Type": "Parallel", "Branches": flows}), outputs.into())
    }

    /// A loop that adds up what its tasks give back.
    fn counted(&mut self) -> (Value, Value) {
        let times = self.dice.between(2, 6);
        let (start, task, add, check, end) = (self.name(), self.name(), self.name(), self.name(), self.name());
        let mut echo = self.echo();
        echo["Parameters"] = json!({"add.$": "States.MathAdd($.count, 1)"});
        echo["ResultPath"] = "$.got".into();
        echo["Next"] = add.as_str().into();
        let sum = json!({"sum.$": "States.MathAdd($.sum, $.got.add)", "count.$": "$.got.add"});
        let rule = json!({"Variable": "$.count", "NumericLessThan": times, "Next": task});
        let flow = json!({"StartAt": start, "States": {
            start.as_str(): {"Type": "Pass", "Result": {"sum": 0, "count": 0}, "Next": task},
            task.as_str(): echo,
            add.as_str(): {"Type": "Pass", "Parameters": sum, "Next": check},
            check.as_str(): {"Type": "Choice", "Choices": [rule], "Default": end},
            end.as_str(): {"Type": "Succeed"},
        }});
        let output = json!([{"sum": times * (times + 1) / 2, "count": times}]);
        (json!({"Type": "Parallel", "Branches": [flow]}), output)
    }

    /// A task that gives back what it is sent, however often it has to be tried.
    fn echo(&mut self) -> Value {
        let retry = json!([{"ErrorEquals": ["States.ALL"], "MaxAttempts": 99_999_999, "IntervalSeconds": 1,
            "BackoffRate": 1.5, "MaxDelaySeconds": 4, "JitterStrategy": self.dice.pick(&["FULL", "NONE"])}]);
        if self.dice.one_in(2) {
            json!({"Type": "Task", "Resource": format!("{ACTIVITY}{ECHO}"), "TimeoutSeconds": 20, "Retry": retry})
        } else {
            json!({"Type": "Task", "Resource": format!("{FUNCTION}{ECHO}"), "TimeoutSeconds": 20, "Retry": retry})
        }
    }

    /// A flow of these states, in this order.
    fn chain(&mut self, states: Vec<Value>) -> Value {
        let names: Vec<String> = states.iter().map(|_| self.name()).collect();
        let mut flow = Map::new();
        for (place, mut state) in states.into_iter().enumerate() {
            match names.get(place + 1) {
                Some(next) => state["Next"] = next.as_str().into(),
                None => state["End"] = true.into(),
            }
            flow.insert(names[place].clone(), state);
        }
        json!({"StartAt": names[0], "States": flow})
    }
}
