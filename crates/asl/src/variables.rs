//! Which variables a state reads: `variableReferences` of DescribeStateMachine.
//! Only positions that are evaluated count; a string that merely looks like a path does not.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use stepwright_querylang::{Path, ReferencePath, Template};

use crate::definition::{
    Catcher, Condition, DataFlow, Definition, Map, NumberField, Operand, PathField, State, StateKind, Task, Test,
    TextField, WaitUntil,
};

/// The variables that each state reads, by the state's name. States that read none are left out.
#[must_use]
pub fn variable_references(definition: &Definition) -> BTreeMap<String, BTreeSet<String>> {
    let mut references = BTreeMap::new();
    for state in &definition.states {
        let mut names = Names::default();
        names.state(state);
        if !names.0.is_empty() {
            references.insert(state.name.to_string(), names.0);
        }
    }
    references
}

#[derive(Default)]
struct Names(BTreeSet<String>);

impl Names {
    fn add<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) {
        self.0.extend(names.into_iter().map(str::to_owned));
    }

    fn template(&mut self, template: Option<&Template>) {
        self.add(template.map(Template::variables).unwrap_or_default());
    }

    fn reference(&mut self, path: &ReferencePath) {
        self.add(path.variables());
    }

    fn number(&mut self, field: Option<&NumberField<u64>>) {
        if let Some(NumberField::Path(path)) = field {
            self.reference(path);
        }
    }

    fn text(&mut self, field: Option<&TextField>) {
        if let Some(TextField::Expression(expression)) = field {
            self.add(expression.variables());
        }
    }

    fn state(&mut self, state: &State) {
        self.data_flow(&state.data);
        match &state.kind {
            StateKind::Task(task) => self.task(task),
            StateKind::Choice(choice) => {
                for rule in &choice.rules {
                    self.condition(&rule.condition);
                    self.template(rule.assign.as_ref());
                }
            }
            StateKind::Wait(wait) => {
                if let WaitUntil::SecondsPath(path) | WaitUntil::TimestampPath(path) = &wait.until {
                    self.reference(path);
                }
            }
            StateKind::Fail(fail) => {
                self.text(fail.error.as_ref());
                self.text(fail.cause.as_ref());
            }
            StateKind::Parallel(parallel) => self.catch(&parallel.catch),
            StateKind::Map(map) => self.map(map),
            StateKind::Pass(_) | StateKind::Succeed => {}
        }
    }

    fn data_flow(&mut self, data: &DataFlow) {
        for field in [&data.input_path, &data.output_path] {
            if let PathField::Path(path) = field {
                self.add(path.variables());
            }
        }
        self.template(data.parameters.as_ref());
        self.template(data.result_selector.as_ref());
        self.template(data.assign.as_ref());
    }

    fn task(&mut self, task: &Task) {
        self.number(task.timeout_seconds.as_ref());
        self.number(task.heartbeat_seconds.as_ref());
        self.template(task.credentials.as_ref());
        self.catch(&task.catch);
    }

    fn catch(&mut self, catchers: &[Catcher]) {
        for catcher in catchers {
            self.template(catcher.assign.as_ref());
        }
    }

    fn condition(&mut self, condition: &Condition) {
        match condition {
            Condition::And(conditions) | Condition::Or(conditions) => {
                conditions.iter().for_each(|condition| self.condition(condition));
            }
            Condition::Not(condition) => self.condition(condition),
            Condition::Test { variable, test } => {
                self.add(variable.variables());
                if let Test::Compare { operand: Operand::Path(path), .. } = test {
                    self.add(path.variables());
                }
            }
            Condition::Literal(_) | Condition::Jsonata(_) => {}
        }
    }

    fn map(&mut self, map: &Map) {
        map.items_path.iter().for_each(|path| self.reference(path));
        self.template(map.item_selector.as_ref());
        self.number(map.max_concurrency.as_ref());
        self.catch(&map.catch);
        for pointer in [
            "/ToleratedFailureCountPath",
            "/ToleratedFailurePercentagePath",
            "/ItemReader/ReaderConfig/MaxItemsPath",
            "/ItemBatcher/MaxItemsPerBatchPath",
            "/ItemBatcher/MaxInputBytesPerBatchPath",
        ] {
            let path = map.distributed.pointer(pointer).and_then(Value::as_str).and_then(|text| Path::parse(text).ok());
            path.iter().for_each(|path| self.add(path.variables()));
        }
        for pointer in ["/ItemReader/Parameters", "/ItemBatcher/BatchInput", "/ResultWriter/Parameters"] {
            let template = map.distributed.pointer(pointer).and_then(|value| Template::compile(value).ok());
            self.template(template.as_ref());
        }
    }
}
