//! Distributed Maps: items from the data or from a dataset, batches, selectors, tolerance, writers, and children of every
//! kind. What a child is given may be anything, so its states rely on nothing, unless the selector hands the members on.

use serde_json::{Map, Value, json};

use super::data::{self, Scope};
use super::flow::{Flow, MAX_DEPTH, Writer, to};
use super::jsonata::{self, marked};
use super::{ACTIVITY, ECHO, FUNCTION, WORK};

/// Turns of a child that is a flow as any other, at most.
const SHARE: u64 = 5;

/// What a child is given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Given {
    /// The item itself.
    Item,
    /// The item, its place and something fixed.
    Pair,
    /// The members of the state's input beside the item.
    Members,
}

impl Writer<'_> {
    /// A distributed Map that leads to `next`. Gives the turns that it takes, roughly.
    pub(super) fn distributed(&mut self, flow: &mut Flow, here: &str, next: &str, scope: &Scope) -> u64 {
        self.apart -= 1;
        let jsonata = self.speaks_jsonata();
        let express = self.dice.one_in(2);
        let mut state = json!({"Type": "Map"});
        let mut here = here.to_owned();
        let given = match self.dice.roll(4) {
            0 | 1 if !express => Given::Members,
            2 => Given::Item,
            _ => Given::Pair,
        };
        let amount = self.amount(given);
        if self.dice.one_in(4) {
            state["ItemReader"] = self.reader(jsonata, amount);
        } else {
            here = self.items_at_hand(flow, here, &mut state, jsonata, scope, amount);
        }
        if let Some(selector) = self.item_selector(given, jsonata, scope) {
            state["ItemSelector"] = selector;
        }
        if given != Given::Members && self.dice.one_in(3) {
            state["ItemBatcher"] = self.batcher(jsonata);
        }
        let kind = if express { "EXPRESS" } else { "STANDARD" };
        let mut processor = match given {
            Given::Members => {
                let inner = Scope { depth: (scope.depth + 1).min(MAX_DEPTH), ..Scope::default() };
                let share = self.dice.between(1, SHARE);
                self.flow(&inner, share, false)
            }
            _ => self.child(express),
        };
        processor["ProcessorConfig"] = json!({"Mode": "DISTRIBUTED", "ExecutionType": kind});
        state["ItemProcessor"] = processor;
        self.bounds(&mut state);
        if self.dice.one_in(4) {
            let name = self.name();
            state["Label"] = format!("L{name}").into();
        }
        let exports = self.result_writer(&mut state, jsonata);
        if jsonata {
            self.jsonata_result(&mut state, given != Given::Members);
            self.jsonata_handlers(flow, &mut state, next, scope, false);
            state = self.in_jsonata(state);
        } else {
            if exports {
                state["ResultPath"] = if self.dice.one_in(2) { "$.b".into() } else { Value::Null };
            } else {
                self.collected(&mut state, given != Given::Members);
            }
            self.handlers(flow, &mut state, next, scope, false);
        }
        flow.add(&here, to(state, next));
        2
    }

    /// How many items: few, some, and seldom many.
    fn amount(&mut self, given: Given) -> u64 {
        match self.dice.roll(60) {
            0 if given != Given::Members => self.dice.between(60, 300),
            1..=5 if given != Given::Members => self.dice.between(10, 40),
            6..=10 => self.dice.roll(2),
            _ => self.dice.between(2, 7),
        }
    }

    /// A dataset outside. What it holds follows from its key.
    fn reader(&mut self, jsonata: bool, amount: u64) -> Value {
        let key = format!("{amount}-{}", self.dice.roll(1_000));
        let parameters = if jsonata { "Arguments" } else { "Parameters" };
        let mut config = json!({"InputType": "JSON"});
        if self.dice.one_in(4) {
            config["MaxItems"] = self.dice.between(1, 12).into();
        }
        json!({"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": config,
            parameters: {"Bucket": "data", "Key": key}})
    }

    /// Items in the state's data. Gives the name of the state that runs them.
    fn items_at_hand(
        &mut self,
        flow: &mut Flow,
        here: String,
        state: &mut Value,
        jsonata: bool,
        scope: &Scope,
        amount: u64,
    ) -> String {
        if jsonata {
            state["Items"] = match self.dice.roll(6) {
                0 => marked("$append($states.input.list, [])"),
                1 => marked("{'a': 1, 'b': [2], 'c c': {'d': null}}"),
                _ if amount == 0 => marked("[]"),
                _ => marked(&format!("[1..{amount}]")),
            };
            return here;
        }
        if scope.depth > 0 || self.dice.one_in(3) {
            state["ItemsPath"] = (*self.dice.pick(&["$.list", "$.deep.items", "$$.Execution.Input.list"])).into();
            return here;
        }
        let run = self.name();
        let all = if amount == 0 { "States.Array()".into() } else { format!("States.ArrayRange(1, {amount}, 1)") };
        flow.add(&here, json!({"Type": "Pass", "Parameters": {"all.$": all}, "ResultPath": "$.many", "Next": run}));
        state["ItemsPath"] = "$.many.all".into();
        run
    }

    fn item_selector(&mut self, given: Given, jsonata: bool, scope: &Scope) -> Option<Value> {
        let (value, index) = match jsonata {
            true => (marked("$states.context.Map.Item.Value"), marked("$states.context.Map.Item.Index")),
            false => ("$$.Map.Item.Value".into(), "$$.Map.Item.Index".into()),
        };
        let place = |name: &str| if jsonata { name.to_owned() } else { format!("{name}.$") };
        let mut selector = Map::new();
        match given {
            Given::Item => return None,
            Given::Pair => {
                selector.insert(place("i"), index);
                selector.insert("fixed".into(), data::literal(self.dice));
            }
            Given::Members => {
                let members =
                    if jsonata { jsonata::members(self.dice, scope) } else { data::members(self.dice, scope) };
                selector.extend(members.as_object().cloned().unwrap_or_default());
            }
        }
        selector.insert(place("item"), value);
        if jsonata && self.dice.one_in(12) {
            let middle = "$states.context.Map.Item.Index = 2 ? $error('in the middle') : 1";
            selector.insert("item".into(), marked(middle));
        }
        Some(Value::Object(selector))
    }

    fn batcher(&mut self, jsonata: bool) -> Value {
        let mut batcher = json!({});
        if self.dice.one_in(2) {
            batcher["MaxItemsPerBatch"] = self.dice.between(1, 5).into();
        }
        if batcher.get("MaxItemsPerBatch").is_none() || self.dice.one_in(3) {
            batcher["MaxInputBytesPerBatch"] = self.dice.between(30, 200).into();
        }
        if self.dice.one_in(2) {
            let input = if jsonata { json!({"n": marked("1 + 1")}) } else { json!({"n.$": "States.MathAdd(1, 1)"}) };
            batcher["BatchInput"] = input;
        }
        batcher
    }

    /// How much at once, and how many failures are tolerated.
    fn bounds(&mut self, state: &mut Value) {
        match self.dice.roll(4) {
            0 => {}
            1 => state["MaxConcurrency"] = 1.into(),
            _ => state["MaxConcurrency"] = self.dice.roll(6).into(),
        }
        match self.dice.roll(6) {
            0 | 1 => state["ToleratedFailureCount"] = self.dice.roll(5).into(),
            2 | 3 => state["ToleratedFailurePercentage"] = (*self.dice.pick(&[0, 10, 34, 50, 100])).into(),
            4 => {
                state["ToleratedFailureCount"] = self.dice.roll(8).into();
                state["ToleratedFailurePercentage"] = (*self.dice.pick(&[20, 75, 100])).into();
            }
            _ => {}
        }
    }

    /// Where results go, and what they look like. Whether they go outside.
    fn result_writer(&mut self, state: &mut Value, jsonata: bool) -> bool {
        let shape = |dice: &mut crate::workload::Dice, transformations: &[&str]| json!({"Transformation": dice.pick(transformations), "OutputType": dice.pick(&["JSON", "JSONL"])});
        match self.dice.roll(6) {
            0 | 1 => {
                let parameters = if jsonata { "Arguments" } else { "Parameters" };
                let mut writer = json!({"Resource": "arn:aws:states:::s3:putObject",
                    parameters: {"Bucket": "results", "Prefix": "of"}});
                if self.dice.one_in(2) {
                    writer["WriterConfig"] = shape(self.dice, &["NONE", "COMPACT", "FLATTEN"]);
                }
                state["ResultWriter"] = writer;
                true
            }
            2 => {
                let shape = shape(self.dice, &["COMPACT", "FLATTEN"]);
                state["ResultWriter"] =
                    json!({"WriterConfig": {"Transformation": shape["Transformation"], "OutputType": "JSON"}});
                false
            }
            _ => false,
        }
    }

    // Children

    /// The flow of a child that relies on nothing.
    fn child(&mut self, express: bool) -> Value {
        let mut states = Map::new();
        let (start, last) = (self.name(), self.name());
        let mut here = start.clone();
        for _ in 0..self.dice.roll(3) {
            let next = self.name();
            self.child_state(&mut states, &here, &next, express);
            here = next;
        }
        self.child_state(&mut states, &here, &last, express);
        let mut end = match self.dice.roll(5) {
            0 if self.speaks_jsonata() => {
                self.in_jsonata(json!({"Type": "Pass", "Output": [1, {"of": marked("$states.input")}]}))
            }
            1 if self.language != super::flow::Language::Jsonata => {
                json!({"Type": "Pass", "Result": [1, [2], "a text"]})
            }
            _ => json!({"Type": "Pass"}),
        };
        end["End"] = true.into();
        states.insert(last, end);
        json!({"StartAt": start, "States": states})
    }

    fn child_state(&mut self, states: &mut Map<String, Value>, here: &str, next: &str, express: bool) {
        let jsonata = self.speaks_jsonata();
        let mut state = match self.dice.roll(12) {
            0 | 1 => json!({"Type": "Pass"}),
            2 if jsonata => json!({"Type": "Pass", "Output": {"was": marked("$states.input")}}),
            2 => json!({"Type": "Pass", "Parameters": {"was.$": "$"}}),
            3 | 4 => json!({"Type": "Wait", "Seconds": self.dice.roll(5)}),
            5 | 6 => {
                // Some children fail, and which is known from their names.
                let fail = self.name();
                let below = *self.dice.pick(&["1", "3", "8"]);
                let rule = if jsonata {
                    json!({"Condition": marked(&format!("$states.context.Execution.Name < '{below}'")), "Next": fail})
                } else {
                    json!({"Variable": "$$.Execution.Name", "StringLessThan": below, "Next": fail})
                };
                let failing =
                    json!({"Type": "Fail", "Error": self.dice.pick(&["Refused", "Broken"]), "Cause": "by name"});
                states.insert(fail, failing);
                let state = json!({"Type": "Choice", "Choices": [rule], "Default": next});
                let state = if jsonata { self.in_jsonata(state) } else { state };
                states.insert(here.to_owned(), state);
                return;
            }
            7 => {
                let (wait, task) = (json!({"Type": "Wait", "Seconds": 1}), self.child_task(express));
                json!({"Type": "Parallel", "Branches": [self.alone(wait), self.alone(task)]})
            }
            8 if jsonata => {
                let task = self.child_task(express);
                json!({"Type": "Map", "Items": [1, 2], "ItemProcessor": self.alone(task)})
            }
            9 if !express => self.child_callback(jsonata),
            _ => self.child_task(express),
        };
        if jsonata {
            state = self.in_jsonata(state);
        }
        states.insert(here.to_owned(), to(state, next));
    }

    /// A flow of one state.
    fn alone(&mut self, mut state: Value) -> Value {
        let name = self.name();
        state["End"] = true.into();
        json!({"StartAt": name, "States": {name.as_str(): state}})
    }

    fn child_task(&mut self, express: bool) -> Value {
        let name = if self.dice.one_in(3) { ECHO } else { *self.dice.pick(&WORK) };
        let resource =
            if !express && self.dice.one_in(3) { format!("{ACTIVITY}{name}") } else { format!("{FUNCTION}{name}") };
        let mut state = json!({"Type": "Task", "Resource": resource, "TimeoutSeconds": self.dice.between(4, 20)});
        if self.dice.one_in(2) {
            let most = self.dice.roll(4);
            state["Retry"] = json!([{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": most}]);
        }
        state
    }

    fn child_callback(&mut self, jsonata: bool) -> Value {
        let (parameters, token) = if jsonata {
            ("Arguments", json!({"token": marked("$states.context.Task.Token")}))
        } else {
            ("Parameters", json!({"token.$": "$$.Task.Token"}))
        };
        let function = format!("{FUNCTION}{}", self.dice.pick(&WORK));
        json!({"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
            "TimeoutSeconds": self.dice.between(5, 20), parameters: {"FunctionName": function, "Payload": token}})
    }
}
