//! Flows: states one after another, with loops, from the first to the last. What a flow is given is the input's own
//! members and perhaps more; every state hands them on, so that the next can rely on them. Only the last state of a
//! flow must take anything at all.

use serde_json::{Map, Value, json};

use super::data::{self, Scope};
use super::jsonata;
use crate::workload::Dice;

/// Flows inside flows inside the machine.
pub(super) const MAX_DEPTH: u64 = 3;
/// What a machine's states come to, in turns, before failures cut executions short or retries draw them out.
const BUDGET: (u64, u64) = (24, 40);
/// One machine of so many has distributed Maps.
const DISTRIBUTED: u64 = 7;

/// Writes one definition: state names and variables are unique in it.
pub(super) struct Writer<'d> {
    pub(super) dice: &'d mut Dice,
    states: u32,
    variables: u32,
    pub(super) language: Language,
    /// Distributed Maps that may still be written.
    pub(super) apart: u64,
}

/// What a definition's states are written in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    JsonPath,
    Jsonata,
    /// One or the other, state by state; the machine itself is in JSONPath.
    Both,
}

/// A flow being written.
pub(super) struct Flow {
    states: Map<String, Value>,
    /// The name of the state that ends it well. It takes any input.
    pub(super) last: String,
    /// The name of its Fail state, if a state leads there.
    fail: Option<String>,
}

/// A whole definition.
pub(super) fn machine(dice: &mut Dice) -> Value {
    let budget = dice.between(BUDGET.0, BUDGET.1);
    let language = *dice.pick(&[Language::JsonPath, Language::Jsonata, Language::Both]);
    let mut writer = Writer::new(dice, language);
    if writer.dice.one_in(DISTRIBUTED) {
        writer.apart = writer.dice.between(1, 2);
    }
    let mut machine = writer.flow(&Scope::default(), budget, false);
    if language == Language::Jsonata {
        machine["QueryLanguage"] = "JSONata".into();
    }
    if dice.one_in(15) {
        machine["TimeoutSeconds"] = dice.between(15, 120).into();
    }
    if dice.one_in(5) {
        machine["Comment"] = "made by dice".into();
        if language != Language::Jsonata {
            machine["QueryLanguage"] = "JSONPath".into();
        }
        machine["Version"] = "1.0".into();
    }
    machine
}

impl<'d> Writer<'d> {
    pub(super) fn new(dice: &'d mut Dice, language: Language) -> Self {
        Self { dice, states: 0, variables: 0, language, apart: 0 }
    }

    /// Whether the next state is one in JSONata.
    pub(super) fn speaks_jsonata(&mut self) -> bool {
        match self.language {
            Language::JsonPath => false,
            Language::Jsonata => true,
            Language::Both => self.dice.one_in(2),
        }
    }

    /// A state in JSONata, which says so where the machine does not.
    pub(super) fn in_jsonata(&mut self, mut state: Value) -> Value {
        if self.language != Language::Jsonata || self.dice.one_in(8) {
            state["QueryLanguage"] = "JSONata".into();
        }
        state
    }

    /// A state name that no other state has.
    pub(super) fn name(&mut self) -> String {
        self.states += 1;
        format!("S{}", self.states)
    }

    /// A variable that nothing else assigns: an inner flow may not assign what an outer one does.
    pub(super) fn variable(&mut self) -> String {
        self.variables += 1;
        format!("v{}", self.variables)
    }

    /// A flow of about `budget` turns. `restored`: its input may be anything, so it begins with the execution's.
    pub(super) fn flow(&mut self, outer: &Scope, budget: u64, restored: bool) -> Value {
        let mut scope = outer.clone();
        let mut flow = Flow { states: Map::new(), last: self.name(), fail: None };
        let start = self.name();
        let mut here = start.clone();
        if restored {
            let next = self.name();
            self.restore(&mut flow, &here, &next);
            here = next;
        }
        let mut left = budget;
        while left > 0 {
            let next = self.name();
            left = left.saturating_sub(self.segment(&mut flow, &here, &next, &mut scope, left));
            here = next;
        }
        let last = flow.last.clone();
        if self.speaks_jsonata() {
            self.jsonata_pass(&mut flow, &here, &last, &mut scope);
        } else {
            self.pass(&mut flow, &here, &last, &mut scope);
        }
        self.end(&mut flow, &scope);
        json!({"StartAt": start, "States": flow.states})
    }

    /// A state that gives what the execution was given.
    pub(super) fn restore(&mut self, flow: &mut Flow, here: &str, next: &str) {
        let state = if self.speaks_jsonata() {
            let output = jsonata::marked("$states.context.Execution.Input");
            self.in_jsonata(json!({"Type": "Pass", "Output": output}))
        } else {
            json!({"Type": "Pass", "InputPath": "$$.Execution.Input"})
        };
        flow.add(here, to(state, next));
    }

    /// Some states that begin at `here` and lead to `next`. Gives the turns that they take, roughly.
    fn segment(&mut self, flow: &mut Flow, here: &str, next: &str, scope: &mut Scope, left: u64) -> u64 {
        let inner = scope.depth < MAX_DEPTH;
        if scope.depth == 0 && self.dice.one_in(1_500) {
            return self.long(flow, here, next);
        }
        if self.apart > 0 && inner && self.dice.one_in(4) {
            return self.distributed(flow, here, next, scope);
        }
        if self.speaks_jsonata() {
            return self.jsonata_segment(flow, here, next, scope, left);
        }
        match self.dice.roll(20) {
            0 | 1 => self.pass(flow, here, next, scope),
            2 | 3 => self.choice(flow, here, next, scope),
            4..=6 => self.wait(flow, here, next, scope),
            7 | 8 if left > 5 => self.repeat(flow, here, next, scope, left),
            9..=11 if inner && left > 3 => self.parallel(flow, here, next, scope, left),
            12..=14 if inner && left > 3 => self.map(flow, here, next, scope, left),
            15 if scope.depth > 0 && self.dice.one_in(8) => self.doomed(flow, here, next),
            _ => self.task(flow, here, next, scope),
        }
    }

    fn pass(&mut self, flow: &mut Flow, here: &str, next: &str, scope: &mut Scope) -> u64 {
        let mut state = json!({"Type": "Pass"});
        match self.dice.roll(7) {
            0 => {
                state["Result"] = data::literal(self.dice);
                state["ResultPath"] = "$.p".into();
            }
            1 => {
                state["Parameters"] = data::template(self.dice, scope);
                state["ResultPath"] = "$.q".into();
            }
            2 if !scope.counts_in_data => state["Parameters"] = data::members(self.dice, scope),
            3 if !scope.counts_in_data => state["OutputPath"] = "$$.Execution.Input".into(),
            4 => {
                state["InputPath"] = (*self.dice.pick(&["$.deep", "$.list[0]", "$.deep.items[0]"])).into();
                state["ResultPath"] = "$.deep.s".into();
            }
            5 => {
                state["Result"] = json!({"dropped": data::literal(self.dice)});
                state["ResultPath"] = Value::Null;
            }
            _ => {}
        }
        if self.dice.one_in(3) && state.get("InputPath").is_none() {
            // It reads what it is given, not what the state makes of it, unless Parameters do.
            if state.get("Parameters").is_none() && state.get("Result").is_none() {
                state["Assign"] = self.assigned(scope);
            }
        }
        flow.add(here, to(state, next));
        0
    }

    /// An `Assign` that is evaluated on the input's members; its variables are there from now on.
    pub(super) fn assigned(&mut self, scope: &mut Scope) -> Value {
        let (number, list) = (self.variable(), self.variable());
        let any = self.variable();
        let assign = json!({
            format!("{number}.$"): self.dice.pick(&["$.n", "States.ArrayLength($.list)", "States.MathRandom(0, 9)"]),
            format!("{list}.$"): self.dice.pick(&["$.list", "States.ArrayRange(1, 3, 1)", "$$.Execution.Input.list"]),
            format!("{any}.$"): data::expression(self.dice, scope),
        });
        scope.numbers.push(number);
        scope.lists.push(list);
        assign
    }

    fn wait(&mut self, flow: &mut Flow, here: &str, next: &str, scope: &mut Scope) -> u64 {
        let mut state = json!({"Type": "Wait"});
        match self.dice.roll(10) {
            0 => state["Timestamp"] = data::timestamp(self.dice).into(),
            1 => {
                let paths = ["$.when", "$$.State.EnteredTime", "$$.Execution.Input.when"];
                state["TimestampPath"] = (*self.dice.pick(&paths)).into();
            }
            2 | 3 => {
                let path = self.dice.pick(&["$.secs", "$$.Execution.Input.secs", "$.deep.items[1].id"]);
                state["SecondsPath"] = (*path).into();
            }
            _ => state["Seconds"] = self.dice.roll(5).into(),
        }
        if self.dice.one_in(6) {
            state["Assign"] = self.assigned(scope);
        }
        flow.add(here, to(state, next));
        1
    }

    /// A loop that counts, in a variable or in the data.
    fn repeat(&mut self, flow: &mut Flow, here: &str, next: &str, scope: &mut Scope, left: u64) -> u64 {
        let times = self.dice.between(1, 3);
        let in_data = scope.counts_in_data || self.dice.one_in(2);
        let (first, step, check) = (self.name(), self.name(), self.name());
        let counter = self.variable();
        let (count, variable) = if in_data {
            let (path, at) = (format!("$.{counter}"), format!("$.{counter}.to"));
            flow.add(here, json!({"Type": "Pass", "Result": {"to": 0}, "ResultPath": path, "Next": first}));
            let more = json!({"to.$": format!("States.MathAdd({at}, 1)")});
            (json!({"Type": "Pass", "Parameters": more, "ResultPath": path, "Next": check}), at)
        } else {
            flow.add(here, json!({"Type": "Pass", "Assign": {&counter: 0}, "Next": first}));
            let more = json!({format!("{counter}.$"): format!("States.MathAdd(${counter}, 1)")});
            scope.numbers.push(counter.clone());
            (json!({"Type": "Pass", "Assign": more, "Next": check}), format!("${counter}"))
        };
        flow.add(&step, count);
        let rule = json!({"Variable": variable, "NumericLessThan": times, "Next": first});
        flow.add(&check, json!({"Type": "Choice", "Choices": [rule], "Default": next}));
        let outer = scope.counts_in_data;
        scope.counts_in_data |= in_data;
        let spent = self.round(flow, first, &step, scope, (left / times).min(6));
        scope.counts_in_data = outer;
        spent * times
    }

    /// What a loop does in each round: some states from `at` to `step`. Gives the turns that they take, roughly.
    pub(super) fn round(&mut self, flow: &mut Flow, mut at: String, step: &str, scope: &mut Scope, share: u64) -> u64 {
        let mut spent = 0;
        while spent < share {
            let then = if spent + 2 >= share { step.to_owned() } else { self.name() };
            let cost = self.segment(flow, &at, &then, scope, share - spent).max(1);
            spent += cost;
            if then == step {
                break;
            }
            at = then;
            if spent >= share {
                flow.add(&at, json!({"Type": "Pass", "Next": step}));
            }
        }
        spent
    }

    /// More states than one turn enters, none of which waits for anything.
    fn long(&mut self, flow: &mut Flow, here: &str, next: &str) -> u64 {
        let (counter, step, check) = (self.variable(), self.name(), self.name());
        let times = self.dice.between(520, 700);
        if self.language == Language::Jsonata {
            let more = json!({&counter: jsonata::marked(&format!("${counter} + 1"))});
            let rule = json!({"Condition": jsonata::marked(&format!("${counter} < {times}")), "Next": step});
            flow.add(here, json!({"Type": "Pass", "Assign": {counter: 0}, "Next": step}));
            flow.add(&step, json!({"Type": "Pass", "Assign": more, "Next": check}));
            flow.add(&check, json!({"Type": "Choice", "Choices": [rule], "Default": next}));
            return 1;
        }
        let more = json!({format!("{counter}.$"): format!("States.MathAdd(${counter}, 1)")});
        let rule = json!({"Variable": format!("${counter}"), "NumericLessThan": times, "Next": step});
        flow.add(here, json!({"Type": "Pass", "Assign": {counter: 0}, "Next": step}));
        flow.add(&step, json!({"Type": "Pass", "Assign": more, "Next": check}));
        flow.add(&check, json!({"Type": "Choice", "Choices": [rule], "Default": next}));
        1
    }

    /// The last state, and the Fail state if something leads there. The last takes anything.
    fn end(&mut self, flow: &mut Flow, scope: &Scope) {
        let last = flow.last.clone();
        let state = match self.dice.roll(12) {
            _ if self.speaks_jsonata() => self.jsonata_end(scope),
            0..=3 => json!({"Type": "Succeed"}),
            4 => json!({"Type": "Succeed", "InputPath": null}),
            5 => json!({"Type": "Succeed", "OutputPath": "$$.Execution.Input.n"}),
            6 => {
                json!({"Type": "Pass", "Parameters": {"of.$": "$$.Execution.Name", "all.$": "$"}, "OutputPath": "$.of",
                "End": true})
            }
            7 => json!({"Type": "Wait", "Seconds": 1, "End": true}),
            8 if scope.depth == 0 => self.failing(),
            9 if scope.depth == 0 && self.dice.one_in(2) => {
                json!({"Type": "Pass", "Parameters": {"x.$": data::fatal(self.dice)}, "End": true})
            }
            _ => json!({"Type": "Pass", "End": true}),
        };
        flow.add(&last, state);
        if let Some(fail) = flow.fail.clone() {
            let failing = self.failing();
            flow.add(&fail, failing);
        }
    }

    /// A Fail state.
    fn failing(&mut self) -> Value {
        if self.speaks_jsonata() {
            return self.jsonata_failing();
        }
        match self.dice.roll(5) {
            0 => json!({"Type": "Fail"}),
            1 => {
                json!({"Type": "Fail", "ErrorPath": "$$.State.Name", "CausePath": "States.Format('in {}', $$.State.Name)"})
            }
            2 => json!({"Type": "Fail", "Error": "Refused", "CausePath": "$.text"}),
            _ => json!({"Type": "Fail", "Error": self.dice.pick(&["Refused", "Broken"]), "Cause": "as rolled"}),
        }
    }

    /// The name of the flow's Fail state.
    pub(super) fn fail_of(&mut self, flow: &mut Flow) -> String {
        flow.fail
            .get_or_insert_with(|| {
                self.states += 1;
                format!("F{}", self.states)
            })
            .clone()
    }

    /// A state that nothing saves: its failure is one that no retrier and no catcher sees.
    fn doomed(&mut self, flow: &mut Flow, here: &str, next: &str) -> u64 {
        let state = match self.dice.roll(5) {
            0 => json!({"Type": "Wait", "SecondsPath": "$.text"}),
            1 => json!({"Type": "Task", "Resource": format!("{}gone", super::ACTIVITY), "TimeoutSeconds": 9}),
            2 => json!({"Type": "Map", "ItemsPath": "$.n", "ItemProcessor": self.nothing()}),
            3 => {
                let rule = json!({"Variable": "$.missing", "NumericEquals": 1, "Next": flow.last});
                let choice = json!({"Type": "Choice", "Choices": [rule], "Default": next});
                flow.add(here, choice);
                return 0;
            }
            _ => json!({"Type": "Pass", "Parameters": {"x.$": data::fatal(self.dice)}}),
        };
        flow.add(here, to(state, next));
        0
    }

    /// A flow of one state.
    pub(super) fn nothing(&mut self) -> Value {
        let name = self.name();
        json!({"StartAt": name, "States": {name.as_str(): {"Type": "Pass", "End": true}}})
    }
}

impl Flow {
    /// Adds a state. Panics if there is one of that name.
    pub(super) fn add(&mut self, name: &str, state: Value) {
        let before = self.states.insert(name.to_owned(), state);
        assert!(before.is_none(), "the state {name} is written once");
    }
}

/// The state, leading on.
pub(super) fn to(mut state: Value, next: &str) -> Value {
    state["Next"] = next.into();
    state
}
