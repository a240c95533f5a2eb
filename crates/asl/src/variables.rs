//! Which variables a state reads: `variableReferences` of DescribeStateMachine.
//! Only positions that are evaluated count; a string that merely looks like a path does not.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use stepwright_querylang::jsonata::{Members, StatesExpression, StatesTemplate};
use stepwright_querylang::{Path, ReferencePath, Template};

use crate::definition::{
    Catcher, Condition, Credentials, DataFlow, Definition, JsonataFields, Map, NumberField, Operand, PathField,
    QueryLanguage, State, StateKind, Task, Test, TextField, WaitUntil,
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
        match field {
            Some(NumberField::Path(path)) => self.reference(path),
            Some(NumberField::Jsonata(expression)) => self.expression(expression),
            Some(NumberField::Literal(_)) | None => {}
        }
    }

    fn text(&mut self, field: Option<&TextField>) {
        match field {
            Some(TextField::Expression(expression)) => self.add(expression.variables()),
            Some(TextField::Jsonata(expression)) => self.expression(expression),
            Some(TextField::Literal(_)) | None => {}
        }
    }

    fn expression(&mut self, expression: &StatesExpression) {
        self.0.extend(expression.variables());
    }

    fn jsonata(&mut self, template: Option<&StatesTemplate>) {
        self.0.extend(template.map(StatesTemplate::variables).unwrap_or_default());
    }

    fn jsonata_fields(&mut self, fields: &JsonataFields) {
        for template in [&fields.arguments, &fields.output, &fields.assign] {
            self.jsonata(template.as_ref());
        }
    }

    fn state(&mut self, state: &State) {
        self.data_flow(&state.data);
        self.jsonata_fields(&state.jsonata);
        match &state.kind {
            StateKind::Task(task) => self.task(task),
            StateKind::Choice(choice) => {
                for rule in &choice.rules {
                    self.condition(&rule.condition);
                    self.template(rule.assign.as_ref());
                    self.jsonata_fields(&rule.jsonata);
                }
            }
            StateKind::Wait(wait) => match &wait.until {
                WaitUntil::SecondsPath(path) | WaitUntil::TimestampPath(path) => self.reference(path),
                WaitUntil::SecondsJsonata(expression) | WaitUntil::TimestampJsonata(expression) => {
                    self.expression(expression);
                }
                WaitUntil::Seconds(_) | WaitUntil::Timestamp(_) => {}
            },
            StateKind::Fail(fail) => {
                self.text(fail.error.as_ref());
                self.text(fail.cause.as_ref());
            }
            StateKind::Parallel(parallel) => self.catch(&parallel.catch),
            StateKind::Map(map) => self.map(map, state.query_language),
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
        match &task.credentials {
            Some(Credentials::JsonPath(template)) => self.template(Some(template)),
            Some(Credentials::Jsonata(template)) => self.jsonata(Some(template)),
            None => {}
        }
        self.catch(&task.catch);
    }

    fn catch(&mut self, catchers: &[Catcher]) {
        for catcher in catchers {
            self.template(catcher.assign.as_ref());
            self.jsonata_fields(&catcher.jsonata);
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
            Condition::Jsonata(expression) => self.expression(expression),
            Condition::Literal(_) => {}
        }
    }

    fn map(&mut self, map: &Map, language: QueryLanguage) {
        map.items_path.iter().for_each(|path| self.reference(path));
        self.template(map.item_selector.as_ref());
        self.jsonata(map.items_jsonata.as_ref());
        self.jsonata(map.item_selector_jsonata.as_ref());
        self.number(map.max_concurrency.as_ref());
        self.catch(&map.catch);
        if language == QueryLanguage::Jsonata {
            let fields = StatesTemplate::compile(&map.distributed, "", Members::INPUT).ok();
            self.jsonata(fields.as_ref());
            return;
        }
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
