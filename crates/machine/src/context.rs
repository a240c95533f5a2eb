//! The context object and what else an expression may read: built when it is first asked for, from the execution and
//! the frame alone.

use std::cell::{Cell, OnceCell};

use serde_json::{Value, json};
use stepwright_asl::{Definition, LONE_STATE, StateId, StateKind};
use stepwright_querylang::jsonata::Limits;

use crate::{
    execution::{Execution, Workflow},
    frame::{Position, Work},
    id::{FrameId, Millis, TaskId},
    inspect::Inspector,
    step::next_random,
    token,
};

/// Where items come from that are in the state's data (AWS: documented).
pub(crate) const STATE_DATA: &str = "STATE_DATA";

/// What expressions may take before the turn is given up.
#[derive(Clone, Copy)]
pub(crate) struct Budget<'a> {
    /// Steps.
    pub(crate) steps: u64,
    /// Those that were taken.
    pub(crate) spent: &'a Cell<u64>,
}

/// An item of a Map: `Map.Item` of the context object.
#[derive(Clone, Copy)]
pub(crate) struct Item<'a> {
    pub(crate) index: u32,
    pub(crate) value: &'a Value,
    /// Its name, if it is a member of an object.
    pub(crate) key: Option<&'a str>,
}

/// What an expression of one frame may read besides its input.
pub(crate) struct Environment<'a> {
    execution: &'a Execution,
    definition: &'a Definition,
    random: &'a Cell<u64>,
    budget: Budget<'a>,
    now: Millis,
    frame: FrameId,
    item: Option<Item<'a>>,
    task: Option<TaskId>,
    context: OnceCell<Value>,
    /// Parts of the context object that are small: without the execution's input and the item.
    small: OnceCell<Value>,
    /// Who looks on, if this is the test of a state.
    inspector: Option<&'a Inspector>,
}

impl<'a> Environment<'a> {
    pub(crate) fn new(
        execution: &'a Execution,
        definition: &'a Definition,
        random: &'a Cell<u64>,
        budget: Budget<'a>,
        now: Millis,
        frame: FrameId,
    ) -> Self {
        Self {
            execution,
            definition,
            random,
            budget,
            now,
            frame,
            item: None,
            task: None,
            context: OnceCell::new(),
            small: OnceCell::new(),
            inspector: None,
        }
    }

    /// For the test of a state, which may have a context object of its own.
    pub(crate) fn inspected(mut self, inspector: &'a Inspector) -> Self {
        self.inspector = Some(inspector);
        self
    }

    /// The time of the turn.
    pub(crate) fn now(&self) -> Millis {
        self.now
    }

    /// Where the steps of expressions are added up.
    pub(crate) fn spent(&self) -> &Cell<u64> {
        self.budget.spent
    }

    /// The bounds of an evaluation: the execution's own, or where the turn is given up.
    pub(crate) fn evaluation_limits(&self) -> Limits {
        let left = self.budget.steps.saturating_sub(self.budget.spent.get());
        self.execution.info.limits.evaluation.of_evaluation(left)
    }

    /// What the items of a map run see of the context object, but for `Execution.Input`: it does not change while they
    /// do.
    pub(crate) fn lasting(&self) -> Value {
        let mut context = self.small().clone();
        context.as_object_mut().expect("an object").shift_remove("Map");
        context
    }

    /// For ItemSelector: the iteration that is about to start.
    pub(crate) fn with_item(mut self, item: Item<'a>) -> Self {
        self.item = Some(item);
        self
    }

    /// For the fields of a task that has a token.
    pub(crate) fn with_task(mut self, task: TaskId) -> Self {
        self.task = Some(task);
        self
    }

    /// The whole context object, members in AWS's order.
    fn build(&self) -> Value {
        if let Some(given) = self.inspector.and_then(Inspector::context) {
            let mut context = given.value().clone();
            if let (Some(item), Some(members)) = (self.item(), context.as_object_mut()) {
                members.insert("Map".into(), json!({ "Item": item_value(&item, Some(item.value)) }));
            }
            return context;
        }
        let mut context = self.small().clone();
        let execution = context["Execution"].as_object_mut().expect("an object");
        execution.insert("Input".into(), self.execution.head.input.value().clone());
        // As recorded: Id, Input, …
        let rest: Vec<String> = execution.keys().filter(|key| *key != "Id" && *key != "Input").cloned().collect();
        for key in rest {
            let value = execution.shift_remove(&key).expect("a member");
            execution.insert(key, value);
        }
        if let Some(item) = self.item() {
            context["Map"]["Item"] = item_value(&item, Some(item.value));
        }
        context
    }

    /// The context object without `Execution.Input` and `Map.Item.Value`, which may be large.
    fn small(&self) -> &Value {
        self.small.get_or_init(|| {
            let info = &self.execution.info;
            let mut context = json!({
                "Execution": {
                    "Id": &*info.arn,
                    "StartTime": iso_8601(info.started_at),
                    "Name": &*info.name,
                    "RoleArn": &*info.role_arn,
                    "RedriveCount": 0,
                },
                "StateMachine": { "Id": &*info.state_machine_arn, "Name": &*info.state_machine_name },
            });
            if let Some((count, at)) = self.execution.head.redriven {
                context["Execution"]["RedriveCount"] = count.into();
                context["Execution"]["RedriveTime"] = iso_8601(at).into();
            }
            if self.inspector.is_some() {
                // As recorded: no RedriveCount, and null where there is no role.
                let execution = context["Execution"].as_object_mut().expect("an object");
                execution.shift_remove("RedriveCount");
                if info.role_arn.is_empty() {
                    execution.insert("RoleArn".into(), Value::Null);
                }
            }
            let members = context.as_object_mut().expect("an object");
            if matches!(info.workflow, Workflow::Express { synchronous: true, .. }) {
                members["Execution"].as_object_mut().expect("an object").shift_remove("RedriveCount");
            }
            if let Position::In(visit) = &self.execution.frames[&self.frame].position {
                let state = self.definition.state(StateId(visit.state));
                // As recorded: under test, a state of a machine has the name of one that stands alone.
                let name = if self.inspector.is_some() { LONE_STATE } else { &state.name };
                let mut about = json!({ "Name": name, "EnteredTime": iso_8601(visit.entered_at) });
                if matches!(state.kind, StateKind::Task(_) | StateKind::Parallel(_) | StateKind::Map(_)) {
                    about["RetryCount"] = visit.retry_count().into();
                }
                members.insert("State".into(), about);
            }
            if let Some(task) = self.task {
                members.insert("Task".into(), json!({ "Token": token::issue(info, task) }));
            }
            if let Some(item) = self.item() {
                members.insert("Map".into(), json!({ "Item": item_value(&item, None) }));
            }
            context
        })
    }

    fn item(&self) -> Option<Item<'a>> {
        self.item.or_else(|| self.enclosing_item())
    }

    /// The item of the nearest enclosing iteration.
    fn enclosing_item(&self) -> Option<Item<'a>> {
        let mut frame = &self.execution.frames[&self.frame];
        loop {
            let parent = &self.execution.frames[&frame.parent?];
            if let Position::In(visit) = &parent.position
                && let Work::Map(map) = &visit.work
            {
                let value = &map.items.value()[frame.slot as usize];
                return Some(Item { index: frame.slot, value, key: None });
            }
            frame = parent;
        }
    }
}

impl stepwright_querylang::Environment for Environment<'_> {
    fn context(&self) -> &Value {
        self.context.get_or_init(|| self.build())
    }

    /// Only a path to a whole object with a large member in it needs the whole context object. ItemSelector asks for
    /// parts once for every item, so none may cost as much as the execution's input.
    fn context_part(&self, names: &[&str]) -> Option<(usize, &Value)> {
        if self.inspector.is_some_and(|inspector| inspector.context().is_some()) {
            return None;
        }
        match names {
            ["Execution", "Input", ..] => Some((2, self.execution.head.input.value())),
            ["Map", "Item", "Value", ..] => self.item().map(|item| (3, item.value)),
            ["Execution" | "Map"] | ["Map", "Item"] | [] => None,
            [first, ..] => Some((1, self.small().get(*first)?)),
        }
    }

    fn variable(&self, name: &str) -> Option<&Value> {
        let mut frame = &self.execution.frames[&self.frame];
        loop {
            if let Some(payload) = frame.variables.get(name) {
                return Some(payload.value());
            }
            frame = &self.execution.frames[&frame.parent?];
        }
    }

    fn random(&self) -> u64 {
        next_random(self.random)
    }
}

/// `Map.Item`, with its value or without.
fn item_value(item: &Item<'_>, value: Option<&Value>) -> Value {
    let mut members = json!({ "Index": item.index });
    if let Some(value) = value {
        members["Value"] = value.clone();
    }
    if let Some(key) = item.key {
        members["Key"] = key.into();
    }
    members["Source"] = STATE_DATA.into();
    members
}

/// A time as the context object shows it: UTC, to the millisecond, without trailing zeros.
fn iso_8601(at: Millis) -> String {
    jiff::Timestamp::from_millisecond(at).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}
