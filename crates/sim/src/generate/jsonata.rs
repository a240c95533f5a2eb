//! States in JSONata: those of a machine that speaks nothing else, and those that stand between states in JSONPath. They
//! keep the same promises: what a flow is given is handed on from state to state, and expressions have a value unless
//! they fail on purpose.

use serde_json::{Map, Value, json};

use super::data::{self, MEMBERS, Scope};
use super::flow::{Flow, Writer, to};
use super::{ACTIVITY, ECHO, FUNCTION, WORK};
use crate::workload::Dice;

/// Turns of all inner flows of one state, at most.
const SHARE: u64 = 14;

/// Expressions that have a value wherever the members of the input are there.
const ANYWHERE: [&str; 44] = [
    "$states.input.n",
    "$states.input.text",
    "$states.input.list",
    "$states.input.deep",
    "$states.input.none",
    "$states.input.list[0]",
    "$states.input.list[$ >= 0][]",
    "$states.input.deep.items[id = 2].tag",
    "$states.input.deep.items.id",
    "$states.input.deep.`a b`.c",
    "$states.input.deep.items@$i#$at.{'id': $i.id, 'at': $at}",
    "$states.input.deep.items^(>id).id",
    "$states.input.deep.items{$string(id): id}",
    "$states.input.deep.items.(id & %.flag)",
    "$states.input.deep ~> |items|{'seen': true}, 'tag'|",
    "$states.context.Execution.Id",
    "$states.context.Execution.Name",
    "$states.context.Execution.StartTime",
    "$states.context.Execution.Input.n",
    "$states.context.StateMachine.Id",
    "$states.context.State.Name",
    "$states.context.State.EnteredTime",
    "$states.context.Execution",
    "'n is ' & $states.input.n & ', not ' & $states.input.text",
    "$parse('[1, {\"a\": null}]')",
    "$string($states.input.list)",
    "$sum($states.input.list)",
    "$map($states.input.list, function($v, $i) { $v * $i })",
    "$reduce($states.input.list, function($a, $b) { $a + $b }, $states.input.n)",
    "$merge([{'n': 1}, {'n': $states.input.n}])",
    "$range(0, 6, 2)",
    "$partition($states.input.list, 2)",
    "$hash($states.input.text, 'SHA-256')",
    "[$random(), $random(7), $uuid(), $shuffle([1..5])]",
    "[$now(), $millis()]",
    "$fromMillis($toMillis($states.context.Execution.StartTime), '[FNn] [D1o] [MNn] [Y] [H01]:[m01]', '+0530')",
    "$formatNumber($states.input.half, '#0.00')",
    "$split($states.input.text & ',x', /,\\s*/)",
    "$replace($states.input.text, /([aeiou])/, '<$1>')",
    "$base64decode($base64encode('a text'))",
    "($f := function($k) { $k < 1 ? 0 : $k + $f($k - 1) }; $f(9))",
    "$exists($nobody) ? $nobody : 'none'",
    "$sort($states.input.list, function($l, $r) { $l < $r })",
    "$keys($states.input.deep)",
];

/// Expressions that fail, always or with most inputs.
const BROKEN: [&str; 9] = [
    "$states.input.nothing",
    "$states.input.list[99]",
    "$number($states.input.text)",
    "1 + $states.input.text",
    "$error('as rolled')",
    "($assert($states.input.n > 2, 'n is small'); $states.input.n)",
    "$string",
    "($f := function($n) { 1 + $f($n) }; $f(0))",
    "$hash($states.input.text, 'CRC')",
];

/// Conditions of every kind.
const CONDITIONS: [&str; 10] = [
    "$states.input.n > 2",
    "$states.input.text = 'a' or $states.input.half < 2",
    "$states.input.flag",
    "$not($states.input.flag) and $states.input.n <= 4",
    "$exists($states.input.missing)",
    "$contains($states.input.text, /o/)",
    "1 in $states.input.list",
    "$type($states.input.none) = 'null'",
    "$toMillis($states.context.State.EnteredTime) > 0",
    "$states.input.missing = 1",
];

/// `{% … %}`
pub(super) fn marked(text: &str) -> Value {
    format!("{{% {text} %}}").into()
}

/// The input with a member more.
pub(super) fn with(member: &str, expression: &str) -> Value {
    marked(&format!("$merge([$states.input, {{'{member}': {expression}}}])"))
}

/// An expression that has a value.
fn expression(dice: &mut Dice, scope: &Scope) -> String {
    match dice.roll(12) {
        0 if !scope.numbers.is_empty() => {
            let variable = dice.pick(&scope.numbers).clone();
            if dice.one_in(2) { format!("${variable}") } else { format!("${variable} + $states.input.n") }
        }
        1 if !scope.lists.is_empty() => {
            let variable = dice.pick(&scope.lists).clone();
            if dice.one_in(2) { format!("${variable}[0]") } else { format!("$count(${variable})") }
        }
        2 | 3 if scope.in_map => {
            let parts =
                ["$states.context.Map.Item.Index", "$states.context.Map.Item.Value", "$states.context.Map.Item"];
            (*dice.pick(&parts)).to_owned()
        }
        _ => (*dice.pick(&ANYWHERE)).to_owned(),
    }
}

/// A payload template of a few members.
fn template(dice: &mut Dice, scope: &Scope) -> Value {
    let mut template = Map::new();
    for number in 0..=dice.roll(3) {
        let value = match dice.roll(6) {
            0 => data::literal(dice),
            1 => {
                json!({"in": marked(&expression(dice, scope)), "list": [{"at": marked(&expression(dice, scope))}, "$.text"]})
            }
            _ => marked(&expression(dice, scope)),
        };
        template.insert(format!("k{number}"), value);
    }
    Value::Object(template)
}

/// A template that hands the input's own members on, and something beside them.
pub(super) fn members(dice: &mut Dice, scope: &Scope) -> Value {
    let own = MEMBERS.iter().map(|member| ((*member).to_owned(), marked(&format!("$states.input.{member}"))));
    let mut template: Map<String, Value> = own.collect();
    if dice.one_in(2) {
        template.insert("more".into(), marked(&expression(dice, scope)));
    }
    Value::Object(template)
}

impl Writer<'_> {
    /// Some states that begin at `here` with one in JSONata. As [`Self::segment`].
    pub(super) fn jsonata_segment(
        &mut self,
        flow: &mut Flow,
        here: &str,
        next: &str,
        scope: &mut Scope,
        left: u64,
    ) -> u64 {
        let inner = scope.depth < super::flow::MAX_DEPTH;
        match self.dice.roll(20) {
            0 | 1 => self.jsonata_pass(flow, here, next, scope),
            2 | 3 => self.jsonata_choice(flow, here, next, scope),
            4..=6 => self.jsonata_wait(flow, here, next, scope),
            7 | 8 if left > 5 => self.jsonata_repeat(flow, here, next, scope, left),
            9..=11 if inner && left > 3 => self.jsonata_parallel(flow, here, next, scope, left),
            12..=14 if inner && left > 3 => self.jsonata_map(flow, here, next, scope, left),
            15 if scope.depth > 0 && self.dice.one_in(3) => self.jsonata_doomed(flow, here, next),
            _ => self.jsonata_task(flow, here, next, scope),
        }
    }

    /// One of these expressions.
    fn one_of(&mut self, from: &[&str]) -> Value {
        marked(from[self.dice.index(from.len())])
    }

    /// Adds a state in JSONata that leads on.
    fn add(&mut self, flow: &mut Flow, name: &str, state: Value, next: &str) {
        let state = self.in_jsonata(state);
        flow.add(name, to(state, next));
    }

    pub(super) fn jsonata_pass(&mut self, flow: &mut Flow, here: &str, next: &str, scope: &mut Scope) -> u64 {
        let mut state = json!({"Type": "Pass"});
        let alone = !scope.counts_in_data;
        match self.dice.roll(6) {
            0 => state["Output"] = with("p", &expression(self.dice, scope)),
            1 => state["Output"] = with("q", &format!("[{}]", expression(self.dice, scope))),
            2 if alone => state["Output"] = members(self.dice, scope),
            3 if alone => state["Output"] = marked("$states.context.Execution.Input"),
            4 => state["Output"] = marked("$states.input ~> |deep|{'s': 'put'}|"),
            _ => {}
        }
        if self.dice.one_in(3) {
            state["Assign"] = self.jsonata_assigned(scope);
        }
        self.add(flow, here, state, next);
        0
    }

    /// An `Assign` on the input's members; its variables are there from now on.
    fn jsonata_assigned(&mut self, scope: &mut Scope) -> Value {
        let (number, list, any) = (self.variable(), self.variable(), self.variable());
        let numbers = ["$states.input.n", "$count($states.input.list)", "$floor($random() * 9)"];
        let lists = ["$states.input.list", "[1..3]", "$states.context.Execution.Input.list"];
        let assign = json!({
            number.as_str(): self.one_of(&numbers),
            list.as_str(): self.one_of(&lists),
            any: marked(&expression(self.dice, scope)),
        });
        scope.numbers.push(number);
        scope.lists.push(list);
        assign
    }

    fn jsonata_wait(&mut self, flow: &mut Flow, here: &str, next: &str, scope: &mut Scope) -> u64 {
        let mut state = json!({"Type": "Wait"});
        match self.dice.roll(8) {
            0 => state["Timestamp"] = data::timestamp(self.dice).into(),
            1 => {
                let instants =
                    ["$states.input.when", "$states.context.State.EnteredTime", "$fromMillis($millis() + 1500)"];
                state["Timestamp"] = self.one_of(&instants);
            }
            2..=4 => {
                let seconds = ["$states.input.secs", "$states.context.Execution.Input.secs", "1 + 1"];
                state["Seconds"] = self.one_of(&seconds);
            }
            _ => state["Seconds"] = self.dice.roll(5).into(),
        }
        if self.dice.one_in(4) {
            state["Output"] = with("p", "$states.context.State.EnteredTime");
        }
        if self.dice.one_in(6) {
            state["Assign"] = self.jsonata_assigned(scope);
        }
        self.add(flow, here, state, next);
        1
    }

    /// A choice whose ways all lead to `next`, but for one that may end the flow.
    fn jsonata_choice(&mut self, flow: &mut Flow, here: &str, next: &str, scope: &Scope) -> u64 {
        let mut rules = Vec::new();
        for number in 0..=self.dice.roll(3) {
            let condition = match scope.numbers.last() {
                Some(variable) if self.dice.one_in(3) => marked(&format!("${variable} > {number}")),
                _ if self.dice.one_in(8) => self.dice.one_in(2).into(),
                _ => self.one_of(&CONDITIONS),
            };
            let target = match self.dice.roll(24) {
                0 => self.fail_of(flow),
                1 => flow.last.clone(),
                _ => next.to_owned(),
            };
            let mut rule = json!({"Condition": condition, "Next": target});
            if self.dice.one_in(2) {
                rule["Output"] = with("way", &number.to_string());
            }
            if self.dice.one_in(4) {
                // Assigned on this way only, so nothing may count on it.
                rule["Assign"] = json!({self.variable(): marked(&expression(self.dice, scope))});
            }
            rules.push(rule);
        }
        let mut state = json!({"Type": "Choice", "Choices": rules, "Default": next});
        if self.dice.one_in(4) {
            state["Output"] = with("way", "'default'");
        }
        if self.dice.one_in(6) {
            state["Assign"] = json!({self.variable(): data::literal(self.dice)});
        }
        let state = self.in_jsonata(state);
        flow.add(here, state);
        0
    }

    /// A loop that counts, in a variable or in the data.
    fn jsonata_repeat(&mut self, flow: &mut Flow, here: &str, next: &str, scope: &mut Scope, left: u64) -> u64 {
        let times = self.dice.between(1, 3);
        let in_data = scope.counts_in_data || self.dice.one_in(2);
        let (first, step, check) = (self.name(), self.name(), self.name());
        let counter = self.variable();
        let count = if in_data {
            let count = format!("$states.input.{counter}.to");
            self.add(flow, here, json!({"Type": "Pass", "Output": with(&counter, "{'to': 0}")}), &first);
            let more = with(&counter, &format!("{{'to': {count} + 1}}"));
            self.add(flow, &step, json!({"Type": "Pass", "Output": more}), &check);
            count
        } else {
            self.add(flow, here, json!({"Type": "Pass", "Assign": {&counter: 0}}), &first);
            let more = marked(&format!("${counter} + 1"));
            self.add(flow, &step, json!({"Type": "Pass", "Assign": {&counter: more}}), &check);
            scope.numbers.push(counter.clone());
            format!("${counter}")
        };
        let rule = json!({"Condition": marked(&format!("{count} < {times}")), "Next": first});
        let choice = self.in_jsonata(json!({"Type": "Choice", "Choices": [rule], "Default": next}));
        flow.add(&check, choice);
        let outer = scope.counts_in_data;
        scope.counts_in_data |= in_data;
        let spent = self.round(flow, first, &step, scope, (left / times).min(6));
        scope.counts_in_data = outer;
        spent * times
    }

    /// One Task state. Its result goes beside the input's members or is dropped.
    fn jsonata_task(&mut self, flow: &mut Flow, here: &str, next: &str, scope: &mut Scope) -> u64 {
        let name = if self.dice.one_in(5) { ECHO } else { *self.dice.pick(&WORK) };
        let function = format!("{FUNCTION}{name}");
        let mut state = json!({"Type": "Task"});
        let (mut cost, mut heartbeat) = (1, false);
        match self.dice.roll(10) {
            0..=3 => {
                state["Resource"] = format!("{ACTIVITY}{name}").into();
                heartbeat = self.dice.one_in(2);
            }
            4 | 5 => state["Resource"] = function.into(),
            6 | 7 => {
                state["Resource"] = "arn:aws:states:::lambda:invoke".into();
                state["Arguments"] = json!({"FunctionName": function, "Payload": template(self.dice, scope)});
            }
            _ => {
                state["Resource"] = "arn:aws:states:::lambda:invoke.waitForTaskToken".into();
                let payload = json!({"token": marked("$states.context.Task.Token"), "of": template(self.dice, scope)});
                state["Arguments"] = json!({"FunctionName": function, "Payload": payload});
                heartbeat = self.dice.one_in(3);
                cost = 2;
            }
        }
        if state.get("Arguments").is_none() && !self.dice.one_in(4) {
            state["Arguments"] = template(self.dice, scope);
        }
        state["TimeoutSeconds"] =
            if self.dice.one_in(3) { marked("$states.input.limit") } else { self.dice.between(9, 40).into() };
        if heartbeat {
            state["HeartbeatSeconds"] =
                if self.dice.one_in(3) { marked("$states.input.beat") } else { self.dice.between(2, 8).into() };
        }
        if self.dice.one_in(12) && state["Resource"].as_str().is_some_and(|arn| !arn.starts_with(ACTIVITY)) {
            let role = "arn:aws:iam::000000000000:role/tasks";
            let role = if self.dice.one_in(2) { marked(&format!("'{role}'")) } else { role.into() };
            state["Credentials"] = json!({"RoleArn": role});
        }
        // Sent as a whole, the input may come back as a whole, and must not be put inside itself.
        let fresh = state.get("Arguments").is_some();
        self.jsonata_result(&mut state, fresh);
        let broken = self.dice.one_in(12);
        if broken {
            self.broken_field(&mut state, &["Arguments", "Output", "Assign", "TimeoutSeconds"]);
        }
        self.jsonata_handlers(flow, &mut state, next, scope, broken);
        self.add(flow, here, state, next);
        cost
    }

    /// A field that fails: always, with some inputs, or at the first attempt.
    fn broken_field(&mut self, state: &mut Value, fields: &[&str]) {
        let field = *self.dice.pick(fields);
        let failing = match self.dice.roll(4) {
            0 => "$states.context.State.RetryCount > 0 ? 20 : $error('the first time')",
            _ => *self.dice.pick(&BROKEN),
        };
        state[field] = match field {
            "Assign" => json!({self.variable(): marked(failing)}),
            // What is not there is fine if the first time was; what comes of it replaces everything that is handed on.
            "Output" => with("r", failing),
            _ => marked(failing),
        };
    }

    /// Where the result of a Task, a Parallel or a Map goes. `fresh`: it cannot hold the state's whole input.
    pub(super) fn jsonata_result(&mut self, state: &mut Value, fresh: bool) {
        state["Output"] = match self.dice.roll(5) {
            0 | 1 if fresh => with("r", "$states.result"),
            2 => with("r", "{'of': $states.context.State.Name, 'type': $type($states.result)}"),
            3 => with("r", "$length($string($states.result))"),
            _ => marked("$states.input"),
        };
        if self.dice.one_in(6) {
            // Not there when a catcher was taken, so nothing may count on it.
            state["Assign"] = json!({self.variable(): marked("$type($states.result)"), self.variable(): 1});
        }
    }

    fn jsonata_parallel(&mut self, flow: &mut Flow, here: &str, next: &str, scope: &Scope, left: u64) -> u64 {
        let count = self.dice.between(1, 3);
        let each = (self.dice.between(2, SHARE).min(left) / count).max(1);
        let mut state = json!({"Type": "Parallel"});
        let inner = Scope { depth: scope.depth + 1, counts_in_data: false, ..scope.clone() };
        let branches: Vec<Value> = (0..count).map(|_| self.flow(&inner, each, false)).collect();
        state["Branches"] = branches.into();
        let fresh = self.dice.one_in(2);
        if fresh {
            state["Arguments"] = members(self.dice, scope);
        }
        self.jsonata_result(&mut state, fresh);
        let broken = self.dice.one_in(12);
        if broken {
            self.broken_field(&mut state, &["Arguments", "Output", "Assign"]);
        }
        self.jsonata_handlers(flow, &mut state, next, scope, broken);
        self.add(flow, here, state, next);
        each * count
    }

    fn jsonata_map(&mut self, flow: &mut Flow, here: &str, next: &str, scope: &Scope, left: u64) -> u64 {
        let mut state = json!({"Type": "Map"});
        let (items, count) = match self.dice.roll(6) {
            0 => (marked("$states.input.deep.items"), 2),
            1 => (marked("$states.context.Execution.Input.list"), 3),
            2 => (json!([marked(&expression(self.dice, scope)), {"a": marked("$states.input.n")}]), 2),
            3 => (marked("[]"), 0),
            4 if !scope.lists.is_empty() => (marked(&format!("${}", self.dice.pick(&scope.lists))), 3),
            _ => (marked("$append($states.input.list, [])"), 3),
        };
        state["Items"] = items;
        let each = (self.dice.between(2, SHARE).min(left) / count.max(1)).max(1);
        let inner = Scope { depth: scope.depth + 1, in_map: true, counts_in_data: false, ..scope.clone() };
        let selected = !self.dice.one_in(4);
        let mut processor = self.flow(&inner, each, !selected);
        if self.dice.one_in(3) {
            processor["ProcessorConfig"] = json!({"Mode": "INLINE"});
        }
        state["ItemProcessor"] = processor;
        if selected {
            state["ItemSelector"] = members(self.dice, &inner);
            state["ItemSelector"]["item"] = marked("$states.context.Map.Item.Value");
        }
        match self.dice.roll(4) {
            0 => {}
            1 => state["MaxConcurrency"] = marked("$states.input.secs"),
            _ => state["MaxConcurrency"] = self.dice.roll(4).into(),
        }
        self.jsonata_result(&mut state, selected);
        let broken = self.dice.one_in(8);
        if broken && selected && self.dice.one_in(3) {
            let middle =
                "$states.context.Map.Item.Index = 1 ? $error('in the middle') : $states.context.Map.Item.Value";
            state["ItemSelector"]["item"] = marked(middle);
        } else if broken {
            self.broken_field(&mut state, &["Items", "MaxConcurrency", "Output", "Assign"]);
        }
        self.jsonata_handlers(flow, &mut state, next, scope, broken);
        self.add(flow, here, state, next);
        each * count
    }

    pub(super) fn jsonata_handlers(
        &mut self,
        flow: &mut Flow,
        state: &mut Value,
        next: &str,
        scope: &Scope,
        must: bool,
    ) {
        self.handlers_by(flow, state, next, scope, must, Self::jsonata_catcher);
    }

    fn jsonata_catcher(&mut self, flow: &mut Flow, names: &[&str], next: &str, scope: &Scope) -> Value {
        let mut catcher = json!({"ErrorEquals": names, "Next": next, "Output": with("error", "$states.errorOutput")});
        match self.dice.roll(12) {
            0 => catcher["Next"] = flow.last.clone().into(),
            1 => catcher["Next"] = self.fail_of(flow).into(),
            2 | 3 if !scope.counts_in_data => {
                // The error takes the place of everything; the execution's input is there to begin again from.
                let restore = self.name();
                self.restore(flow, &restore, next);
                catcher = json!({"ErrorEquals": names, "Next": restore});
            }
            4 => catcher["Output"] = marked("$states.input"),
            5 if scope.depth > 0 && self.dice.one_in(6) => {
                // The catcher fails itself, and with it the flow.
                catcher["Output"] = with("error", "$states.errorOutput.Nothing + $error('caught in vain')");
            }
            _ => {}
        }
        if self.dice.one_in(6) {
            let parts = ["$states.errorOutput.Error", "$states.errorOutput", "$string($states.errorOutput)"];
            catcher["Assign"] = json!({self.variable(): self.one_of(&parts)});
        }
        catcher
    }

    /// The last state of a flow. It takes anything.
    pub(super) fn jsonata_end(&mut self, scope: &Scope) -> Value {
        let state = match self.dice.roll(10) {
            0..=2 => json!({"Type": "Succeed"}),
            3 => json!({"Type": "Succeed", "Output": marked("$states.input")}),
            4 => json!({"Type": "Succeed", "Output": {"n": marked("$states.context.Execution.Input.n")}}),
            5 => {
                let output =
                    json!({"of": marked("$states.context.Execution.Name"), "type": marked("$type($states.input)")});
                json!({"Type": "Pass", "Output": output, "End": true})
            }
            6 => json!({"Type": "Wait", "Seconds": marked("1"), "Output": marked("$millis()"), "End": true}),
            7 if scope.depth == 0 => return self.jsonata_failing(),
            8 if scope.depth == 0 && self.dice.one_in(2) => {
                json!({"Type": "Succeed", "Output": self.one_of(&BROKEN)})
            }
            _ => json!({"Type": "Pass", "End": true}),
        };
        self.in_jsonata(state)
    }

    /// A Fail state.
    pub(super) fn jsonata_failing(&mut self) -> Value {
        let state = match self.dice.roll(5) {
            0 => json!({"Type": "Fail"}),
            1 => {
                let name = "$states.context.State.Name";
                json!({"Type": "Fail", "Error": marked(name), "Cause": marked(&format!("'in ' & {name}"))})
            }
            2 => json!({"Type": "Fail", "Error": "Refused", "Cause": marked("$states.context.Execution.Input.text")}),
            3 if self.dice.one_in(2) => json!({"Type": "Fail", "Error": "Refused", "Cause": marked("1 + 1")}),
            _ => json!({"Type": "Fail", "Error": self.dice.pick(&["Refused", "Broken"]), "Cause": "as rolled"}),
        };
        self.in_jsonata(state)
    }

    /// A state that nothing saves: its failure is one that it cannot retry and cannot catch.
    fn jsonata_doomed(&mut self, flow: &mut Flow, here: &str, next: &str) -> u64 {
        let state = match self.dice.roll(8) {
            0 | 7 => json!({"Type": "Wait", "Seconds": marked("$states.input.text")}),
            // Some texts are instants, months away.
            1 => json!({"Type": "Wait", "Timestamp": marked("$states.input.text & '?'")}),
            2 => json!({"Type": "Pass", "Output": {"x": [self.one_of(&BROKEN)]}}),
            3 => json!({"Type": "Pass", "Assign": {self.variable(): self.one_of(&BROKEN)}}),
            4 => json!({"Type": "Map", "Items": marked("$states.input.n"), "ItemProcessor": self.nothing()}),
            _ => {
                let rule = json!({"Condition": marked("$states.input.n"), "Next": flow.last});
                let choice = self.in_jsonata(json!({"Type": "Choice", "Choices": [rule], "Default": next}));
                flow.add(here, choice);
                return 0;
            }
        };
        self.add(flow, here, state, next);
        0
    }
}
