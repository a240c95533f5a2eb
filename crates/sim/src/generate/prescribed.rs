//! Machines whose output is known: tasks that echo, retried until they succeed, inside Parallel and Map states, loops
//! and waits that bring everything out of order. Whatever happens on the way, an execution of one ends with this output
//! unless someone stops it.

use serde_json::{Map, Value, json};

use super::flow::{Language, Writer};
use super::jsonata;
use super::{ACTIVITY, ECHO, FUNCTION};
use crate::workload::Dice;

/// A machine and what it comes to, whatever its input.
pub(super) struct Prescribed {
    pub(super) definition: Value,
    pub(super) output: Value,
}

/// A few pieces one after another; the output has a member for each.
pub(super) fn machine(dice: &mut Dice) -> Prescribed {
    let language = *dice.pick(&[Language::JsonPath, Language::Jsonata, Language::Both]);
    let mut writer = Writer::new(dice, language);
    let mut states = Map::new();
    let start = writer.name();
    let mut here = writer.name();
    let mut first = writer.literal(&json!({}));
    first["Next"] = here.as_str().into();
    states.insert(start.clone(), first);
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
        if is_jsonata(&state) {
            // What the state gives goes beside what it is given.
            let given = state["Output"].as_str().and_then(|text| text.strip_prefix("{%")?.strip_suffix("%}"));
            state["Output"] = jsonata::with(&member, given.unwrap_or("$states.result"));
        } else {
            state["ResultPath"] = format!("$.{member}").into();
        }
        state["Next"] = next.as_str().into();
        output.insert(member, value);
        states.insert(std::mem::replace(&mut here, next), state);
    }
    states.insert(here, json!({"Type": "Succeed"}));
    let mut definition = json!({"StartAt": start, "States": states});
    if language == Language::Jsonata {
        definition["QueryLanguage"] = "JSONata".into();
    }
    Prescribed { definition, output: Value::Object(output) }
}

/// Whether a state says that it is in JSONata. Here they all do, whatever the machine says.
fn is_jsonata(state: &Value) -> bool {
    state["QueryLanguage"] == "JSONata"
}

/// A state in JSONata that says so.
fn in_jsonata(mut state: Value) -> Value {
    state["QueryLanguage"] = "JSONata".into();
    state
}

impl Writer<'_> {
    /// A Map over items that finish in any order.
    fn items(&mut self) -> (Value, Value) {
        let items: Vec<u64> = (0..=self.dice.between(1, 4)).map(|_| self.dice.roll(4)).collect();
        let outputs = items.iter().enumerate().map(|(index, item)| json!({"v": item, "i": index})).collect();
        let pause = if self.speaks_jsonata() {
            in_jsonata(json!({"Type": "Wait", "Seconds": jsonata::marked("$states.input.v")}))
        } else {
            json!({"Type": "Wait", "SecondsPath": "$.v"})
        };
        let states = if self.dice.one_in(2) { vec![pause, self.echo()] } else { vec![self.echo(), pause] };
        let output = json!({"of": Value::Array(outputs)});
        if self.speaks_jsonata() {
            let item = "$states.context.Map.Item";
            let state = in_jsonata(json!({
                "Type": "Map",
                "Items": items.iter().map(|item| jsonata::marked(&item.to_string())).collect::<Value>(),
                "ItemSelector": {"v": jsonata::marked(&format!("{item}.Value")), "i": jsonata::marked(&format!("{item}.Index"))},
                "ItemProcessor": self.chain(states),
                "MaxConcurrency": jsonata::marked(&self.dice.roll(4).to_string()),
                "Output": jsonata::marked("{'of': $states.result}"),
            }));
            return (state, output);
        }
        let state = json!({
            "Type": "Map",
            "ItemsPath": "$.items",
            "ItemSelector": {"v.$": "$$.Map.Item.Value", "i.$": "$$.Map.Item.Index"},
            "ItemProcessor": self.chain(states),
            "MaxConcurrency": self.dice.roll(4),
        });
        // The items come from a literal before it, in a branch of their own.
        let literal = self.literal(&json!({"items": items}));
        let branch = self.chain(vec![literal, state]);
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
            let mut states = vec![self.literal(&value)];
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
        let state = json!({"Type": "Parallel", "Branches": flows});
        (if self.speaks_jsonata() { in_jsonata(state) } else { state }, outputs.into())
    }

    /// A loop that adds up what its tasks give back.
    fn counted(&mut self) -> (Value, Value) {
        let times = self.dice.between(2, 6);
        let (start, task, add, check, end) = (self.name(), self.name(), self.name(), self.name(), self.name());
        let mut echo = self.echo();
        if is_jsonata(&echo) {
            echo["Arguments"] = json!({"add": jsonata::marked("$states.input.count + 1")});
            echo["Output"] = jsonata::with("got", "$states.result");
        } else {
            echo["Parameters"] = json!({"add.$": "States.MathAdd($.count, 1)"});
            echo["ResultPath"] = "$.got".into();
        }
        echo["Next"] = add.as_str().into();
        let mut sum = if self.speaks_jsonata() {
            let sum = jsonata::marked("$states.input.(sum + got.add)");
            in_jsonata(
                json!({"Type": "Pass", "Output": {"sum": sum, "count": jsonata::marked("$states.input.got.add")}}),
            )
        } else {
            let sum = json!({"sum.$": "States.MathAdd($.sum, $.got.add)", "count.$": "$.got.add"});
            json!({"Type": "Pass", "Parameters": sum})
        };
        sum["Next"] = check.as_str().into();
        let choice = if self.speaks_jsonata() {
            let condition = jsonata::marked(&format!("$states.input.count < {times}"));
            let rule = json!({"Condition": condition, "Next": task});
            in_jsonata(json!({"Type": "Choice", "Choices": [rule], "Default": end}))
        } else {
            let rule = json!({"Variable": "$.count", "NumericLessThan": times, "Next": task});
            json!({"Type": "Choice", "Choices": [rule], "Default": end})
        };
        let mut first = self.literal(&json!({"sum": 0, "count": 0}));
        first["Next"] = task.as_str().into();
        let flow = json!({"StartAt": start, "States": {
            start.as_str(): first,
            task.as_str(): echo,
            add.as_str(): sum,
            check.as_str(): choice,
            end.as_str(): {"Type": "Succeed"},
        }});
        let output = json!([{"sum": times * (times + 1) / 2, "count": times}]);
        let state = json!({"Type": "Parallel", "Branches": [flow]});
        (if self.speaks_jsonata() { in_jsonata(state) } else { state }, output)
    }

    /// A state that gives a literal.
    fn literal(&mut self, value: &Value) -> Value {
        if self.speaks_jsonata() {
            in_jsonata(json!({"Type": "Pass", "Output": value}))
        } else {
            json!({"Type": "Pass", "Result": value})
        }
    }

    /// A task that gives back what it is sent, however often it has to be tried.
    fn echo(&mut self) -> Value {
        let retry = json!([{"ErrorEquals": ["States.ALL"], "MaxAttempts": 99_999_999, "IntervalSeconds": 1,
            "BackoffRate": 1.5, "MaxDelaySeconds": 4, "JitterStrategy": self.dice.pick(&["FULL", "NONE"])}]);
        let resource = if self.dice.one_in(2) { format!("{ACTIVITY}{ECHO}") } else { format!("{FUNCTION}{ECHO}") };
        let state = json!({"Type": "Task", "Resource": resource, "TimeoutSeconds": 20, "Retry": retry});
        if !self.speaks_jsonata() {
            return state;
        }
        let mut state = in_jsonata(state);
        if self.dice.one_in(2) {
            // What it is sent fails at first; it is sent again.
            let sent = "$states.context.State.RetryCount = 0 ? $error('not yet') : $states.input";
            state["Arguments"] = jsonata::marked(sent);
        }
        state
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
