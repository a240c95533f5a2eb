//! Parallel and Map states: flows inside flows.

use serde_json::{Value, json};

use super::data::{self, Scope};
use super::flow::{Flow, Writer, to};

/// Turns of all inner flows of one state, at most.
const SHARE: u64 = 14;

impl Writer<'_> {
    pub(super) fn parallel(&mut self, flow: &mut Flow, here: &str, next: &str, scope: &Scope, left: u64) -> u64 {
        let count = self.dice.between(1, 3);
        let each = (self.dice.between(2, SHARE).min(left) / count).max(1);
        let mut state = json!({"Type": "Parallel"});
        let inner = Scope { depth: scope.depth + 1, counts_in_data: false, ..scope.clone() };
        let branches: Vec<Value> = (0..count).map(|_| self.flow(&inner, each, false)).collect();
        state["Branches"] = branches.into();
        let fresh = self.dice.one_in(2);
        if fresh {
            state["Parameters"] = data::members(self.dice, scope);
        }
        self.collected(&mut state, fresh);
        self.handlers(flow, &mut state, next, scope, false);
        flow.add(here, to(state, next));
        each * count
    }

    pub(super) fn map(&mut self, flow: &mut Flow, here: &str, next: &str, scope: &Scope, left: u64) -> u64 {
        let mut state = json!({"Type": "Map"});
        // How many items there are, roughly.
        let (mut count, mut shaped) = (3, false);
        match self.dice.roll(8) {
            0 => {
                state["ItemsPath"] = "$.deep.items".into();
                count = 2;
            }
            1 => state["ItemsPath"] = "$$.Execution.Input.list".into(),
            2 => {
                state["InputPath"] = "$.list".into();
                shaped = true;
            }
            3 if self.dice.one_in(3) => {
                state["ItemsPath"] = "$.deep['a b'].c[0]".into();
                count = 0;
            }
            4 if !scope.lists.is_empty() => {
                state["ItemsPath"] = format!("${}", self.dice.pick(&scope.lists)).into();
            }
            _ => state["ItemsPath"] = "$.list".into(),
        }
        let each = (self.dice.between(2, SHARE).min(left) / count.max(1)).max(1);
        let inner = Scope { depth: scope.depth + 1, in_map: true, counts_in_data: false, ..scope.clone() };
        let selected = !shaped && !self.dice.one_in(4);
        let mut processor = self.flow(&inner, each, !selected);
        if self.dice.one_in(3) {
            processor["ProcessorConfig"] = json!({"Mode": "INLINE"});
        }
        if selected {
            // Old definitions spell both otherwise.
            let (selector, name) =
                if self.dice.one_in(6) { ("Parameters", "Iterator") } else { ("ItemSelector", "ItemProcessor") };
            state[selector] = data::members(self.dice, &inner);
            state[selector]["item.$"] = "$$.Map.Item.Value".into();
            state[name] = processor;
        } else {
            state["ItemProcessor"] = processor;
        }
        match self.dice.roll(6) {
            0 | 1 => {}
            2 => {
                let path = if shaped { "$[0]" } else { "$.secs" };
                state["MaxConcurrencyPath"] = path.into();
            }
            _ => state["MaxConcurrency"] = self.dice.roll(4).into(),
        }
        if self.dice.one_in(8) {
            // Accepted inline, where it means nothing.
            state["ToleratedFailurePercentage"] = 50.into();
        }
        self.collected(&mut state, selected);
        self.handlers(flow, &mut state, next, scope, false);
        flow.add(here, to(state, next));
        each * count
    }

    /// Where the outputs of all inner flows go. `fresh`: none of them holds what the state was given beside the
    /// input's own members, so that what they come to cannot grow from state to state.
    pub(super) fn collected(&mut self, state: &mut Value, fresh: bool) {
        match self.dice.roll(4) {
            0 => {
                state["ResultSelector"] = json!({"count.$": "States.ArrayLength($)", "of.$": "$$.State.Name"});
                state["ResultPath"] = "$.b".into();
            }
            1 if fresh => state["ResultPath"] = "$.b".into(),
            2 if fresh => {
                state["ResultSelector"] = json!({"all.$": "$", "two.$": "$[0:2]"});
                state["ResultPath"] = "$.b".into();
            }
            _ => state["ResultPath"] = Value::Null,
        }
    }
}
